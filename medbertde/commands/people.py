"""Commands about people: users, audit, terms."""

from __future__ import annotations

import argparse
import getpass

from medbertde import terms
from medbertde.commands.console import DONE, opened, print_table, say, standard_input
from medbertde.commands.options import Command, whole_number
from medbertde.types import Role, UserError


def add(command: Command) -> None:
    """Declare the commands of this module."""
    agree = command("terms", show_terms)
    agree.add_argument("--accept", action="store_true", help="accept the terms as the local user")
    people = command("users", users_list, "Accounts: add, list, password, role, disable, enable.")
    actions = people.add_subparsers(required=True, metavar="ACTION")
    roles = [role.value for role in Role]
    for name, run in {
        "add": users_add,
        "list": users_list,
        "password": users_password,
        "role": users_role,
        "disable": users_disable,
        "enable": users_enable,
    }.items():
        added = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        if name != "list":
            added.add_argument("name", metavar="NAME", help="the user name")
        if name == "role":
            added.add_argument("role", choices=roles)
        if name == "add":
            added.add_argument("--role", default=Role.ANNOTATOR.value, choices=roles, help="what the user may do")
    trail = command("audit", show_audit)
    trail.add_argument("--limit", type=whole_number(1, 100_000), default=100, help="how many lines, 1 to 100,000")


def show_terms(args: argparse.Namespace) -> int:
    """Show the terms of use and whether the local user has accepted them."""
    with opened() as (services, user):
        if args.accept:
            user = services.access.accept_terms(user)
        accepted = services.access.has_accepted(user)
    print(say(terms.DE, terms.EN), end="\n\n")
    if accepted:
        print(say(f"{user.name} hat zugestimmt.", f"{user.name} has accepted them."))
    else:
        print(say("Noch nicht zugestimmt: --accept stimmt zu.", "Not accepted yet: --accept accepts them."))
    return DONE


def users_add(args: argparse.Namespace) -> int:
    """Add an account; the password is asked for, or read from the first line of standard input."""
    with opened() as (services, user):
        services.accounts.add(user, args.name, Role(args.role), _new_password())
    print(say(f"{args.name} kann sich anmelden ({args.role}).", f"{args.name} can sign in ({args.role})."))
    return DONE


def users_list(_args: argparse.Namespace) -> int:
    """List everyone who has or had an account."""
    with opened() as (services, user):
        people = services.accounts.people(user)
    yes, no, disabled = say("ja", "yes"), say("nein", "no"), say("gesperrt", "disabled")
    rows = [
        (
            one.name,
            one.role.value,
            disabled if one.disabled else yes if one.can_sign_in else no,
            one.terms_version or "",
        )
        for one in people
    ]
    print_table([("name", "role", say("Anmeldung", "sign-in"), say("Bedingungen", "terms")), *rows])
    return DONE


def users_password(args: argparse.Namespace) -> int:
    """Give someone a new password; all their sessions end."""
    with opened() as (services, user):
        services.accounts.reset_password(user, args.name, _new_password())
    print(say(f"{args.name} hat ein neues Passwort.", f"{args.name} has a new password."))
    return DONE


def users_role(args: argparse.Namespace) -> int:
    """Give someone another role."""
    with opened() as (services, user):
        services.accounts.set_role(user, args.name, Role(args.role))
    print(f"{args.name}: {args.role}")
    return DONE


def users_disable(args: argparse.Namespace) -> int:
    """Lock someone out at once; what they did stays."""
    with opened() as (services, user):
        services.accounts.disable(user, args.name)
    print(say(f"{args.name} ist gesperrt.", f"{args.name} is disabled."))
    return DONE


def users_enable(args: argparse.Namespace) -> int:
    """Let someone in again who was locked out."""
    with opened() as (services, user):
        services.accounts.enable(user, args.name)
    print(say(f"{args.name} kann sich wieder anmelden.", f"{args.name} can sign in again."))
    return DONE


def show_audit(args: argparse.Namespace) -> int:
    """Print the audit trail, newest first: time (UTC), who, what, details. It holds no report text."""
    import json

    with opened() as (services, user):
        found = services.accounts.audit(user, limit=args.limit)
    for entry in found:
        facts = json.dumps(dict(entry.facts), ensure_ascii=False)
        print(f"{entry.created_at:%Y-%m-%d %H:%M:%S}\t{entry.user or '-'}\t{entry.action}\t{facts}")
    return DONE


def _new_password() -> str:
    """Asked for twice and not shown; from a pipe the first line. Never an argument: process lists show those."""
    given = standard_input()
    if not given.isatty():
        return given.readline().rstrip("\r\n")
    try:
        first = getpass.getpass(say("Passwort: ", "Password: "))
        again = getpass.getpass(say("Noch einmal: ", "Once more: "))
    except EOFError:
        raise UserError("Es wurde kein Passwort eingegeben.", "No password was entered.") from None
    if first != again:
        raise UserError("Die beiden Passwörter sind verschieden.", "The two passwords are different.")
    return first

"""Every public method of every service, and what it asks for: a role and the accepted terms, before anything happens.

A method without a line in `RIGHTS` fails, so that a new one cannot be forgotten. The services here stand over nothing:
whatever they touch after the checks ends in `Reached`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, get_type_hints
from unittest.mock import MagicMock

import pytest

from medbertde.services import Services
from medbertde.services.access import TERMS_VERSION, Access
from medbertde.services.bulk import Batch
from medbertde.settings import Settings
from medbertde.types import Forbidden, Role, User

VIEWER, ANNOTATOR, CURATOR, ADMIN = Role
TERMS = True


@dataclass(frozen=True)
class Open:
    """A method that asks for no one, and why that is right."""

    why: str


NO_DATA = Open("says what is shipped or loaded: titles, names of models, fictional examples")
BEFORE_SIGN_IN = Open("this is how somebody becomes known")
OWN_SESSION = Open("acts on the session of whoever holds its token")
START = Open("for the start and the health of the server")
RIGHTS: dict[str, Open | tuple[Role, bool]] = {
    "Accounts.sign_in": BEFORE_SIGN_IN,
    "Accounts.welcome_guest": BEFORE_SIGN_IN,
    "Accounts.welcome_from_hub": BEFORE_SIGN_IN,
    "Accounts.user_of": OWN_SESSION,
    "Accounts.sign_out": OWN_SESSION,
    "Accounts.change_password": Open("asks for the present password instead of a role"),
    "Accounts.require_database": START,
    "Accounts.require_startable": START,
    **dict.fromkeys(
        [f"Accounts.{name}" for name in "people add set_role disable enable reset_password audit".split()],
        (ADMIN, not TERMS),
    ),
    **dict.fromkeys(
        [
            f"Reading.{name}"
            for name in "schemas catalogue active_version model_version thresholds methods second_models "
            "fill_mask_version example_reports example_gaps metrics reliability".split()
        ],
        NO_DATA,
    ),
    **dict.fromkeys(
        [
            f"Reading.{name}"
            for name in "classify explain explain_stored explain_all explain_word with_words faithfulness "
            "against_chance fill_mask suggest rank_words tokenise".split()
        ],
        (VIEWER, TERMS),
    ),
    **dict.fromkeys([f"Gate.{name}" for name in "ask admit confirm replace deidentify".split()], (VIEWER, TERMS)),
    "Batch.classify": (VIEWER, TERMS),
    "SecondOpinion.choices": NO_DATA,
    "SecondOpinion.read": (VIEWER, TERMS),
    **dict.fromkeys(
        [
            f"Annotate.{name}"
            for name in "next_reports save skip keep recent reopen open_report proposals import_reports "
            "import_examples".split()
        ],
        (ANNOTATOR, TERMS),
    ),
    "Annotate.skipped": (CURATOR, TERMS),
    "Evidence.weigh": (ANNOTATOR, TERMS),
    "Evidence.agreement": (ANNOTATOR, TERMS),
    "ModelAudits.answering": Open("everybody may read how the models that answer were audited; it holds no report"),
    "ModelAudits.require_audit": Open("a model that passed its audit is for everyone; overriding asks for an admin"),
    "Proposals.propose": (ANNOTATOR, TERMS),
    "Proposals.add": (ANNOTATOR, TERMS),
    **dict.fromkeys(
        [f"Files.{name}" for name in "preview import_steps import_file import_examples export annotators".split()],
        (ANNOTATOR, TERMS),
    ),
    **dict.fromkeys(
        [f"Team.{name}" for name in "projects choose progress suggestion_effect".split()], (ANNOTATOR, TERMS)
    ),
    **dict.fromkeys([f"Team.{name}" for name in "annotators agreement".split()], (CURATOR, TERMS)),
    **dict.fromkeys([f"Team.{name}" for name in "create assign close imports".split()], (ADMIN, TERMS)),
    **dict.fromkeys([f"Review.{name}" for name in "waiting case decide".split()], (CURATOR, TERMS)),
    **dict.fromkeys([f"Overview.{name}" for name in "annotators find look figures".split()], (ANNOTATOR, TERMS)),
    "Overview.sees_all": Open("says what the role of the user given allows"),
    "Ordering.start": (ADMIN, TERMS),
    "Ordering.cancel": (ADMIN, not TERMS),
    "Ordering.status": Open("counts of a job that is going, no reports and no names"),
    "Ordering.wait": Open("waits, tells nothing"),
    **dict.fromkeys(
        [
            f"Training.{name}"
            for name in "bases preview going history lineages status result versions previous_version".split()
        ],
        (CURATOR, not TERMS),
    ),
    "Training.schemas": NO_DATA,
    "Training.may_train": Open("says what the role of the user given allows"),
    "Training.report": (CURATOR, TERMS),
    "Training.ask_for_review": (ADMIN, TERMS),
    "Training.start": (ADMIN, TERMS),
    "Training.resume": (ADMIN, TERMS),
    **dict.fromkeys([f"Training.{name}" for name in "cancel promote roll_back".split()], (ADMIN, not TERMS)),
    "Training.refresh": START,
    "Models.slots": NO_DATA,
    "Models.every_choice": NO_DATA,
    "Models.versions": NO_DATA,
    "Models.folder_of": Open("for code that loads a model on someone's behalf; no page shows it"),
    "Models.choices": NO_DATA,
    "Models.may_switch": Open("says what the role of the user given allows"),
    "Models.status": Open("needs the random number of a change that an admin began"),
    "Models.switch": (ADMIN, TERMS),
    "Models.start": (ADMIN, TERMS),
}


class Reached(Exception):
    """The checks are passed, the method goes to work."""


class Beyond:
    """What lies behind the checks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Reached(name)


def service_classes() -> dict[str, type]:
    """The services by name, as `Services` holds them, and the one that the page makes for a file."""
    hints = get_type_hints(Services)
    found = [
        hints[item.name] for item in fields(Services) if hints[item.name].__module__.startswith("medbertde.services")
    ]
    return {kind.__name__: kind for kind in [*found, Batch] if kind is not Access}


def public_methods() -> Iterator[str]:
    for name, kind in service_classes().items():
        for method, function in vars(kind).items():
            if not method.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{method}"


def made(kind: type, settings: Settings) -> Any:
    """A service over nothing but the real checks."""
    access = Access(Beyond(), settings)  # type: ignore[arg-type]
    known = {"access": access, "settings": settings}
    needed = list(inspect.signature(kind).parameters.values())
    given = {
        one.name: made(service_classes()[one.name.capitalize()], settings)
        if one.name in ("reading", "gate")
        else known.get(one.name, Beyond())
        for one in needed
        if one.default is inspect.Parameter.empty
    }
    return kind(**given)


def call(name: str, user: User, settings: Settings) -> None:
    """Call a method with arguments that mean nothing; a generator is begun."""
    kind, method = name.split(".")
    function = getattr(made(service_classes()[kind], settings), method)
    arguments = {
        one.name: _argument(one.name, user)
        for one in inspect.signature(function).parameters.values()
        if one.default is inspect.Parameter.empty
    }
    answer = function(**arguments)
    if inspect.isgenerator(answer):
        next(answer)


def _argument(name: str, user: User) -> Any:
    """A role check must not depend on any of these."""
    plain = {
        "user": user,
        "schema_id": "chest_xray",
        "slot": "fill_mask",
        "name": "x" * 5,
        "password": "kurz",
        "files": [],
    }
    return plain.get(name, MagicMock(schema_id="chest_xray"))


def refusal(name: str, user: User, settings: Settings) -> str:
    """The sentence of a refusal for lack of rights, "" when the method went to work (and failed over nothing)."""
    try:
        call(name, user, settings)
    except Forbidden as error:
        return error.de
    except Exception:  # noqa: BLE001  # over nothing every method fails somewhere; only rights are looked at here
        return ""
    return ""


def test_every_public_method_has_its_line() -> None:
    methods = set(public_methods())
    assert not methods - RIGHTS.keys(), "say in RIGHTS what these ask for"
    assert not RIGHTS.keys() - methods, "these are not there any more"


@pytest.mark.parametrize("name", [name for name, right in RIGHTS.items() if isinstance(right, tuple)])
def test_a_method_refuses_lower_roles_and_unaccepted_terms(name: str, settings: Settings) -> None:
    needed, terms = RIGHTS[name]  # type: ignore[misc]
    for role in Role:
        said = refusal(name, User(1, "anna", role, TERMS_VERSION), settings)
        assert ("nötig, angemeldet sind Sie als" in said) == (not role.includes(needed)), (name, role, said)
    said = refusal(name, User(1, "anna", needed, None), settings)
    assert ("Nutzungsbedingungen" in said) == terms, (name, said)
    outdated = refusal(name, User(1, "anna", needed, "2020-01"), settings)
    assert ("Nutzungsbedingungen" in outdated) == terms, (name, outdated)


def test_a_method_without_a_check_knows_no_user_or_says_why() -> None:
    for name, right in RIGHTS.items():
        kind, method = name.split(".")
        parameters = inspect.signature(getattr(service_classes()[kind], method)).parameters
        if isinstance(right, tuple):
            assert "user" in parameters, name
        else:
            assert len(right.why) > 10

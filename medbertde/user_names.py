"""How users may be called: accounts, and whoever works on the command line. Core: no third-party library."""

from __future__ import annotations

import re

GUEST = "gast-"  # how the names of visitors without a login begin
FROM_HUB = "hf-"  # how the names of those begin who sign in through the Hub
_NAME = re.compile(r"[\w.@-]{2,40}")
RULE_DE = (
    "Ein Benutzername hat 2 bis 40 Zeichen: Buchstaben, Ziffern, Punkt, Strich, Unterstrich oder @, und "
    f"beginnt nicht mit {GUEST} oder {FROM_HUB}."
)
RULE_EN = (
    "A user name has 2 to 40 characters: letters, digits, dot, hyphen, underscore or @, and does not begin "
    f"with {GUEST} or {FROM_HUB}."
)


def can_be_a_name(name: str) -> bool:
    """Whether somebody could have this name, visitors and users of the Hub included."""
    return bool(_NAME.fullmatch(name))


def is_free_to_choose(name: str) -> bool:
    """Whether the name keeps the rule for accounts.

    >>> is_free_to_choose("anna.b"), is_free_to_choose("a b"), is_free_to_choose("gast-7")
    (True, False, False)
    """
    return can_be_a_name(name) and not name.startswith((GUEST, FROM_HUB))

"""What administrators read: the audit trail in words, days as the language writes them. No browser."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from medbertde.services.accounts import Person
from medbertde.settings import ROOT
from medbertde.store.audit import AuditEntry
from medbertde.types import Role
from medbertde.ui.manage import ACTIONS, audit_value, people_value

MOMENT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def recorded() -> set[str]:
    """The actions that the services write into the audit trail: `action=…`, or what a parameter of this name gets."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "medbertde/services").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    passed_on = {node.name: place for node in nodes if isinstance(node, ast.FunctionDef) for place in _action_of(node)}
    found = set()
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = [word.value for word in call.keywords if word.arg == "action"]
        if name in passed_on:
            given += call.args[passed_on[name] :][:1]
        found |= {str(each.value) for each in given if isinstance(each, ast.Constant)}
    return found


def _action_of(function: ast.FunctionDef) -> Iterator[int]:
    """The place of the parameter `action` in a call."""
    names = [parameter.arg for parameter in function.args.args if parameter.arg != "self"]
    if "action" in names:
        yield names.index("action")


def test_every_action_that_is_recorded_has_a_word() -> None:
    found = recorded()
    assert {"sign_in", "disable", "promote", "backup", "read_identifying", "ask_for_review"} <= found
    assert found == ACTIONS.keys()


@pytest.mark.parametrize(("language", "day"), [("de", "01.03.2026"), ("en", "2026-03-01")])
def test_days_are_written_as_in_the_language(language: str, day: str) -> None:
    person = Person("anna", Role.ADMIN, True, False, None, MOMENT)
    assert people_value(language, [person])["rows"][0][-1] == day
    entry = AuditEntry(1, "anna", "sign_in", {}, MOMENT)
    assert audit_value(language, [entry])["rows"][0][0] == f"{day} 08:30"

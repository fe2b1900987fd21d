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
from medbertde.ui.manage import ACTIONS, FACTS, audit_value, people_value

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


def recorded_facts() -> set[str]:
    """The details they write: keys of what is passed as `facts` or collected under this name."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "medbertde/services").rglob("*.py")]
    found: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg == "facts"]
            given += node.args[2:3] if getattr(node.func, "id", "") == "_note" else []
        elif isinstance(node, ast.AnnAssign | ast.Assign | ast.AugAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == "facts":
                found.add(str(getattr(target.slice, "value", "")))
            given = [node.value] if getattr(target, "id", "") == "facts" else []
        else:
            continue
        keys = [key for each in given if isinstance(each, ast.Dict) for key in each.keys]
        found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return found


@pytest.mark.parametrize(("language", "day"), [("de", "01.03.2026"), ("en", "2026-03-01")])
def test_days_are_written_as_in_the_language(language: str, day: str) -> None:
    person = Person("anna", Role.ADMIN, True, False, None, MOMENT)
    assert people_value(language, [person])["rows"][0][-1] == day
    entry = AuditEntry(1, "anna", "sign_in", {}, MOMENT)
    assert audit_value(language, [entry])["rows"][0][0] == f"{day} 08:30"


def test_the_details_of_an_entry_are_named_in_the_language() -> None:
    entry = AuditEntry(1, "anna", "import", {"schema": "chest_xray", "added": 45, "duplicates": 0, "odd": 1}, MOMENT)
    said = "Schema: chest_xray, neu: 45, schon vorhanden: 0, odd: 1"
    assert audit_value("de", [entry])["rows"][0][-1] == said


def test_every_detail_that_is_recorded_has_a_word() -> None:
    assert {"of", "schema", "run", "added", "treatment", "sha256"} <= recorded_facts()
    assert recorded_facts() <= FACTS.keys()

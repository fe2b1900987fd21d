"""The gate before a model is given away: what passes, what does not, and what an admin's reason leaves behind."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medbertde.inference.checkpoint import weights_hash
from medbertde.inference.runtime import Runtime
from medbertde.model_audit import AUDIT_FILE, LIMITS, REASONS, Figure, ModelAudit, read_audit, write_audit
from medbertde.services.access import Access
from medbertde.services.model_audits import ModelAudits
from medbertde.store import audit as trail
from medbertde.store.session import Database
from medbertde.types import AuditRefused, Forbidden, InvalidFile, Role, User

REASON = "Nur frei erfundene Befunde, niemand ist betroffen."


@pytest.fixture
def folder(tiny_classifier_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_classifier_folder, tmp_path / "modell"))


@pytest.fixture
def audits(database: Database, runtime: Runtime, access: Access) -> ModelAudits:
    return ModelAudits(database, runtime, access)


def audited(folder: Path, *figures: Figure) -> ModelAudit:
    """An audit of the folder's weights, with these figures."""
    made = ModelAudit("modell@1", weights_hash(folder), "2026-11-29T02:00:00+00:00", "c", "ref", "texts", figures)
    write_audit(folder, made)
    return made


def at_limit(name: str, over: float = 0.0) -> Figure:
    return Figure(name, getattr(LIMITS, name) + over, 200)


def test_a_model_within_all_limits_passes_and_its_audit_is_returned(
    audits: ModelAudits, folder: Path, anna: User
) -> None:
    made = audited(folder, *(at_limit(name) for name in REASONS))
    assert audits.require_audit(anna, folder) == made == read_audit(folder)


@pytest.mark.parametrize("name", list(REASONS))
def test_a_model_above_any_limit_does_not_pass(name: str, audits: ModelAudits, folder: Path, anna: User) -> None:
    audited(folder, at_limit("membership_auc"), at_limit(name, over=0.001))
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder)
    assert "über den Grenzen" in refused.value.de
    assert "recorded" in refused.value.en


def test_a_model_without_an_audit_does_not_pass(audits: ModelAudits, folder: Path, anna: User) -> None:
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder)
    assert "not audited" in refused.value.en


def test_an_audit_that_has_not_measured_membership_does_not_pass(audits: ModelAudits, folder: Path, anna: User) -> None:
    audited(folder, at_limit("flip_rate"))
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder, "  ")
    assert "has not measured" in refused.value.en


def test_an_audit_of_other_weights_does_not_pass(audits: ModelAudits, folder: Path, anna: User) -> None:
    write_audit(folder, replace(audited(folder, at_limit("membership_auc")), weights="0" * 64))
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder)
    assert "other weights" in refused.value.en


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1, "figures": [{}], "remarks": []}'])
def test_a_broken_audit_is_told_as_such_and_does_not_pass(
    content: str, audits: ModelAudits, folder: Path, anna: User
) -> None:
    (folder / AUDIT_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidFile):
        read_audit(folder)
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder)
    assert "cannot be read" in refused.value.en


def test_what_was_made_from_germedbert_passes_only_with_a_reason(audits: ModelAudits, folder: Path, anna: User) -> None:
    theirs = folder.rename(folder.with_name("medbert-512"))
    audited(theirs, at_limit("membership_auc"))
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, theirs)
    assert "terms of GerMedBERT" in refused.value.en
    assert audits.require_audit(anna, theirs, REASON) is None


def test_an_admin_lets_a_model_pass_with_a_reason_that_is_recorded(
    audits: ModelAudits, folder: Path, anna: User, database: Database
) -> None:
    made = audited(folder, at_limit("membership_auc", over=0.1))
    assert audits.require_audit(anna, folder, f" {REASON}\n") == made
    with database.read() as session:
        entry = trail.entries(session)[0]
    assert (entry.user, entry.action) == ("anna", "override_audit")
    version = f"tiny-chest-xray@{weights_hash(folder)[:8]}"
    assert entry.facts == {"version": version, "why": "exceeded", "reason": REASON}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.CURATOR])
def test_nobody_but_an_admin_overrides(
    role: Role, audits: ModelAudits, folder: Path, anna: User, database: Database
) -> None:
    with database.read() as session:
        before = len(trail.entries(session))
    with pytest.raises(Forbidden):
        audits.require_audit(replace(anna, role=role), folder, REASON)
    with database.read() as session:
        assert len(trail.entries(session)) == before


@pytest.mark.parametrize("reason", ["egal", "x" * 501])
def test_a_reason_says_something(reason: str, audits: ModelAudits, folder: Path, anna: User) -> None:
    with pytest.raises(AuditRefused) as refused:
        audits.require_audit(anna, folder, reason)
    assert f"{len(reason)} characters" in refused.value.en


def test_the_models_that_answer_are_listed_with_their_audits(
    audits: ModelAudits, folder: Path, runtime: Runtime
) -> None:
    (without,) = audits.answering()
    assert without.audit is None
    assert without.why is not None
    made = audited(folder, at_limit("membership_auc", over=0.1))
    runtime.swap("chest_xray", folder)
    (now,) = audits.answering()
    assert (now.slot, now.audit) == ("chest_xray", made)

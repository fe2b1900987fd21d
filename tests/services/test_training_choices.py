"""What can be chosen before a run, what the preview says about it, and what is done with a finished one's doubts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.schema import load_schema
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate, SkipDecision
from medbertde.services.review import Review, Ruling
from medbertde.services.training import Choices, Selection, Training
from medbertde.services.training_bases import find_base
from medbertde.services.training_data import annotated
from medbertde.settings import Settings
from medbertde.store import labels, reports, reviews
from medbertde.store.session import Database
from medbertde.types import (
    CheckpointRefused,
    LabelChange,
    ModelUnavailable,
    NotFound,
    ReportRecord,
    Run,
    SkipReason,
    State,
    TrainingRefused,
    User,
)
from tests import tiny
from tests.services.test_training import XRAY, bring, finish_run


@pytest.fixture
def training(database: Database, runtime: Runtime, access: Access, settings: Settings, tmp_path: Path) -> Training:
    return Training(database, runtime, access, replace(settings, threads=1), replay=tmp_path / "no-replay")


def read(database: Database, user: User, report_id: int, values: Mapping[str, State]) -> None:
    """One person's reading."""
    with database.write() as session:
        labels.save(
            session, report_id=report_id, schema_id=XRAY, schema_version=1, user_id=user.id,
            changes=[LabelChange(label, state) for label, state in values.items()],
            client_uuid=f"{user.name}-{report_id}",
        )  # fmt: skip


@pytest.fixture
def both_read(database: Database, anna: User, ben: User) -> None:
    """60 reports: anna reads all, ben the first 40; of these they differ on four."""
    records = [
        ReportRecord(f"Aufnahme {number}: Erguss?", id=f"r{number}", modality="CR" if number % 2 else "DX")
        for number in range(60)
    ]
    with database.write() as session:
        ids = reports.add_reports(session, records=records, imported_by=anna.id).added_ids
    for number, report_id in enumerate(ids):
        state = State.PRESENT if number % 2 else State.ABSENT
        read(database, anna, report_id, {"Erguss": state})
        if number < 40:
            read(database, ben, report_id, {"Erguss": State.UNCERTAIN if number < 4 else state})


@pytest.mark.usefixtures("both_read")
class TestPreview:
    def test_every_report_falls_into_one_part_and_findings_are_counted_in_each(
        self, training: Training, anna: User
    ) -> None:
        preview = training.preview(anna, XRAY)
        assert preview.reports == sum(preview.parts.values()) == 60
        counted = [preview.by_part[part]["Erguss"] for part in ("train", "validation", "test")]
        assert sum(sum(states.values()) for states in counted) == 60
        assert (preview.disputed, preview.annotators, preview.modalities) == (4, ("anna", "ben"), ("CR", "DX"))
        assert preview.refusal is None

    @pytest.mark.parametrize(
        ("selection", "expected"),
        [
            (Selection(annotators=("ben",)), 40),
            (Selection(agreed=True), 36),
            (Selection(modality="CR"), 30),
            (Selection(since=datetime.now(UTC).date() + timedelta(days=2)), 0),
        ],
    )
    def test_a_selection_narrows_what_is_learnt_from(
        self, training: Training, anna: User, selection: Selection, expected: int
    ) -> None:
        assert training.preview(anna, XRAY, selection).reports == expected

    def test_a_selection_with_too_little_is_refused_before_anything_is_written(
        self, training: Training, anna: User, settings: Settings
    ) -> None:
        nothing = Selection(modality="MG")
        refusal = training.preview(anna, XRAY, nothing).refusal
        assert refusal is not None
        assert refusal.de.startswith("Bisher sind 0 Befunde annotiert, für ein Training sind mindestens 12 nötig.")
        with pytest.raises(TrainingRefused):
            training.start(anna, XRAY, 1, Choices(selection=nothing))
        assert not settings.runs.exists()

    def test_a_start_freezes_what_was_chosen(self, training: Training, anna: User) -> None:
        choices = Choices(uncertain="ignore", selection=Selection(agreed=True))
        run = training.start(anna, XRAY, 100_000, choices)
        folder = Path(run.folder)
        training.cancel(anna, run.id)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        snapshot = json.loads((folder / "snapshot.json").read_text(encoding="utf-8"))
        assert (config["uncertain"], config["seed"]) == ("ignore", 42)
        assert (snapshot["reports"], snapshot["agreed"]) == (36, True)
        (lineage,) = training.lineages(anna, XRAY)
        assert (lineage.data_hash, lineage.seed, lineage.f1_macro) == (snapshot["data_hash"], 42, None)


def test_a_report_put_aside_is_learnt_from_only_where_a_curator_decided_something(
    annotate: Annotate, review: Review, training: Training, anna: User, database: Database
) -> None:
    bring(annotate, anna, 40)
    texts = [ReportRecord(text) for text in ("Unleserlich.", "Randwinkel verschattet.", "Nichts.")]
    with database.write() as session:
        aside = reports.add_reports(session, records=texts, imported_by=anna.id).added_ids
    for report_id in aside:
        annotate.skip(anna, SkipDecision(str(uuid.uuid4()), XRAY, report_id, SkipReason.UNREADABLE))
    assert sorted(one.report_id for one in review.waiting(anna, XRAY)) == list(aside)
    for report_id, values in zip(aside, ({}, {"Erguss": State.PRESENT}, {"Erguss": None}), strict=True):
        review.decide(anna, Ruling(str(uuid.uuid4()), XRAY, report_id, values))
    assert review.waiting(anna, XRAY) == []
    found = annotated(database, load_schema(XRAY))
    assert [(record.text, record.labels) for record in found[40:]] == [
        ("Randwinkel verschattet.", {"Erguss": State.PRESENT}),
        ("Nichts.", {}),
    ]
    preview = training.preview(anna, XRAY)
    assert (preview.reports, preview.annotators) == (42, ("anna",))
    assert training.preview(anna, XRAY, Selection(annotators=("anna",))).reports == 40


def test_a_finding_that_the_test_part_lacks_is_named_and_a_test_part_without_any_is_refused(
    annotate: Annotate, training: Training, anna: User, database: Database
) -> None:
    bring(annotate, anna, 40)
    whole = training.preview(anna, XRAY)
    assert "Erguss" not in whole.unmeasured
    with database.write() as session:
        (report_id,) = reports.add_reports(session, records=[ReportRecord("Einer.")], imported_by=anna.id).added_ids
    read(database, anna, report_id, {"Fraktur": State.PRESENT})
    preview = training.preview(anna, XRAY)
    in_test = preview.by_part["test"]["Fraktur"]["present"]
    assert preview.unmeasured == (() if in_test else ("Fraktur",))


class TestBases:
    def test_the_active_model_comes_first_then_what_is_on_this_machine(
        self, training: Training, anna: User, runtime: Runtime, tiny_mlm_folder: Path
    ) -> None:
        runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
        first, *others = training.bases(anna, XRAY)
        assert (first.name, first.trained) == ("", True)
        assert first.title["de"] == f"aktives Modell ({runtime.model_for(XRAY).version})"
        assert {"medbertde-mini", "mini-chest-xray", runtime.fill_mask_model().version} <= {one.name for one in others}
        assert len({one.folder for one in others}) == len(others)

    def test_a_folder_can_be_named_and_a_wrong_one_is_refused_with_what_to_do(
        self, database: Database, runtime: Runtime, tmp_path: Path
    ) -> None:
        folder = tiny.mlm_folder(tmp_path / "eigenes", seed=3)
        base = find_base(runtime, database, XRAY, f" {folder} ")
        assert (base.folder, base.trained) == (folder, False)
        with pytest.raises(ModelUnavailable, match="There is no base model “fehlt” on this machine"):
            find_base(runtime, database, XRAY, str(tmp_path / "fehlt"))
        (folder / "model.safetensors").write_bytes(b"")
        with pytest.raises(CheckpointRefused, match="damaged or incomplete"):
            find_base(runtime, database, XRAY, str(folder))

    def test_the_new_model_is_compared_with_the_active_one_whatever_it_starts_from(
        self, annotate: Annotate, training: Training, anna: User, runtime: Runtime, tmp_path: Path
    ) -> None:
        bring(annotate, anna, 40)
        folder = tiny.mlm_folder(tmp_path / "eigenes", seed=3)
        run = training.start(anna, XRAY, 100_000, Choices(base=str(folder)))
        training.cancel(anna, run.id)
        config = json.loads((Path(run.folder) / "config.json").read_text(encoding="utf-8"))
        assert config["base_model"] == str(folder)
        assert config["compare_with"] == str(runtime.model_for(XRAY).folder)
        assert run.base_model == runtime.load(FILL_MASK_SLOT, folder, name=str(folder)).version


class TestDoubts:
    @pytest.fixture
    def run(self, database: Database, settings: Settings, anna: User) -> Run:
        return finish_run(database, settings, anna, "r1", seed=5)

    def test_a_doubted_report_goes_to_the_curators_until_one_has_decided(
        self, database: Database, access: Access, training: Training, anna: User, run: Run
    ) -> None:
        with database.write() as session:
            added = reports.add_reports(session, records=[ReportRecord("Kein Erguss.", id="b7")], imported_by=anna.id)
        (report_id,) = added.added_ids
        read(database, anna, report_id, {"Erguss": State.PRESENT})
        review = Review(database, access)
        assert review.waiting(anna, XRAY) == []
        training.ask_for_review(anna, run.id, "b7")
        (waiting,) = review.waiting(anna, XRAY)
        assert (waiting.key, waiting.asked, waiting.flagged) == ("b7", True, False)
        with database.write() as session:
            reviews.note(session, report_id=report_id, schema_id=XRAY)
        assert len(review.waiting(anna, XRAY)) == 1
        review.decide(anna, reviews.Ruling("1", XRAY, report_id, {"Erguss": State.ABSENT}))
        assert review.waiting(anna, XRAY) == []

    def test_a_report_that_is_gone_is_said(self, training: Training, anna: User, run: Run) -> None:
        with pytest.raises(NotFound):
            training.ask_for_review(anna, run.id, "nie-da")
        with pytest.raises(NotFound):
            training.report(anna, run.id, "nie-da")

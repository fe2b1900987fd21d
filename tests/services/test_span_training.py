"""A schema of spans through the training service: what it starts from, what the preview says, what a run brings."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from medbertde.inference.mark import mark
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.parts import TEST_SHARE, VALIDATION_SHARE, part_of
from medbertde.report_file import read_records, to_json
from medbertde.schema import load_schema
from medbertde.services import load_models, run_files
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate, Decision, WorkItem
from medbertde.services.models import Models
from medbertde.services.training import Choices, RunResult, Selection, Training
from medbertde.services.training_bases import find_base
from medbertde.services.training_config import configuration
from medbertde.settings import Settings
from medbertde.store import labels, reports, suggestions
from medbertde.store.session import Database
from medbertde.types import FoundSpan, Rationale, ReportRecord, RunState, Source, TrainingRefused, User
from tests import tiny
from tests.services.test_training import wait
from train.run_folder import read_config
from train.spans import require_for_spans

MEDICATION = "medication"
# Words of the tiny tokenizers, so that a tiny model can learn them: devices stand for drugs, sizes for doses.
DRUGS, DOSES = ("ZVK", "Tubus", "Magensonde", "Thoraxdrainage"), ("<5 mm", "mm")


def letter(number: int) -> ReportRecord:
    """A letter with a drug and, every second time, a dose."""
    rng = random.Random(number)
    text, spans = f"{rng.choice(('Kein Erguss', 'Herz normal', 'Lunge frei'))} {number}. ", []
    for label, words in (("Medikament", DRUGS), *((("Dosis", DOSES),) if number % 2 else ())):
        word = rng.choice(words)
        spans.append(Rationale(label, len(text), len(text) + len(word)))
        text += f"{word} links. "
    return ReportRecord(text.strip(), id=f"m{number}", modality="letter", rationales=tuple(spans))


def bring(annotate: Annotate, user: User, records: Sequence[ReportRecord]) -> None:
    """Import reports with their marks."""
    data = "\n".join(map(to_json, records)).encode()
    assert annotate.import_reports(user, MEDICATION, "briefe.jsonl", data).added == len(records)


@pytest.fixture
def training(database: Database, runtime: Runtime, access: Access, settings: Settings, tmp_path: Path) -> Training:
    return Training(database, runtime, access, replace(settings, threads=1), replay=tmp_path / "no-replay")


class TestBases:
    def test_the_model_that_marks_now_comes_first_then_the_language_model(
        self, training: Training, runtime: Runtime, anna: User, tmp_path: Path, tiny_mlm_folder: Path
    ) -> None:
        runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
        (alone, *_) = training.bases(anna, MEDICATION)
        assert (alone.folder, alone.trained) == (tiny_mlm_folder, False)
        assert alone.title["de"].startswith("Sprachmodell (")
        active = runtime.swap(MEDICATION, tiny.tagger_folder(tmp_path / "marken"))
        first, *others = training.bases(anna, MEDICATION)
        assert (first.name, first.folder, first.trained, first.version) == ("", active.folder, True, active.version)
        assert first.title == {"de": f"aktives Modell ({active.version})", "en": f"active model ({active.version})"}
        assert tiny_mlm_folder in [base.folder for base in others]

    def test_a_folder_that_marks_the_spans_of_the_schema_goes_on_with_its_head(
        self, training: Training, runtime: Runtime, database: Database, tmp_path: Path
    ) -> None:
        folder = tiny.tagger_folder(tmp_path / "marken")
        assert find_base(runtime, database, MEDICATION, str(folder)).trained
        assert not find_base(runtime, database, "chest_xray", str(folder)).trained


class TestChoice:
    def test_a_model_of_spans_is_listed_answers_and_comes_back_after_a_restart(
        self, database: Database, runtime: Runtime, access: Access, anna: User, tmp_path: Path
    ) -> None:
        models = Models(database, runtime, access)
        assert models.choices(MEDICATION) == ()
        active = models.switch(anna, MEDICATION, str(tiny.tagger_folder(tmp_path / "marken")))
        (only,) = models.choices(MEDICATION)
        assert (only.name, only.answers, only.where.usable) == (active.version, True, True)
        restarted = Runtime("cpu")
        assert load_models(restarted, database, {}) == ()
        assert restarted.versions()[MEDICATION] == active.version


class TestPreview:
    def test_it_counts_reports_and_marks_of_each_kind_in_each_part(
        self, annotate: Annotate, training: Training, anna: User
    ) -> None:
        bring(annotate, anna, [letter(number) for number in range(40)])
        preview = training.preview(anna, MEDICATION)
        assert preview.refusal is None
        assert preview.reports == sum(preview.parts.values()) == 40
        assert preview.counts["Medikament"] == {"spans": 40, "reports": 40}
        assert preview.counts["Dosis"] == {"spans": 20, "reports": 20}
        assert [preview.by_part[part]["Medikament"]["spans"] for part in preview.parts] == [*preview.parts.values()]
        assert (preview.unmeasured, preview.unlearnt, preview.overlapping) == ((), (), 0)

    def test_a_kind_that_the_test_part_lacks_and_one_that_nothing_teaches_are_named(
        self, annotate: Annotate, training: Training, anna: User
    ) -> None:
        given = [letter(number) for number in range(40)]
        bring(annotate, anna, given)
        parts = {record.id: part_of(record, TEST_SHARE, VALIDATION_SHARE) for record in map(letter, range(100, 200))}
        learnt = next(letter(int(key[1:])) for key, part in parts.items() if part == "train")
        tested = next(letter(int(key[1:])) for key, part in parts.items() if part == "test")
        extra = [with_mark(learnt, "Dauer"), with_mark(learnt, "Dauer", 0, 3), with_mark(tested, "Diagnose")]
        bring(annotate, anna, [replace(extra[0], rationales=(*extra[0].rationales, *extra[1].rationales)), extra[2]])
        preview = training.preview(anna, MEDICATION)
        assert preview.refusal is None
        assert (preview.unmeasured, preview.unlearnt, preview.overlapping) == (("Dauer",), ("Diagnose",), 1)

    @pytest.mark.parametrize(("count", "said"), [(0, "sind 0 Befunde"), (1, "ist 1 Befund"), (11, "sind 11 Befunde")])
    def test_too_few_reports_are_refused(
        self, annotate: Annotate, training: Training, anna: User, count: int, said: str
    ) -> None:
        bring(annotate, anna, [letter(number) for number in range(count)]) if count else None
        refusal = training.preview(anna, MEDICATION).refusal
        assert refusal is not None
        assert refusal.de.startswith(f"Bisher {said} annotiert, für ein Training sind mindestens 12 nötig.")

    def test_nothing_marked_or_marked_in_the_wrong_part_is_refused_with_the_reason(
        self, annotate: Annotate, training: Training, anna: User, settings: Settings
    ) -> None:
        bring(annotate, anna, [replace(letter(number), rationales=(), labels={}) for number in range(40)])
        assert training.preview(anna, MEDICATION).reports == 0, "a report without marks and saves is not annotated"
        for item in annotate.next_reports(anna, MEDICATION, count=20).items:
            annotate.save(anna, Decision(str(uuid.uuid4()), MEDICATION, item.report.id))
        refusal = training.preview(anna, MEDICATION).refusal
        assert refusal is not None
        assert refusal.de == (
            "Im Trainingsteil ist keine einzige Textstelle markiert; daraus lässt sich nichts lernen oder messen. "
            "Bitte weiter annotieren."
        )
        with pytest.raises(TrainingRefused):
            training.start(anna, MEDICATION, 1)
        assert not settings.runs.exists()

    def test_kinds_that_are_learnt_but_never_tested_are_refused(
        self, annotate: Annotate, training: Training, anna: User
    ) -> None:
        def marked(record: ReportRecord) -> ReportRecord:
            is_test = part_of(record, TEST_SHARE, VALIDATION_SHARE) == "test"
            return replace(record, rationales=(Rationale("Diagnose" if is_test else "Dosis", 0, 4),))

        bring(annotate, anna, [marked(letter(number)) for number in range(40)])
        refusal = training.preview(anna, MEDICATION).refusal
        assert refusal is not None
        assert refusal.en == (
            "What is marked in the training part (Dosis) is missing in the test part (there: Diagnose); what is learnt "
            "could not be measured. Please annotate more."
        )

    def test_marks_that_two_people_see_differently_are_disputed_and_can_be_left_out(
        self, annotate: Annotate, training: Training, database: Database, anna: User, ben: User
    ) -> None:
        records = [letter(number) for number in range(20)]
        bring(annotate, anna, records)
        with database.read() as session:
            found = {record.id: reports.find_report(session, key=record.id or "") for record in records[:2]}
        for number, report in enumerate(found.values()):
            assert report is not None
            marks = records[number].rationales[: 1 if number else 2]
            save_marks(database, ben, report.id, marks)
        differs = sum(len(record.rationales) > 1 for record in records[1:2])
        preview = training.preview(anna, MEDICATION)
        assert (preview.disputed, differs) == (1, 1)
        assert training.preview(anna, MEDICATION, Selection(agreed=True)).reports == 1


class TestConfiguration:
    @pytest.mark.parametrize("trained", [True, False])
    def test_it_names_nothing_that_a_run_on_spans_refuses(
        self, runtime: Runtime, database: Database, tmp_path: Path, tiny_mlm_folder: Path, *, trained: bool
    ) -> None:
        base = tiny.tagger_folder(tmp_path / "marken") if trained else tiny_mlm_folder
        (tmp_path / "statements_medication.jsonl").write_text("", encoding="utf-8")
        config = configuration(
            run_id="r1", schema=load_schema(MEDICATION), base=find_base(runtime, database, MEDICATION, str(base)),
            compare_with=None, epochs=3, uncertain="ignore", replay=tmp_path,
        )  # fmt: skip
        folder = tmp_path / "run"
        run_files.write_inputs(folder, [], config, {})
        require_for_spans(read_config(folder))
        assert config["learning_rate"] == (4e-4 if trained else 2e-3)

    def test_a_start_freezes_the_marks_and_goes_on_from_what_answers(
        self, annotate: Annotate, training: Training, anna: User, runtime: Runtime, tmp_path: Path
    ) -> None:
        runtime.swap(MEDICATION, tiny.tagger_folder(tmp_path / "marken"))
        bring(annotate, anna, [letter(number) for number in range(40)])
        run = training.start(anna, MEDICATION, 100_000)
        training.cancel(anna, run.id)
        config = json.loads((Path(run.folder) / "config.json").read_text(encoding="utf-8"))
        frozen = read_records(Path(run.folder) / "labels.jsonl")
        assert config["base_model"] == config["compare_with"] == str(tmp_path / "marken")
        assert {record.id: record.rationales for record in frozen} == {
            record.id: record.rationales for record in map(letter, range(40))
        }


class TestLoop:
    """Letters come in, people mark them, a model learns from that, is taken over and suggests marks for the next."""

    def test_marks_become_a_model_that_suggests_marks(
        self, annotate: Annotate, training: Training, database: Database, anna: User, runtime: Runtime, tmp_path: Path,
        tiny_mlm_folder: Path,
    ) -> None:  # fmt: skip
        before = runtime.swap(MEDICATION, tiny.tagger_folder(tmp_path / "marken", seed=3)).version
        given = {record.id: record for record in map(letter, range(40))}
        bring(annotate, anna, [replace(record, rationales=()) for record in given.values()])
        while items := annotate.next_reports(anna, MEDICATION, count=20).items:
            for item in items:
                annotate.save(anna, decide(item, *given[item.report.key].rationales))
        run = training.start(anna, MEDICATION, 20, Choices(base=str(tiny_mlm_folder)))
        assert wait(training, run.id).state is RunState.FINISHED, training.status(anna, run.id).log_tail
        result = training.result(anna, run.id)
        assert result is not None
        self.expect_figures(training, anna, result)
        self.expect_disputes(training, anna, result)
        after = training.promote(anna, run.id).version
        assert runtime.versions()[MEDICATION] == after != before

        assert annotate.import_examples(anna, MEDICATION).added == 10
        bring(annotate, anna, [replace(letter(number), rationales=()) for number in range(50, 55)])
        items = annotate.next_reports(anna, MEDICATION, count=20).items
        assert {item.suggestion.model_version for item in items if item.suggestion} == {after}
        suggested = [item for item in items if item.suggestion and item.suggestion.spans]
        assert suggested, "the model has learnt to mark"
        for item in suggested:
            assert item.suggestion is not None
            (marking,) = mark(runtime.model_for(MEDICATION), [item.report.text])
            assert places(item.suggestion.spans or ()) == places(marking.spans)
        assert training.roll_back(anna, before).version == runtime.versions()[MEDICATION] == before

    def expect_figures(self, training: Training, user: User, result: RunResult) -> None:
        """The same held-out letters for both models, and an interval for every figure of an annotated kind."""
        held_out = training.preview(user, MEDICATION).parts["test"]
        assert result.old is not None
        assert result.old.n_reports == result.new.n_reports == result.reports["test"] == held_out
        assert result.new.auroc_macro is None
        assert result.new.per_label["Medikament"]["positives"] == held_out
        assert result.new.f1_micro > result.old.f1_micro
        assert result.card.startswith("# medication-")
        assert "| F1 Medikament | " in result.card
        for model, metrics in (("old", result.old), ("new", result.new)):
            for label in ("Medikament", "Dosis"):
                for figure, (low, high) in result.label_intervals[model][label].items():
                    value = metrics.per_label[label][figure]
                    assert value is not None
                    assert low <= value <= high, (model, label, figure)
            assert result.label_intervals[model]["Diagnose"] == {}, "no diagnosis is annotated"

    def expect_disputes(self, training: Training, user: User, result: RunResult) -> None:
        """Where the two differ, with the places that each one marks."""
        assert result.disputes == ()
        assert result.span_disputes
        by_id = {record.id: record for record in map(letter, range(40))}
        for one in result.span_disputes:
            assert one.old != one.new
            text = training.report(user, result.run.id, one.report).text
            assert text == by_id[one.report].text
            annotated = {(span.start, span.end) for span in by_id[one.report].rationales if span.label == one.label}
            assert {*one.truth} == annotated
            assert all(0 <= start < end <= len(text) for start, end in (*one.old, *one.new))


def places(spans: Sequence[FoundSpan]) -> list[tuple[str, int, int]]:
    return [(one.label, one.start, one.end) for one in spans]


def decide(item: WorkItem, *marks: Rationale) -> Decision:
    """A save as the card sends it."""
    version = item.suggestion.model_version if item.suggestion and not item.saved else None
    return Decision(str(uuid.uuid4()), MEDICATION, item.report.id, model_version=version, rationales=marks)


class TestSuggestions:
    @pytest.fixture(autouse=True)
    def _active(self, annotate: Annotate, runtime: Runtime, anna: User, tmp_path: Path) -> None:
        runtime.swap(MEDICATION, tiny.tagger_folder(tmp_path / "marken", seed=3))
        bring(annotate, anna, [replace(letter(number), rationales=()) for number in range(6)])

    def offered(self, annotate: Annotate, user: User) -> tuple[WorkItem, tuple[FoundSpan, ...]]:
        """A letter for which the model suggests something."""
        items = annotate.next_reports(user, MEDICATION, count=6).items
        item = max(items, key=lambda one: len(one.suggestion.spans or ()) if one.suggestion else 0)
        assert item.suggestion is not None
        assert item.suggestion.spans
        return item, item.suggestion.spans

    def test_what_was_shown_is_kept_and_each_mark_says_how_it_came_about(
        self, annotate: Annotate, database: Database, anna: User
    ) -> None:
        item, spans = self.offered(annotate, anna)
        first, *others = spans
        accepted = Rationale(first.label, first.start, first.end)
        text = item.report.text
        free = next(at for at in range(len(text)) if not any(one.start <= at < one.end for one in spans))
        own = Rationale("Dauer", free, free + 1)
        changed = Rationale("Dauer" if first.label != "Dauer" else "Dosis", first.start, first.end)
        annotate.save(anna, decide(item, accepted, own, changed))
        with database.read() as session:
            saved = labels.latest_submission(session, report_id=item.report.id, schema_id=MEDICATION)
            shown = suggestions.get(
                session, report_id=item.report.id, schema_id=MEDICATION, model_version=item.suggestion.model_version
            )  # fmt: skip
        assert saved is not None
        assert [mark.source for mark in saved.rationales] == [
            Source.SUGGESTION_ACCEPTED,
            Source.HUMAN,
            Source.SUGGESTION_CHANGED,
        ]
        assert shown == item.suggestion
        assert others or shown.spans == spans

    def test_a_mark_keeps_its_source_when_the_letter_is_saved_again(
        self, annotate: Annotate, database: Database, anna: User
    ) -> None:
        item, (first, *_) = self.offered(annotate, anna)
        accepted, later = Rationale(first.label, first.start, first.end), Rationale("Dauer", 0, 1)
        annotate.save(anna, decide(item, accepted))
        again = annotate.reopen(anna, MEDICATION, item.report.id)
        annotate.save(anna, decide(again, accepted, later))
        saved = annotate.reopen(anna, MEDICATION, item.report.id).saved
        assert saved is not None
        assert [mark.source for mark in saved.rationales] == [Source.SUGGESTION_ACCEPTED, Source.HUMAN]

    def test_without_a_model_letters_come_without_suggestions(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        plain = Annotate(database, Runtime("cpu"), access, settings)
        assert [item.suggestion for item in plain.next_reports(anna, MEDICATION).items] == [None]


def with_mark(record: ReportRecord, label: str, start: int = 0, end: int = 4) -> ReportRecord:
    return replace(record, rationales=(Rationale(label, start, end),))


def save_marks(database: Database, user: User, report_id: int, marks: Sequence[Rationale]) -> None:
    """One more reading of a report."""
    with database.write() as session:
        labels.save(
            session, report_id=report_id, schema_id=MEDICATION, schema_version=1, user_id=user.id, changes=(),
            client_uuid=str(uuid.uuid4()), rationales=marks,
        )  # fmt: skip

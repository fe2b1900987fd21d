"""Which report is used for what, and how reports become batches."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.parts import Parts, divide, part_of
from medbertde.schema import load_schema
from medbertde.types import ReportRecord, State
from train.dataset import Example, buckets, collate, encode, examples, targets

SCHEMA = load_schema("chest_xray")


@pytest.fixture(scope="module")
def base(tiny_classifier_folder: Path) -> LoadedModel:
    return load_checkpoint(tiny_classifier_folder)


def many(count: int, **facts: object) -> list[ReportRecord]:
    return [ReportRecord(f"Befund Nummer {number}.", **facts) for number in range(count)]  # type: ignore[arg-type]


def texts(records: list[ReportRecord]) -> set[str]:
    return {record.text for record in records}


class TestParts:
    def test_the_shares_are_about_what_was_asked_for(self) -> None:
        parts = divide(many(2_000), test_share=0.25, validation_share=0.15)
        assert len(parts.test) == pytest.approx(500, abs=60)
        assert len(parts.validation) == pytest.approx(300, abs=60)
        assert len(parts.train) == 2_000 - len(parts.test) - len(parts.validation)

    def test_a_report_keeps_its_part_when_others_come_and_when_its_layout_changes(self) -> None:
        few = divide(many(100), test_share=0.25, validation_share=0.15)
        more = divide(many(300), test_share=0.25, validation_share=0.15)
        assert texts(few.test) == texts(more.test) & texts(many(100))
        assert part_of(ReportRecord("Kein  Erguss.\n"), 0.5, 0.2) == part_of(ReportRecord("Kein Erguss."), 0.5, 0.2)

    def test_the_reports_of_a_family_stay_together(self) -> None:
        parts = divide(many(50, meta={"family": "patient-7"}), test_share=0.25, validation_share=0.15)
        assert sorted(len(part) for part in (parts.train, parts.validation, parts.test)) in ([0, 0, 50], [0, 50, 50])

    def test_a_held_out_report_is_not_learnt_from_when_it_is_replayed_too(self) -> None:
        replayed = [ReportRecord(f" {record.text}  ") for record in many(200)]
        parts = divide(many(100), replay=replayed, test_share=0.25, validation_share=0.15)
        learnt = {text.strip() for text in texts(parts.train) | texts(parts.validation)}
        assert parts.test
        assert not learnt & texts(parts.test)

    def test_nothing_of_a_held_out_family_is_replayed(self) -> None:
        own = many(40, meta={"family": "a"}) + [ReportRecord(f"Anders {number}.") for number in range(40)]
        family = part_of(own[0], 0.999, 0.0)
        parts = divide(own, replay=[ReportRecord("Neu.", meta={"family": "a"})], test_share=0.999, validation_share=0.0)
        assert family == "test"
        assert parts.replay == []

    def test_a_test_file_replaces_the_held_out_share_and_is_taken_out_of_the_own_reports(self) -> None:
        test = many(5)
        parts = divide(many(100), replay=many(8), test=test, test_share=0.25, validation_share=0.15)
        assert parts.test == test
        assert len(parts.train) + len(parts.validation) == 95
        assert not (texts(parts.train) | texts(parts.validation)) & texts(test)

    @pytest.mark.parametrize("test", [None, many(3)])
    def test_nothing_of_a_fixed_test_part_is_learnt_wherever_it_comes_from(
        self, test: list[ReportRecord] | None
    ) -> None:
        fixed = {"split": "test", "family": "patient-7"}
        own = [*many(60), *(ReportRecord(f"Eigen {number}.", meta=fixed) for number in range(5))]
        replay = [ReportRecord(f"Wiederholt {number}.", meta={"split": "test"}) for number in range(5)]
        statements = [ReportRecord("Festgelegt.", meta={"split": "test"}), ReportRecord(" Wiederholt 1. ")]
        kin = ReportRecord("Derselbe Patient.", meta={"family": "patient-7"})
        parts = divide(
            own,
            replay=[*replay, kin, ReportRecord("Frei.")],
            statements=[*statements, ReportRecord("Kein Erguss.")],
            test=test,
            test_share=0.25,
            validation_share=0.0,
        )
        assert texts(parts.replay) == {"Frei.", "Kein Erguss."}
        assert texts(parts.train) | texts(parts.validation) <= texts(own[:60]) | texts(parts.replay)
        assert (texts(own[60:]) <= texts(parts.test)) is (test is None)

    def test_own_labels_win_over_replayed_ones(self) -> None:
        own = many(60, labels={"Erguss": State.ABSENT})
        parts = divide(own, replay=many(80, labels={"Erguss": State.PRESENT}), test_share=0.0, validation_share=0.2)
        assert len(parts.train) + len(parts.validation) == 80
        assert all(record.labels["Erguss"] is State.ABSENT for record in parts.own)
        assert texts(parts.replay).isdisjoint(texts(own))

    def test_without_validation_reports_the_training_reports_take_that_part(self) -> None:
        parts = divide(many(10), test_share=0.0, validation_share=0.0)
        assert parts == Parts(own=many(10), replay=[], validation=many(10), test=[])


class TestTargets:
    def test_outputs_are_ordered_by_state_and_then_by_finding(self) -> None:
        record = ReportRecord("…", labels={"Stauung": State.UNCERTAIN, "Erguss": State.PRESENT, "Tubus": State.ABSENT})
        count, place = len(SCHEMA.labels), SCHEMA.label_ids.index
        hit = [index for index, value in enumerate(targets(record, SCHEMA)) if value]
        assert hit == [place("Erguss"), count + place("Stauung"), 2 * count + place("Tubus")]

    def test_a_report_without_findings_is_a_lesson_too(self, base: LoadedModel) -> None:
        (example,) = examples([ReportRecord("Herz normal groß.")], SCHEMA, base)
        assert sum(example.targets) == 0
        assert example.tokens > 2


class TestWindows:
    def test_a_long_report_is_read_to_its_end(self, base: LoadedModel) -> None:
        text = " ".join(["Erguss"] * 150 + ["Tubus"])
        (rows,) = encode([ReportRecord(text)], base)
        assert len(rows) > 1
        assert all(len(row) <= base.max_tokens for row in rows)
        (last,) = encode([ReportRecord("Tubus")], base)
        assert rows[-1][-2] == last[0][-2]


class TestBatches:
    def test_a_batch_stays_within_its_tokens_and_every_report_comes_once(self) -> None:
        lengths = [random.Random(number).randint(1, 60) for number in range(200)]
        grouped = buckets(lengths, 120, random.Random(0))
        assert sorted(index for group in grouped for index in group) == list(range(200))
        assert all(len(group) * max(lengths[index] for index in group) <= 120 for group in grouped)

    def test_a_report_longer_than_a_batch_comes_alone(self) -> None:
        assert sorted(buckets([500, 3, 4], 100, random.Random(0))) == [[0], [1, 2]]

    def test_the_order_follows_the_seed(self) -> None:
        runs = [buckets(list(range(5, 40)), 120, random.Random(seed)) for seed in (1, 1, 2)]
        assert runs[0] == runs[1] != runs[2]

    def test_rows_know_their_report_and_padding_is_masked(self) -> None:
        batch = collate([Example(((2, 9, 9, 3), (2, 9, 3)), (1.0, 0.0)), Example(((2, 8, 3),), (0.0, 1.0))], pad_id=0)
        assert batch.ids.tolist() == [[2, 9, 9, 3], [2, 9, 3, 0], [2, 8, 3, 0]]
        assert batch.attention.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]
        assert batch.report.tolist() == [0, 0, 1]
        assert batch.targets.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_statements_are_only_learnt_from_and_never_when_they_are_held_out() -> None:
    own, test = many(100), [ReportRecord("Kein Erguss."), *many(5)]
    statements = [ReportRecord(f"Erguss {number} cm.") for number in range(200)] + [ReportRecord("Kein  Erguss.")]
    parts = divide(own, statements=statements, test=test, test_share=0.25, validation_share=0.15)
    assert {record.text for record in parts.replay} == {record.text for record in statements[:-1]}
    assert {record.text for record in parts.validation} <= {record.text for record in own}

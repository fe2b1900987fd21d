"""Texts made from reports and from the lexicon say what their labels say."""

from __future__ import annotations

import random

import pytest

from medbertde.schema import load_schema, schema_ids
from medbertde.types import Rationale, ReportRecord, State
from train.augment import (
    below_heading,
    cue_sentence,
    load_lexicon,
    merge,
    person_line,
    run_together,
    single_sentences,
    vary,
)
from train.counterfactuals import NAMES
from train.recombine import lists


def marked(text: str, labels: dict[str, State], **evidence: str) -> ReportRecord:
    """A report whose evidence is given as `Erguss="Kein Erguss"`; several passages are separated by `|`."""
    spans = [
        Rationale(label, text.index(passage), text.index(passage) + len(passage))
        for label, passages in evidence.items()
        for passage in passages.split("|")
    ]
    return ReportRecord(text, labels=labels, rationales=tuple(spans))


class TestSingleSentences:
    def test_each_sentence_with_evidence_becomes_a_report_with_its_own_labels(self) -> None:
        report = marked(
            "Kein Erguss. Herz groß. Liegender Tubus.",
            {"Erguss": State.ABSENT, "Tubus": State.PRESENT},
            Erguss="Kein Erguss.",
            Tubus="Liegender Tubus.",
        )
        found = {part.text: part.labels for part in single_sentences(report)}
        assert found == {
            "Kein Erguss.": {"Erguss": State.ABSENT},
            "Herz groß.": {},
            "Liegender Tubus.": {"Tubus": State.PRESENT},
        }

    def test_a_sentence_is_left_out_where_the_report_says_more_than_one_thing_about_its_finding(self) -> None:
        report = marked(
            "Rechts kein Erguss. Links Erguss. Tubus liegt.",
            {"Erguss": State.PRESENT, "Tubus": State.PRESENT},
            Erguss="Rechts kein Erguss.|Links Erguss.",
            Tubus="Tubus liegt.",
        )
        assert [part.text for part in single_sentences(report)] == ["Tubus liegt."]

    def test_evidence_that_carries_its_state_is_certain_even_where_the_report_says_more_than_one_thing(self) -> None:
        text = "Rechts kein Erguss. Links Erguss."
        spans = (Rationale("Erguss", 0, 19, State.ABSENT), Rationale("Erguss", 20, 33, State.PRESENT))
        report = ReportRecord(text, labels={"Erguss": State.PRESENT}, rationales=spans)
        assert [(part.text, part.labels["Erguss"]) for part in single_sentences(report)] == [
            ("Rechts kein Erguss.", State.ABSENT),
            ("Links Erguss.", State.PRESENT),
        ]

    def test_several_negations_of_one_finding_are_certain(self) -> None:
        report = marked(
            "Rechts kein Erguss. Links kein Erguss.",
            {"Erguss": State.ABSENT},
            Erguss="Rechts kein Erguss.|Links kein Erguss.",
        )
        assert [part.labels for part in single_sentences(report)] == [{"Erguss": State.ABSENT}] * 2

    def test_a_sentence_that_evidence_reaches_across_is_left_out(self) -> None:
        report = marked(
            "Tubus liegt. Katheter jugulär. Spitze in der Cava.",
            {"Tubus": State.PRESENT, "ZVK": State.PRESENT, "Materialfehllage": State.ABSENT},
            Tubus="Tubus liegt.",
            ZVK="Katheter jugulär. Spitze in der Cava.",
            Materialfehllage="Spitze in der Cava.",
        )
        assert [part.text for part in single_sentences(report)] == ["Tubus liegt."]

    def test_evidence_for_a_finding_that_the_report_does_not_state_is_left_out(self) -> None:
        report = marked("Kein Erguss.", {}, Erguss="Kein Erguss.")
        assert single_sentences(report) == []

    def test_a_sentence_without_evidence_says_nothing_if_every_label_has_its_evidence(self) -> None:
        text, labels = "Kein Erguss. Aorta sklerosiert.", {"Erguss": State.ABSENT}
        found = {part.text: part.labels for part in single_sentences(marked(text, labels, Erguss="Kein Erguss."))}
        assert found["Aorta sklerosiert."] == {}
        tubus = {"Tubus": State.PRESENT}
        assert len(single_sentences(marked(text, labels | tubus, Erguss="Kein Erguss."))) == 1

    def test_a_sentence_comes_with_the_heading_it_stands_under(self) -> None:
        text = "Kein Nachweis von:\n- Erguss\n- Pneu"
        spans = (Rationale("Erguss", 21, 27, State.ABSENT), Rationale("Pneumothorax", 30, 34, State.ABSENT))
        labels = {"Erguss": State.ABSENT, "Pneumothorax": State.ABSENT}
        found = [part.text for part in single_sentences(ReportRecord(text, labels=labels, rationales=spans))]
        assert found == ["Kein Nachweis von:", "Kein Nachweis von: - Erguss", "Kein Nachweis von: - Pneu"]


class TestRunTogether:
    def test_the_strongest_state_of_a_finding_holds(self) -> None:
        parts = [{"Erguss": State.ABSENT, "Tubus": State.ABSENT}, {"Erguss": State.UNCERTAIN}]
        assert merge(parts) == {"Erguss": State.UNCERTAIN, "Tubus": State.ABSENT}

    def test_sentences_run_together_say_what_each_says(self) -> None:
        pool = [ReportRecord(f"Satz {number}.", labels={f"L{number}": State.PRESENT}) for number in range(20)]
        for seed in range(30):
            made = run_together(pool, random.Random(seed))
            named = {part.text.rstrip(".") for part in pool if set(part.labels) <= set(made.labels)}
            assert 2 <= len(made.labels) <= 3
            assert all(text in made.text for text in named)
            assert "." not in made.text


@pytest.mark.parametrize("schema_id", schema_ids())
class TestCueSentences:
    def test_every_finding_is_named_in_every_state_and_none_is_foreign(self, schema_id: str) -> None:
        lexicon, schema, rng = load_lexicon(schema_id), load_schema(schema_id), random.Random(0)
        assert lexicon is not None
        drawn = [cue_sentence(lexicon, rng) for _ in range(4_000)]
        seen = {(label, state) for record in drawn for label, state in record.labels.items()}
        assert {label for label, _ in seen} == set(schema.label_ids)
        assert {state for _, state in seen} == set(State)

    def test_texts_are_complete_and_no_placeholder_is_left(self, schema_id: str) -> None:
        lexicon, rng = load_lexicon(schema_id), random.Random(1)
        assert lexicon is not None
        for record in (cue_sentence(lexicon, rng) for _ in range(1_000)):
            assert record.text.strip() == record.text != ""
            assert not set("{}") & set(record.text)
            assert "  " not in record.text

    def test_questions_have_no_labels_and_shared_negations_only_negated_ones(self, schema_id: str) -> None:
        lexicon, rng = load_lexicon(schema_id), random.Random(2)
        assert lexicon is not None
        drawn = [cue_sentence(lexicon, rng) for _ in range(1_000)]
        shared = [record for record in drawn if record.text.startswith("Kein Hinweis auf ") and len(record.labels) > 1]
        assert [record for record in drawn if not record.labels]
        assert shared
        assert all(set(record.labels.values()) == {State.ABSENT} for record in shared)

    def test_a_checklist_ticks_each_finding_in_the_way_of_one_house(self, schema_id: str) -> None:
        lexicon, rng = load_lexicon(schema_id), random.Random(3)
        assert lexicon is not None
        drawn = [cue_sentence(lexicon, rng) for _ in range(3_000)]
        lists = [record for record in drawn if len(set(record.labels.values())) > 1]
        assert len(lists) > 100
        houses = lexicon.templates["checklist"]
        for record in lists:
            fitting = [ticks for ticks in houses if all(_ticked(record, state, ticks) for state in State)]
            assert fitting, record.text


def _ticked(record: ReportRecord, state: State, ticks: list[str]) -> bool:
    """Whether the list has at least as many ticks of this state as findings in it."""
    tick = dict(zip((State.PRESENT, State.ABSENT, State.UNCERTAIN), ticks, strict=True))[state]
    return record.text.count(tick) >= list(record.labels.values()).count(state)


def test_a_line_that_says_nothing_changes_no_label() -> None:
    lexicon = load_lexicon("chest_xray")
    assert lexicon is not None
    record = marked("Kein Erguss.", {"Erguss": State.ABSENT}, Erguss="Kein Erguss.")
    made = below_heading(record, lexicon, random.Random(0))
    heading, _, text = made.text.partition(": ")
    assert (heading in lexicon.templates["headings"], text, made.labels) == (True, record.text, record.labels)


def test_a_schema_without_lexicon_has_none() -> None:
    assert load_lexicon("no_such_schema") is None


class TestVariation:
    TEXT = "Größenprogrediente Ergüsse beidseits,\nrechts mehr als links, V. a. Infiltrat."

    def test_it_follows_the_seed(self) -> None:
        assert [vary(self.TEXT, random.Random(seed)) for seed in range(20)] == [
            vary(self.TEXT, random.Random(seed)) for seed in range(20)
        ]

    def test_many_texts_stay_as_they_are_and_none_gets_lost(self) -> None:
        varied = [vary(self.TEXT, random.Random(seed)) for seed in range(400)]
        assert 0.2 < varied.count(self.TEXT) / 400 < 0.6
        assert all(len(text) >= len(self.TEXT) - 12 for text in varied)

    def test_umlauts_line_breaks_case_and_short_forms_are_among_the_variants(self) -> None:
        varied = {vary(self.TEXT, random.Random(seed)) for seed in range(2_000)}
        assert self.TEXT.lower() in varied
        assert self.TEXT.replace("\n", " ") in varied
        assert self.TEXT.replace("ö", "oe").replace("ü", "ue").replace("ß", "ss") in varied
        assert self.TEXT.removesuffix(".") in varied
        assert self.TEXT.replace("V. a.", "Verdacht auf") in varied

    def test_sides_are_exchanged_together(self) -> None:
        varied = {vary("Rechts Erguss, links kein Erguss", random.Random(seed)).lower() for seed in range(2_000)}
        assert "links erguss, rechts kein erguss" in varied
        assert not any(text.startswith("links") and ", links" in text for text in varied)


def test_a_line_with_a_name_states_nothing_and_takes_turns_with_the_lines_of_the_lexicon() -> None:
    lexicon, rng = load_lexicon("chest_xray"), random.Random(5)
    assert lexicon
    lines = [person_line(rng) for _ in range(300)]
    assert not any(line.labels for line in lines)
    assert len({line.text for line in lines}) > 290, "names of many lists and parts"
    below = [
        below_heading(ReportRecord("Kein Erguss.", labels={"Erguss": State.ABSENT}), lexicon, rng) for _ in range(200)
    ]
    named = [one for one in below if one.text.split(":")[0] not in lexicon.templates["headings"]]
    assert 50 < len(named) < 120
    assert all(one.text.endswith(": Kein Erguss.") and one.labels == {"Erguss": State.ABSENT} for one in below)


def test_the_audit_asks_about_names_that_no_training_draws() -> None:
    drawn = {*lists()["given"], *lists()["family"]}
    asked = {word for pairs in NAMES.values() for pair in pairs for name in pair for word in name.split()}
    assert len(asked) > 20
    assert not asked & drawn

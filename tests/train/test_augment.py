"""Texts made from reports and from the lexicon say what their labels say."""

from __future__ import annotations

import random

import pytest

from medbertde.schema import load_schema, schema_ids
from medbertde.types import Rationale, ReportRecord, State
from train.augment import cue_sentence, load_lexicon, merge, recombine, single_sentences, vary


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
        assert found == {"Kein Erguss.": {"Erguss": State.ABSENT}, "Liegender Tubus.": {"Tubus": State.PRESENT}}

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

    def test_no_sentence_comes_without_a_label(self) -> None:
        report = marked("Kein Erguss.", {}, Erguss="Kein Erguss.")
        assert single_sentences(report) == []


class TestRecombination:
    def test_the_strongest_state_of_a_finding_holds(self) -> None:
        parts = [{"Erguss": State.ABSENT, "Tubus": State.ABSENT}, {"Erguss": State.UNCERTAIN}]
        assert merge(parts) == {"Erguss": State.UNCERTAIN, "Tubus": State.ABSENT}

    def test_a_recombined_report_says_what_its_sentences_say(self) -> None:
        pool = [ReportRecord(f"Satz {number}.", labels={f"L{number}": State.PRESENT}) for number in range(20)]
        for seed in range(30):
            made = recombine(pool, random.Random(seed))
            named = {part.text for part in pool if set(part.labels) <= set(made.labels)}
            assert 2 <= len(made.labels) <= 9
            assert all(text in made.text for text in named)


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
        asked = [record for record in drawn if not record.labels]
        several = [record for record in drawn if len(record.labels) > 1]
        assert asked
        assert several
        assert all(set(record.labels.values()) == {State.ABSENT} for record in several)


def test_a_schema_without_lexicon_has_none() -> None:
    assert load_lexicon("no_such_schema") is None


class TestVariation:
    TEXT = "Größenprogrediente Ergüsse beidseits,\nkein Pneumothorax."

    def test_it_follows_the_seed(self) -> None:
        assert [vary(self.TEXT, random.Random(seed)) for seed in range(20)] == [
            vary(self.TEXT, random.Random(seed)) for seed in range(20)
        ]

    def test_most_texts_stay_as_they_are_and_none_gets_lost(self) -> None:
        varied = [vary(self.TEXT, random.Random(seed)) for seed in range(400)]
        assert 0.5 < varied.count(self.TEXT) / 400 < 0.8
        assert all(len(text) >= len(self.TEXT) - 2 for text in varied)

    def test_umlauts_line_breaks_and_case_are_among_the_variants(self) -> None:
        varied = {vary(self.TEXT, random.Random(seed)) for seed in range(400)}
        assert self.TEXT.lower() in varied
        assert self.TEXT.replace("\n", " ") in varied
        assert self.TEXT.replace("ö", "oe").replace("ü", "ue").replace("ß", "ss") in varied

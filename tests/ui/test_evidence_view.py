"""What the cards and files of an explanation say, from explanations made by hand: no model, no browser."""

from __future__ import annotations

import csv
import io
import json
import threading
from dataclasses import replace

import pytest

from medbertde.schema import load_schema
from medbertde.types import (
    AttributedPassage,
    AttributedWord,
    Attribution,
    LabelScore,
    Metrics,
    NotFound,
    Prediction,
    Progress,
    State,
)
from medbertde.ui.batch_view import Shown as Batch
from medbertde.ui.evidence_export import explanation_file
from medbertde.ui.evidence_view import evidence_value, reasons_value
from medbertde.ui.findings import Shown
from medbertde.ui.progressing import stepwise
from medbertde.ui.sentences import sentences_of, words_that_add
from medbertde.ui.threshold import threshold_value
from medbertde.ui.versions_view import Versions, changed_words, versions_value
from medbertde.ui.what_if import NAMES, cut, where_now

TEXT = "Kein Pneu. Erguss <5 mm links."


def words(text: str, *scores: float) -> tuple[AttributedWord, ...]:
    """The words of a text between spaces, with these scores."""
    found, after = [], 0
    for token, score in zip(text.split(), scores, strict=True):
        start = text.index(token, after)
        after = start + len(token)
        found.append(AttributedWord(token, start, after, score))
    return tuple(found)


def attribution(text: str = TEXT, *, by_sentence: bool = True) -> Attribution:
    """Two sentences: the first speaks against with −1, the second carries the whole change of 4."""
    scored = words(text, -0.6, -0.4, 3.0, 0.2, 0.3, 0.5)
    passages = (
        AttributedPassage(0, 10, None, -1.0, 0.0, 0.1, scored[:2], 0.0),
        AttributedPassage(11, 30, None, 4.0, 4.0, 0.9, scored[2:], 0.0),
    )
    whole = (AttributedPassage(0, 30, None, 3.0, 3.0, 0.9, scored, 0.0),)
    return Attribution(
        text, "Erguss", scored, "layer_integrated_gradients", "[CLS] [PAD] … [SEP]", 15, 0.01, 0.0025, "model@1",
        logit=2.0, baseline_logit=-2.0 if by_sentence else -1.0, probability=0.88,
        passages=passages if by_sentence else whole,
    )  # fmt: skip


def shown(found: Attribution | None = None, **scores: LabelScore) -> Shown:
    labels = load_schema("chest_xray").label_ids
    known = dict.fromkeys(labels, LabelScore(0.1, 0.1, 0.1)) | scores
    made = found or attribution()
    return Shown(
        "chest_xray", made.text, Prediction(known, "model@1"), dict.fromkeys(labels, 0.5), {"Erguss": made}, "Erguss"
    )


def test_each_sentence_has_its_own_score_and_its_share_of_the_whole() -> None:
    first, second = sentences_of(attribution())
    assert (first.score, first.share, second.score, second.share) == (-1.0, 0.0, 4.0, 1.0)
    assert [word.text for word in second.words or ()] == ["Erguss", "<5", "mm", "links."]


def test_a_sentence_that_shares_the_score_counts_with_its_part_and_so_do_its_words() -> None:
    found = attribution()
    shared = (found.passages[0], replace(found.passages[1], contribution=1.0))
    second = sentences_of(replace(found, passages=shared))[1]
    assert (second.score, second.share, second.own, second.probability) == (1.0, 0.25, 4.0, 0.9)
    assert [word.score for word in second.words or ()] == pytest.approx([0.75, 0.05, 0.075, 0.125])


def test_where_the_model_reads_the_report_at_once_a_sentence_has_the_sum_of_its_words() -> None:
    first, second = sentences_of(attribution(by_sentence=False))
    assert (first.score, second.score) == pytest.approx((-1.0, 4.0))
    assert (first.share, second.share) == pytest.approx((-1 / 3, 4 / 3))


def test_a_score_that_hardly_moved_is_not_divided() -> None:
    flat = replace(attribution(), logit=0.0, baseline_logit=0.01)
    assert [each.share for each in sentences_of(flat)] == [None, None]


def test_the_card_holds_the_whole_text_and_names_the_strongest_of_both_sides() -> None:
    value = evidence_value("de", shown())
    pieces = [
        [part] if isinstance(part, str) else [piece["text"] for piece in part["pieces"]] for part in value["parts"]
    ]
    assert "".join(text for part in pieces for text in part) == TEXT
    supporting, against = value["strongest"]
    assert [(each["text"], each["shown"], each["share"]) for each in supporting["sentences"]] == [
        ("Erguss <5 mm links.", "+4,0", "100 %")
    ]
    assert [each["text"] for each in against["sentences"]] == ["Kein Pneu."]
    assert supporting["words"][0] == {"text": "Erguss", "shown": "+3,00"}
    assert value["parts"][0]["said"] == "spricht dagegen: −1,00 · für sich gelesen: 10 % (−1,0)"


def test_a_sentence_whose_contribution_rounds_to_nothing_speaks_for_no_side() -> None:
    found = attribution()
    for contribution, said in ((0.004, "spricht weder dafür noch dagegen"), (0.006, "spricht dafür: +0,01")):
        passages = (replace(found.passages[0], contribution=contribution), found.passages[1])
        value = evidence_value("de", shown(replace(found, passages=passages)))
        assert value["parts"][0]["said"].split(" · ")[0] == said


def with_later_words() -> Attribution:
    """As `attribution`, before anybody has asked for the words of the sentence that adds nothing."""
    found = attribution()
    nothing = tuple(replace(word, score=0.0) for word in found.words[:2])
    first = replace(found.passages[0], words=None)
    return replace(found, words=(*nothing, *found.words[2:]), passages=(first, found.passages[1]))


def test_a_sentence_whose_words_come_later_is_shown_as_any_other_and_says_so() -> None:
    now, before = evidence_value("de", shown()), evidence_value("de", shown(with_later_words()))
    assert [part["later"] for part in before["parts"] if isinstance(part, dict)] == [True, False]
    assert [part["later"] for part in now["parts"] if isinstance(part, dict)] == [False, False]
    assert before["parts"][0]["pieces"] == [{"text": "Kein Pneu."}]
    for key in ("tint", "shown", "said", "span"):
        assert before["parts"][0][key] == now["parts"][0][key]
    assert {**before, "parts": now["parts"]} == now, "what was opened moves no list and no colour of the others"


def test_a_comparison_counts_words_that_add_nothing_as_nothing_whether_opened_or_not() -> None:
    later, opened = with_later_words(), attribution()
    assert [word.score for word in words_that_add(later)] == [0.0, 0.0, 3.0, 0.2, 0.3, 0.5]
    assert words_that_add(replace(opened, words=later.words)) == words_that_add(later)


def test_a_file_says_which_sentences_have_words() -> None:
    found = shown(with_later_words())
    known = json.loads(explanation_file("de", found, "json").content)
    assert [passage["words"] is None for passage in known["passages"]] == [True, False]
    table = explanation_file("de", found, "csv").content.removeprefix("\ufeff")
    units = [(row["unit"], row["text"]) for row in csv.DictReader(io.StringIO(table))]
    assert units[:3] == [("sentence", "Kein Pneu."), ("sentence", "Erguss <5 mm links."), ("word", "Erguss")]


def test_several_findings_are_listed_with_their_strongest_sentence_once_all_are_explained() -> None:
    found = shown(Erguss=LabelScore(0.9, 0.1, 0.1), ZVK=LabelScore(0.2, 0.8, 0.1))
    assert reasons_value("de", found)["ask"] == "Alle auffälligen Befunde begründen"
    line = replace(attribution(), label="ZVK", target=State.UNCERTAIN.value)
    value = reasons_value("en", replace(found, attributions={**found.attributions, "ZVK": line}))
    assert value["ask"] == ""
    assert [(row["label"], row["said"], row["sentence"]) for row in value["rows"]] == [
        ("Erguss", "present", "Erguss <5 mm links."),
        ("ZVK", "uncertain", "Erguss <5 mm links."),
    ]


def test_a_saved_page_shows_markup_as_written_and_can_run_nothing() -> None:
    nasty = "Kein <b>Pneu. Erguss <script>x</script> 'mm\" links."
    found = attribution()
    scored = words(nasty, -0.6, -0.4, 3.0, 0.2, 0.3, 0.5)
    passage = AttributedPassage(0, len(nasty), None, 3.0, 3.0, 0.9, scored, 0.0)
    page = explanation_file("de", shown(replace(found, text=nasty, words=scored, passages=(passage,))), "html").content
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<b>" not in page
    for said in ("default-src 'none'", "model@1", "Nur für die Forschung", "Layer Integrated Gradients", "15"):
        assert said in page


def test_a_saved_table_has_numbers_as_numbers_and_no_text_that_runs_as_a_formula() -> None:
    text = "Kein Pneu. =Erguss <5 mm links."
    scored = words(text, -0.6, -0.4, 3.0, 0.2, 0.3, 0.5)
    passages = (
        AttributedPassage(0, 10, None, -1.0, 0.0, 0.1, scored[:2], 0.0),
        AttributedPassage(11, 31, None, 4.0, 4.0, 0.9, scored[2:], 0.0),
    )
    file = explanation_file("de", shown(replace(attribution(), text=text, words=scored, passages=passages)), "csv")
    rows = list(csv.DictReader(io.StringIO(file.content.removeprefix("\ufeff"))))
    assert [(row["unit"], row["text"], float(row["score"])) for row in rows[:2]] == [
        ("sentence", "Kein Pneu.", -1.0),
        ("word", "Kein", -0.6),
    ]
    assert rows[3]["text"] == "'=Erguss <5 mm links."
    assert {row["model"] for row in rows} == {"model@1"}


def test_saved_json_holds_the_explanation_as_it_was_computed() -> None:
    known = json.loads(explanation_file("de", shown(), "json").content)
    assert known["words"][2] == {"text": "Erguss", "start": 11, "end": 17, "score": 3.0}
    assert known["relative_delta"] == 0.0025
    assert "Research use only" in known["use"]


def test_there_is_nothing_to_save_before_a_finding_is_chosen() -> None:
    with pytest.raises(NotFound, match="There is no explanation to save yet"):
        explanation_file("de", replace(shown(), chosen=""), "html")


def test_two_versions_show_what_moved_and_mark_the_words_that_only_one_has() -> None:
    first = shown(Erguss=LabelScore(0.9, 0.1, 0.1))
    scored = words("Kein Pneu. Erguss rechts.", -0.6, -0.4, 1.0, 0.1)
    passage = AttributedPassage(0, 25, None, 0.1, 0.1, 0.2, scored, 0.0)
    other = replace(attribution(), text="Kein Pneu. Erguss rechts.", words=scored, passages=(passage,))
    second = shown(other, Erguss=LabelScore(0.2, 0.1, 0.1))
    value = versions_value("de", Versions(first, second, NAMES))
    assert value["rows"] == [
        {"name": "Pleuraerguss", "before": "90 % · vorhanden", "after": "20 % · nicht erwähnt",
         "change": "−70 %-Punkte", "side": "against"}
    ]  # fmt: skip
    changed = [[piece["text"] for piece in side["pieces"] if piece.get("changed")] for side in value["versions"]]
    assert changed == [["<5", "mm", "links."], ["rechts."]]


def test_words_are_compared_in_their_order() -> None:
    assert changed_words(words("a b c", 0, 0, 0), words("a c d", 0, 0, 0)) == ({1}, {2})


def test_a_passage_is_found_again_in_a_changed_text() -> None:
    changed = "Herz groß. Kein Pneu. Erguss <5 mm links."
    assert where_now(TEXT, changed, 11, 30) == (22, 41)
    assert cut(changed, 22, 41) == "Herz groß. Kein Pneu."
    assert where_now(TEXT, "Kein Pneu. Erguss rechts.", 11, 30) is None


def test_a_threshold_says_what_it_does_here_and_only_figures_that_were_measured() -> None:
    figures = Metrics(0.9, 0.8, 0.8, 0.8, 0.8, 75, {"Erguss": {"precision": 0.875, "recall": 0.7, "positives": 20.0}})
    found = shown(Erguss=LabelScore(0.42, 0.1, 0.1))
    value = threshold_value("de", found, figures, "Erguss", 0.4)
    assert "Mit der Schwelle 0,40 heißt Pleuraerguss in diesem Befund „vorhanden“" in value["lines"][0]
    assert "die Schwelle des Modells ist 0,50 und ergibt „nicht erwähnt“" in value["lines"][0]
    assert (
        "an 75 zurückgehaltenen Befunden, davon 20 mit diesem Befund: Von 100 Meldungen sind 88 richtig"
        in (value["figures"][0])
    )
    assert value["figures"][1].startswith("Für andere Schwellen enthält das Modell keine Zahlen.")
    assert threshold_value("de", found, None, "Erguss", 0.4)["figures"] == [
        "Das Modell enthält für diesen Befund keine gemessenen Zahlen."
    ]


def test_a_threshold_says_how_many_reports_of_a_batch_it_concerns() -> None:
    batch = Batch("chest_xray", done=5, model_version="model@1", present={("Erguss", 29): 3, ("Erguss", 80): 2})
    assert (
        "Unter den 5 Befunden, die unten gelesen wurden, wären es 5, mit der Schwelle des Modells 2."
        in (threshold_value("de", shown(), None, "Erguss", 0.29, batch)["lines"][1])
    )
    other = replace(batch, model_version="other@1")
    assert len(threshold_value("de", shown(), None, "Erguss", 0.29, other)["lines"]) == 1


def test_a_long_answer_tells_how_far_it_is_and_ends_when_nobody_waits_any_more() -> None:
    ended = threading.Event()

    def compute(on_progress: object, stop: object) -> str:
        on_progress(Progress(3, 10))  # type: ignore[operator]
        while not stop():  # type: ignore[operator]
            ended.wait(0.01)
        ended.set()
        return "late"

    steps = stepwise(compute)
    progress = next(steps)
    while progress.done != 3:
        progress = next(steps)
    assert progress == Progress(3, 10)
    steps.close()
    assert ended.is_set()

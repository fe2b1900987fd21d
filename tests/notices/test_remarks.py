"""What is said beside an answer: which remark for which text, in both languages, with what to do."""

from __future__ import annotations

import pytest

from medbertde.notices.remarks import Cut, long_sentence, long_text, partly_read, remarks, shattered

PLAIN = Cut(words=8, pieces=10, unknown=0)


def codes(text: str, cut: Cut = PLAIN) -> list[str]:
    return [notice.code for notice in remarks(text, cut)]


def test_an_ordinary_report_needs_no_remark() -> None:
    assert codes("Herz normal groß, Lunge frei, kein Erguss.") == []


def test_html_is_remarked_upon_and_its_tags_are_no_foreign_words() -> None:
    (notice,) = remarks("<div><p>Kein <b>Erguss</b>.</p></div><script>alert(1)</script>", PLAIN)
    assert notice.de == "Der Text enthält HTML-Tags. Sie werden als Text mitgelesen; bitte nur den Befundtext eingeben."
    assert notice.en == "The text contains HTML tags. They are read as text; please enter the report only."


@pytest.mark.parametrize("text", ["Rundherd <5 mm, Lymphknoten < 10 mm und > 8 mm.", "Dichte -20 < x < 20 HE im Herd."])
def test_comparisons_are_not_taken_for_html(text: str) -> None:
    assert codes(text) == []


def test_a_single_word_is_short() -> None:
    assert codes("Erguss", Cut(1, 1, 0)) == ["very_short"]


def test_unknown_characters_and_shattered_words_are_told_apart() -> None:
    text = "Kein Erguss rechts, Herz normal."
    assert codes(text, Cut(7, 10, 2)) == ["many_unknown"]
    assert codes(text, Cut(7, 22, 0)) == ["shattered"]
    assert codes(text, Cut(4, 16, 0)) == [], "so few words say little"


def test_of_a_foreign_text_only_that_is_said() -> None:
    assert codes("There is no evidence of a pneumothorax in this chest film.", Cut(11, 50, 10)) == ["not_german"]


def test_several_remarks_begin_with_what_should_not_be_here() -> None:
    assert codes("Dr. Wehmeier: there is no evidence of a pleural effusion.") == ["names", "not_german"]


def test_numbers_are_written_as_each_language_does() -> None:
    assert "(3,1 je Wort)" in shattered(Cut(10, 31, 0)).de
    assert "(3.1 per word)" in shattered(Cut(10, 31, 0)).en
    assert "1.204 Wortteile, das Modell liest höchstens 510 auf einmal" in long_text(1204, 510, 4).de
    assert "vollständig gelesen, in 4 überlappenden Abschnitten" in long_text(1204, 510, 4).de
    assert "It read the 508 of 1,204 pieces that are nearest to the gap. " in partly_read(508, 1204).en
    assert "Von 3 Sätzen war mindestens einer länger als 510 Wortteile" in long_sentence(510, 3, 5).de

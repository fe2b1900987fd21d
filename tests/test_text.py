"""German report text: what is cleaned, what is refused and with which sentence, and how sentences are told apart."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest

from medbertde.text import MAX_CHARS, clean, content_hash, decode, sentences, shown, words
from medbertde.types import InvalidFile, InvalidText


def refusal(text: str) -> InvalidText:
    """What `clean` says about `text`."""
    with pytest.raises(InvalidText) as refused:
        clean(text)
    return refused.value


@pytest.mark.parametrize("text", ["", "   ", "\n\t\r\n", "\u200b\ufeff", "\x01\xad", "\u2003\u2028"])
def test_a_text_without_anything_to_read_is_refused(text: str) -> None:
    error = refusal(text)
    assert error.de == "Der Text ist leer. Bitte einen Befundtext eingeben."
    assert error.en == "The text is empty. Please enter a report."


def test_a_text_of_20000_characters_is_read_and_one_more_is_refused_with_both_numbers() -> None:
    assert len(clean("x" * MAX_CHARS)) == MAX_CHARS
    assert len(clean(" " * 100 + "x" * MAX_CHARS)) == MAX_CHARS
    error = refusal("x" * (MAX_CHARS + 1))
    assert error.de == "Der Text hat 20.001 Zeichen, erlaubt sind 20.000. Bitte den Text kürzen oder aufteilen."
    assert error.en == "The text has 20,001 characters, 20,000 are allowed. Please shorten or split it."


def test_a_huge_text_is_refused_before_it_is_looked_through() -> None:
    assert "50.000.000 Zeichen" in refusal("\x00" * 50_000_000).de


@pytest.mark.parametrize("text", ["Kein\x00 Pneu.", "Kein \ud800Pneu.", "Kein Pneu.\udfff"])
def test_a_null_byte_or_a_lone_surrogate_is_refused(text: str) -> None:
    error = refusal(text)
    assert error.de == (
        "Der Text enthält unlesbare Zeichen (Nullbyte oder beschädigte Zeichen). Bitte aus der Quelle neu kopieren "
        "oder als UTF-8 speichern."
    )
    assert "a null byte or broken characters" in error.en


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Lungeno\u0308dem", "Lungenödem"),
        ("Befund:\r\nHerz\rLunge", "Befund:\nHerz\nLunge"),
        ("Herz\x0bLunge\u2028Pleura", "Herz\nLunge\nPleura"),
        ("Pneumo\xadthorax", "Pneumothorax"),
        ("\ufeffKein\u200b Er\x07guss", "Kein Erguss"),
        ("links\u202egedreht\u202c", "linksgedreht"),
        ("Kein\xa0Erguss, 3\u202fcm", "Kein Erguss, 3 cm"),
        ("Herz\tnormal\n\nLunge", "Herz\tnormal\n\nLunge"),
        ("Rundherd <5 mm 🫁", "Rundherd <5 mm 🫁"),
    ],
)
def test_characters_that_nobody_sees_do_not_reach_the_model(given: str, stored: str) -> None:
    assert clean(given) == stored
    assert clean(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)


def test_html_stays_text() -> None:
    html = "<p>Kein <b>Erguss</b>.</p><script>alert(1)</script>"
    assert clean(html) == html


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert decode("Kein Pneu.".encode("utf-8-sig")) == "Kein Pneu."


def test_a_file_in_another_encoding_is_refused_with_the_place_and_the_remedy() -> None:
    with pytest.raises(InvalidFile) as refused:
        decode("Ödem".encode("latin-1"), "befund.txt")
    assert refused.value.de == (
        "Die Datei befund.txt ist nicht in UTF-8 gespeichert (Byte 1 ist nicht lesbar). Bitte sie noch einmal "
        "speichern und als Kodierung UTF-8 wählen (in Excel: „CSV UTF-8“)."
    )
    assert "is not saved as UTF-8 (byte 1 cannot be read)" in refused.value.en


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused(encoding: str) -> None:
    with pytest.raises(InvalidFile, match=r"[Pp]lease save it.*encoding UTF-8"):
        decode("Kein Erguss.".encode(encoding))


def test_a_binary_file_is_refused() -> None:
    with pytest.raises(InvalidFile, match=r"The file a\.txt contains null bytes and is no text file"):
        decode(b"%PDF-1.7\x00\x01", "a.txt")


def test_copies_that_differ_in_layout_only_have_the_same_hash() -> None:
    assert content_hash("Kein Pneu.\nKein Erguss.") == content_hash(" Kein Pneu.  Kein Erguss.\n")
    assert content_hash("Kein Pneu.") != content_hash("Kein Pneu")


def test_a_message_repeats_a_name_but_never_a_piece_of_text() -> None:
    assert shown("Pleuraerguss_li") == "Pleuraerguss_li"
    assert shown("label:Erguss") == "label:Erguss"
    assert {shown("Kein Erguss."), shown("\ud800"), shown("<b>"), shown("x" * 41), shown("")} == {"…"}


@pytest.mark.parametrize(
    "whole",
    [
        "V. a. Infiltrat rechts.",
        "Z. n. Thorakotomie re. bei Pneu.",
        "Fraktur der 8. Rippe dorsal.",
        "Kontrolle am 3. postoperativen Tag.",
        "Aufnahme vom 5. Mai liegt vor.",
        "Herz o. B. und Lunge frei.",
        "Dr. Muster befundete.",
        "Verdichtung i.S.e. Pneumonie.",
        "Hämatothorax i. R. d. Traumas, St.p. Sturz.",
        "Spitze V. cava sup. Port.",
        "Stenose der LAD prox. RIVA-Verlauf, bzgl. Herzkatheter.",
        "Infarkt im ant. Segment. vgl. Voraufnahme (Vgl. CT).",
        "Keine pulm. Rundherde.",
        "Kein wesentl. / nennensw. / größ. Erguss.",
        "Keine vergr. Lymphknoten.",
        "Zunahme des bek. Pleuraergusses.",
        "Evtl. Infiltrat rechts basal.",
        "- Fragl. Rundherd links.",
        "DD: Vermutl. Atelektase.",
        "Ca. 3 cm großer Herd.",
        "Bds. Ergüsse.",
        "Nach i.v. Kontrastmittelgabe unauffällig.",
        "Infiltrat re. Oberlappen.",
        "Erguss li. DD Atelektase.",
        "ZVK li. V. subclavia.",
        "Infiltrat li. > re. und Erguss li. 3 cm.",
    ],
)
def test_abbreviations_and_ordinals_do_not_end_a_sentence(whole: str) -> None:
    assert [whole[start:end] for start, end in sentences(whole)] == [whole]


@pytest.mark.parametrize(
    "whole",
    [
        "Kein Erguss re.|Pneumothorax li. ZVK re.",
        "Kein Erguss bds.|Infiltrat re.|Kein Pneu.",
        "Keine Lungenembolie nach KM i.v.|Pleuraerguss rechts.",
        "Aortendissektion Typ A.|Kein Perikarderguss.",
        "Herz o. B.|Lunge o.B.|Skelett frei.",
        "Keine größeren Ergüsse bds.|V. a. Stauung.",
        "Kein Erguss, OL re. Narben.",
        "Bronchial-Ca.|Metastasen bekannt.",
        "Zeichen der chron. Stauung.|Erguss? Keine.|Herz normal.",
    ],
)
def test_an_abbreviation_at_the_end_of_a_statement_ends_it(whole: str) -> None:
    text = whole.replace("|", " ")
    found = [text[start:end] for start, end in sentences(text)]
    assert "|".join(found) == whole.replace("? Keine", "?|Keine")


def test_line_breaks_and_stops_end_a_sentence() -> None:
    text = "Befund:\nHerz normal groß. Kein Erguss!\n\n- Tubus regelrecht"
    found = [text[start:end] for start, end in sentences(text)]
    assert found == ["Befund:", "Herz normal groß.", "Kein Erguss!", "- Tubus regelrecht"]


def test_sentences_and_words_cover_everything_but_white_space() -> None:
    text = "Thorax a.p.: Kein Erguss (re./li.), <5 mm – unverändert.\nZVK-Spitze i. O. 🫁"
    for spans in (sentences(text), list(words(text))):
        covered = {place for start, end in spans for place in range(start, end)}
        assert {text[place] for place in set(range(len(text))) - covered} <= {" ", "\n"}
        assert all(left[1] <= right[0] for left, right in pairwise(spans))


def test_the_number_of_a_list_stays_with_its_sentence() -> None:
    text = "Beurteilung\n1. Kein Pneumothorax.\n2. Infiltrat rechts."
    assert [text[start:end] for start, end in sentences(text)] == [
        "Beurteilung",
        "1. Kein Pneumothorax.",
        "2. Infiltrat rechts.",
    ]

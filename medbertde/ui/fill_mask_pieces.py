"""How the pieces of a sentence are shown: word by word, with figures, for one tokenizer or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medbertde.services.reading import Tokenisation
from medbertde.ui.words import Text, counted, decimal

WORDS = (Text("Wort", "word"), Text("Wörter", "words"))
PIECES = (Text("Wortteil", "piece"), Text("Wortteile", "pieces"))
WHOLE = (Text("Wort ist", "word is"), Text("Wörter sind", "words are"))


def pieces_value(language: str, cuts: Sequence[Tokenisation]) -> dict[str, Any]:
    """One block per tokenizer; with two of them a sentence that compares."""
    blocks = [
        {
            "title": cut.model_version,
            "summary": _summary(cut, language).say(language),
            "words": [
                {
                    "text": word.text,
                    "counted": word.counted,
                    "pieces": [{"text": each.text, "id": each.id, "unknown": each.unknown} for each in word.pieces],
                }
                for word in cut.words
            ],
        }
        for cut in cuts
    ]
    comparison = _comparison(cuts[0], cuts[1], language).say(language) if len(cuts) == 2 else ""
    return {"empty": "", "blocks": blocks, "comparison": comparison}


def _summary(cut: Tokenisation, language: str) -> Text:
    ratio, size = _ratio(cut, language), f"{cut.vocabulary_size:,}"
    unknown_de = f" {cut.unknown} mit unbekannten Zeichen." if cut.unknown else ""
    unknown_en = f" {cut.unknown} with unknown characters." if cut.unknown else ""
    words, pieces = counted(len(cut.counted), *WORDS), counted(cut.n_pieces, *PIECES)
    whole = counted(cut.whole, *WHOLE)
    return Text(
        f"{words.de}, {pieces.de}: im Mittel {ratio} je Wort. {whole.de} ein einziger Wortteil.{unknown_de} "
        f"Das Vokabular hat {size.replace(',', '.')} Einträge.",
        f"{words.en}, {pieces.en}: {ratio} per word on average. {whole.en} one piece.{unknown_en} "
        f"The vocabulary has {size} entries.",
    )


def _comparison(first: Tokenisation, second: Tokenisation, language: str) -> Text:
    if first.n_pieces == second.n_pieces:
        return Text(
            "Beide Modelle brauchen für diesen Satz gleich viele Wortteile.",
            "Both models need the same number of pieces for this sentence.",
        )
    fewer, more = sorted((first, second), key=lambda cut: cut.n_pieces)
    return Text(
        f"{fewer.model_version} braucht weniger Wortteile je Wort ({_ratio(fewer, language)}) als "
        f"{more.model_version} ({_ratio(more, language)}) und liest den Satz in größeren Stücken.",
        f"{fewer.model_version} needs fewer pieces per word ({_ratio(fewer, language)}) than {more.model_version} "
        f"({_ratio(more, language)}) and reads the sentence in larger parts.",
    )


def _ratio(cut: Tokenisation, language: str) -> str:
    return decimal(language, f"{cut.fertility:.2f}")

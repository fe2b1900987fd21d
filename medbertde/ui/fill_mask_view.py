"""What the cards of the tab "Lückentext" show, and its table as a file: pure functions of answers and language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from medbertde.report_file import csv_line
from medbertde.services.exchange import RESEARCH_ONLY
from medbertde.services.reading import Ranked, RankedWord, Suggested
from medbertde.types import Candidate, Notice
from medbertde.ui.findings import SAID_ABOVE
from medbertde.ui.words import Text, decimal, signed

EMPTY = Text("Die Vorschläge erscheinen hier.", "The candidates appear here.")
NOTHING = Text(
    "Das Modell kennt hier kein ganzes Wort. Bitte alle Wortteile zeigen lassen.",
    "The model knows no whole word here. Please have all word pieces shown.",
)
HINT = Text("Ein Klick setzt das Wort in den Satz ein.", "A click puts the word into the sentence.")
OWN_HINT = Text(
    "Der Anteil ist ein Mittel über die Wortteile, damit kurze und lange Wörter vergleichbar sind.",
    "The share is a mean over the word's pieces, so that short and long words can be compared.",
)
UNKNOWN = Text("enthält Zeichen, die das Modell nicht kennt", "holds characters the model does not know")
SHARED = Text("Fett: Wörter, die beide Modelle nennen.", "Bold: words that both models name.")
COLUMNS = ("rank", "word", "probability", "sentence", "model", "use")


@dataclass(frozen=True)
class Filled:
    """The answer on the screen and the sentence it answers."""

    sentence: str
    suggested: Suggested


@dataclass(frozen=True)
class Pair:
    """The answers of two models to one sentence."""

    first: Suggested
    second: Suggested


def share(language: str, probability: float) -> str:
    """A probability in percent with as many digits as it needs.

    >>> [share("de", value) for value in (0.994, 0.42, 0.042, 0.0004, 1e-9)]
    ['99 %', '42 %', '4,2 %', '0,04 %', '< 0,01 %']
    """
    if probability < 0.0001:
        return decimal(language, "< 0.01 %")
    digits = 0 if probability >= 0.0995 else 1 if probability >= 0.001 else 2
    return decimal(language, f"{min(100 * probability, 99 if probability < 1 else 100):.{digits}f} %")


def candidates_value(language: str, filled: Filled | None) -> dict[str, Any]:
    """The candidates of the active model."""
    if filled is None:
        return {"empty": EMPTY.say(language)}
    notices = _notices(language, filled.suggested.warnings)
    if not filled.suggested.candidates:
        return {"empty": NOTHING.say(language), "notices": notices}
    version = filled.suggested.model_version
    model = Text(f"Modell: {version}", f"Model: {version}")
    items = _items(language, filled.suggested.candidates)
    return {"hint": HINT.say(language), "items": items, "model": model.say(language), "notices": notices}


def pair_values(language: str, pair: Pair | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two lists side by side; a word that both name is marked, a remark on the text is made once."""
    if pair is None:
        return {"empty": ""}, {"empty": ""}
    words = [{item.word for item in answer.candidates} for answer in (pair.first, pair.second)]
    only_second = [notice for notice in pair.second.warnings if notice not in pair.first.warnings]
    return (
        _side(language, pair.first, words[1], SHARED.say(language), pair.first.warnings),
        _side(language, pair.second, words[0], HINT.say(language), only_second),
    )


def _side(language: str, answer: Suggested, other: set[str], hint: str, warnings: Sequence[Notice]) -> dict[str, Any]:
    return {
        "title": answer.model_version,
        "notices": _notices(language, warnings),
        "hint": hint,
        "items": _items(language, answer.candidates, other),
        "empty": NOTHING.say(language),
    }


def _notices(language: str, warnings: Sequence[Notice]) -> list[str]:
    return [notice.sentence(language) for notice in warnings if notice.code != SAID_ABOVE]


def _items(language: str, candidates: Sequence[Candidate], other: set[str] | None = None) -> list[dict[str, Any]]:
    return [
        {
            "word": item.word,
            "probability": item.probability,
            "number": share(language, item.probability),
            "shared": other is not None and item.word in other,
        }
        for item in candidates
    ]


def ranked_value(language: str, ranked: Ranked | None) -> dict[str, Any]:
    """The user's own words."""
    if ranked is None:
        return {"empty": ""}
    items = [
        {
            "word": item.word,
            "probability": item.mean_probability,
            "number": "–" if item.log_likelihood is None else share(language, item.mean_probability),
            "detail": _detail(item, language).say(language),
        }
        for item in ranked.words
    ]
    model = Text(f"Modell: {ranked.model_version}", f"Model: {ranked.model_version}")
    notices = _notices(language, ranked.warnings)
    return {"hint": OWN_HINT.say(language), "items": items, "model": model.say(language), "notices": notices}


def _detail(item: RankedWord, language: str) -> Text:
    """How a word is cut and how likely it is, per piece and as a whole."""
    if item.log_likelihood is None or item.probability is None:
        return UNKNOWN
    likelihood, whole = signed(language, item.log_likelihood, 2), share(language, item.probability)
    if item.pieces == 1:
        return Text(
            f"ein Wortteil; Logarithmus der Wahrscheinlichkeit {likelihood}",
            f"one piece; logarithm of the probability {likelihood}",
        )
    return Text(
        f"{item.pieces} Wortteile; Logarithmus der Wahrscheinlichkeit je Wortteil {likelihood}; ganzes Wort {whole}",
        f"{item.pieces} pieces; logarithm of the probability per piece {likelihood}; whole word {whole}",
    )


def csv_lines(filled: Filled) -> Iterator[str]:
    """The candidates as lines of a `.csv` file; cells that a spreadsheet would run are neutralised."""
    yield csv_line(COLUMNS)
    version = filled.suggested.model_version
    for rank, item in enumerate(filled.suggested.candidates, 1):
        yield csv_line([str(rank), item.word, f"{item.probability:.6g}", item.text, version, RESEARCH_ONLY])

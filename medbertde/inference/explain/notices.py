"""Remarks beside an explanation: how a report was read, and when the numbers do not add up."""

from __future__ import annotations

from collections.abc import Iterator

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.explain.methods import Method
from medbertde.inference.explain.work import FLAT, TOLERANCE
from medbertde.types import Notice, Reading


def report_notices(model: LoadedModel, passages: int) -> Iterator[Notice]:
    """How the scores of several passages make up those of the report."""
    if passages == 1:
        return
    if model.facts.reads is Reading.SENTENCES:
        yield Notice(
            "by_sentence",
            "Das Modell liest Satz für Satz; der deutlichste zählt. Sagen mehrere Sätze dasselbe, teilen sie sich die "
            "Bewertung.",
            "The model reads sentence by sentence; the clearest one counts. Sentences that say the same share the "
            "score.",
        )
    else:
        yield Notice(
            "long_text",
            f"Der Text ist länger, als das Modell auf einmal liest. Er wurde in {passages} Abschnitten erklärt; der "
            "deutlichste zählt.",
            f"The text is longer than the model reads at once. It was explained in {passages} windows; the clearest "
            "one counts.",
        )


def method_notices(method: Method, delta: float, change: float, steps: int) -> Iterator[Notice]:
    """What the reader of the numbers has to know."""
    if method.adds_up and abs(delta) > TOLERANCE * max(abs(change), FLAT):
        percent = f"{100 * abs(delta) / max(abs(change), 1e-6):.1f}"
        yield Notice(
            "not_converged",
            f"Die Erklärung ist ungenau: Die Wortwerte weichen in der Summe um {percent.replace('.', ',')} % von der "
            f"Bewertung ab (nach {steps} Schritten; angestrebt ist höchstens 1 %).",
            f"The explanation is inexact: the word values miss the score by {percent} % in total (after {steps} steps; "
            "the aim is 1 % at most).",
        )
    if not method.signed:
        yield Notice(
            "unsigned",
            "Dieses Verfahren sagt nur, wie stark ein Wort wirkt, nicht, ob es dafür oder dagegen spricht.",
            "This method only says how strongly a word acts, not whether it speaks for or against.",
        )

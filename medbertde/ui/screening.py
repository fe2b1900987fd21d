"""The note on a text that could show who a person is: one card, used by every field that a text goes into.

Owns what a choice does to the text in the field. Whether a model may read it is the gate's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.deidentification import Question
from medbertde.services.screening import Replace
from medbertde.ui.card import Card
from medbertde.ui.screening_view import KEEP, screening_value
from medbertde.ui.switch import on_switch


@dataclass(frozen=True)
class Note:
    """The card, and the question that it shows."""

    card: Card
    question: gr.State

    @property
    def both(self) -> list[Any]:
        """What `draw` fills."""
        return [self.question, self.card]


def note(elem_id: str, language: gr.Radio) -> Note:
    """The card, empty; it follows the page's language."""
    made = Note(Card("screening", {}, elem_id=elem_id), gr.State(None))
    on_switch(language, draw, [language, made.question], made.both)
    return made


def draw(language: str, question: Question | None, replaced: int = 0) -> tuple[Any, ...]:
    """Question and card."""
    return question, screening_value(language, question, replaced)


def decided(
    services: Services, asking: Caller, question: Question | None, text: str, sent: Mapping[str, Any]
) -> tuple[str, int]:
    """The text after the user's choice, and how many places were replaced in it.

    What is let through is what the card showed: whatever came into the field since is asked about anew.
    """
    user, choice = services.access.identify(asking), str(sent.get("choice"))
    if question is None:
        return text, 0
    if choice == KEEP:
        services.gate.confirm(user, question.screening.text)
        return text, 0
    return services.gate.replace(user, text, Replace(choice)), len(question.screening.spans)

"""The sentence of the tab "Lückentext" and its earlier forms: what a click writes and what undo brings back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

MOST_UNDO = 20


@dataclass(frozen=True)
class Written:
    """The text field and the earlier sentences, the latest last."""

    text: gr.Textbox
    previous: gr.State

    @property
    def both(self) -> list[Any]:
        """The two components, as inputs or outputs."""
        return [self.text, self.previous]

    @staticmethod
    def remember(history: Sequence[str], sentence: str) -> tuple[str, ...]:
        """The earlier sentences with the one that is being replaced."""
        return (*history[1 - MOST_UNDO :], sentence)

    @staticmethod
    def take_back(history: Sequence[str]) -> tuple[Any, Any]:
        """The sentence before, and what came before that."""
        return (history[-1], tuple(history[:-1])) if history else (gr.skip(), gr.skip())


def choosing(texts: Callable[[Any], Sequence[str]]) -> Callable[..., tuple[Any, Any]]:
    """A handler for a click into a list of candidates; `texts` gives the sentences that the answer's rows stand for.

    Inputs: the answer on the screen, the sentence, the earlier ones. Outputs: the sentence, the earlier ones.
    """

    def choose(answer: Any, sentence: str, history: Sequence[str], event: gr.EventData) -> tuple[Any, Any]:
        index = event._data.get("index") if isinstance(event._data, dict) else None
        offered = texts(answer) if answer is not None else ()
        if not isinstance(index, int) or not 0 <= index < len(offered):
            return gr.skip(), gr.skip()
        return offered[index], Written.remember(history, sentence)

    return choose

"""The switch of the page's language: whatever follows it is drawn anew in one event.

An event of its own for every part of the page would be two dozen questions to the server, one after the other. Parts
say at the choice of the language what to draw; the layout connects all of it when the page is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.blocks import Block
from gradio.context import Context
from gradio.helpers import special_args

from medbertde.ui.view import PRIVATE

_SET_PAGE = "(language) => { document.documentElement.lang = language; }"  # for screen readers and hyphenation


@dataclass(frozen=True)
class _Redrawing:
    """A handler with what it is given and what it answers for, as an event of Gradio has them."""

    handler: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]

    def answer(self, values: dict[Block, Any], request: gr.Request) -> dict[Block, Any]:
        """The new values of the outputs; none where the handler refuses: that part stays as it is."""
        with suppress(gr.Error):
            given, *_ = special_args(self.handler, [values[one] for one in self.inputs], request)
            found = self.handler(*given)
            if isinstance(found, dict) and (len(self.outputs) > 1 or any(isinstance(one, Block) for one in found)):
                return found
            return dict(zip(self.outputs, found if len(self.outputs) > 1 else [found], strict=True))
        return {}


_REDRAWINGS: WeakKeyDictionary[Block, list[_Redrawing]] = WeakKeyDictionary()


def on_switch(
    language: gr.Radio,
    handler: Callable[..., Any],
    inputs: Block | Sequence[Block],
    outputs: Block | Sequence[Block],
) -> None:
    """Have `handler` draw `outputs` anew after a switch; it takes and gives what the handler of an event does."""
    asked, drawn = ([one] if isinstance(one, Block) else list(one) for one in (inputs, outputs))
    _REDRAWINGS.setdefault(language, []).append(_Redrawing(handler, asked, drawn))


def together(first: Any, second: Any) -> Any:
    """What two answers say of one component: the first counts, the second adds what the first leaves open.

    A part of the page answers before the page does, so its list of choices stays beside the page's word for the label.

    >>> together(gr.update(choices=["a"]), gr.update(label="Model"))
    {'label': 'Model', '__type__': 'update', 'choices': ['a']}
    """
    one, other = (
        said if isinstance(said, dict) and said.get("__type__") == "update" else gr.update(value=said)
        for said in (first, second)
    )
    return other | one


def connect(language: gr.Radio) -> None:
    """Draw everything that was given to `on_switch` when the language changes. To be called once, at the end.

    The page says at once which language it begins in: `change` is silent where that is the one chosen last.
    """
    redrawings = _REDRAWINGS.pop(language, [])

    def draw(values: dict[Block, Any], request: gr.Request) -> dict[Block, Any]:
        drawn: dict[Block, Any] = {}
        for redrawing in redrawings:
            for one, new in redrawing.answer(values, request).items():
                drawn[one] = together(drawn[one], new) if one in drawn else new
        return drawn

    inputs = {one for redrawing in redrawings for one in redrawing.inputs}
    outputs = list(dict.fromkeys(one for redrawing in redrawings for one in redrawing.outputs))
    page = Context.root_block
    assert page is not None, "the page is being built"
    page.load(None, language, None, js=_SET_PAGE, **PRIVATE)
    language.change(None, language, None, js=_SET_PAGE, **PRIVATE)
    language.change(draw, inputs, outputs, **PRIVATE)

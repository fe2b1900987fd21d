"""The words of sentences that add nothing to a score: computed when somebody opens one, or for a file that holds all.

Owns these two requests of the card of one finding. What was computed stays with the answer on the screen.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Generator
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.ui.evidence import Panel, sent
from medbertde.ui.evidence_export import explanation_file
from medbertde.ui.evidence_view import evidence_value
from medbertde.ui.findings import Shown
from medbertde.ui.progressing import refusing, stepwise
from medbertde.ui.view import MODEL_CALL, NO_EVENT, NO_REQUEST, PRIVATE, caller

Drawn = Generator[tuple[Any, ...], None, None]


def connect(services: Services, panel: Panel, language: gr.Radio) -> None:
    """Wire the card."""

    def words(
        language: str, shown: Shown | None, request: gr.Request = NO_REQUEST, event: gr.EventData = NO_EVENT
    ) -> Drawn:
        wanted = sent(event).get("starts")
        starts = set(wanted) if isinstance(wanted, list) and all(isinstance(each, int) for each in wanted) else None
        yield from refusing(language, opened(language, shown, caller(request), starts))

    def opened(language: str, shown: Shown | None, asking: Caller, starts: Collection[int] | None) -> Drawn:
        """State and card."""
        found = yield from _worded(services, shown, asking, starts, outputs=2)
        yield found, evidence_value(language, found)

    def save(
        language: str, shown: Shown | None, request: gr.Request = NO_REQUEST, event: gr.EventData = NO_EVENT
    ) -> Drawn:
        yield from refusing(language, saved(language, shown, caller(request), str(sent(event).get("kind"))))

    def saved(language: str, shown: Shown | None, asking: Caller, kind: str) -> Drawn:
        """State, card and file."""
        found = yield from _worded(services, shown, asking, None, outputs=3)
        yield found, evidence_value(language, found), asdict(explanation_file(language, found, kind))

    def refused(language: str, shown: Shown | None) -> dict[str, Any]:
        """The card as before; the page only hears of values that differ."""
        return {**evidence_value(language, shown), "answer": uuid.uuid4().hex}

    asked, both = [language, panel.shown], [panel.shown, panel.evidence]
    quietly = {**MODEL_CALL, "show_progress": "hidden"}
    each = {"trigger_mode": "multiple"}  # the card waits for an answer to every question, also while one is on its way
    opening = panel.evidence.words(words, asked, both, **quietly, **each)
    saving = panel.evidence.save(save, asked, [*both, panel.download], **quietly)
    saving.success(lambda: {}, None, panel.download, **PRIVATE)  # or it would be saved again when drawn again
    opening.failure(refused, asked, panel.evidence, **PRIVATE, **each)


def _worded(
    services: Services, shown: Shown | None, asking: Caller, starts: Collection[int] | None, *, outputs: int
) -> Generator[tuple[Any, ...], None, Shown | None]:
    """The answer on the screen with the words of these sentences (None: of all) of the finding looked at."""
    if shown is None or (attribution := shown.attribution) is None:
        return shown
    user = services.access.identify(asking)
    steps = stepwise(
        lambda on_progress, stop: services.reading.with_words(
            user, shown.schema_id, attribution, starts, on_progress=on_progress, stop=stop
        )
    )
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return replace(shown, attributions={**shown.attributions, shown.chosen: end.value})
        yield (gr.skip(),) * outputs  # a chance for Gradio to end it when the user leaves

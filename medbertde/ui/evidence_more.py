"""What can be asked about an explanation: how reliable it is, and that its words be proposed on the annotation card.

Owns these two actions of the card below the explanation. The choice of method belongs to `evidence`, which explains.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.services.proposals import Proposed
from medbertde.types import Attribution, UserError
from medbertde.ui.evidence import Panel
from medbertde.ui.evidence_more_view import checking_value, more_value
from medbertde.ui.findings import Shown
from medbertde.ui.progressing import refusing, stepwise
from medbertde.ui.view import MODEL_CALL, NO_REQUEST, PRIVATE, caller, refusals

Drawn = tuple[Any, Any]


def connect(services: Services, panel: Panel, language: gr.Radio) -> None:
    """Wire the card."""
    asked, outputs = [language, panel.shown], [panel.shown, panel.more]

    def check(language: str, shown: Shown | None, request: gr.Request = NO_REQUEST) -> Generator[Drawn, None, None]:
        yield from refusing(language, _checked(services, language, shown, caller(request)))

    @refusals
    def propose(language: str, shown: Shown | None, request: gr.Request) -> Drawn:
        known, attribution = explained(shown)
        user = services.access.identify(caller(request))
        return draw(language, known, services.proposals.propose(user, known.schema_id, attribution))

    @refusals
    def take_in(language: str, shown: Shown | None, request: gr.Request) -> Drawn:
        known, attribution = explained(shown)
        user = services.access.identify(caller(request))
        return draw(language, known, services.proposals.add(user, known.schema_id, attribution))

    def again(language: str, shown: Shown | None) -> Any:
        return more_value(language, shown)

    checking = panel.more.check(check, asked, outputs, **{**MODEL_CALL, "show_progress": "hidden"})
    checking.failure(again, asked, panel.more, **PRIVATE)
    panel.more.cancel(again, asked, panel.more, cancels=[checking], **PRIVATE)
    panel.more.propose(propose, asked, outputs, **PRIVATE)
    panel.more.take_in(take_in, asked, outputs, **PRIVATE)


def draw(language: str, shown: Shown, proposed: Proposed | None) -> Drawn:
    """The answer with what became of the proposal, and the card."""
    told = replace(shown, proposed={**shown.proposed, shown.chosen: proposed})
    return told, more_value(language, told)


def explained(shown: Shown | None) -> tuple[Shown, Attribution]:
    """The answer on the screen and the explanation looked at; `UserError` where there is none."""
    if shown is None or (attribution := shown.attribution) is None:
        raise UserError(
            "Es gibt noch keine Erklärung. Bitte zuerst einen Befund klassifizieren und einen seiner Einträge wählen.",
            "There is no explanation yet. Please classify a report first and choose one of its findings.",
        )
    return shown, attribution


def _checked(services: Services, language: str, shown: Shown | None, asking: Caller) -> Generator[Drawn, None, None]:
    """How far the measurement is, now and then, and at the end its result."""
    known, attribution = explained(shown)
    user, run = services.access.identify(asking), uuid.uuid4().hex
    steps = stepwise(
        lambda on_progress, stop: services.reading.against_chance(
            user, known.schema_id, attribution, on_progress=on_progress, stop=stop
        )
    )
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            told = replace(known, checks={**known.checks, known.chosen: end.value})
            yield told, more_value(language, told)
            return
        yield gr.skip(), checking_value(language, known, progress, run)

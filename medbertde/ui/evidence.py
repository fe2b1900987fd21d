"""The explanations of the tab "Klassifikation": one finding's evidence, and all notable findings at once.

Owns how an answer on the screen grows by explanations. They come from the model that classified, or not at all.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.types import State, User, UserError
from medbertde.ui.card import Card
from medbertde.ui.evidence_more_view import more_value
from medbertde.ui.evidence_view import evidence_value, notable, progress_value, reasons_value
from medbertde.ui.findings import Shown, findings_value
from medbertde.ui.progressing import Compute, Found, OnProgress, Stop, refusing, stepwise
from medbertde.ui.switch import on_switch
from medbertde.ui.view import MODEL_CALL, NO_EVENT, NO_REQUEST, PRIVATE, caller
from medbertde.ui.words import Words

NOTHING = (gr.skip(),) * 5


@dataclass(frozen=True)
class Panel:
    """The answer on the screen and the cards that show it."""

    shown: gr.State
    findings: Card
    reasons: Card
    evidence: Card
    more: Card
    download: Card

    @property
    def answer(self) -> list[Any]:
        """What `draw` fills."""
        return [self.shown, self.findings, self.reasons, self.more, self.evidence]


def explanations(words: Words) -> tuple[Card, Card, Card, Card]:
    """The cards below the text: several findings, one finding, what can be asked about it, the one that gives files."""
    reasons = Card("reasons", reasons_value(words.language, None), elem_id="read-reasons")
    evidence = Card("evidence", evidence_value(words.language, None), elem_id="read-evidence")
    more = Card("evidence_more", more_value(words.language, None), elem_id="read-more")
    return reasons, evidence, more, Card("download", {}, elem_id="read-download")


def draw(language: str, shown: Shown | None) -> tuple[Any, ...]:
    """State, findings, several findings, what can be asked about one finding, that finding."""
    return (
        shown,
        findings_value(language, shown),
        reasons_value(language, shown),
        more_value(language, shown),
        evidence_value(language, shown),
    )


def connect(services: Services, panel: Panel, language: gr.Radio) -> None:
    """Wire the cards."""
    explaining = _connect_explaining(services, panel, language)
    panel.evidence.cancel(draw, [language, panel.shown], panel.answer, cancels=explaining, **PRIVATE)
    on_switch(language, draw, [language, panel.shown], panel.answer)


def _connect_explaining(services: Services, panel: Panel, language: gr.Radio) -> list[Any]:
    """The events that ask for explanations; both are generators, closed by Gradio when the user stops or leaves."""

    def one(
        language: str, shown: Shown | None, request: gr.Request = NO_REQUEST, event: gr.EventData = NO_EVENT
    ) -> Generator[tuple[Any, ...], None, None]:
        label = str(sent(event).get("label"))
        if shown is None or label not in shown.prediction.scores:
            yield NOTHING
            return
        state = sent(event).get("state")
        target = State(state) if state in set(State) else State.PRESENT
        chosen = replace(shown, chosen=label)
        if chosen.attribution and chosen.attribution.target == target:
            yield draw(language, chosen)
            return
        yield from refusing(language, _steps(services, caller(request), language, chosen, {label: target}))

    def every(
        language: str, shown: Shown | None, request: gr.Request = NO_REQUEST
    ) -> Generator[tuple[Any, ...], None, None]:
        if shown is None:
            yield NOTHING
            return
        yield from refusing(language, _steps(services, caller(request), language, shown, notable(shown)))

    def otherwise(
        language: str, shown: Shown | None, request: gr.Request = NO_REQUEST, event: gr.EventData = NO_EVENT
    ) -> Generator[tuple[Any, ...], None, None]:
        """The same finding, by another method: what was explained by the one before is dropped."""
        if shown is None or (known := shown.attribution) is None:
            yield NOTHING
            return
        wish = sent(event)
        chosen = replace(
            shown,
            method=str(wish.get("method", shown.method)),
            baseline=str(wish.get("baseline", shown.baseline)),
            attributions={},
            checks={},
            proposed={},
        )
        states = {shown.chosen: State(known.target)}
        yield from refusing(language, _steps(services, caller(request), language, chosen, states))

    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": panel.evidence}
    asked = [
        panel.findings.choose(one, [language, panel.shown], panel.answer, **working),
        panel.reasons.choose(one, [language, panel.shown], panel.answer, **working),
        panel.reasons.all(every, [language, panel.shown], panel.answer, **working),
        panel.more.method(otherwise, [language, panel.shown], panel.answer, **working),
    ]
    for each in asked:
        each.failure(draw, [language, panel.shown], panel.answer, **PRIVATE)
    return asked


def _steps(
    services: Services, asking: Caller, language: str, shown: Shown, states: Mapping[str, State]
) -> Generator[tuple[Any, ...], None, None]:
    """How far the explanations are, now and then, and at the end the answer with them."""
    user = services.access.identify(asking)
    found = yield from with_progress(
        language,
        4,
        lambda on_progress, stop: services.reading.explain_all(
            user,
            shown.schema_id,
            shown.text,
            states,
            model_version=shown.prediction.model_version,
            method=shown.method,
            baseline=shown.baseline,
            on_progress=on_progress,
            stop=stop,
        ),
    )
    yield draw(language, shown.explained(found))


def with_progress(language: str, before: int, compute: Compute[Found]) -> Generator[tuple[Any, ...], None, Found]:
    """Run `compute`; how far it is goes to the card that comes after `before` other outputs. Returns what it found."""
    steps, run = stepwise(compute), uuid.uuid4().hex
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            found: Found = end.value
            return found
        yield *(gr.skip(),) * before, progress_value(language, progress, run)


def report_on_screen(shown: Shown | None) -> Shown:
    """The answer on the screen; `UserError` where there is none yet."""
    if shown is None:
        raise UserError(
            "Bitte zuerst einen Befund klassifizieren; dann lässt sich etwas mit ihm vergleichen.",
            "Please classify a report first; then something can be compared with it.",
        )
    return shown


def explained(services: Services, user: User, shown: Shown, on_progress: OnProgress, stop: Stop) -> Shown:
    """The answer with the explanation of the finding looked at, or else of the most notable one."""
    label, state = _looked_at(shown)
    known = shown.attributions.get(label)
    if known is not None and known.target == state:
        return replace(shown, attributions={label: known}, chosen=label)
    found = services.reading.explain_all(
        user,
        shown.schema_id,
        shown.text,
        {label: state},
        model_version=shown.prediction.model_version,
        method=shown.method,
        baseline=shown.baseline,
        on_progress=on_progress,
        stop=stop,
    )
    return replace(shown, attributions=found, chosen=label)


def _looked_at(shown: Shown) -> tuple[str, State]:
    if shown.attribution:
        return shown.chosen, State(shown.attribution.target)
    likeliest = max(shown.prediction.scores, key=lambda label: shown.prediction.scores[label].present)
    return next(iter(notable(shown).items()), (likeliest, State.PRESENT))


def sent(event: gr.EventData | None) -> Mapping[str, Any]:
    """What a card sent with an event."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}

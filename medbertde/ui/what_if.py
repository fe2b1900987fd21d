"""The panel "Text ändern und vergleichen": the report with another wording, both versions side by side.

Owns the changed text. The report on the screen stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.types import State, User, UserError
from medbertde.ui.card import Card
from medbertde.ui.evidence import Panel, explained, report_on_screen, sent, with_progress
from medbertde.ui.findings import Shown
from medbertde.ui.progressing import OnProgress, Stop, refusing
from medbertde.ui.switch import on_switch
from medbertde.ui.versions_view import Versions, versions_value
from medbertde.ui.view import MODEL_CALL, NO_EVENT, NO_REQUEST, PRIVATE, caller
from medbertde.ui.words import Text, Words

TITLE = Text("Was wäre, wenn? Text ändern und vergleichen", "What if? Change the text and compare")
ABOUT = Text(
    "Ändern oder streichen Sie Wörter und Sätze – hier oder mit einem Klick auf einen Satz oben. Der Befund selbst "
    "bleibt unverändert.",
    "Change or strike words and sentences, here or by a click on a sentence above. The report itself stays as it is.",
)
NAMES = (Text("Original", "Original"), Text("Geändert", "Changed"))
LINES = 6
Steps = Generator[tuple[Any, ...], None, None]
_TOKEN = re.compile(r"\S+")


@dataclass(frozen=True)
class _Parts:
    """The components that handlers read and write."""

    frame: gr.Accordion
    text: gr.Textbox
    run: gr.Button
    back: gr.Button
    card: Card
    versions: gr.State


def build(
    services: Services, words: Words, language: gr.Radio, panel: Panel, answered: Sequence[Any], schema: gr.Radio
) -> None:
    """Layout, handlers, wiring; `answered` are the events after which another report is on the screen."""
    parts = _layout(words)
    _connect(services, parts, language, panel)
    emptied = [parts.text, parts.versions, parts.card]

    def begin(shown: Shown | None) -> tuple[Any, ...]:
        return (shown.text if shown else ""), None, {}

    for event in answered:
        event.success(begin, panel.shown, emptied, **PRIVATE)
    schema.change(lambda: begin(None), None, emptied, **PRIVATE)


def _layout(words: Words) -> _Parts:
    with words(gr.Accordion, TITLE, open=False, elem_id="what-if") as frame:
        words(gr.Markdown, ABOUT, elem_classes="mb-about")
        text = words(
            gr.Textbox, label=Text("Geänderter Text", "Changed text"), lines=LINES, max_lines=LINES,
            elem_id="what-if-text",
        )  # fmt: skip
        with gr.Row(elem_classes="mb-buttons"):
            run = words(
                gr.Button, Text("Vergleichen", "Compare"), variant="primary", min_width=140, elem_id="what-if-run"
            )
            back = words(
                gr.Button, Text("Zurück zum Original", "Back to the original"), min_width=140, elem_id="what-if-back"
            )
        card = Card("versions", {}, elem_id="what-if-card")
    return _Parts(frame, text, run, back, card, gr.State(None))


def _connect(services: Services, parts: _Parts, language: gr.Radio, panel: Panel) -> None:
    def draw(language: str, versions: Versions | None) -> tuple[Any, ...]:
        return versions, versions_value(language, versions)

    def compare(language: str, shown: Shown | None, text: str, request: gr.Request = NO_REQUEST) -> Steps:
        yield from refusing(language, steps(language, shown, caller(request), lambda _report: text))

    def strike(
        language: str,
        shown: Shown | None,
        text: str,
        request: gr.Request = NO_REQUEST,
        event: gr.EventData = NO_EVENT,
    ) -> Steps:
        span = sent(event).get("span")
        yield from refusing(
            language, steps(language, shown, caller(request), lambda report: struck(report, text, span))
        )

    def steps(language: str, shown: Shown | None, asking: Caller, wording: Callable[[Shown], str]) -> Steps:
        """Outputs: the opened frame, the changed text, both versions."""
        user, report = services.access.identify(asking), report_on_screen(shown)
        changed = wording(report)
        yield gr.update(open=True), changed, gr.skip(), gr.skip()
        found = yield from with_progress(
            language, 3, lambda on_progress, stop: compared(services, user, report, changed, on_progress, stop)
        )
        yield gr.skip(), gr.skip(), *draw(language, found)

    def back(shown: Shown | None) -> tuple[Any, ...]:
        return (shown.text if shown else ""), None, {}

    both, asked = [parts.versions, parts.card], [language, panel.shown, parts.text]
    working = {**MODEL_CALL, "show_progress": "minimal", "show_progress_on": parts.card}
    running = [
        parts.run.click(compare, asked, [parts.frame, parts.text, *both], **working),
        panel.evidence.strike(strike, asked, [parts.frame, parts.text, *both], **working),
    ]
    for event in running:
        event.failure(draw, [language, parts.versions], both, **PRIVATE)
    parts.card.cancel(draw, [language, parts.versions], both, cancels=running, **PRIVATE)
    parts.back.click(back, panel.shown, [parts.text, *both], **PRIVATE)
    on_switch(language, draw, [language, parts.versions], both)


def compared(services: Services, user: User, shown: Shown, text: str, on_progress: OnProgress, stop: Stop) -> Versions:
    """The report and its changed `text`, read and explained by the model that classified the report; else `Conflict`.

    Explained is the finding looked at, or the most notable one.
    """
    if text.strip() == shown.text.strip():
        raise UserError(
            "Der Text ist noch unverändert. Bitte zuerst ein Wort ändern oder einen Satz streichen.",
            "The text is still unchanged. Please change a word or strike a sentence first.",
        )
    first = explained(services, user, shown, on_progress, stop)
    label, state = first.chosen, State(first.attributions[first.chosen].target)
    prediction = services.reading.classify(user, shown.schema_id, text)
    second = services.reading.explain_all(
        user,
        shown.schema_id,
        text,
        {label: state},
        model_version=shown.prediction.model_version,
        method=shown.method,
        baseline=shown.baseline,
        on_progress=on_progress,
        stop=stop,
    )
    return Versions(first, replace(first, text=text, prediction=prediction, attributions=second), NAMES)


# ---------------------------------------------------------------------------------------------- striking


def struck(shown: Shown, text: str, span: Any) -> str:
    """The changed `text` without what stands at `span` of the report; `UserError` where it is not there any more."""
    original = shown.attribution.text if shown.attribution else shown.text
    match span:
        case [int(start), int(end)] if 0 <= start < end <= len(original):
            place = where_now(original, text or original, start, end)
        case _:
            place = None
    if place is None:
        raise UserError(
            "Diese Stelle gibt es im geänderten Text nicht mehr. Bitte zurück zum Original gehen oder sie selbst "
            "streichen.",
            "This passage is not in the changed text any more. Please go back to the original or strike it yourself.",
        )
    return cut(text or original, *place)


def where_now(original: str, text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where ``original[start:end]`` stands in a changed `text`, None where it was changed.

    >>> where_now("Kein Pneu. Kein Erguss.", "Kein Erguss.", 11, 23)
    (0, 12)
    >>> where_now("Kein Pneu. Kein Erguss.", "Kein Erguss.", 0, 10)
    """
    if original == text:
        return start, end
    old, new = (list(_TOKEN.finditer(each)) for each in (original, text))
    inside = [index for index, token in enumerate(old) if token.start() < end and start < token.end()]
    matcher = SequenceMatcher(None, [each.group() for each in old], [each.group() for each in new], autojunk=False)
    for block in matcher.get_matching_blocks():
        if inside and block.a <= inside[0] and inside[-1] < block.a + block.size:
            first, last = (new[index - block.a + block.b] for index in (inside[0], inside[-1]))
            return first.start() + max(0, start - old[inside[0]].start()), last.end() - max(
                0, old[inside[-1]].end() - end
            )
    return None


def cut(text: str, start: int, end: int) -> str:
    r"""`text` without a passage and without the space or the empty line that it would leave.

    >>> cut("Kein Pneu. Kein Erguss.\nHerz normal.", 11, 23)
    'Kein Pneu.\nHerz normal.'
    """
    before, after = text[:start], text[end:]
    if not after or after.startswith("\n"):
        before = before.rstrip(" ")
    if after[:1] in (" ", "\n") and (not before or before[-1] in " \n"):
        after = after[1:]
    return before + after

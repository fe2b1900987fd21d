"""The panel "Schwelle": from which probability on a finding counts as present, and what is known about that choice.

Says what another threshold does to the report on the screen. Figures are those of the model's own checkpoint, which
hold for its own threshold; for others it says that there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from medbertde.schema import load_schema
from medbertde.services import Services
from medbertde.types import Metrics, ReliabilityBin
from medbertde.ui.batch_view import Shown as Batch
from medbertde.ui.batch_view import reported
from medbertde.ui.calibration_view import calibration_value
from medbertde.ui.card import Card
from medbertde.ui.evidence import Panel
from medbertde.ui.findings import STATES, Shown
from medbertde.ui.switch import on_switch
from medbertde.ui.view import PRIVATE
from medbertde.ui.words import Text, Words, decimal

TITLE = Text("Schwelle: ab wann ein Befund als vorhanden gilt", "Threshold: from when on a finding counts as present")
DEFAULT, STEP = 0.5, 0.005
NO_REPORT = Text("Bitte zuerst einen Befund klassifizieren.", "Please classify a report first.")
NO_OTHERS = Text(
    "Für andere Schwellen enthält das Modell keine Zahlen. Es gilt: Eine höhere Schwelle meldet seltener falsch und "
    "übersieht mehr, eine niedrigere umgekehrt.",
    "The model holds no figures for other thresholds. In general a higher one reports less that is wrong and misses "
    "more, a lower one the other way round.",
)
NO_FIGURES = Text(
    "Das Modell enthält für diesen Befund keine gemessenen Zahlen.",
    "The model holds no measured figures for this finding.",
)


def build(
    services: Services,
    words: Words,
    language: gr.Radio,
    panel: Panel,
    answered: Sequence[Any],
    schema: gr.Radio,
    batch: gr.State,
) -> None:
    """Layout, handlers, wiring; `answered` are the events after which another report is on the screen.

    `batch` holds the batch that was read last.
    """
    frame, label, slider, card = _layout(words, schema.value)

    def weigh(
        language: str, shown: Shown | None, several: Batch | None, chosen: str, threshold: float
    ) -> dict[str, Any]:
        metrics, known = _figures(services, shown)
        return threshold_value(language, shown, metrics, chosen, threshold, several, known)

    def begin(language: str, shown: Shown | None, several: Batch | None, chosen: str) -> tuple[Any, ...]:
        """Outputs: the model's own threshold for the finding, and what it means."""
        own = shown.thresholds.get(chosen, DEFAULT) if shown else DEFAULT
        return own, weigh(language, shown, several, chosen, own)

    def open_panel(language: str, shown: Shown | None, several: Batch | None, chosen: str) -> tuple[Any, ...]:
        """As `begin`, for the finding looked at."""
        looked_at = shown.chosen if shown and shown.chosen else chosen
        return looked_at, *begin(language, shown, several, looked_at)

    def offer(language: str, schema_id: str) -> tuple[Any, ...]:
        choices = _choices(language, schema_id)
        return gr.update(choices=choices, value=choices[0][1]), {}

    asked = [language, panel.shown, batch, label]
    slider.change(weigh, [*asked, slider], card, **PRIVATE)
    frame.expand(open_panel, asked, [label, slider, card], **PRIVATE)
    label.input(begin, asked, [slider, card], **PRIVATE)
    for event in answered:
        event.success(begin, asked, [slider, card], **PRIVATE)
    schema.change(offer, [language, schema], [label, card], **PRIVATE)
    on_switch(
        language, lambda chosen, schema_id: gr.update(choices=_choices(chosen, schema_id)), [language, schema], label
    )
    on_switch(language, weigh, [*asked, slider], card)


def _layout(words: Words, schema_id: str) -> tuple[gr.Accordion, gr.Dropdown, gr.Slider, Card]:
    with words(gr.Accordion, TITLE, open=False, elem_id="threshold") as frame:
        with gr.Row(elem_classes="mb-buttons"):
            choices = _choices(words.language, schema_id)
            label = words(
                gr.Dropdown,
                choices,
                value=choices[0][1],
                label=Text("Befund", "Finding"),
                elem_id="threshold-label",
                min_width=240,
            )
            slider = words(
                gr.Slider, 0.01, 0.99, value=DEFAULT, step=0.01, label=Text("Schwelle", "Threshold"),
                elem_id="threshold-slider", buttons=[], min_width=240,
            )  # fmt: skip
        card = Card("threshold", {}, elem_id="threshold-card")
    return frame, label, slider, card


def _choices(language: str, schema_id: str) -> list[tuple[str, str]]:
    return [(label.name[language], label.id) for label in load_schema(schema_id).labels]


def _figures(services: Services, shown: Shown | None) -> tuple[Metrics | None, tuple[ReliabilityBin, ...]]:
    """The figures of the very model that read the report."""
    if shown is None or services.reading.active_version(shown.schema_id) != shown.prediction.model_version:
        return None, ()
    return services.reading.metrics(shown.schema_id), services.reading.reliability(shown.schema_id)


def threshold_value(
    language: str,
    shown: Shown | None,
    metrics: Metrics | None,
    label: str,
    threshold: float,
    batch: Batch | None = None,
    reliability: Sequence[ReliabilityBin] = (),
) -> dict[str, Any]:
    """The card: what this threshold does to the report on the screen and in a batch, and the figures there are."""
    if shown is None or label not in shown.prediction.scores:
        return {"lines": [NO_REPORT.say(language)], "figures": []}
    lines = [_effect(language, shown, label, threshold), *_in_batch(language, shown, batch, label, threshold)]
    figures = _measured(language, shown, metrics, label)
    if figures and abs(threshold - shown.thresholds[label]) >= STEP:
        figures.append(NO_OTHERS.say(language))
    score = shown.prediction.scores[label].present
    plot = calibration_value(language, reliability, score, threshold) if reliability else None
    return {"lines": lines, "figures": figures or [NO_FIGURES.say(language)], "plot": plot}


def _effect(language: str, shown: Shown, label: str, threshold: float) -> str:
    score = shown.prediction.scores[label]
    name, said = shown.name(language, label), STATES[score.state(threshold)].say(language)
    own = STATES[shown.state(label)].say(language)
    at, model, present = (
        decimal(language, f"{value:.2f}") for value in (threshold, shown.thresholds[label], score.present)
    )
    return Text(
        f"Mit der Schwelle {at} heißt {name} in diesem Befund „{said}“ (Wahrscheinlichkeit für vorhanden: {present}; "
        f"die Schwelle des Modells ist {model} und ergibt „{own}“).",
        f"With the threshold {at}, {name} counts as “{said}” in this report (probability of present: {present}; the "
        f"model's own threshold is {model} and gives “{own}”).",
    ).say(language)


def _in_batch(language: str, shown: Shown, batch: Batch | None, label: str, threshold: float) -> list[str]:
    """How many reports of the batch it concerns, where the same model has read it."""
    if batch is None or batch.model_version != shown.prediction.model_version:
        return []
    here, own, read = (
        reported(batch, label, threshold), reported(batch, label, shown.thresholds[label]), batch.done - batch.left_out
    )  # fmt: skip
    return [
        Text(
            f"Unter den {read} Befunden, die unten gelesen wurden, wären es {here}, mit der Schwelle des Modells "
            f"{own}.",
            f"Among the {read} reports read below it would be {here}, with the model's own threshold {own}.",
        ).say(language)
    ]


def _measured(language: str, shown: Shown, metrics: Metrics | None, label: str) -> list[str]:
    """Precision and recall at the model's own threshold, where its checkpoint holds them."""
    known = metrics.per_label.get(label, {}) if metrics else {}
    precision, recall, positives = (known.get(name) for name in ("precision", "recall", "positives"))
    if metrics is None or precision is None or recall is None:
        return []
    own = decimal(language, f"{shown.thresholds[label]:.2f}")
    basis = Text(f"{metrics.n_reports} zurückgehaltenen Befunden", f"{metrics.n_reports} held-out reports").say(
        language
    )
    if positives is not None:
        basis += Text(f", davon {positives:.0f} mit diesem Befund", f", {positives:.0f} of them with the finding").say(
            language
        )
    return [
        Text(
            f"Gemessen bei der Schwelle {own} an {basis}: Von 100 Meldungen sind {100 * precision:.0f} richtig "
            f"(Präzision); von 100 vorhandenen werden {100 * recall:.0f} gemeldet (Sensitivität).",
            f"Measured at the threshold {own} on {basis}: of 100 reported {100 * precision:.0f} are right (precision); "
            f"of 100 that are there {100 * recall:.0f} are reported (recall).",
        ).say(language)
    ]

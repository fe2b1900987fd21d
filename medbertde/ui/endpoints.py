"""The public API: `/classify`, `/fill_mask`, `/explain` and `/deidentify`, for `gradio_client` and plain HTTP.

Texts pass the same gate as those of the page: where it demands a decision, `confirmed` says that a text is to be read
as it is. Every other endpoint of the page is private to it. Refusals come in German and English.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Any, TypeVar

import gradio as gr

from medbertde.services import Services
from medbertde.services.screening import Dates, Replace
from medbertde.types import InvalidText, State, UserError
from medbertde.ui.screening_view import NO_GUARANTEE
from medbertde.ui.view import NO_REQUEST, caller, refusals_in_both

Choice = TypeVar("Choice", bound=StrEnum)
METHOD = "layer_integrated_gradients"  # of explanation; a refusal names the others


def build(services: Services) -> None:
    """Add the endpoints to the page."""
    identify, reading = services.access.identify, services.reading

    @refusals_in_both
    def classify(
        text: str, schema_id: str = "chest_xray", confirmed: bool = False, request: gr.Request = NO_REQUEST
    ) -> dict[str, Any]:
        """Classify one German report: probabilities and state per finding, the model version and remarks."""
        prediction = reading.classify(identify(caller(request)), schema_id, _text(text), confirmed=confirmed is True)
        limits = reading.thresholds(schema_id)
        return {
            "scores": {label: asdict(score) for label, score in prediction.scores.items()},
            "states": {label: score.state(limits[label]) for label, score in prediction.scores.items()},
            "model_version": prediction.model_version,
            "warnings": [notice.sentence("de") for notice in prediction.warnings],
            "terms": "research only",
        }

    @refusals_in_both
    def fill_mask(
        text: str, top_k: int = 10, confirmed: bool = False, request: gr.Request = NO_REQUEST
    ) -> list[dict[str, Any]]:
        """The likeliest words for [MASK] in a German sentence, best first."""
        user = identify(caller(request))
        found = reading.fill_mask(user, _text(text), _whole_number(top_k), confirmed=confirmed is True)
        return [asdict(candidate) for candidate in found]

    @refusals_in_both
    def explain(
        text: str,
        label: str,
        schema_id: str = "chest_xray",
        method: str = METHOD,
        confirmed: bool = False,
        request: gr.Request = NO_REQUEST,
    ) -> dict[str, Any]:
        """Which words moved a finding's logit: words with spans and scores, method, baseline, convergence delta."""
        user, version = identify(caller(request)), reading.model_version(schema_id)
        attribution = reading.explain(
            user,
            schema_id,
            _text(text),
            label,
            state=State.PRESENT,
            model_version=version,
            method=_text(method),
            confirmed=confirmed is True,
        )
        return asdict(attribution)

    @refusals_in_both
    def deidentify(
        text: str, dates: str = "all", replace: str = "placeholder", request: gr.Request = NO_REQUEST
    ) -> dict[str, Any]:
        """A German clinical text without names, dates, places and numbers of persons. No guarantee: read the result."""
        done = services.gate.deidentify(
            identify(caller(request)), _text(text), _one_of(Dates, "dates", dates), _one_of(Replace, "replace", replace)
        )
        return {"text": done.text, "spans": [asdict(span) for span in done.spans], "warnings": [NO_GUARANTEE.de]}

    for function in (classify, fill_mask, explain, deidentify):
        gr.api(function, api_name=function.__name__, concurrency_id="model")


def _text(value: Any) -> str:
    """The text as it was sent; JSON can hold anything."""
    if isinstance(value, str):
        return value
    raise InvalidText(
        f"Erwartet wird ein Text, gefunden wurde „{type(value).__name__}“.",
        f"Expected is a text, found was “{type(value).__name__}”.",
    )


def _one_of(kind: type[Choice], name: str, value: Any) -> Choice:
    if value in {each.value for each in kind}:
        return kind(value)
    allowed = ", ".join(each.value for each in kind)
    raise UserError(f"Für {name} ist erlaubt: {allowed}.", f"Allowed for {name}: {allowed}.")


def _whole_number(value: Any) -> int:
    if isinstance(value, int | float) and value == int(value):
        return int(value)
    raise UserError(
        f"Für top_k wird eine ganze Zahl erwartet, gefunden wurde „{type(value).__name__}“.",
        f"A whole number is expected for top_k, found was “{type(value).__name__}”.",
    )

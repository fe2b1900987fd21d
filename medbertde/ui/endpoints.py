"""The public API: `/classify`, `/fill_mask` and `/explain`, for `gradio_client` and plain HTTP.

Every other endpoint of the page is private to it. Refusals come in German and English.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from medbertde.services import Services
from medbertde.types import InvalidText, State, UserError
from medbertde.ui.view import NO_REQUEST, caller, refusals_in_both

METHOD = "layer_integrated_gradients"  # of explanation; a refusal names the others


def build(services: Services) -> None:
    """Add the endpoints to the page."""
    identify, reading = services.access.identify, services.reading

    @refusals_in_both
    def classify(text: str, schema_id: str = "chest_xray", request: gr.Request = NO_REQUEST) -> dict[str, Any]:
        """Classify one German report: probabilities and state per finding, the model version and remarks."""
        prediction = reading.classify(identify(caller(request)), schema_id, _text(text))
        limits = reading.thresholds(schema_id)
        return {
            "scores": {label: asdict(score) for label, score in prediction.scores.items()},
            "states": {label: score.state(limits[label]) for label, score in prediction.scores.items()},
            "model_version": prediction.model_version,
            "warnings": [notice.sentence("de") for notice in prediction.warnings],
            "terms": "research only",
        }

    @refusals_in_both
    def fill_mask(text: str, top_k: int = 10, request: gr.Request = NO_REQUEST) -> list[dict[str, Any]]:
        """The likeliest words for [MASK] in a German sentence, best first."""
        found = reading.fill_mask(identify(caller(request)), _text(text), _whole_number(top_k))
        return [asdict(candidate) for candidate in found]

    @refusals_in_both
    def explain(
        text: str,
        label: str,
        schema_id: str = "chest_xray",
        method: str = METHOD,
        request: gr.Request = NO_REQUEST,
    ) -> dict[str, Any]:
        """Which words moved a finding's logit: words with spans and scores, method, baseline, convergence delta."""
        user, version = identify(caller(request)), reading.model_version(schema_id)
        attribution = reading.explain(
            user, schema_id, _text(text), label, state=State.PRESENT, model_version=version, method=_text(method)
        )
        return asdict(attribution)

    for function in (classify, fill_mask, explain):
        gr.api(function, api_name=function.__name__, concurrency_id="model")


def _text(value: Any) -> str:
    """The text as it was sent; JSON can hold anything."""
    if isinstance(value, str):
        return value
    raise InvalidText(
        f"Erwartet wird ein Text, gefunden wurde „{type(value).__name__}“.",
        f"Expected is a text, found was “{type(value).__name__}”.",
    )


def _whole_number(value: Any) -> int:
    if isinstance(value, int | float) and value == int(value):
        return int(value)
    raise UserError(
        f"Für top_k wird eine ganze Zahl erwartet, gefunden wurde „{type(value).__name__}“.",
        f"A whole number is expected for top_k, found was “{type(value).__name__}”.",
    )

"""The public API: `/classify`, `/fill_mask`, `/explain` and `/deidentify`, for `gradio_client` and plain HTTP.

Texts pass the same gate as those of the page: where it demands a decision, `confirmed` says that a text is to be read
as it is. Every other endpoint of the page is private to it. Refusals come in German and English.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

import gradio as gr

from medbertde.services import Services
from medbertde.services.screening import Dates, Replace
from medbertde.types import InvalidText, State, User, UserError
from medbertde.ui.screening_view import NO_GUARANTEE
from medbertde.ui.view import NO_REQUEST, SIMULTANEOUS, caller, refusals_in_both

Choice = TypeVar("Choice", bound=StrEnum)
METHOD = "layer_integrated_gradients"  # of explanation; a refusal names the others


def build(services: Services) -> None:
    """Add the endpoints to the page."""
    public = _Endpoints(services)
    gr.api(refusals_in_both(public.classify), api_name="classify", **SIMULTANEOUS)
    for endpoint in (public.fill_mask, public.explain, public.deidentify):
        gr.api(refusals_in_both(endpoint), api_name=endpoint.__name__, concurrency_id="model")


@dataclass(frozen=True)
class _Endpoints:
    """What each endpoint takes and gives; the first lines of the docstrings are read by those who call them."""

    services: Services

    def classify(
        self, text: str, schema_id: str = "chest_xray", confirmed: bool = False, request: gr.Request = NO_REQUEST
    ) -> dict[str, Any]:
        """Classify one German report: probabilities and state per finding, the model version and remarks."""
        reading = self.services.reading
        prediction = reading.classify(self._user(request), schema_id, _text(text), confirmed=confirmed is True)
        limits = reading.thresholds(schema_id)
        return {
            "scores": {label: asdict(score) for label, score in prediction.scores.items()},
            "states": {label: score.state(limits[label]) for label, score in prediction.scores.items()},
            "model_version": prediction.model_version,
            "warnings": [notice.sentence("de") for notice in prediction.warnings],
            "terms": "research only",
        }

    def fill_mask(
        self, text: str, top_k: int = 10, confirmed: bool = False, request: gr.Request = NO_REQUEST
    ) -> list[dict[str, Any]]:
        """The likeliest words for [MASK] in a German sentence, best first."""
        count, agreed = _whole_number(top_k), confirmed is True
        found = self.services.reading.fill_mask(self._user(request), _text(text), count, confirmed=agreed)
        return [asdict(candidate) for candidate in found]

    def explain(
        self,
        text: str,
        label: str,
        schema_id: str = "chest_xray",
        method: str = METHOD,
        confirmed: bool = False,
        request: gr.Request = NO_REQUEST,
    ) -> dict[str, Any]:
        """Which words moved a finding's logit: words with spans and scores, method, baseline, convergence delta."""
        reading, asked = self.services.reading, (schema_id, _text(text), label)
        wanted: dict[str, Any] = {"state": State.PRESENT, "method": _text(method), "confirmed": confirmed is True}
        version = reading.model_version(schema_id)
        return asdict(reading.explain(self._user(request), *asked, model_version=version, **wanted))

    def deidentify(
        self, text: str, dates: str = "all", replace: str = "placeholder", request: gr.Request = NO_REQUEST
    ) -> dict[str, Any]:
        """A German clinical text without names, dates, places and numbers of persons. No guarantee: read the result."""
        ways = _one_of(Dates, "dates", dates), _one_of(Replace, "replace", replace)
        done = self.services.gate.deidentify(self._user(request), _text(text), *ways)
        return {"text": done.text, "spans": [asdict(span) for span in done.spans], "warnings": [NO_GUARANTEE.de]}

    def _user(self, request: gr.Request) -> User:
        return self.services.access.identify(caller(request))


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

"""The token classifier of the de-identification: what in a text identifies somebody, as a small model sees it.

Owns loading it once per process and reading long texts in windows. Knows no rules: `privacy` puts both together. What
is shown to the model, and which scores count, is `medbertde.identifying`, as in training.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from medbertde.identifying import SCHEMA_ID, shown_as, spans_above
from medbertde.inference.catalogue import EMBEDDED_FOLDER
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.tokens import Pieces
from medbertde.span_tags import Scores, gather, words_of
from medbertde.types import CheckpointRefused, FoundSpan

FOLDER = EMBEDDED_FOLDER / "deidentifier"
ROWS = 16  # windows computed at once; `check` is asked between them
Check = Callable[[], None]  # raises when the time is over


def unlimited() -> None:
    """The `Check` of a call that may take as long as it takes."""


class Identifier:
    """Finds identifying spans with the checkpoint in a folder, which is loaded before the clock of a text runs.

    `thresholds` replace those of the checkpoint; kinds without one are left to the rules. A folder that is missing or
    refused raises `CheckpointRefused` with every text: nothing is passed over.
    """

    def __init__(self, folder: Path = FOLDER, thresholds: Mapping[str, float] | None = None) -> None:
        self._folder = folder
        self._thresholds = thresholds
        with suppress(CheckpointRefused):  # said with every text: the app starts, but lets nothing through
            _loaded(folder)

    def __call__(
        self, text: str, places: Sequence[int] | None = None, check: Check = unlimited
    ) -> tuple[FoundSpan, ...]:
        """The spans of a text, in order; time is linear in its length.

        Windows of the text in which none of `places` lies are not computed; None: all are.
        """
        model = _loaded(self._folder)
        thresholds = self._thresholds or model.thresholds
        if not thresholds:
            raise _not_meant(self._folder)
        shown = shown_as(text)
        (pieces,) = model.encoder.pieces([shown])
        words = words_of(shown, pieces.offsets)
        windows = [one for one in model.windows(shown, pieces) if _holds(one, pieces, places)]
        if not windows:
            return ()
        rows = [model.encoder.model_ids(pieces.at(window)) for window in windows]
        scores: list[Scores] = []
        for start in range(0, len(rows), ROWS):
            check()
            scores += _scores(model, rows[start : start + ROWS])
        check()
        of_words = gather(words, windows, scores)
        return spans_above(words, of_words, thresholds, _labels(model), model.span_temperature)


def _holds(window: Sequence[int], pieces: Pieces, places: Sequence[int] | None) -> bool:
    """Whether one of the places, which are in order, lies in a window; an empty text has an empty one."""
    if places is None or not window:
        return bool(window)
    start, end = pieces.offsets[window[0]][0], pieces.offsets[window[-1]][1]
    return bisect_left(places, start) < bisect_left(places, end)


@cache
def _loaded(folder: Path) -> LoadedModel:
    """The model, which has to mark the kinds of the de-identification."""
    model = load_checkpoint(folder)
    if model.facts.schema_id != SCHEMA_ID:
        raise _not_meant(folder)
    return model


def _labels(model: LoadedModel) -> tuple[str, ...]:
    assert model.schema is not None, "a model with labels has a schema"
    return model.schema.label_ids


def _not_meant(folder: Path) -> CheckpointRefused:
    return CheckpointRefused(
        f"Das Modell in {folder.name} ist nicht das der De-Identifikation oder hat keine Schwellen.",
        f"The model in {folder.name} is not that of the de-identification, or has no thresholds.",
    )


@torch.inference_mode()
def _scores(model: LoadedModel, rows: list[list[int]]) -> list[Scores]:
    """The logits ``[pieces, tags]`` of windows of one text: several are all full, so nothing is padded."""
    before, behind = len(model.encoder.prefix), len(model.encoder.suffix)
    logits = model.model(input_ids=torch.tensor(rows)).logits.float().numpy()
    return [row[before : len(row) - behind] for row in logits]

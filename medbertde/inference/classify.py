"""Report classification: texts in, probabilities per finding out.

Owns batching, windows over long texts and calibration. Scores are independent sigmoids; a score does not depend on
which other texts are asked for (batches are padded and masked, differences stay below 1e-5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.tokens import Pieces, pad
from medbertde.text import MAX_CHARS, clean, notices
from medbertde.types import LabelScore, ModelUnavailable, Notice, Prediction, Reading, State, Task

TOKENS_PER_BATCH = 4096  # bounds memory: padded tokens in one forward pass
MANY_UNKNOWN = 0.1  # share of unknown pieces above which a text is remarked upon


def classify(model: LoadedModel, texts: Sequence[str], *, max_chars: int = MAX_CHARS) -> list[Prediction]:
    """The predictions of `texts`, in their order; `InvalidText` for a text that cannot be read.

    A text longer than the model's input is read in overlapping windows, see `merge_windows`.
    """
    require(model, Task.CLASSIFY)
    cleaned = [clean(text, max_chars) for text in texts]
    pieces = model.encoder.pieces(cleaned)
    read = zip(cleaned, pieces, strict=True)
    windows = [(row, window) for row, (text, item) in enumerate(read) for window in model.windows(text, item)]
    inputs = [model.encoder.model_ids(pieces[row].at(window)) for row, window in windows]
    probabilities = _probabilities(model, inputs)  # [window, output]
    by_text: list[list[Tensor]] = [[] for _ in cleaned]
    for (row, _), scores in zip(windows, probabilities, strict=True):
        by_text[row].append(scores)
    return [
        Prediction(
            scores=merge_windows([label_scores(model, scores) for scores in by_text[row]]),
            model_version=model.version,
            warnings=(*notices(text), *_reading_notices(model, pieces[row], len(by_text[row]))),
        )
        for row, text in enumerate(cleaned)
    ]


def require(model: LoadedModel, task: Task) -> None:
    """Refuse a model of the wrong task with `ModelUnavailable`."""
    if model.task is task:
        return
    de, en = {
        Task.CLASSIFY: ("keine Befunde erkennen", "classify findings"),
        Task.FILL_MASK: ("keine Lücken füllen", "fill masks"),
    }[task]
    raise ModelUnavailable(
        f"Das Modell {model.version} kann {de}. Bitte ein dafür trainiertes Modell wählen.",
        f"The model {model.version} cannot {en}. Please choose a model trained for it.",
    )


@torch.inference_mode()
def window_logits(model: LoadedModel, inputs: Sequence[Sequence[int]]) -> Tensor:
    """Raw logits ``[len(inputs), outputs]`` of token id sequences (control tokens included), on the CPU."""
    logits = torch.empty(len(inputs), len(model.outputs))
    for rows in batches([len(ids) for ids in inputs]):
        ids, mask = pad([inputs[row] for row in rows], model.encoder.pad_id, model.device)  # [batch, longest]
        logits[rows] = model.model(input_ids=ids, attention_mask=mask).logits.float().cpu()  # [batch, outputs]
    return logits


def _probabilities(model: LoadedModel, inputs: Sequence[Sequence[int]]) -> Tensor:
    """Calibrated probabilities ``[len(inputs), outputs]``: sigmoid of the logit over its temperature."""
    return torch.sigmoid(window_logits(model, inputs) / torch.tensor(model.temperatures))


def batches(lengths: Sequence[int], budget: int = TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """Rows in batches of similar length whose padded size stays within `budget` tokens (at least one row each).

    >>> list(batches([5, 1, 4], budget=8))
    [[1, 2], [0]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def label_scores(model: LoadedModel, probabilities: Tensor) -> dict[str, LabelScore]:
    """One window's probabilities ``[outputs]`` per label, in the schema's order."""
    assert model.schema is not None, "a classifier has a schema"
    by_output = dict(zip(model.outputs, probabilities.tolist(), strict=True))
    return {
        label: LabelScore(
            present=by_output[label],
            uncertain=by_output.get(f"{label}:{State.UNCERTAIN.value}"),
            absent=by_output.get(f"{label}:{State.ABSENT.value}"),
        )
        for label in model.schema.label_ids
    }


def merge_windows(windows: Sequence[dict[str, LabelScore]]) -> dict[str, LabelScore]:
    """The scores of a text from those of its windows.

    One window is enough to state a finding: `present` and `uncertain` are the maximum. A negation counts only as far
    as no OTHER window speaks for the finding: `absent` is the maximum of min(absent, 1 − the others' present or
    uncertain), so that "früher kein Erguss … jetzt Erguss" is not absent, and one window alone keeps its score.
    """
    if len(windows) == 1:
        return windows[0]
    return {label: _merge([window[label] for window in windows]) for label in windows[0]}


def _merge(scores: Sequence[LabelScore]) -> LabelScore:
    present = max(score.present for score in scores)
    if any(score.uncertain is None or score.absent is None for score in scores):
        return LabelScore(present)
    speaks_for = [max(score.present, score.uncertain or 0.0) for score in scores]
    absent = max(
        min(score.absent or 0.0, 1 - max(speaks_for[:row] + speaks_for[row + 1 :])) for row, score in enumerate(scores)
    )
    return LabelScore(present, max(score.uncertain or 0.0 for score in scores), absent)


def _reading_notices(model: LoadedModel, pieces: Pieces, window_count: int) -> list[Notice]:
    found = []
    if window_count > 1 and model.facts.reads is Reading.WINDOWS:
        found.append(
            Notice(
                "long_text",
                f"Der Text ist länger als die {model.max_tokens} Wortteile, die das Modell auf einmal liest. Er wurde "
                f"in {window_count} überlappenden Abschnitten gelesen; je Befund zählt der deutlichste.",
                f"The text is longer than the {model.max_tokens} word pieces the model reads at once. It was read in "
                f"{window_count} overlapping windows; the clearest one counts for each finding.",
            )
        )
    if model.encoder.unknown_share(pieces) > MANY_UNKNOWN:
        found.append(
            Notice(
                "many_unknown",
                "Das Modell kennt viele Zeichen dieses Textes nicht. Die Einschätzung ist dann wenig verlässlich.",
                "The model does not know many characters of this text. The scores are not very reliable then.",
            )
        )
    return found

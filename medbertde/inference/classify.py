"""Report classification: texts in, probabilities per finding out.

Owns windows over long texts, their aggregation and calibration. Scores are independent sigmoids; a score does not
depend on which other texts are asked for (see `rows` for how closely).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.rows import Stop, never, row_logits
from medbertde.inference.tokens import Pieces
from medbertde.notices.remarks import long_sentence, long_text, remarks
from medbertde.passages import passages
from medbertde.text import MAX_CHARS, clean
from medbertde.types import LabelScore, ModelUnavailable, Notice, Prediction, Reading, State, Task


def classify(
    model: LoadedModel, texts: Sequence[str], *, max_chars: int = MAX_CHARS, stop: Stop = never
) -> list[Prediction]:
    """The predictions of `texts`, in their order; `InvalidText` for a text that cannot be read.

    A text longer than the model's input is read in overlapping windows, see `merge_windows`. `stop` is asked between
    batches; once it says True the call ends in `Cancelled`.
    """
    require(model, Task.CLASSIFY)
    cleaned = [clean(text, max_chars) for text in texts]
    if not cleaned:
        return []
    pieces = model.encoder.pieces(cleaned)
    windows = [model.windows(text, item) for text, item in zip(cleaned, pieces, strict=True)]
    inputs = [
        model.encoder.model_ids(item.at(window)) for item, own in zip(pieces, windows, strict=True) for window in own
    ]
    probabilities = torch.sigmoid(row_logits(model, inputs, stop=stop) / torch.tensor(model.temperatures))
    by_state = probabilities[:, _columns(model)].split([len(own) for own in windows])  # [windows, states, labels] each
    return [
        Prediction(
            scores=_label_scores(model, merge_windows(found)),
            model_version=model.version,
            warnings=(*remarks(text, model.encoder.cut(text, item)), *_how_read(model, text, item, own)),
        )
        for text, item, own, found in zip(cleaned, pieces, windows, by_state, strict=True)
    ]


def require(model: LoadedModel, task: Task) -> None:
    """Refuse a model of the wrong task with `ModelUnavailable`."""
    if model.task is task:
        return
    de, en = {
        Task.CLASSIFY: ("keine Befunde erkennen", "classify findings"),
        Task.FILL_MASK: ("keine Lücken füllen", "fill masks"),
        Task.NER: ("keine Textstellen markieren", "mark spans"),
    }[task]
    raise ModelUnavailable(
        f"Das Modell {model.version} kann {de}. Bitte ein dafür trainiertes Modell wählen.",
        f"The model {model.version} cannot {en}. Please choose a model trained for it.",
    )


def _columns(model: LoadedModel) -> Tensor:
    """The output columns ``[states, labels]``: present and, where the model tells them, uncertain and absent."""
    assert model.schema is not None, "a classifier has a schema"
    names = [list(model.schema.label_ids)]
    if model.predicts_states:
        names += [[f"{label}:{state.value}" for label in names[0]] for state in (State.UNCERTAIN, State.ABSENT)]
    place = {output: column for column, output in enumerate(model.outputs)}
    return torch.tensor([[place[name] for name in row] for row in names])


def merge_windows(windows: Tensor) -> Tensor:
    """The probabilities ``[states, labels]`` of a text from those of its windows ``[windows, states, labels]``.

    One window is enough to state a finding: `present` and `uncertain` are the maximum. A negation counts only as far
    as no OTHER window speaks for the finding: `absent` is the maximum of min(absent, 1 − the others' present or
    uncertain), so that "früher kein Erguss … jetzt Erguss" is not absent, and one window alone keeps its score.
    """
    merged = windows.amax(dim=0)  # [states, labels]
    if len(windows) == 1 or len(merged) == 1:
        return merged
    speaks_for = windows[:, :2].amax(dim=1)  # [windows, labels]
    (most, second), (loudest, _) = speaks_for.topk(2, dim=0)  # each [labels]
    rows = torch.arange(len(windows))[:, None]
    others = torch.where(rows == loudest, second, most)  # [windows, labels]
    merged[2] = torch.minimum(windows[:, 2], 1 - others).amax(dim=0)
    return merged


def _label_scores(model: LoadedModel, probabilities: Tensor) -> dict[str, LabelScore]:
    """The probabilities ``[states, labels]`` of a text per label, in the schema's order."""
    assert model.schema is not None, "a classifier has a schema"
    by_label = probabilities.T.tolist()
    return {label: LabelScore(*scores) for label, scores in zip(model.schema.label_ids, by_label, strict=True)}


def _how_read(model: LoadedModel, text: str, pieces: Pieces, windows: Sequence[Sequence[int]]) -> list[Notice]:
    """What to say about a text that does not fit the model's input at once."""
    room = model.encoder.room
    if model.facts.reads is Reading.WINDOWS:
        return [long_text(len(pieces.ids), room, len(windows))] if len(windows) > 1 else []
    if max(map(len, windows)) < room:
        return []
    sentences = len(passages(text))
    return [long_sentence(room, sentences, len(windows))] if len(windows) > sentences else []

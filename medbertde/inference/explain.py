"""Attributions: how much each word of a report moved one finding's logit.

Owns integrated gradients over the word embeddings (Sundararajan et al. 2017, arXiv:1703.01365) with Captum, the choice
of steps and the way from word pieces back to words of the original text. Knows nothing of colours or pages.

The path runs from ``[CLS] [PAD] … [SEP]`` to the text; position and token-type embeddings stay fixed. This is Captum's
`LayerIntegratedGradients` on the word-embedding layer (a test compares the two), computed with `IntegratedGradients`
on `inputs_embeds`: Captum's layer variant hooks the shared model, so a classification running in another thread would
read interpolated embeddings. Given embeddings, models of the RoBERTa family number positions by place; padding ids on
the path would shift them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require, window_logits
from medbertde.inference.tokens import Pieces
from medbertde.schema import parse_state
from medbertde.text import MAX_CHARS, clean, notices
from medbertde.types import (
    AttributedWord,
    Attribution,
    InvalidSchema,
    Notice,
    Progress,
    Reading,
    State,
    Task,
    UserError,
)

METHOD = "layer_integrated_gradients"
BASELINE = "[CLS] [PAD] … [SEP]"
FIRST_STEPS, MAX_STEPS = 10, 160
TOLERANCE = 0.01  # largest relative completeness gap that counts as converged
FLAT = 0.01  # logit differences below this are noise; the gap is measured against this instead
TOKENS_PER_CHUNK = 2048  # bounds memory: embedded tokens in one forward and backward pass

# A stretch between spaces without its outer brackets, quotes and commas; dots stay ("V. a.", "basal.", "<5").
_CLOSING = r"[,;:!?)\]“”\"][.,;:!?)\]“”\"]*"
_WORD = re.compile(rf"[(\[„“\"]+|{_CLOSING}(?=\s|\Z)|\S+?(?=(?:{_CLOSING})?(?:\s|\Z))")


@dataclass(frozen=True)
class _Integral:
    """The scores of one window's pieces and how well they add up to the logit difference."""

    scores: tuple[float, ...]
    steps: int
    difference: float  # f(x) − f(baseline), logits

    @property
    def delta(self) -> float:
        return sum(self.scores) - self.difference

    @property
    def relative_delta(self) -> float:
        return abs(self.delta) / max(abs(self.difference), 1e-6)

    @property
    def converged(self) -> bool:
        return abs(self.delta) <= TOLERANCE * max(abs(self.difference), FLAT)


def explain(
    model: LoadedModel,
    text: str,
    label: str,
    *,
    target: State | str = State.PRESENT,
    method: str = METHOD,
    max_steps: int = MAX_STEPS,
    max_chars: int = MAX_CHARS,
    on_progress: Callable[[Progress], None] | None = None,
) -> Attribution:
    """Which words moved the logit of `label` (its state `target`), in logit units before calibration.

    Gauss–Legendre steps double from 10 until the scores add up to the logit difference within 1 %, at most
    `max_steps`; a notice says when that was not reached. Of a text read in several windows or sentences, the
    one with the highest score is explained; words outside it score 0. Control tokens score exactly 0 and are not
    listed.
    """
    require(model, Task.CLASSIFY)
    if method != METHOD:
        raise UserError(
            f"Das Verfahren „{method}“ gibt es nicht. Verfügbar ist: {METHOD}.",
            f"There is no method “{method}”. Available is: {METHOD}.",
        )
    column = _column(model, label, parse_state(target))
    text = clean(text, max_chars)
    pieces = model.encoder.pieces([text])[0]
    windows = model.windows(text, pieces)
    window = _strongest(model, pieces, windows, column)
    integral = _integrate(model, pieces.at(window), column, max_steps, on_progress)
    scores = [0.0] * len(pieces.ids)
    for index, score in zip(window, integral.scores, strict=True):
        scores[index] = score
    return Attribution(
        text=text,
        label=label,
        words=words_from_pieces(text, pieces.offsets, scores),
        method=method,
        baseline=BASELINE,
        steps=integral.steps,
        delta=integral.delta,
        relative_delta=integral.relative_delta,
        model_version=model.version,
        warnings=(*notices(text), *_notices(model, integral, len(windows), windows.index(window))),
    )


def _column(model: LoadedModel, label: str, target: State) -> int:
    """The output column of a label's state."""
    assert model.schema is not None, "a classifier has a schema"
    model.schema.label(label)  # refuses a label the schema does not have
    output = label if target is State.PRESENT else f"{label}:{target.value}"
    if output not in model.outputs:
        raise InvalidSchema(
            f"Das Modell {model.version} sagt für „{label}“ keinen Zustand „{target.value}“ voraus, nur present.",
            f"The model {model.version} predicts no state “{target.value}” for “{label}”, only present.",
        )
    return model.outputs.index(output)


def _strongest(model: LoadedModel, pieces: Pieces, windows: Sequence[tuple[int, ...]], column: int) -> tuple[int, ...]:
    """The window with the highest logit in `column`."""
    if len(windows) == 1:
        return windows[0]
    inputs = [model.encoder.model_ids(pieces.at(window)) for window in windows]
    return windows[int(window_logits(model, inputs)[:, column].argmax())]


def _integrate(
    model: LoadedModel,
    ids: Sequence[int],
    column: int,
    max_steps: int,
    on_progress: Callable[[Progress], None] | None,
) -> _Integral:
    """Integrated gradients of one logit over the pieces of one window, with as many steps as it takes."""

    def logit(embeddings: Tensor) -> Tensor:  # [steps, tokens, hidden] → [steps]
        mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        return model.model(inputs_embeds=embeddings, attention_mask=mask).logits[:, column].float()

    encoder, word_embeddings = model.encoder, model.model.get_input_embeddings()
    texts = torch.tensor([encoder.model_ids(ids), encoder.model_ids([encoder.pad_id] * len(ids))], device=model.device)
    with torch.no_grad():
        text, baseline = word_embeddings(texts).split(1)  # each [1, tokens, hidden]
        difference = float(logit(text) - logit(baseline))
    captum = IntegratedGradients(logit)
    chunk = max(1, TOKENS_PER_CHUNK // texts.shape[1])
    first = len(encoder.prefix)
    steps = min(FIRST_STEPS, max_steps)
    while True:
        by_dimension = captum.attribute(
            text, baseline, n_steps=steps, method="gausslegendre", internal_batch_size=chunk
        )  # [1, tokens, hidden]
        by_token = by_dimension.detach().double().sum(dim=-1)[0]  # [tokens]; exactly 0 for control tokens
        integral = _Integral(tuple(by_token[first : first + len(ids)].tolist()), steps, difference)
        if on_progress:
            on_progress(Progress(steps, max_steps, f"{integral.relative_delta:.1%}"))
        if integral.converged or steps >= max_steps:
            return integral
        steps = min(2 * steps, max_steps)


def words_from_pieces(
    text: str, offsets: Sequence[tuple[int, int]], scores: Sequence[float]
) -> tuple[AttributedWord, ...]:
    """The words of `text` with the sum of their pieces' scores; every piece counts for exactly one word.

    >>> words = words_from_pieces("V. a. Erguss", [(0, 1), (1, 2), (3, 4), (4, 5), (6, 8), (8, 12)], [1, 1, 1, 1, 2, 3])
    >>> [(word.text, word.score) for word in words]
    [('V.', 2.0), ('a.', 2.0), ('Erguss', 5.0)]
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    starts = [start for start, _ in spans]
    totals = [0.0] * len(spans)
    for (start, end), score in zip(offsets, scores, strict=True):
        while start < end - 1 and text[start].isspace():  # byte-level pieces begin with the space before the word
            start += 1
        totals[max(0, bisect_right(starts, start) - 1)] += score
    return tuple(
        AttributedWord(text[start:end], start, end, total) for (start, end), total in zip(spans, totals, strict=True)
    )


def _notices(model: LoadedModel, integral: _Integral, window_count: int, window: int) -> list[Notice]:
    found = []
    if window_count > 1 and model.facts.reads is Reading.SENTENCES:
        found.append(
            Notice(
                "one_sentence",
                "Das Modell liest Satz für Satz. Erklärt wird der Satz mit der höchsten Bewertung; die übrigen Wörter "
                "haben den Wert 0.",
                "The model reads sentence by sentence. The sentence with the highest score is explained; all other "
                "words have the value 0.",
            )
        )
    elif window_count > 1:
        found.append(
            Notice(
                "long_text",
                f"Der Text ist länger, als das Modell auf einmal liest. Erklärt wird Abschnitt {window + 1} von "
                f"{window_count}, der die höchste Bewertung hat; Wörter außerhalb haben den Wert 0.",
                f"The text is longer than the model reads at once. Window {window + 1} of {window_count} is explained, "
                "which has the highest score; words outside it have the value 0.",
            )
        )
    if not integral.converged:
        percent = f"{100 * integral.relative_delta:.1f}"
        found.append(
            Notice(
                "not_converged",
                f"Die Erklärung ist ungenau: Die Wortwerte weichen in der Summe um {percent.replace('.', ',')} % von "
                f"der Bewertung ab (nach {integral.steps} Schritten; angestrebt ist höchstens 1 %).",
                f"The explanation is inexact: the word values miss the score by {percent} % in total (after "
                f"{integral.steps} steps; the aim is 1 % at most).",
            )
        )
    return found

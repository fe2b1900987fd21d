"""Explanations of findings: which sentences and words of a whole report moved a finding's logit.

Owns the way from a report to `Attribution`s and what a report's score is made of. The logit of a report is the largest
one of its passages, as in `classify`. Every passage is explained by itself; its part in the report's score is its
Shapley value in the maximum (`shares`), and its words share that part as they share the passage's own logit. So the
scores of all words add up to the change of the report's logit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.explain.asked import Asked, asked_for, states_of
from medbertde.inference.explain.methods import DEFAULT, Baseline, baseline_of, method_of
from medbertde.inference.explain.network import exact_network_of, network_of
from medbertde.inference.explain.nodes import SIZES
from medbertde.inference.explain.notices import method_notices, report_notices
from medbertde.inference.explain.reading import ReadReport, passage_spans, read_report
from medbertde.inference.explain.shares import shapley_of_maximum
from medbertde.inference.explain.words import scored_words
from medbertde.inference.explain.work import Scores, Work, ends, whole_budget
from medbertde.inference.rows import Stop, never
from medbertde.notices.remarks import remarks
from medbertde.schema import parse_state
from medbertde.text import MAX_CHARS, clean
from medbertde.types import (
    AttributedPassage,
    AttributedWord,
    Attribution,
    InvalidText,
    Progress,
    State,
    Task,
)

MAX_STEPS = SIZES[-1]
TOKENS_AT_ONCE = 8192  # of rows whose evaluations are kept together
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Logits:
    """The float32 logits of text and blank ``[rows, columns]`` and what each passage adds ``[passages, columns]``."""

    text: Tensor
    blank: Tensor
    contributions: Tensor

    @property
    def change(self) -> Tensor:
        """The change of the report's logits ``[columns]``."""
        return self.text.amax(dim=0) - self.blank.amax(dim=0)


@dataclass(frozen=True, eq=False)
class Options:
    """How to explain; see `explain`."""

    method: str = DEFAULT
    baseline: Baseline = Baseline.PAD
    max_steps: int = MAX_STEPS
    seed: int = 0
    stop: Stop = never
    on_progress: OnProgress | None = None


def explain(
    model: LoadedModel,
    text: str,
    label: str,
    *,
    target: State | str = State.PRESENT,
    method: str = DEFAULT,
    baseline: Baseline | str = Baseline.PAD,
    max_steps: int = MAX_STEPS,
    max_chars: int = MAX_CHARS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    stop: Stop = never,
) -> Attribution:
    """Which sentences and words moved the logit of `label` (its state `target`), in logit units before calibration.

    `method` is a key of `methods.METHODS`, `baseline` what stands in place of the text (pad or mask). Integrated
    gradients takes 3 to 63 steps per passage, as many as the scores need to add up within 1 %, at most `max_steps`; a
    notice says when that was not reached. `stop` is asked between passes: `Cancelled`. `seed` is for methods that draw.
    """
    found = explain_all(
        model,
        text,
        {label: parse_state(target)},
        method=method,
        baseline=baseline,
        max_steps=max_steps,
        max_chars=max_chars,
        seed=seed,
        on_progress=on_progress,
        stop=stop,
    )
    return found[label]


def explain_all(
    model: LoadedModel,
    text: str,
    labels: Mapping[str, State] | Sequence[str] | None = None,
    *,
    method: str = DEFAULT,
    baseline: Baseline | str = Baseline.PAD,
    max_steps: int = MAX_STEPS,
    max_chars: int = MAX_CHARS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    stop: Stop = never,
) -> dict[str, Attribution]:
    """As `explain`, for several findings from the same passes; all of the schema by default.

    `labels` may say which state of each finding is explained, otherwise it is `present`.
    """
    require(model, Task.CLASSIFY)
    asked = [asked_for(model, label, state) for label, state in states_of(model, labels).items()]
    options = Options(method, baseline_of(baseline), max_steps, seed, stop, on_progress)
    unit = method_of(method).unit
    report = read_report(model, clean(text, max_chars), options.baseline, unit)
    if not report.pieces.ids:
        raise _nothing_to_read()
    if not asked:
        return {}
    return attributions(model, report, asked, options)


def _nothing_to_read() -> InvalidText:
    return InvalidText(
        "Der Text enthält kein Zeichen, das das Modell lesen kann. Bitte einen Befundtext eingeben.",
        "The text contains no character that the model can read. Please enter a report.",
    )


# ---------------------------------------------------------------------------------------------- computing


def attributions(
    model: LoadedModel, report: ReadReport, asked: Sequence[Asked], options: Options
) -> dict[str, Attribution]:
    """The attribution of each finding asked for."""
    assert not model.model.training, "dropout would move the scores"
    columns = tuple(each.column for each in asked)
    text, blank = ends(exact_network_of(model), report.rows, columns, options.stop)  # each [rows, columns]
    logits = Logits(text, blank, _contributions(text[report.row_of], blank[report.row_of]))
    scores = _joined(
        [method_of(options.method).compute(work) for work in _works(model, report, columns, logits, options)]
    )
    return {
        each.label: _attribution(model, report, each, logits, scores, column, options)
        for column, each in enumerate(asked)
    }


def _contributions(text: Tensor, blank: Tensor) -> Tensor:
    """What each passage adds to the report's logits ``[passages, columns]``."""
    found = [shapley_of_maximum(*both) for both in zip(text.T.tolist(), blank.T.tolist(), strict=True)]
    return torch.tensor(found, dtype=torch.float64).T


def _works(
    model: LoadedModel,
    report: ReadReport,
    columns: tuple[int, ...],
    logits: Logits,
    options: Options,
) -> Iterator[Work]:
    """The rows in parts of bounded size, so that what is kept between passes is bounded too."""
    total = logits.text.numel()
    added = torch.zeros_like(logits.text).index_add(0, torch.tensor(report.row_of), logits.contributions.abs().float())
    weight = torch.nan_to_num(added / (logits.text - logits.blank).abs(), posinf=0.0)
    budget = whole_budget(logits.change)
    for first, last in _parts([len(row.text) for row in report.rows]):
        yield Work(
            network=network_of(model),
            exact=exact_network_of(model),
            rows=report.rows[first:last],
            units=report.units[first:last],
            columns=columns,
            text=logits.text[first:last],
            blank=logits.blank[first:last],
            scale=logits.change,
            weight=weight[first:last],
            budget=budget * added[first:last].sum(dim=0) / added.sum(dim=0).clamp(min=1e-6),
            max_steps=options.max_steps,
            seed=options.seed,
            stop=options.stop,
            on_progress=_shifted(options.on_progress, first * len(columns), total),
        )


def _shifted(on_progress: OnProgress | None, before: int, total: int) -> OnProgress | None:
    """Progress of a part as progress of the whole, in rows times outputs."""
    if on_progress is None:
        return None
    return lambda progress: on_progress(Progress(before + progress.done, total, progress.note))


def _parts(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of rows with at most `TOKENS_AT_ONCE` tokens together, one row at least."""
    first, tokens = 0, 0
    for row, length in enumerate(lengths):
        if row > first and tokens + length > TOKENS_AT_ONCE:
            yield first, row
            first, tokens = row, 0
        tokens += length
    yield first, len(lengths)


def _joined(scores: Sequence[Scores]) -> Scores:
    return Scores(tuple(row for each in scores for row in each.by_row), torch.cat([each.steps for each in scores]))


# ---------------------------------------------------------------------------------------------- merging


@dataclass(frozen=True, eq=False)
class _Merged:
    """The passages with their own scores, and the scores of all pieces of the report."""

    passages: tuple[AttributedPassage, ...]
    of_pieces: list[float]


def _merged(
    model: LoadedModel, report: ReadReport, logits: Logits, scores: Scores, column: int, temperature: float
) -> _Merged:
    """Each passage's scores by themselves, and what they are in the report: in proportion to its contribution."""
    passages, of_pieces = [], [0.0] * len(report.pieces.ids)
    contributions = logits.contributions[:, column].tolist()
    for number, (start, end, heading) in enumerate(passage_spans(model, report)):
        row, window = report.row_of[number], report.windows[number]
        own = report.of_pieces(number, scores.by_row[row][column])
        logit = float(logits.text[row, column])
        change = logit - float(logits.blank[row, column])
        share = contributions[number] / change if change else 0.0  # between 0 and 1
        for piece, score in zip(window, own, strict=True):
            of_pieces[piece] += share * score
        words, probability = _words_of(report, window, own), _probability(logit, temperature)
        passages.append(
            AttributedPassage(
                start, end, heading, change, contributions[number], probability, words, delta=sum(own) - change
            )
        )
    return _Merged(tuple(passages), of_pieces)


def _attribution(
    model: LoadedModel,
    report: ReadReport,
    asked: Asked,
    logits: Logits,
    scores: Scores,
    column: int,
    options: Options,
) -> Attribution:
    """The attribution of one finding from the scores of all rows."""
    temperature = model.temperatures[asked.column]
    merged = _merged(model, report, logits, scores, column, temperature)
    logit, baseline_logit = float(logits.text[:, column].max()), float(logits.blank[:, column].max())
    change = logit - baseline_logit
    delta, steps = sum(merged.of_pieces) - change, int(scores.steps[:, column].max())
    warnings = (
        *remarks(report.text, model.encoder.cut(report.text, report.pieces)),
        *report_notices(model, len(merged.passages)),
        *method_notices(method_of(options.method), delta, change, steps),
    )
    return Attribution(
        text=report.text,
        label=asked.label,
        words=scored_words(report.text, report.words, report.word_of, merged.of_pieces),
        method=options.method,
        baseline=options.baseline.shown,
        steps=steps,
        delta=delta,
        relative_delta=abs(delta) / max(abs(change), 1e-6),
        model_version=model.version,
        warnings=warnings,
        target=asked.state.value,
        logit=logit,
        baseline_logit=baseline_logit,
        probability=_probability(logit, temperature),
        passages=merged.passages,
    )


def _probability(logit: float, temperature: float) -> float:
    return float(torch.sigmoid(torch.tensor(logit / temperature)))


def _words_of(report: ReadReport, window: Sequence[int], scores: Sequence[float]) -> tuple[AttributedWord, ...]:
    """The words of one passage with their scores in it alone."""
    numbers = sorted({report.word_of[index] for index in window})
    place = {word: at for at, word in enumerate(numbers)}
    return scored_words(
        report.text,
        [report.words[word] for word in numbers],
        [place[report.word_of[index]] for index in window],
        scores,
    )

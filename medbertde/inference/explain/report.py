"""Explanations of findings: which sentences and words of a whole report moved a finding's logit.

Owns the way from a report to `Attribution`s and what a report's score is made of. The logit of a report is the largest
one of its passages, as in `classify`. Every passage is explained by itself; its part in the report's score is its
Shapley value in the maximum (`shares`), and its words share that part as they share the passage's own logit. So the
scores of all words add up to the change of the report's logit. Passages whose part is exactly 0 are left out;
`with_words` adds their words when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.inference.explain.asked import Asked, as_explained, asked_for, states_of
from medbertde.inference.explain.merging import (
    Logits,
    added_by_rows,
    contributing,
    logits_as_explained,
    logits_of,
    merged,
    probability_of,
    worded,
)
from medbertde.inference.explain.methods import DEFAULT, Baseline, baseline_of, method_of
from medbertde.inference.explain.network import exact_network_of, network_of
from medbertde.inference.explain.nodes import SIZES
from medbertde.inference.explain.notices import method_notices, report_notices
from medbertde.inference.explain.reading import ReadReport, read_report
from medbertde.inference.explain.words import scored_words
from medbertde.inference.explain.work import Scores, Work, ends, whole_budget
from medbertde.inference.rows import Stop, never
from medbertde.notices.remarks import remarks
from medbertde.schema import parse_state
from medbertde.text import MAX_CHARS, clean
from medbertde.types import (
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
    Passages that add nothing to the report have no words yet, see `with_words`.
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
    logits = logits_of(report, text, blank)
    needed = contributing(report, logits)
    scores = _scores(model, report, columns, logits, needed, options)
    return {
        each.label: _attribution(model, report, each, logits, needed, scores, column, options)
        for column, each in enumerate(asked)
    }


def with_words(
    model: LoadedModel,
    attribution: Attribution,
    starts: Collection[int] | None = None,
    *,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    stop: Stop = never,
) -> Attribution:
    """The attribution with the words of those passages, too, that were left out because they add nothing.

    `starts` says where they begin, None means all. The scores of the report stay as they are: what is added to them is
    exactly 0. `Conflict` if it was another model that explained.
    """
    report, asked, baseline = as_explained(model, attribution)
    left_out = [each.words is None and (starts is None or each.start in starts) for each in attribution.passages]
    if not any(left_out):
        return attribution
    needed = torch.zeros(len(report.rows), 1, dtype=torch.bool)
    needed[[row for row, wanted in zip(report.row_of, left_out, strict=True) if wanted]] = True
    options = Options(attribution.method, baseline, seed=seed, stop=stop, on_progress=on_progress)
    scores = _scores(model, report, (asked.column,), logits_as_explained(report, attribution), needed, options)
    passages = [
        worded(report, number, passage, scores.by_row[report.row_of[number]][0]) if left_out[number] else passage
        for number, passage in enumerate(attribution.passages)
    ]
    return replace(attribution, passages=tuple(passages))


def _scores(
    model: LoadedModel,
    report: ReadReport,
    columns: tuple[int, ...],
    logits: Logits,
    needed: Tensor,
    options: Options,
) -> Scores:
    """The scores of the rows and outputs ``[rows, columns]`` that are needed."""
    works = _works(model, report, columns, logits, needed, options)
    return _joined([method_of(options.method).compute(work) for work in works])


def _works(
    model: LoadedModel,
    report: ReadReport,
    columns: tuple[int, ...],
    logits: Logits,
    needed: Tensor,
    options: Options,
) -> Iterator[Work]:
    """The rows in parts of bounded size, so that what is kept between passes is bounded too."""
    total = logits.text.numel()
    added = added_by_rows(report, logits).float()
    weight = torch.nan_to_num(added / (logits.text - logits.blank).abs(), posinf=0.0)
    budget = whole_budget(logits.scale)
    for first, last in _parts([len(row.text) for row in report.rows]):
        yield Work(
            network=network_of(model),
            exact=exact_network_of(model),
            rows=report.rows[first:last],
            units=report.units[first:last],
            columns=columns,
            text=logits.text[first:last],
            blank=logits.blank[first:last],
            scale=logits.scale,
            weight=weight[first:last],
            budget=budget * added[first:last].sum(dim=0) / added.sum(dim=0).clamp(min=1e-6),
            needed=needed[first:last],
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


def _attribution(
    model: LoadedModel,
    report: ReadReport,
    asked: Asked,
    logits: Logits,
    needed: Tensor,
    scores: Scores,
    column: int,
    options: Options,
) -> Attribution:
    """The attribution of one finding from the scores of all rows."""
    temperature = model.temperatures[asked.column]
    parts = merged(model, report, logits, needed, scores, column, temperature)
    logit, baseline_logit = float(logits.text[:, column].max()), float(logits.blank[:, column].max())
    change = logit - baseline_logit
    delta, steps = sum(parts.of_pieces) - change, int(scores.steps[:, column].max())
    warnings = (
        *remarks(report.text, model.encoder.cut(report.text, report.pieces)),
        *report_notices(model, len(parts.passages)),
        *method_notices(method_of(options.method), delta, change, steps),
    )
    return Attribution(
        text=report.text,
        label=asked.label,
        words=scored_words(report.text, report.words, report.word_of, parts.of_pieces),
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
        probability=probability_of(logit, temperature),
        passages=parts.passages,
    )

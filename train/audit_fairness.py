"""Whether a classifier treats people alike: figures by subgroup, and decisions that must not change.

Subgroups come from what the reports' `meta` says (sex, age, site) and from their modality; counterfactual pairs from
`train.counterfactuals`. Shapes: `(reports, labels)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from medbertde.inference.checkpoint import LoadedModel
from medbertde.model_audit import Figure
from medbertde.types import ReportRecord
from train.compare import RESAMPLES, SEED, Judged
from train.compare import figures as compared
from train.counterfactuals import Pair
from train.dataset import examples, targets
from train.evaluate import Floats
from train.finetune import judge
from train.intervals import interval, resamples

FEWEST = 10  # reports of a subgroup; fewer say nothing
FEWEST_PAIRS = 20  # of a kind: with fewer, a single changed decision is above the limit
_KEYS = {
    "sex": ("sex", "gender", "geschlecht"),
    "age": ("age", "alter"),
    "site": ("site", "hospital", "standort", "haus", "setting"),
}
_SEXES = {"m": "male", "male": "male", "männlich": "male", "f": "female", "w": "female", "female": "female"}
_SEXES |= {"weiblich": "female", "d": "diverse", "divers": "diverse", "x": "diverse", "diverse": "diverse"}
_BANDS = {18: "below 18", 40: "18 to 39", 65: "40 to 64", 80: "65 to 79", 200: "80 and more"}


def subgroup_figures(loaded: LoadedModel, records: Sequence[ReportRecord]) -> list[Figure]:
    """Micro F1 and macro AUROC of "present" in each subgroup, with intervals over its reports."""
    assert loaded.schema is not None, "a classifier has a schema"
    groups = {name: at for name, at in _members(records).items() if len(at) >= FEWEST}
    if not groups:
        return []
    said = judged(loaded, records)
    labels = len(loaded.schema.labels)
    truth = np.array([targets(record, loaded.schema)[:labels] for record in records]).astype(np.int64)
    found = []
    for name, at in groups.items():
        part = compared(truth[at], Judged(said.scores[at], said.thresholds), resamples(len(at), RESAMPLES, SEED))
        for figure in ("f1_micro", "auroc_macro"):
            value = interval(part[figure])
            if value is not None:
                found.append(Figure(f"subgroup_{figure}", value.value, len(at), value.low, value.high, name))
    return found


def _members(records: Sequence[ReportRecord]) -> dict[str, list[int]]:
    """The indices of the reports of each subgroup; a part of which all reports are says nothing and is left out."""
    found: dict[str, list[int]] = {}
    for at, record in enumerate(records):
        for name in _subgroups(record):
            found.setdefault(name, []).append(at)
    return {name: at for name, at in sorted(found.items()) if len(at) < len(records)}


def _subgroups(record: ReportRecord) -> Iterator[str]:
    meta = {key.casefold(): str(value).strip() for key, value in record.meta.items()}
    given = {kind: next((meta[key] for key in keys if meta.get(key)), "") for kind, keys in _KEYS.items()}
    sex = _SEXES.get(given["sex"].casefold())
    if sex:
        yield f"sex: {sex}"
    if given["age"].isdigit():
        yield f"age: {age_band(int(given['age']))}"
    if given["site"]:
        yield f"site: {given['site']}"
    if record.modality:
        yield f"modality: {record.modality}"


def age_band(age: int) -> str:
    """The band of an age in years.

    >>> age_band(17), age_band(64), age_band(80)
    ('below 18', '40 to 64', '80 and more')
    """
    return next((name for limit, name in _BANDS.items() if age < limit), "80 and more")


def judged(loaded: LoadedModel, records: Sequence[ReportRecord]) -> Judged:
    """What the model says about "present" in each report."""
    assert loaded.schema is not None, "a classifier has a schema"
    pool = examples(records, loaded.schema, loaded)
    return judge(loaded.model, pool, loaded.schema, loaded.facts, loaded.encoder.pad_id)


def pair_figures(loaded: LoadedModel, pairs: Sequence[Pair]) -> list[Figure]:
    """For each kind of pair: the share of pairs with a changed decision, and how far probabilities move.

    `flip_rate` counts pairs in which any finding changes, `shift` is the mean change of a probability without its sign,
    `bias` with it: above 0, the second text (female, old, the other name; as written: the changed one) has the higher
    ones. A kind with few pairs says nothing and is left out.
    """
    first = judged(loaded, [ReportRecord(pair.first) for pair in pairs])
    second = judged(loaded, [ReportRecord(pair.second) for pair in pairs])
    moved = second.scores - first.scores
    per_pair = {
        "flip_rate": (first.said != second.said).any(axis=1).astype(np.float64),
        "shift": np.abs(moved).mean(axis=1),
        "bias": moved.mean(axis=1),
    }
    kinds = np.array([pair.kind for pair in pairs])
    often = [kind for kind in sorted(set(kinds.tolist())) if (kinds == kind).sum() >= FEWEST_PAIRS]
    return [_mean(name, values[kinds == kind], kind) for kind in often for name, values in per_pair.items()]


def _mean(name: str, values: Floats, group: str) -> Figure:
    weights = resamples(len(values), RESAMPLES, SEED)
    found = interval(weights @ values / weights.sum(axis=1))
    assert found is not None, "there is a pair of each kind"
    return Figure(name, found.value, len(values), found.low, found.high, group)

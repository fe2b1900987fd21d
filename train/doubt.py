"""Labels that a model doubts: confident learning (Northcutt et al. 2021, arXiv:1911.00068) for each finding by itself.

The scores must come from a model that has not learnt from these reports. Knows no files and no texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues

from medbertde.types import State
from train.evaluate import Floats, Ints

FEWEST = 3  # reports with the finding, and without it: with fewer nothing can be told
MOST = 100


def doubted(
    keys: Sequence[str],
    labels: Sequence[str],
    given: Sequence[Mapping[str, State]],
    truth: Ints,
    scores: Floats,
) -> list[dict[str, Any]]:
    """One row per report and finding whose label is probably wrong, the least supported first, at most `MOST`.

    `truth` `(reports, labels)` holds 1 present, 0 not present and -1 left out, `scores` probabilities of "present".
    `support` is the probability of the label that was given, `given` its state (None: not mentioned).
    """
    rows: list[dict[str, Any]] = []
    for column, label in enumerate(labels):
        for at in _issues(truth[:, column], scores[:, column]):
            probability = float(scores[at, column])
            state = given[at].get(label)
            rows.append(
                {
                    "report": keys[at],
                    "label": label,
                    "given": state.value if state else None,
                    "probability": round(probability, 4),
                    "support": round(probability if truth[at, column] == 1 else 1 - probability, 4),
                }
            )
    return sorted(rows, key=lambda row: row["support"])[:MOST]


def _issues(truth: Ints, scores: Floats) -> list[int]:
    """The positions of doubted labels of one finding."""
    known = np.flatnonzero(truth >= 0)
    said = truth[known].astype(np.int64)
    if min((said == 1).sum(), (said == 0).sum()) < FEWEST:
        return []
    probabilities = np.stack([1 - scores[known], scores[known]], axis=1)
    found = find_label_issues(said, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(known[at]) for at in found]

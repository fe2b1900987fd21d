"""Whether a model gives away which texts it has learnt from: likelihood-ratio membership inference.

An attacker holds texts and asks of each: did the model learn from it? The score is how much better the model knows the
text than a reference that has not seen it (Mireshghallah et al. 2022, arXiv:2203.03929; Watson et al. 2022,
arXiv:2111.08440). The attack means something only where members and non-members come from the same source, so a
classifier that reads nothing but the words of the texts is tried as well (Das et al. 2024, arXiv:2406.16201).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from medbertde.schema import Schema
from medbertde.text import content_hash
from medbertde.types import ReportRecord, TrainingRefused
from train import tfidf
from train.dataset import targets
from train.evaluate import Floats, cross_entropy
from train.intervals import Interval, auroc, interval, resamples

RESAMPLES, SEED = 1_000, 20_260_101
FOLDS = 3
FEWEST = 10  # texts on each side; below, nothing can be said
TOLD_APART = 0.6  # AUC from which on words alone tell the two sides apart


@dataclass(frozen=True)
class Attack:
    """How well an attack works on `members` and `non_members` texts, each figure with its 95 % interval.

    `tpr_at_1` is the share of members found while 1 % of the non-members are taken for members, `tpr_at_10` at 10 %.
    """

    auc: Interval
    tpr_at_1: Interval
    tpr_at_10: Interval
    members: int
    non_members: int


def attack(members: Floats, non_members: Floats) -> Attack:
    """The figures of an attack with these scores, higher for a suspected member."""
    scores = np.concatenate([members, non_members])
    gold = np.arange(len(scores)) < len(members)
    weights = _weights(len(members), len(non_members))
    found = [auroc(weights, gold[:, None], scores[:, None])[:, 0]]
    found += [found_at(weights, gold, scores, share) for share in (0.01, 0.10)]
    auc, at_1, at_10 = map(_interval, found)
    return Attack(auc, at_1, at_10, len(members), len(non_members))


def _interval(samples: Floats) -> Interval:
    found = interval(samples)
    assert found is not None, "both sides have texts"
    return found


def _weights(members: int, non_members: int) -> Floats:
    """Resamples of both sides, each by itself."""
    sides = (resamples(members, RESAMPLES, SEED), resamples(non_members, RESAMPLES, SEED + 1))
    return np.hstack(sides)


def found_at(weights: Floats, gold: np.ndarray, scores: Floats, share: float) -> Floats:
    """The largest share of members found, per sample, while at most `share` of the non-members are.

    >>> gold, scores = np.array([True, True, True, False]), np.array([3.0, 2.0, 1.0, 1.5])
    >>> found_at(np.ones((1, 4)), gold, scores, 0.1).round(2).tolist()
    [0.67]
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) < 0, True])  # texts with equal scores are told apart by nobody
    members = np.cumsum(weights[:, order] * gold[order], axis=1)[:, ends]
    others = np.cumsum(weights[:, order] * ~gold[order], axis=1)[:, ends]
    allowed = others <= share * others[:, -1:]
    return np.where(allowed, members / members[:, -1:], 0.0).max(axis=1)


def told_apart(members: Sequence[str], non_members: Sequence[str]) -> Interval:
    """The AUC of telling both sides apart by their words alone, without the model; 0.5 where they are alike."""
    texts = [*members, *non_members]
    gold = np.arange(len(texts)) < len(members)
    words = CountVectorizer(binary=True, token_pattern=r"(?u)\b\w+\b")
    classifier = make_pipeline(words, LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000))
    folds = max(2, min(5, len(members), len(non_members)))
    scores = cross_val_predict(classifier, texts, gold, cv=folds, method="decision_function")
    return _interval(auroc(_weights(len(members), len(non_members)), gold[:, None], scores[:, None])[:, 0])


def shadow_losses(records: Sequence[ReportRecord], schema: Schema) -> Floats | None:
    """The loss of each report under a TF-IDF classifier that has not seen it, in the order of `records`.

    The stand-in for a reference model: how hard a report is for who has not learnt from it. None for too few reports.
    """
    fold = np.array([_fold(record) for record in records])
    losses = np.empty(len(records))
    try:
        for at in range(FOLDS):
            asked = np.flatnonzero(fold == at).tolist()
            learnt = [record for record, own in zip(records, fold, strict=True) if own != at]
            model = tfidf.fit(learnt, schema)
            chosen = [records[index] for index in asked]
            found = model.probabilities([record.text for record in chosen]).reshape(len(chosen), -1)
            truth = np.array([targets(record, schema) for record in chosen]).reshape(len(chosen), -1)
            clipped = found.clip(1e-4, 1 - 1e-4)
            losses[asked] = cross_entropy(truth, np.log(clipped / (1 - clipped))).mean(axis=1)
    except (TrainingRefused, ValueError):  # ValueError: not one word is common enough
        return None
    return losses


def _fold(record: ReportRecord) -> int:
    """Reports of one family fall together."""
    return int(content_hash(record.meta.get("family") or record.text)[:8], 16) % FOLDS

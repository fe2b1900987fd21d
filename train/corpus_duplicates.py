"""Finding exact and near duplicates among documents that are only known by hash and MinHash signature.

Knows no text once it is hashed, no file and no source: documents are numbers in the order of reading, and the earlier
of two copies is the one that stays. Signatures come from `rensa` (Rust); with datasketch, shingling and signing took
six times as long. rensa's own index would hold all signatures in memory, so the search is done here with sorted band
keys over a file of signatures: 21 bands cost 84 bytes of memory per document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

PERMUTATIONS = 128  # standard error of an estimated Jaccard of 0.72: 0.04
MOST_RIVALS = 2_000  # signatures one document is compared with: a bound for huge families of templates
_CHUNK = 1 << 18  # documents whose band keys are made at once
_WORD = re.compile(r"\w+")

Array = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


def shingles(text: str, size: int) -> list[str]:
    """Runs of `size` words in lower case; a shorter text is one shingle.

    >>> shingles("Kein Erguss, kein Pneu.", 3), shingles("Kein Pneu.", 3)
    (['kein erguss kein', 'erguss kein pneu'], ['kein pneu'])
    """
    words = _WORD.findall(text.lower())
    if len(words) < size:
        return [" ".join(words) or text]
    return list(map(" ".join, zip(*(words[start:] for start in range(size)), strict=False)))


def signatures(texts: Sequence[str], size: int, seed: int) -> Array:
    """MinHash signatures `(texts, PERMUTATIONS)` of the shingles (Broder 1997, doi:10.1109/SEQUEN.1997.666900)."""
    matrix = RMinHash.digest_matrix_from_token_sets([shingles(text, size) for text in texts], PERMUTATIONS, seed)
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(texts), PERMUTATIONS)


def band_layout(threshold: float, recall: float = 0.95) -> tuple[int, int]:
    """Bands and rows per band: the longest bands that still bring together `recall` of the pairs at the threshold.

    A pair with Jaccard similarity s agrees in a whole band with probability 1 - (1 - s^rows)^bands.

    >>> band_layout(0.72), band_layout(0.9)
    ((21, 6), (10, 12))
    """
    for rows in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= recall:
            return bands, rows
    return PERMUTATIONS, 1


def exact_duplicates(hashes: npt.NDArray[np.uint64]) -> Mask:
    """Whether an earlier document has the same hash; `hashes` is `(documents, 2)`, 128 bits each.

    >>> exact_duplicates(np.array([[1, 1], [2, 1], [1, 1], [1, 2]], dtype=np.uint64)).tolist()
    [False, False, True, False]
    """
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: copies stay in the order of reading
    ordered = hashes[order]
    same = np.zeros(len(hashes), dtype=bool)
    same[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    return same


def near_duplicates(signed: Array, candidates: Mask, threshold: float) -> Mask:
    """Whether an earlier document that stays is estimated to have a Jaccard similarity of at least `threshold`.

    Greedy in the order of reading: a document is compared with those that stay only, so a chain of small changes is
    not followed. `signed` is `(documents, PERMUTATIONS)`; documents that are no `candidates` are passed over.
    """
    buckets = _buckets(signed, candidates, *band_layout(threshold))
    removed = np.zeros(len(signed), dtype=bool)
    staying: dict[int, list[int]] = {}  # bucket → its documents that stay
    for document in np.flatnonzero(buckets.any(axis=1)).tolist():
        row = buckets[document]
        own = row[row > 0].tolist()
        rivals = sorted(set().union(*(staying.get(bucket, ()) for bucket in own)))[:MOST_RIVALS]
        if rivals and (signed[rivals] == signed[document]).mean(axis=1).max() >= threshold:
            removed[document] = True
            continue
        for bucket in own:
            staying.setdefault(bucket, []).append(document)
    return removed


def _buckets(signed: Array, candidates: Mask, bands: int, rows: int) -> Array:
    """The bucket of each document per band `(documents, bands)`, numbered from 1; 0: alone in its bucket."""
    documents = np.flatnonzero(candidates)
    buckets = np.zeros((len(signed), bands), dtype=np.uint32)
    used = 0
    for band in range(bands):
        keys = np.empty(len(documents), dtype=np.uint64)
        for start in range(0, len(documents), _CHUNK):
            chosen = documents[start : start + _CHUNK]
            keys[start : start + _CHUNK] = _mixed(signed[chosen, band * rows : (band + 1) * rows])
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]  # as the one before
        shared = np.append(same, False) | np.insert(same, 0, False)
        number = np.cumsum(np.insert(~same, 0, True)[shared]) + used  # a bucket starts where it is not as before
        buckets[documents[order[shared]], band] = number
        used = int(number[-1]) if len(number) else used
    return buckets


def _mixed(columns: Array) -> npt.NDArray[np.uint64]:
    """One 64-bit key per row of a band."""
    key = np.full(len(columns), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in columns.T:
        key = (key ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        key ^= key >> np.uint64(32)
    return key

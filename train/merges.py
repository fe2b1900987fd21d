"""Which word pieces a vocabulary gets: byte-pair merging of words, with one answer for one text.

Sennrich et al. 2016 (doi:10.18653/v1/P16-1162) with WordPiece's spelling: pieces inside of a word begin with `##`. The
pair that is most frequent is merged next; of equally frequent ones the first in the order of code points. The trainer
of the `tokenizers` library does the same, but breaks such ties by hash order, so that two runs differ.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

INSIDE = "##"
Pair = tuple[str, str]


def learn_pieces(words: Mapping[str, int], size: int, fewest: int = 2) -> list[str]:
    """The letters of `words` (with their counts) and the pieces merged from them, `size` in all if there are as many.

    A pair that occurs less than `fewest` times is not merged. All letters are kept, at the start of a word and inside
    of it, even where they exceed `size`: a word of known letters is never unknown.

    >>> learn_pieces({"Herz": 3, "Schmerz": 2}, 20)[-4:]
    ['##er', '##erz', 'Herz', '##ch']
    """
    spelled = [_letters(word) for word in sorted(words)]
    counts = [words[word] for word in sorted(words)]
    letters = sorted({letter for word in words for letter in word})
    pieces = dict.fromkeys([*letters, *(INSIDE + letter for letter in letters)])
    pairs, places = _count_pairs(spelled, counts)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    while heap and len(pieces) < size:
        count, pair = heapq.heappop(heap)
        if pairs.get(pair) != -count:
            continue  # the count has changed since; the pair is in the heap with the new one, too
        if -count < fewest:
            break
        merged = pair[0] + pair[1].removeprefix(INSIDE)
        pieces[merged] = None
        changed = _merge(pair, merged, spelled, counts, pairs, places)
        for other in changed:
            if pairs[other] > 0:
                heapq.heappush(heap, (-pairs[other], other))
            else:
                del pairs[other]
    return list(pieces)


def _letters(word: str) -> list[str]:
    return [word[0], *(INSIDE + letter for letter in word[1:])]


def _count_pairs(spelled: list[list[str]], counts: list[int]) -> tuple[Counter[Pair], dict[Pair, set[int]]]:
    """How often each pair of neighbours occurs, and in which words."""
    pairs: Counter[Pair] = Counter()
    places: dict[Pair, set[int]] = defaultdict(set)
    for number, word in enumerate(spelled):
        for pair in pairwise(word):
            pairs[pair] += counts[number]
            places[pair].add(number)
    return pairs, places


def _merge(
    pair: Pair,
    merged: str,
    spelled: list[list[str]],
    counts: list[int],
    pairs: Counter[Pair],
    places: dict[Pair, set[int]],
) -> set[Pair]:
    """Spell every word anew that has the pair; returns the pairs whose counts have changed."""
    changed: set[Pair] = set()
    for number in places.pop(pair):
        old, count = spelled[number], counts[number]
        new = _spell(old, pair, merged)
        for before in pairwise(old):
            pairs[before] -= count
            changed.add(before)
        for after in pairwise(new):
            pairs[after] += count
            places[after].add(number)
            changed.add(after)
        spelled[number] = new
    return changed


def _spell(word: list[str], pair: Pair, merged: str) -> list[str]:
    """The word with every occurrence of the pair joined, from the left."""
    first, second = pair
    new, index = [], 0
    while index < len(word):
        if word[index] == first and index + 1 < len(word) and word[index + 1] == second:
            new.append(merged)
            index += 2
        else:
            new.append(word[index])
            index += 1
    return new

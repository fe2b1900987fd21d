"""The list by which a text is told to be German: the words that stand in most of this project's texts.

    python -m data.german_words

Reads the report files, without those that judge a model or wait in a queue (`test_*`, `queue_*`), and writes
`german_words.txt`: one word a line, in lower case, umlauts and ß written out as `medbertde.notices.language` does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from medbertde.notices.language import WORDS_FILE, letters_only

REPORTS = Path(__file__).parent / "reports"
COUNT = 3_000
HELD_BACK = ("test_", "queue_")


def texts(folder: Path = REPORTS) -> Iterator[str]:
    """The texts of the report files; the second reader's files have labels only."""
    for path in sorted(folder.glob("*.jsonl")):
        if not path.name.startswith(HELD_BACK):
            with path.open(encoding="utf-8") as file:
                yield from (row["text"] for row in map(json.loads, file) if "text" in row)


def common_words(count: int = COUNT) -> list[str]:
    """The words that stand in most texts, in the order of the alphabet."""
    seen: Counter[str] = Counter()
    for text in texts():
        seen.update({word for word in letters_only(text) if len(word) > 1})
    ranked = sorted(seen, key=lambda word: (-seen[word], word))
    return sorted(ranked[:count])


if __name__ == "__main__":
    WORDS_FILE.write_text("\n".join(common_words()) + "\n", encoding="utf-8")
    print(f"{WORDS_FILE}: {COUNT} words")

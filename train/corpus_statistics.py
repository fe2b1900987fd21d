"""What became of the documents of each source, as JSON and as the table of the medBERT.de card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class SourceStatistics:
    """What became of one source. `read` documents = `skipped` + `exact` + `near` + `documents` that are kept."""

    name: str
    read: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    exact: int = 0
    near: int = 0
    documents: int = 0
    sentences: int = 0
    words: int = 0
    bytes: int = 0
    names: int = 0
    boilerplate: Counter[str] = field(default_factory=Counter)  # line → documents it was cut from

    def facts(self) -> dict[str, object]:
        """All of it for JSON, in an order that does not depend on chance."""
        lines = sorted(self.boilerplate.items(), key=lambda item: (-item[1], item[0]))
        return {**vars(self), "skipped": dict(sorted(self.skipped.items())), "boilerplate": dict(lines)}


def table(statistics: Sequence[SourceStatistics]) -> str:
    """The statistics as a Markdown table, in the columns of the medBERT.de card and what was removed."""
    total = SourceStatistics("sum")
    for found in statistics:
        for name in ("read", "exact", "near", "documents", "sentences", "words", "bytes"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        total.skipped += found.skipped
    header = "| source | documents | sentences | words | MB | read | skipped | removed exact | removed near |"
    return "\n".join([header, "|---" * 9 + "|", *(_table_row(found) for found in [*statistics, total])])


def _table_row(found: SourceStatistics) -> str:
    counts = f"{found.documents:,} | {found.sentences:,} | {found.words:,} | {found.bytes / 1e6:,.1f}"
    exact, near = (f"{count:,} ({count / found.read:.1%})" for count in (found.exact, found.near))
    return f"| {found.name} | {counts} | {found.read:,} | {found.skipped.total():,} | {exact} | {near} |"

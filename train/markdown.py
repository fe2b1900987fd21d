"""Tables of the measured documents in Markdown. Knows nothing of what is measured."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their header; a bar inside a cell would begin another one and becomes a slash.

    >>> print(table(["finding", "F1"], [["Erguss|Pleura", "0.90"]]))
    | finding | F1 |
    | --- | --- |
    | Erguss/Pleura | 0.90 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)

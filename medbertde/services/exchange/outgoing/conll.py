"""CoNLL: one word and its BIO tag per line, a blank line after each line of a report, reports after ``-DOCSTART-``.

A word that a span cuts is split there, so that the tags say exactly what was marked. One word has one tag: of spans
that overlap the longest is written, the others stand in a comment above the report. So does how the marks came about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from medbertde.span_tags import without_overlaps
from medbertde.store.exports import ExportedReport
from medbertde.terms import RESEARCH_ONLY
from medbertde.types import Rationale

_WORD = re.compile(r"\w+|[^\w\s]")


def conll_lines(reports: Iterable[ExportedReport]) -> Iterator[str]:
    """The lines of the file, one report at a time."""
    yield f"# {RESEARCH_ONLY}\n"
    for report in reports:
        yield "".join(_report_lines(report))


def tagged(text: str, spans: Sequence[Rationale]) -> list[tuple[str, str, bool]]:
    """The words with their tags, and whether a line of the text begins with the word; spans must not overlap.

    >>> tagged("Kein Erguss.", [Rationale("Erguss", 0, 11)])
    [('Kein', 'B-Erguss', True), ('Erguss', 'I-Erguss', False), ('.', 'O', False)]
    """
    found: list[tuple[str, str, bool]] = []
    before, begun = 0, None
    for start, end in _words(text, spans):
        span = next((one for one in spans if one.start <= start < one.end), None)
        tag = "O" if span is None else f"{'I' if span is begun else 'B'}-{span.label}"
        begun = span
        found.append((text[start:end], tag, not found or "\n" in text[before:start]))
        before = end
    return found


def _report_lines(report: ExportedReport) -> Iterator[str]:
    kept, dropped = without_overlaps(report.rationales)
    yield f"-DOCSTART-\tO\n\n# id = {' '.join(report.key.split())}\n"
    yield f"# provenance = {report.provenance.value}\n# annotator = {report.annotator}\n"
    yield f"# annotated_at = {report.annotated_at.isoformat(timespec='seconds')}\n"
    if dropped:
        yield f"# overlapping = {', '.join(f'{one.label} {one.start}-{one.end}' for one in dropped)}\n"
    if known := [one for one in report.rationales if one.source]:
        yield f"# sources = {', '.join(f'{one.label} {one.start}-{one.end} {one.source}' for one in known)}\n"
    for position, (word, tag, begins) in enumerate(tagged(report.text, kept)):
        yield ("\n" if begins and position else "") + f"{word}\t{tag}\n"
    yield "\n"


def _words(text: str, spans: Sequence[Rationale]) -> Iterator[tuple[int, int]]:
    """Start and end of the words, cut where a span begins or ends inside of one."""
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    for match in _WORD.finditer(text):
        inner = [edge for edge in edges if match.start() < edge < match.end()]
        yield from zip([match.start(), *inner], [*inner, match.end()], strict=True)

"""The index of the report texts: which reports can hold a term at all.

PostgreSQL has an index of letter triples for that (pg_trgm) and keeps it by itself. SQLite's own index of triples costs
twice the time and three times the space (docs/annotation-speed.md), so there FTS5 indexes the words of each report: the
words of a term are looked up inside all words ever seen, and the reports that have one of those are the candidates.
Knows neither labels nor filters.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Select, Text, column, func, insert, join, literal_column, select, table, text

from medbertde.search_text import MIN_CHARS, fold, words
from medbertde.store.session import Session
from medbertde.store.tables import ReportRow

_COMMON = 1000  # a word that more words contain narrows nothing down: the reports are read in their order instead
_INDEX, _WORDS = table("report_search", column("rowid"), column("words")), table("report_words", column("word"))


def add(session: Session, *, texts: Mapping[int, str]) -> None:
    """Make reports findable by their words, by report id."""
    if not texts or session.get_bind().dialect.name == "postgresql":
        return
    found = {report_id: words(fold(content)) for report_id, content in texts.items()}
    distinct = sorted({word for report_words in found.values() for word in report_words})
    if distinct:
        known = text("INSERT INTO report_words (word) VALUES (:word) ON CONFLICT DO NOTHING")
        session.execute(known, [{"word": word} for word in distinct])
    rows = [{"rowid": report_id, "words": " ".join(report_words)} for report_id, report_words in found.items()]
    session.execute(insert(_INDEX), rows)


def folded(session: Session) -> ColumnElement[str]:
    """The folded text of a report: PostgreSQL keeps it in a column that the server computes."""
    if session.get_bind().dialect.name == "postgresql":
        return literal_column("reports.folded", Text)
    return func.medbertde_fold(ReportRow.text)


def narrow(session: Session, query: Select[int], *, wanted: tuple[str, ...], after: int) -> Select[int]:
    """A query for report ids in their order, read from the index where that leaves some out.

    The index gives its rows in the order of the ids, one after the other: the first page needs no look at the rest.
    """
    expression = None if session.get_bind().dialect.name == "postgresql" else _fts_expression(session, wanted)
    if expression is None:
        return query
    matches = column("report_search").op("MATCH")(expression)
    joined = query.select_from(join(_INDEX, ReportRow, ReportRow.id == _INDEX.c.rowid))
    return joined.where(matches, _INDEX.c.rowid > after).order_by(None).order_by(_INDEX.c.rowid)


def _fts_expression(session: Session, wanted: tuple[str, ...]) -> str | None:
    """For FTS5: for each word of the terms one of the known words that contain it; None where that narrows nothing.

    The words come from the index itself and are letters and digits only, so nobody can write FTS5 syntax.
    """
    groups = []
    for part in sorted({word for term in wanted for word in words(term) if len(word) >= MIN_CHARS}):
        known = session.scalars(select(_WORDS.c.word).where(_WORDS.c.word.contains(part)).limit(_COMMON + 1)).all()
        if len(known) <= _COMMON:
            groups.append("(" + " OR ".join(f'"{word}"' for word in known or [part]) + ")")
    return " AND ".join(groups) or None

"""Many reports at the gate: each record screened, and held back, replaced or left as it is.

Owns how a record is screened as a whole (its text and what other columns say about it) and how labels stay aligned
with a text that changed. Knows neither files nor models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from medbertde.privacy.kinds import Deidentified, Kind, Span
from medbertde.report_file import Row
from medbertde.services.screening import Screener, Screening, told
from medbertde.settings import Policy
from medbertde.types import Forbidden, Notice, ReportRecord, Screened, UserError

HELD_BACK = "held_back"  # the code of the notice of a row that was held back
_BETWEEN = "\n\n"  # a name does not reach over it


class Treatment(StrEnum):
    """What happens to a report that could show who a person is."""

    HOLD = "hold"
    REPLACE = "replace"
    KEEP = "keep"


@dataclass(frozen=True)
class Gatekeeper:
    """Screens records and treats those in which something is found; `treatment` None looks only."""

    screener: Screener
    treatment: Treatment | None
    max_chars: int

    def row(self, row: Row) -> tuple[Row, Counter[Kind]]:
        """The row as it may go on, and what was found in it, by kind; nothing found is an empty counter."""
        if row.record is None:
            return row, Counter()
        try:
            found = self.screener.screen(_document(row.record))
        except UserError as error:
            return Row(row.number, fault=Notice(type(error).__name__, error.de, error.en)), Counter()
        if not found.identifies:
            return row, Counter()
        return self._treated(row, row.record, found), found.kinds

    def _treated(self, row: Row, record: ReportRecord, found: Screening) -> Row:
        if self.treatment is Treatment.HOLD:
            return Row(row.number, fault=held_back(found.kinds))
        if self.treatment is not Treatment.REPLACE:
            return row
        changed = without(record, found)
        if len(changed.text) > self.max_chars:
            return Row(row.number, fault=_grown(len(changed.text), self.max_chars))
        return replace(row, record=changed)


@dataclass
class Tally:
    """What was found in many rows, counted while they pass."""

    rows: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)

    def add(self, found: Counter[Kind]) -> None:
        """One row more, if anything was found in it."""
        self.rows += bool(found)
        self.kinds.update(found)

    def screened(self, treatment: Treatment | None) -> Screened | None:
        """The result, None where nothing was found."""
        kinds = {kind.value: self.kinds[kind] for kind in Kind if self.kinds[kind]}
        return Screened(self.rows, kinds, treatment.value if treatment else "") if self.rows else None


def passed(rows: Iterable[Row], gatekeeper: Gatekeeper | None) -> Iterator[Row]:
    """The rows as they may go on; without a gatekeeper as they are."""
    for row in rows:
        yield gatekeeper.row(row)[0] if gatekeeper else row


def gatekeeper_for(policy: Policy, wanted: Treatment | None, screener: Screener, max_chars: int) -> Gatekeeper | None:
    """Who screens by this policy; None where nobody does. `Forbidden` for a treatment that the policy does not allow.

    Its treatment is None where the policy demands that somebody decides and nobody has.
    """
    if policy is Policy.REFUSE and wanted is Treatment.KEEP:
        raise Forbidden(
            "Texte mit Angaben zu Personen werden hier nicht unverändert angenommen (MEDBERTDE_DEIDENTIFICATION ist "
            "„refuse“). Bitte sie zurückhalten oder durch Platzhalter ersetzen.",
            "Texts with details of persons are not taken as they are here (MEDBERTDE_DEIDENTIFICATION is “refuse”). "
            "Please hold them back or replace the details by placeholders.",
        )
    if policy is Policy.OFF and wanted is None:
        return None
    return Gatekeeper(screener, wanted or (Treatment.KEEP if policy is Policy.WARN else None), max_chars)


def summary(found: Screened) -> Notice:
    """In how many rows something was found, and what.

    >>> summary(Screened(3, {"patient": 2, "birth": 2})).de
    'In 3 Befunden stehen 4 Stellen, die eine Person erkennbar machen könnten: 2 Namen, 2 Geburtsdaten.'
    """
    what = told({Kind(kind): count for kind, count in found.kinds.items()})
    one = sum(found.kinds.values()) == 1
    return Notice(
        what.code,
        f"In {found.rows} {'Befund' if found.rows == 1 else 'Befunden'} {'steht' if one else 'stehen'} {what.de}.",
        f"In {found.rows} {'report' if found.rows == 1 else 'reports'} there {'is' if one else 'are'} {what.en}.",
    )


_BECAME = {
    Treatment.HOLD: ("Diese Zeilen sind zurückgehalten.", "These rows were held back."),
    Treatment.REPLACE: (
        "Platzhalter stehen an ihrer Stelle; es kann etwas übersehen sein.",
        "Placeholders stand in their place; something may have been missed.",
    ),
    Treatment.KEEP: ("Diese Zeilen sind unverändert übernommen.", "These rows were taken as they are."),
}


def became(found: Screened) -> Notice:
    """What was found, and what became of it."""
    what, (de, en) = summary(found), _BECAME[Treatment(found.treatment)]
    return Notice(what.code, f"{what.de} {de}", f"{what.en} {en}")


def held_back(kinds: Mapping[Kind, int]) -> Notice:
    """Why a row was held back; says how much of which kind, not what."""
    found = told(kinds)
    return Notice(HELD_BACK, f"Zurückgehalten: {found.de}.", f"Held back: {found.en}.")


def without(record: ReportRecord, found: Screening) -> ReportRecord:
    """The record with what was found in its `_document` replaced; its rationales follow the text."""
    text, *values = (_part(found, *place) for place in _places(record))
    moved = [(one, text.moved(one.start, one.end)) for one in record.rationales]
    return replace(
        record,
        text=text.text,
        rationales=tuple(replace(one, start=start, end=end) for one, (start, end) in moved),
        meta={name: value.text for name, value in zip(record.meta, values, strict=True)},
    )


def _document(record: ReportRecord) -> str:
    """The text and what the other columns say, as lines like "Patient: …", which is how the rules know them."""
    return _BETWEEN.join([record.text, *(f"{name}: {value}" for name, value in record.meta.items())])


def _places(record: ReportRecord) -> Iterator[tuple[int, int]]:
    """Where in the document the text stands, then each value."""
    end = len(record.text)
    yield 0, end
    for name, value in record.meta.items():
        start = end + len(_BETWEEN) + len(name) + len(": ")
        end = start + len(value)
        yield start, end


def _part(found: Screening, start: int, end: int) -> Deidentified:
    """The part ``[start, end)`` of a screened document, replaced."""
    spans, pieces, place = [], [], start
    for span in found.spans:
        low, high = max(span.start, start), min(span.end, end)
        if low < high:
            spans.append(Span(low - start, high - start, span.kind, span.replacement))
            pieces += [found.text[place:low], span.replacement]
            place = high
    return Deidentified("".join([*pieces, found.text[place:end]]), tuple(spans))


def _grown(found: int, allowed: int) -> Notice:
    return Notice(
        "InvalidText",
        f"Mit Platzhaltern hat der Text {found} Zeichen, erlaubt sind {allowed}. Bitte ihn kürzen.",
        f"With placeholders the text has {found} characters, {allowed} are allowed. Please shorten it.",
    )

"""What the panel for several reports shows: how far it is, the first rows, what was left out.

Pure functions from the services' dataclasses to the JSON that `cards/batch.js` reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import Any

from medbertde.report_file import Row
from medbertde.schema import load_schema
from medbertde.services.answers import Answer
from medbertde.services.bulk import Step
from medbertde.types import Notice, State
from medbertde.ui.findings import MODEL, STATES
from medbertde.ui.words import Text, counted, decimal

MOST_ROWS = 100
MOST_FAULTS = 50
ROUNDING = 1e-4  # percent: 0.29 is 28.999… as a float
BEGINNING = 70  # characters of a report that say which one it is
COLUMNS = (Text("Zeile", "Row"), Text("Kennung", "Id"), Text("Befund", "Report"))
REMARKS = {  # in as many words as a table has room for
    "names": Text("Name oder Geburtsdatum: bitte entfernen", "name or date of birth: please remove"),
    "not_german": Text("nicht deutsch", "not German"),
    "many_unknown": Text("unbekannte Zeichen: Kopie prüfen", "unknown characters: check the copy"),
    "shattered": Text("unbekannte Wörter: Schreibung prüfen", "unknown words: check the spelling"),
    "very_short": Text("sehr kurz", "very short"),
    "markup": Text("HTML im Text", "HTML in the text"),
    "long_text": Text("in Abschnitten gelesen", "read in windows"),
    "long_sentence": Text("langer Satz: Satzzeichen prüfen", "long sentence: check full stops"),
}
REMARK = Text("Hinweise", "Remarks")
LEFT_OUT = (Text("Zeile", "Row"), Text("Ausgelassen, weil", "Left out because"))


@dataclass(frozen=True)
class Line:
    """One row of the table: the findings' ids by state, the codes of the remarks."""

    number: int
    key: str
    beginning: str
    findings: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A batch as far as it has come. `elapsed_s` counts from its start; `stopped`: the user ended it.

    `run` tells the card which batch this is: what a stopped one still sends must not look as if it went on.
    `present` counts the reports by finding and the whole percent of its probability of being present.
    """

    schema_id: str
    done: int = 0
    total: int = 0
    elapsed_s: float = 0.0
    left_out: int = 0
    model_version: str = ""
    lines: tuple[Line, ...] = ()
    faults: tuple[tuple[int, Notice], ...] = ()
    present: Mapping[tuple[str, int], int] = field(default_factory=dict)
    stopped: bool = False
    run: str = ""

    @property
    def finished(self) -> bool:
        """Whether all rows are through."""
        return 0 < self.total == self.done


def grown(shown: Shown, step: Step, elapsed_s: float) -> Shown:
    """`shown` with one more step; only the first rows and faults are kept."""
    room = MOST_ROWS - len(shown.lines)
    pairs = list(zip(step.rows, step.answers, strict=True))[:room]
    return replace(
        shown,
        done=step.done,
        total=step.total,
        elapsed_s=elapsed_s,
        left_out=shown.left_out + len(step.faults),
        model_version=step.answers[0]["model_version"] if step.answers else shown.model_version,
        lines=(*shown.lines, *(_line(row, answer) for row, answer in pairs)),
        faults=(*shown.faults, *step.faults)[:MOST_FAULTS],
        present=Counter(shown.present) + Counter(_percents(step.answers)),
    )


def _percents(answers: Iterable[Answer]) -> Iterator[tuple[str, int]]:
    for answer in answers:
        for label, found in answer["findings"].items():
            yield label, int(100 * found["present"] + ROUNDING)


def reported(shown: Shown, label: str, threshold: float) -> int:
    """In how many reports of the batch a finding counts as present from this threshold on.

    >>> reported(Shown("chest_xray", present={("Erguss", 40): 2, ("Erguss", 90): 1}), "Erguss", 0.5)
    1
    """
    lowest = round(100 * threshold)
    return sum(count for (name, percent), count in shown.present.items() if name == label and percent >= lowest)


def _line(row: Row, answer: Answer) -> Line:
    beginning = shorten(row.record.text, BEGINNING, placeholder=" …") if row.record else ""
    findings = tuple(
        tuple(label for label, found in answer["findings"].items() if found["state"] == state) for state in State
    )
    return Line(row.number, answer["id"] or "", beginning, findings, tuple(answer["warnings"]))


def batch_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """The card."""
    if shown is None:
        return {}
    names = {label.id: label.name[language] for label in load_schema(shown.schema_id).labels}
    states = [STATES[state].say(language).capitalize() for state in State]
    return {
        "share": shown.done / shown.total if shown.total else 0.0,
        "going": not (shown.finished or shown.stopped),
        "run": shown.run,
        "stopped": shown.stopped,
        "status": status(shown).say(language),
        "columns": [*(column.say(language) for column in COLUMNS), *states, REMARK.say(language)],
        "rows": [_cells(language, line, names) for line in shown.lines],
        "fault_columns": [column.say(language) for column in LEFT_OUT],
        "faults": [[str(number), fault.sentence(language)] for number, fault in shown.faults],
        "model": f"{MODEL.say(language)}: {shown.model_version}" if shown.model_version else "",
    }


def _cells(language: str, line: Line, names: dict[str, str]) -> list[str]:
    found: Sequence[str] = [", ".join(names[label] for label in labels) for labels in line.findings]
    remarks = "; ".join(REMARKS[code].say(language) for code in line.remarks)
    return [str(line.number), line.key, line.beginning, *found, remarks]


def status(shown: Shown) -> Text:
    """How far it is, how fast, and how long it will take.

    >>> status(Shown("chest_xray", done=500, total=2000, elapsed_s=5)).de
    '500 von 2.000 Befunden · 100 je Sekunde · noch 15 s'
    """
    total = counted(shown.total, Text("Befund", "report"), Text("Befunden", "reports"))
    done = f"{shown.done:,}"
    de, en = f"{done.replace(',', '.')} von {total.de}", f"{done} of {total.en}"
    if shown.stopped:
        return Text(f"Abgebrochen nach {de}.", f"Stopped after {en}.")
    rate = shown.done / shown.elapsed_s if shown.elapsed_s > 0 else 0.0
    if not shown.finished:
        if not rate:
            return Text(de, en)
        rest = _duration((shown.total - shown.done) / rate)
        return Text(f"{de} · {rate:.0f} je Sekunde · noch {rest}", f"{en} · {rate:.0f} per second · {rest} left")
    seconds = f"{shown.elapsed_s:.1f}"
    de, en = f"{de} gelesen in {decimal('de', seconds)} s", f"{en} read in {seconds} s"
    if shown.left_out:
        de, en = f"{de}, {shown.left_out} ausgelassen", f"{en}, {shown.left_out} left out"
    if shown.total - shown.left_out > MOST_ROWS:
        de += f". Die Tabelle zeigt die ersten {MOST_ROWS}, die Datei enthält alle"
        en += f". The table shows the first {MOST_ROWS}, the file holds all"
    return Text(f"{de}.", f"{en}.")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

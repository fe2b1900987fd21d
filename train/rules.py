"""Label reports by rules: terms of the findings, and German cues of negation and uncertainty with their scope.

    python -m train.rules reports.jsonl --schema chest_xray --out labels.jsonl

What the rules know stands in `data/rules.yaml`. They are the baseline of `train.quality` and a source of weak labels,
never part of a model's answer. A cue in front of a finding reaches to the end of its clause and over a list of further
findings, one behind it reaches back in the same way; questions, indications and history say nothing. The strongest
state of a finding counts for the report. Time grows linearly with the length of a text.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from medbertde.report_file import read_records, to_json
from medbertde.schema import load_schema
from medbertde.text import sentences
from medbertde.types import STRENGTH, InvalidFile, InvalidSchema, State, UserError
from train.output import make_room

RULES = Path(__file__).parent.parent / "data" / "rules.yaml"
LONGEST_LINE = 1_500  # characters; finding sentences takes quadratic time within a line

_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_LINE = re.compile(rf"[^\n]{{1,{LONGEST_LINE}}}(?:(?<=\s)|(?=\n)|\Z)|[^\n]{{1,{LONGEST_LINE}}}|\n")
_STOPS = re.compile(r"([.!?:\-_=*])\1{2,}")
_ANSWERED = re.compile(r"\?:?\s+(?=(?:kein|nein|ja\b|nicht|entfernt|fraglich|evtl|vermutlich))", re.IGNORECASE)
_SPOKEN = {"komma": ",", "punkt": ".", "doppelpunkt": ":", "absatz": "\n", "neue zeile": "\n"}
_DICTATED = re.compile(rf"\s+\b({'|'.join(_SPOKEN)})\b", re.IGNORECASE)
_ANY_WORDS, _NO_NEGATION = r"(?:[^\s,;]{1,40} ){0,5}?", r"(?:(?!nicht|kein|ohne|kaum)[^\s,;]{1,40} ){0,5}?"

Labels = dict[str, State]


@dataclass(frozen=True)
class Finding:
    """How one finding is named. `device`: a removal negates it; `history`: "Z. n." says nothing about it."""

    label: str
    pattern: re.Pattern[str]  # groups: the states that a clause has by itself, and "term"
    device: bool = False
    history: bool = False


@dataclass(frozen=True)
class Rules:
    """The compiled rules of a schema."""

    findings: tuple[Finding, ...]
    cues: re.Pattern[str]  # one group per kind of cue
    own_statement: re.Pattern[str]
    silent: Mapping[str, re.Pattern[str]]


@dataclass(frozen=True)
class Event:
    """Something in a sentence that has a meaning: a cue of some kind, the end of a clause, or a finding."""

    place: int
    kind: str
    finding: Finding | None = None
    before: str | None = None  # the cue in front whose scope the finding stands in
    after: str | None = None


def label(text: str, schema_id: str) -> Labels:
    """The findings of a report with their states; a finding that is not mentioned is missing.

    >>> def show(text): print(*(f"{name}={state.value}" for name, state in sorted(label(text, "chest_xray").items())))
    >>> show("Keine Infiltrate, Ergüsse oder Stauungszeichen, kleiner Rundherd links.")
    Erguss=absent Rundherd_Raumforderung=present Stauung=absent Verschattung=absent
    >>> show("Randwinkel frei. Ein Pneumothorax ist nicht auszuschließen. Tubus entfernt.")
    Erguss=absent Pneumothorax=uncertain Tubus=absent
    """
    rules = load_rules(schema_id)
    found: Labels = {}
    for sentence in _spoken_sentences(text, rules):
        for event in _scoped(_events(sentence, rules)):
            state = _state(event)
            if event.finding and state:
                name = event.finding.label
                found[name] = max(found.get(name, state), state, key=STRENGTH.__getitem__)
    return {name: found[name] for name in load_schema(schema_id).label_ids if name in found}


# ---------------------------------------------------------------------------------------------- sentences


def fold(text: str) -> str:
    """Lower case without umlauts and ß, so that spellings agree.

    >>> fold("Größerer Erguß"), fold("GROESSERER ERGUSS")
    ('groesserer erguss', 'groesserer erguss')
    """
    return text.lower().translate(_SPELLED_OUT)


def _spoken_sentences(text: str, rules: Rules) -> Iterator[str]:
    """The folded sentences that state something, without headings' sections that only ask or tell the history."""
    silent, heading_line = False, False
    for line in _lines(text):
        if line == "\n":
            silent = silent and heading_line
            heading_line = False
            continue
        for start, end in sentences(line):
            sentence = " ".join(fold(line[start:end]).split())
            if rules.silent["heading"].search(sentence):
                silent, heading_line = True, sentence.endswith(":")
            elif rules.silent["ends_with"].search(sentence):
                silent = False
            if not silent and not rules.silent["sentence"].search(sentence):
                yield sentence


def _lines(text: str) -> Iterator[str]:
    """Lines of bounded length and line ends, dictated punctuation put in, runs of punctuation shortened."""
    if " komma" in text.lower():
        text = _DICTATED.sub(lambda match: _SPOKEN[match[1].lower()], text)
    text = _ANSWERED.sub(": ", _STOPS.sub(r"\1", text))
    return (match.group() for match in _LINE.finditer(text))


# ---------------------------------------------------------------------------------------------- scope


def _events(sentence: str, rules: Rules) -> list[Event]:
    """Cues, clause ends and findings in their order. A finding stands at its last letter."""
    cues = [Event(match.start(), str(match.lastgroup)) for match in rules.cues.finditer(sentence)]
    named = [
        Event(match.end() - 1, str(match.lastgroup), finding)
        for finding in rules.findings
        for match in finding.pattern.finditer(sentence)
    ]
    return sorted([*cues, *_commas(sentence, rules), *named], key=lambda event: event.place)


def _commas(sentence: str, rules: Rules) -> Iterator[Event]:
    """A comma before an item of a list is none; before or behind a statement of its own it ends a scope."""
    starts = [0, *(match.end() for match in re.finditer(",", sentence))]
    ends = [start - 1 for start in starts[1:]]
    own = [
        bool(rules.own_statement.search(sentence, *part)) for part in zip(starts, [*ends, len(sentence)], strict=True)
    ]
    for place, before, after in zip(ends, own[:-1], own[1:], strict=True):
        yield Event(place, "list" if not after else "statement")
        if before:
            yield Event(place, "statement_before")


_ENDS_BOTH = {"clause_end", "scope_end"}
_FORWARD = {"negated_before", "uncertain_before", "uncertain_around", "removed_before", "history"}
_BACKWARD = {"negated_after", "uncertain_after", "uncertain_around", "removed_after"}


def _scoped(events: Sequence[Event]) -> list[Event]:
    """The events, each finding with the cues whose scope it stands in."""
    forward = []
    cue: str | None = None
    for event in events:
        if event.kind in _FORWARD:
            cue = event.kind
        elif event.kind in _ENDS_BOTH | {"statement"}:
            cue = None
        forward.append(replace(event, before=cue))
    backward = []
    cue = None
    for event in reversed(forward):
        if event.kind in _BACKWARD:
            cue = event.kind
        elif event.kind in _ENDS_BOTH | {"statement_before", "negated_before"}:
            cue = None
        backward.append(replace(event, after=cue))
    return backward


def _state(event: Event) -> State | None:
    """What a finding's cues make of it; None where only its history is told."""
    finding, cues = event.finding, {event.before, event.after}
    if finding is None or (finding.history and "history" in cues):
        return None
    if "uncertain_after" in cues:
        return State.UNCERTAIN
    if event.kind == "absent" or cues & {"negated_before", "negated_after"}:
        return State.UNCERTAIN if event.kind == "absent" and cues & {"uncertain_around"} else State.ABSENT
    if finding.device and cues & {"removed_before", "removed_after"}:
        return State.ABSENT
    if event.kind == "uncertain" or cues & {"uncertain_before", "uncertain_around"}:
        return State.UNCERTAIN
    return None if event.kind == "weak" else State.PRESENT


# ---------------------------------------------------------------------------------------------- the rules' file


@cache
def load_rules(schema_id: str, path: Path = RULES) -> Rules:
    """The rules of a schema, read once; `InvalidSchema` for a schema that the file does not have."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = load_schema(schema_id).label_ids
    if schema_id not in raw:
        raise InvalidSchema(
            f"Für das Schema {schema_id} gibt es keine Regeln in {path.name}. Bitte dort Begriffe eintragen.",
            f"There are no rules for the schema {schema_id} in {path.name}. Please add its terms there.",
        )
    own = raw["cues"].pop("own_statement")
    return Rules(
        findings=tuple(_finding(name, raw[schema_id][name]) for name in known if name in raw[schema_id]),
        cues=_groups({kind: raw["cues"][kind] for kind in _CUE_ORDER}),
        own_statement=_groups({"own": own}),
        silent={kind: _groups({kind: patterns}) for kind, patterns in raw["silent"].items()},
    )


_CUE_ORDER = (
    "uncertain_after",
    "negated_after",
    "uncertain_around",
    "uncertain_before",
    "negated_before",
    "removed_before",
    "removed_after",
    "history",
    "clause_end",
    "scope_end",
)


def _finding(name: str, raw: Mapping[str, Sequence[str]]) -> Finding:
    by_itself = {state.value: raw[state.value] for state in (State.ABSENT, State.UNCERTAIN) if state.value in raw}
    pattern = _groups({**by_itself, "term": raw["terms"], "weak": raw.get("weak", [])})
    return Finding(name, pattern, device=bool(raw.get("device")), history=bool(raw.get("history")))


def _groups(kinds: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    """One pattern with a named group per kind; of two that begin at the same place the earlier kind wins."""
    return re.compile(
        "|".join(
            f"(?P<{kind}>{'|'.join(_regex(kind, item) for item in items)})" for kind, items in kinds.items() if items
        )
    )


def _regex(kind: str, pattern: str) -> str:
    r"""A pattern of the file over folded text; repetitions get bounds, so that hostile text costs no more than other.

    >>> _regex("term", r"gefäß\w* ~unscharf")
    'gefaess\\w{0,24}(?: ?[:=] | )(?:[^\\s,;]{1,40} ){0,5}?unscharf'
    """
    gap = _NO_NEGATION if kind == State.ABSENT.value else _ANY_WORDS
    return pattern.translate(_SPELLED_OUT).replace(r"\w*", r"\w{0,24}").replace(" ~", rf"(?: ?[:=] | ){gap}")


# ---------------------------------------------------------------------------------------------- the job


def main(argv: Sequence[str] | None = None) -> int:
    """Label a report file; labels that it has are replaced."""
    parser = argparse.ArgumentParser(description="Label reports by rules (weak labels).")
    parser.add_argument("reports", type=Path, help="report file (.jsonl, .csv or .txt)")
    parser.add_argument("--schema", default="chest_xray", help="schema of the labels")
    parser.add_argument("--out", type=Path, required=True, help="report file to write (.jsonl)")
    args = parser.parse_args(argv)
    try:
        make_room(args.out)
        written = label_file(args.reports, args.schema, args.out)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    print(f"{written} reports labelled by rules → {args.out}")
    return 0


def label_file(source: Path, schema_id: str, out: Path) -> int:
    """Write the reports of `source` with the rules' labels; returns how many."""
    if not source.is_file():
        raise InvalidFile(f"Die Datei {source} gibt es nicht.", f"There is no file {source}.")
    records = read_records(source)
    labelled = [
        replace(record, labels=label(record.text, schema_id), rationales=(), meta={**record.meta, "labels": "rules"})
        for record in records
    ]
    out.write_text("".join(to_json(record) + "\n" for record in labelled), encoding="utf-8")
    return len(labelled)


if __name__ == "__main__":
    sys.exit(main())

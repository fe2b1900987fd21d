"""More training text from labelled reports: single sentences, sentences run together and short cue sentences.

Input are records with evidence spans (`data/reports`). Nothing here touches validation or test reports: callers pass
the training part only, so no sentence crosses a split.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from medbertde.passages import passages
from medbertde.types import STRENGTH, ReportRecord, State
from train.recombine import family_name, given_name

LEXICON = Path(__file__).parent.parent / "data" / "lexicon.yaml"
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})

_ARTICLES = {"m": ("kein", "ein"), "n": ("kein", "ein"), "f": ("keine", "eine"), "pl": ("keine", "")}

_SIDES = re.compile(r"\b(?:rechts|links|re\.|li\.)(?!\w)", re.IGNORECASE)
_SIDE_FORMS = {"r": ("rechts", "re."), "l": ("links", "li.")}
_SHORT_FORMS = [
    (re.compile(rf"\b{pattern}(?!\w)"), forms)
    for pattern, forms in {
        r"(?:beidseits|bds\.|beidseitig)": ("beidseits", "bds.", "bds", "beidseitig"),
        r"(?:Verdacht auf|V\. ?a\.|VA auf)": ("Verdacht auf", "V. a.", "V.a.", "Va."),
        r"(?:Zustand nach|Z\. ?n\.|St\. ?n\.)": ("Zustand nach", "Z. n.", "Z.n.", "St. n."),
        r"(?:am ehesten|a\. ?e\.)": ("am ehesten", "a. e.", "a.e."),
        r"(?:Differenzialdiagnostisch|Differentialdiagnostisch|DD:?)": ("Differenzialdiagnostisch", "DD", "DD:"),
        r"(?:Unterlappen|UL)": ("Unterlappen", "UL"),
        r"(?:Oberlappen|OL)": ("Oberlappen", "OL"),
        r"(?:Mittellappen|ML)": ("Mittellappen", "ML"),
        r"(?:Unterfeld|UF)": ("Unterfeld", "UF"),
        r"(?:Oberfeld|OF)": ("Oberfeld", "OF"),
    }.items()
]

Labels = Mapping[str, State]


@dataclass(frozen=True)
class Lexicon:
    """How the findings of a schema are named, and the short statements they are put into (`data/lexicon.yaml`)."""

    findings: Mapping[str, Mapping[str, Sequence[str]]]
    templates: Mapping[str, Sequence[Any]]


def load_lexicon(schema_id: str, path: Path = LEXICON) -> Lexicon | None:
    """The lexicon of a schema, None for a schema that the file does not have."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Lexicon(raw[schema_id], raw["templates"]) if schema_id in raw else None


def single_sentences(record: ReportRecord) -> list[ReportRecord]:
    """Each sentence, behind the heading it stands under, as a report of its own, if it is certain what it says.

    A sentence is left out where evidence reaches beyond it, and where evidence without a state of its own belongs to a
    finding that the report mentions in more than one way: its labels would be a guess. A sentence without evidence says
    nothing about any finding, provided that the report has evidence for each of its labels.
    """
    complete = set(record.labels) <= {span.label for span in record.rationales}
    found = []
    for passage in passages(record.text):
        start, end = passage.start, passage.end
        touching = [span for span in record.rationales if span.start < end and start < span.end]
        states = [(span.label, span.state or _state_of(record, span.label)) for span in touching]
        inside = all(start <= span.start and span.end <= end for span in touching)
        known = [{label: state} for label, state in states if state]
        if (touching or complete) and inside and len(known) == len(states):
            heading = record.text[slice(*passage.heading)] + " " if passage.heading else ""
            found.append(replace(record, text=heading + record.text[start:end], labels=merge(known), rationales=()))
    return found


def _state_of(record: ReportRecord, label: str) -> State | None:
    """The state of a finding wherever the report mentions it; None where several mentions may differ."""
    mentions = sum(span.label == label for span in record.rationales)
    return record.labels.get(label) if mentions == 1 or record.labels.get(label) is State.ABSENT else None


def merge(labels: Sequence[Labels]) -> dict[str, State]:
    """The labels of a text made of parts: the strongest state of each finding.

    >>> merge([{"Erguss": State.ABSENT}, {"Erguss": State.PRESENT}])["Erguss"].value
    'present'
    """
    merged: dict[str, State] = {}
    for part in labels:
        for label, state in part.items():
            merged[label] = max(merged.get(label, state), state, key=STRENGTH.__getitem__)
    return merged


def run_together(pool: Sequence[ReportRecord], rng: random.Random) -> ReportRecord:
    """Two or three sentences of `pool` (see `single_sentences`) as hurried writers type them: without stops between."""
    parts = rng.sample(pool, k=min(len(pool), rng.randint(2, 3)))
    separator = rng.choice((", ", ", ", "; ", " - ", " / ", " "))
    text = separator.join(part.text.rstrip(".") for part in parts)
    return ReportRecord(text, labels=merge([part.labels for part in parts]))


def cue_sentence(lexicon: Lexicon, rng: random.Random) -> ReportRecord:
    """A short statement about one finding; a negation, question or checklist of several; or a person's name."""
    draw = rng.random()
    if draw < 0.03:
        return person_line(rng)
    if draw < 0.15:
        return _shared_negation(lexicon, rng)
    if draw < 0.22:
        return _question(lexicon, rng)
    if draw < 0.37:
        return _checklist(lexicon, rng)
    label = rng.choice(list(lexicon.findings))
    forms = lexicon.findings[label]
    state = rng.choice((State.PRESENT, State.PRESENT, State.ABSENT, State.ABSENT, State.UNCERTAIN))
    if not _nouns(forms) or (forms.get(state.value) and rng.random() < 0.3):
        return _clause(label, forms, rng)
    gender, noun = rng.choice(_nouns(forms))
    return ReportRecord(_finish(_fill(lexicon, state.value, gender, noun, rng), rng), labels={label: state})


def _nouns(forms: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(gender, noun) for gender in _ARTICLES for noun in forms.get(gender, ())]


def _clause(label: str, forms: Mapping[str, Sequence[str]], rng: random.Random) -> ReportRecord:
    """A whole clause of the lexicon ("Randwinkel frei")."""
    state = rng.choice([state for state in State if forms.get(state.value)])
    return ReportRecord(_finish(rng.choice(forms[state.value]), rng), labels={label: state})


def _fill(lexicon: Lexicon, kind: str, gender: str, noun: str, rng: random.Random) -> str:
    negative, indefinite = _ARTICLES[gender]
    template = rng.choice(lexicon.templates[kind])
    side = rng.choice(lexicon.templates["sides"])
    article = f"{indefinite} {noun}".strip()
    return template.format(n=noun, g=genitive(gender, noun), k=f"{negative} {noun}", e=article, s=side)


def genitive(gender: str, noun: str) -> str:
    """The noun phrase as radiologists put it after "Nachweis", "Hinweis" or "Ausschluss".

    >>> genitive("m", "kleiner Pleuraerguss"), genitive("f", "frische Fraktur"), genitive("pl", "Rundherde")
    ('eines kleinen Pleuraergusses', 'einer frischen Fraktur', 'von Rundherden')
    """
    *adjectives, head = noun.split()
    if gender == "pl":
        return f"von {noun}" if adjectives or head[-1] in "ns" else f"von {noun}n"
    declined = " ".join(re.sub("(e|er|es)$", "en", word) if word[0].islower() else word for word in adjectives)
    return " ".join(f"{'einer' if gender == 'f' else 'eines'} {declined} {head}{_ending(gender, head)}".split())


def _ending(gender: str, head: str) -> str:
    """The genitive ending of a masculine or neuter noun; abbreviations and Greek words take none."""
    if gender == "f" or head.isupper() or head.endswith(("us", "x", "os", "eu")):
        return ""
    return "es" if head.endswith(("s", "d", "z")) else "s"


def _several(lexicon: Lexicon, rng: random.Random, most: int, least: int = 2) -> dict[str, tuple[str, str]]:
    """One noun with its gender for each of `least` to `most` findings."""
    named = [label for label in lexicon.findings if _nouns(lexicon.findings[label])]
    chosen = rng.sample(named, k=min(len(named), rng.randint(least, most)))
    return {label: rng.choice(_nouns(lexicon.findings[label])) for label in chosen}


def _shared_negation(lexicon: Lexicon, rng: random.Random) -> ReportRecord:
    """One negation over a list ("Keine Infiltrate, Ergüsse oder Stauungszeichen")."""
    nouns = _several(lexicon, rng, 4)
    names = [noun for _, noun in nouns.values()]
    listed = f"{', '.join(names[:-1])} {rng.choice(('oder', 'und', 'bzw.', 'noch'))} {names[-1]}"
    gender = next(iter(nouns.values()))[0]
    text = _fill(lexicon, "shared_negation", gender, listed, rng)
    return ReportRecord(_finish(text, rng), labels=dict.fromkeys(nouns, State.ABSENT))


def _question(lexicon: Lexicon, rng: random.Random) -> ReportRecord:
    """A clinical question: names findings, says nothing about them."""
    names = [noun for _, noun in _several(lexicon, rng, 3).values()]
    text = _fill(lexicon, "question", "pl", rng.choice(("? ", ", ", " oder ")).join(names), rng)
    return ReportRecord(_finish(rng.choice(("", "Fragestellung: ", "Frage: ")) + text, rng), labels={})


def _checklist(lexicon: Lexicon, rng: random.Random) -> ReportRecord:
    """Findings one after the other, each ticked in the way of one house ("Erguss: nein, Pneumothorax: ja, rechts").

    A finding alone stands for a list with one line each, which is read line by line.
    """
    ticks = dict(
        zip((State.PRESENT, State.ABSENT, State.UNCERTAIN), rng.choice(lexicon.templates["checklist"]), strict=True)
    )
    nouns = _several(lexicon, rng, 4, least=1)
    states = {label: rng.choice((State.PRESENT, State.ABSENT, State.ABSENT, State.UNCERTAIN)) for label in nouns}
    ticked = [
        f"{noun}{ticks[states[label]]}{_detail(lexicon, states[label], rng)}" for label, (_, noun) in nouns.items()
    ]
    return ReportRecord(rng.choice((", ", "; ", " | ", " ", " - ", " / ")).join(ticked), labels=states)


def _detail(lexicon: Lexicon, state: State, rng: random.Random) -> str:
    """Now and then where a ticked finding is."""
    side = rng.choice(lexicon.templates["sides"])
    return f", {side}" if side and state is State.PRESENT and rng.random() < 0.3 else ""


def person_line(rng: random.Random) -> ReportRecord:
    """A line that only tells whose report it is ("Frau Anna Brinkauer, 64 J."): no finding, whatever the name."""
    given, family = given_name(rng), family_name(rng)
    name = rng.choice((family, f"{given} {family}", f"{given} {family}", f"{family}, {given}"))
    title = rng.choice(("Herr", "Frau", "Hr.", "Fr.", "Pat.", "Patient", "Patientin", "Name:", ""))
    behind = rng.choice(
        ("", "", f", {rng.randint(18, 98)} J.", f", {rng.randint(18, 98)} Jahre", f", geb. {_birthday(rng)}")
    )
    return ReportRecord(f"{title} {name}{behind}".strip(), labels={})


def _birthday(rng: random.Random) -> str:
    return f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}.{rng.randint(1926, 2008)}"


def below_heading(record: ReportRecord, lexicon: Lexicon, rng: random.Random) -> ReportRecord:
    """The same text below a line that says nothing about it, as sentences are read ("CT Thorax: Kein Erguss.")."""
    line = person_line(rng).text if rng.random() < 0.4 else rng.choice(lexicon.templates["headings"])
    return replace(record, text=f"{line}: {record.text}", rationales=())


def _finish(text: str, rng: random.Random) -> str:
    text = " ".join(text.split())
    if rng.random() < 0.9:
        text = text[:1].upper() + text[1:]
    return text if text.endswith("?") or rng.random() < 0.1 else f"{text}."


def vary(text: str, rng: random.Random) -> str:
    """The same statement as another writer types it: abbreviations, other sides, Swiss ss, spelled-out umlauts, slips.

    >>> vary("Erguss rechts, kein Pneu.", random.Random(1))
    'Erguss re., kein Pneu.'
    """
    if rng.random() < 0.3:
        sides = dict(zip("rl", rng.choice(("rl", "lr")), strict=True))
        text = _SIDES.sub(lambda match: rng.choice(_SIDE_FORMS[sides[match.group()[0].lower()]]), text)
    if rng.random() < 0.3:
        for pattern, forms in _SHORT_FORMS:
            text = pattern.sub(lambda match, forms=forms: rng.choice(forms), text)  # type: ignore[misc]
    draw = rng.random()
    if draw < 0.08:
        return text.replace("ß", "ss")
    if draw < 0.11:
        return text.translate(SPELLED_OUT)
    if draw < 0.15:
        return text.upper() if rng.random() < 0.4 else text.lower()
    if draw < 0.21:
        return text.replace("\n", " ")
    if draw < 0.27:
        return _typo(text, rng)
    return text.removesuffix(".") if draw < 0.37 else text


def _typo(text: str, rng: random.Random) -> str:
    """Up to one swapped, doubled or lost letter per 60 characters."""
    letters = list(text)
    for _ in range(1 + len(letters) // 60):
        place = rng.randrange(max(1, len(letters) - 1))
        if letters[place].isalpha():
            letters[place] = rng.choice(("", letters[place] * 2))
    return "".join(letters)

"""What the cards of the explanations show: the report with its sentences and words by what they say about a finding.

Pure functions from the services' dataclasses to the JSON that `cards/evidence.js` and `cards/reasons.js` read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from medbertde.terms import RESEARCH_ONLY
from medbertde.types import AttributedWord, Attribution, Progress, State
from medbertde.ui.findings import MODEL, STATES, Shown, probability
from medbertde.ui.methods import METHODS
from medbertde.ui.sentences import Sentence, sentences_of
from medbertde.ui.words import Text, decimal, signed

NO_EVIDENCE = Text(
    "Wählen Sie einen Befund, um zu sehen, auf welche Sätze und Wörter sich die Einschätzung stützt.",
    "Choose a finding to see which sentences and words the score rests on.",
)
FOR, AGAINST = Text("spricht dafür", "speaks for"), Text("spricht dagegen", "speaks against")
NEITHER = Text("spricht weder dafür noch dagegen", "speaks neither for nor against")
LEGEND = Text(
    "Die Zahl hinter einem Satz ist sein Beitrag zur Bewertung dieses Befunds, verglichen mit einem leeren Text "
    "(Logit-Einheiten): + spricht dafür, − dagegen.",
    "The number behind a sentence is its contribution to the score of this finding, compared with an empty text (logit "
    "units): + speaks for, − against.",
)
HINT = Text("Ein Klick auf einen Satz zeigt seine Wörter.", "A click on a sentence shows its words.")
MOST_SENTENCES = 3  # named for and against
MOST_WORDS = 4  # named for and against
BEGINNING = 90  # characters of a sentence that say which one it is
NAMED = 0.005  # a smaller share is not named
STOPS = ".,;:!?"
FAINT = 0.04  # what is below this share of the strongest is not named
SIDES = ((1, Text("Am stärksten dafür", "Strongest for")), (-1, Text("Am stärksten dagegen", "Strongest against")))


# ---------------------------------------------------------------------------------------------- several findings


def reasons_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """The findings that are there or uncertain, each with its strongest sentence once they are explained."""
    if shown is None:
        return {}
    wanted = notable(shown)
    rows = [_reason(language, shown, label, shown.attributions[label]) for label in wanted if _is_known(shown, label)]
    some = len(wanted) > 0 and len(rows) < len(wanted)
    return {
        "ask": Text("Alle auffälligen Befunde begründen", "Explain all notable findings").say(language) if some else "",
        "title": Text("Worauf sich das Modell stützt", "What the model bases this on").say(language),
        "rows": rows if not some and len(rows) > 1 else [],
        "chosen": shown.chosen,
    }


def notable(shown: Shown) -> dict[str, State]:
    """The findings that are there or uncertain, the likeliest first."""
    states = {label: shown.state(label) for label in shown.prediction.scores}
    found = {label: state for label, state in states.items() if state in (State.PRESENT, State.UNCERTAIN)}
    order = sorted(found, key=lambda label: -probability(shown.prediction.scores[label], found[label]))
    return {label: state for label in order if (state := found[label]) is not None}


def _is_known(shown: Shown, label: str) -> bool:
    attribution = shown.attributions.get(label)
    return attribution is not None and attribution.target == shown.state(label)


def _reason(language: str, shown: Shown, label: str, attribution: Attribution) -> dict[str, Any]:
    strongest = max(sentences_of(attribution), key=lambda each: each.score, default=None)
    return {
        "label": label,
        "name": shown.name(language, label),
        "state": attribution.target,
        "said": STATES[State(attribution.target)].say(language),
        "probability": probability(shown.prediction.scores[label], shown.state(label)),
        "sentence": beginning(attribution.text, strongest) if strongest else "",
        "shown": signed(language, strongest.score, 1) if strongest else "",
    }


# ---------------------------------------------------------------------------------------------- one finding


def evidence_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """The report, the strongest sentences and words for and against, and how the numbers came about."""
    if shown is None:
        return {}
    attribution = shown.attribution
    if attribution is None:
        return {"empty": NO_EVIDENCE.say(language)}
    said = {notice.code for notice in shown.prediction.warnings}  # above, with the findings or at the gate
    found = sentences_of(attribution)
    return {
        "label": attribution.label,
        "title": title(language, shown, attribution),
        "parts": parts(language, attribution, found),
        "legend": {"for": FOR.say(language), "against": AGAINST.say(language), "about": LEGEND.say(language)},
        "hint": HINT.say(language),
        "strongest": [_strongest(language, attribution, found, sign, name) for sign, name in SIDES],
        "facts": facts(language, attribution),
        "notices": [notice.sentence(language) for notice in attribution.warnings if notice.code not in said],
        "words": _wording(language),
        "research": RESEARCH_ONLY,
    }


def progress_value(language: str, progress: Progress, run: str) -> dict[str, Any]:
    """How far an explanation is; `run` tells one from the next."""
    share = progress.done / progress.total if progress.total else 0.0
    return {
        "run": run,
        "progress": share,
        "said": Text(f"Wird begründet … {100 * share:.0f} %", f"Explaining … {100 * share:.0f} %").say(language),
        "cancel": Text("Abbrechen", "Cancel").say(language),
    }


def title(language: str, shown: Shown, attribution: Attribution) -> str:
    """What is explained."""
    name, state = shown.name(language, attribution.label), STATES[State(attribution.target)].say(language)
    return Text(f"{name} – was für „{state}“ spricht", f"{name} – what speaks for “{state}”").say(language)


def parts(language: str, attribution: Attribution, found: Sequence[Sentence]) -> list[Any]:
    """The whole text: strings between the sentences, and for each sentence its pieces and what it says."""
    largest, largest_word = _largest([each.score for each in found]), largest_word_of(attribution, found)
    made: list[Any] = []
    after = 0
    for each in found:
        if each.start > after:
            made.append(attribution.text[after : each.start])
        made.append(
            {
                "span": [each.start, each.end],
                "pieces": pieces(language, attribution.text, each.words or (), (each.start, each.end), largest_word),
                "later": each.words is None,
                "tint": each.score / largest,
                "shown": signed(language, each.score, 1) if abs(each.score) > FAINT * largest else "",
                "said": _said(language, each),
                "heading": each.heading,
            }
        )
        after = each.end
    return [*made, attribution.text[after:]] if after < len(attribution.text) else made


def largest_word_of(attribution: Attribution, found: Sequence[Sentence]) -> float:
    """The size of the strongest word within a sentence that adds something; the scale of the colours."""
    words = [word.score for each in found if each.adds for word in each.words or ()]
    return _largest(words or [word.score for word in attribution.words])


def _largest(scores: Sequence[float]) -> float:
    return max(map(abs, scores), default=0.0) or 1.0


def pieces(
    language: str, text: str, words: Sequence[AttributedWord], span: tuple[int, int], largest: float
) -> list[dict[str, Any]]:
    """The text of a span as consecutive pieces; what lies between words is a piece without a value."""
    made: list[dict[str, Any]] = []
    after, end = span
    for word in words:
        if word.start > after:
            made.append({"text": text[after : word.start]})
        after = min(word.end, end)
        made.append(
            {
                "text": text[word.start : after],
                "span": [word.start, after],
                "tint": word.score / largest,
                "shown": signed(language, word.score, 2),
            }
        )
    return [*made, {"text": text[after:end]}] if after < end else made


def _said(language: str, sentence: Sentence) -> str:
    """What a sentence says, for who points at it and for who hears the page."""
    said = [_side(language, round(sentence.score, 2))]
    if sentence.share is not None and sentence.share >= NAMED:
        share = percent(language, sentence.share)
        said.append(Text(f"{share} der Bewertung des Befunds", f"{share} of the report's score").say(language))
    if sentence.probability is not None:
        own, alone = signed(language, sentence.own, 1), percent(language, sentence.probability)
        said.append(Text(f"für sich gelesen: {alone} ({own})", f"read by itself: {alone} ({own})").say(language))
    return " · ".join(said)


def _side(language: str, score: float) -> str:
    """For or against, as the number beside it reads."""
    if score == 0:
        return NEITHER.say(language)
    return f"{(FOR if score > 0 else AGAINST).say(language)}: {signed(language, score, 2)}"


def percent(language: str, share: float) -> str:
    """A share in whole percent."""
    return decimal(language, f"{100 * share:.0f} %".replace("-0 ", "0 ").replace("-", "−"))


def _strongest(
    language: str, attribution: Attribution, found: Sequence[Sentence], sign: int, name: Text
) -> dict[str, Any]:
    """The strongest sentences and words of one side."""
    largest, largest_word = _largest([each.score for each in found]), largest_word_of(attribution, found)
    chosen = [each for each in found if sign * each.score > FAINT * largest]
    counting = [word for each in found if each.adds for word in each.words or ()]
    words = [word for word in counting if sign * word.score > FAINT * largest_word]
    words = [word for word in words if any(map(str.isalnum, word.text))]  # a comma has no meaning of its own
    return {
        "title": name.say(language),
        "side": "for" if sign > 0 else "against",
        "sentences": [
            {
                "text": beginning(attribution.text, each),
                "start": each.start,
                "shown": signed(language, each.score, 1),
                "share": percent(language, each.share) if each.share and each.share >= NAMED else "",
            }
            for each in sorted(chosen, key=lambda each: -sign * each.score)[:MOST_SENTENCES]
        ],
        "words": [
            {"text": word.text.strip(STOPS), "shown": signed(language, word.score, 2)}
            for word in sorted(words, key=lambda word: -sign * word.score)[:MOST_WORDS]
        ],
    }


def beginning(text: str, sentence: Sentence) -> str:
    """As much of a sentence as says which one it is."""
    return shorten(text[sentence.start : sentence.end], BEGINNING, placeholder=" …")


def facts(language: str, attribution: Attribution) -> list[dict[str, str]]:
    """How the numbers came about."""
    share = decimal(language, f"{100 * attribution.relative_delta:.1f}")
    named: Mapping[Text, str] = {
        Text("Verfahren", "Method"): METHODS[attribution.method].title(language),
        Text("Ausgangspunkt", "Baseline"): attribution.baseline,
        Text("Rechenschritte", "Steps"): str(attribution.steps),
        Text("Konvergenzabweichung", "Convergence delta"): f"{signed(language, attribution.delta, 3)} ({share} %)",
        MODEL: attribution.model_version,
    }
    return [{"name": name.say(language), "value": value} for name, value in named.items()]


def _wording(language: str) -> dict[str, str]:
    """What the card says by itself."""
    said = {
        "share": Text("Anteil", "share"),
        "none": Text("nichts Deutliches", "nothing clear"),
        "heading": Text("Gelesen unter der Überschrift", "Read under the heading"),
        "strike": Text("Satz streichen und vergleichen", "Strike the sentence and compare"),
        "strike_word": Text("Wort streichen und vergleichen", "Strike the word and compare"),
        "words": Text("Wörter dieses Satzes", "Words of this sentence"),
        "all_words": Text("Wörter aller Sätze", "Words of all sentences"),
        "waiting": Text("Die Wörter werden berechnet …", "Computing the words …"),
        "export": Text("Speichern als", "Save as"),
    }
    return {key: text.say(language) for key, text in said.items()}

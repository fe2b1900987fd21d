"""What the card below an explanation says: how reliable it is, by which method, and where its words were proposed.

Pure functions from the services' dataclasses to the JSON that `cards/evidence_more.js` reads.
"""

from __future__ import annotations

from typing import Any

from medbertde.services.proposals import Proposed
from medbertde.types import AgainstChance, Attribution, Progress
from medbertde.ui.findings import Shown
from medbertde.ui.methods import BASELINES, METHODS, WITHOUT_BASELINE, Named
from medbertde.ui.words import Text, decimal

CLEARLY = 0.95  # of the random orders that an explanation has to beat
LOW = 0.2  # a probability below which hardly anything can be lost
FEW_WORDS = 8  # in a shorter text chance often finds the same words
ASK_RELIABLE = Text("Wie verlässlich ist diese Erklärung?", "How reliable is this explanation?")
RELIABLE = Text("Verlässlichkeit dieser Erklärung", "Reliability of this explanation")
WITHOUT, ONLY = (
    Text("Ohne die wichtigsten Wörter", "Without the most important words"),
    Text("Nur mit den wichtigsten Wörtern", "With the most important words alone"),
)
EXPLAINED, CHANCE = (
    Text("nach dieser Erklärung", "by this explanation"),
    Text("zufällig gewählt", "chosen at random"),
)
MEASURED = Text(
    "Weggelassen oder allein behalten wurden die 5, 10, 20 und 50 % der Wörter, die am meisten dafür sprechen; genannt "
    "ist der mittlere Verlust an Wahrscheinlichkeit. Geprüft wird nur, ob die Erklärung das Modell trifft – nicht, ob "
    "das Modell recht hat.",
    "Left out, or kept alone, were the 5, 10, 20 and 50 % of the words that speak most for it; given is the mean loss "
    "of probability. This only tests whether the explanation is true to the model, not whether the model is right.",
)
PROPOSE = Text("Als Begründung vorschlagen", "Propose as a rationale")


def more_value(language: str, shown: Shown | None) -> dict[str, Any]:
    """Everything below the explanation of the finding looked at; nothing where there is none."""
    if shown is None or (attribution := shown.attribution) is None:
        return {}
    check = shown.checks.get(shown.chosen)
    return {
        "label": shown.chosen,
        "ask": ASK_RELIABLE.say(language),
        "check": check and check_value(language, check),
        "propose": PROPOSE.say(language) if shown.may_propose else "",
        "proposed": proposed_value(language, shown) if shown.chosen in shown.proposed else None,
        "methods": methods_value(language, attribution, shown),
    }


def checking_value(language: str, shown: Shown, progress: Progress, run: str) -> dict[str, Any]:
    """The card while the reliability is measured; `run` tells one measurement from the next."""
    share = progress.done / progress.total if progress.total else 0.0
    said = Text(f"Wird geprüft … {100 * share:.0f} %", f"Checking … {100 * share:.0f} %").say(language)
    running = {"run": run, "progress": share, "said": said, "cancel": Text("Abbrechen", "Cancel").say(language)}
    return {**more_value(language, shown), "check": None, "running": running}


# ---------------------------------------------------------------------------------------------- reliability


def check_value(language: str, check: AgainstChance) -> dict[str, Any]:
    """The two tests, each beside chance, and what they mean together."""
    return {
        "title": RELIABLE.say(language),
        "verdict": _verdict(language, check),
        "tests": [
            {
                "title": WITHOUT.say(language),
                "wish": Text("viel Verlust ist gut (Comprehensiveness)", "much loss is good (comprehensiveness)").say(
                    language
                ),
                "bars": _bars(language, check.explained.comprehensiveness, check.chance.comprehensiveness),
                "said": _beaten(language, check.more_comprehensive, check.orderings),
            },
            {
                "title": ONLY.say(language),
                "wish": Text("wenig Verlust ist gut (Sufficiency)", "little loss is good (sufficiency)").say(language),
                "bars": _bars(language, check.explained.sufficiency, check.chance.sufficiency),
                "said": _beaten(language, check.more_sufficient, check.orderings),
            },
        ],
        "notes": [*_notes(language, check), MEASURED.say(language)],
    }


def _bars(language: str, explained: float, chance: float) -> list[dict[str, Any]]:
    return [
        {"name": name.say(language), "share": max(0.0, loss), "shown": points(language, loss)}
        for name, loss in ((EXPLAINED, explained), (CHANCE, chance))
    ]


def points(language: str, loss: float) -> str:
    """A loss of probability in percentage points; a gain has the other sign.

    >>> points("de", 0.614), points("de", -0.02)
    ('−61 Punkte', '+2 Punkte')
    """
    number = f"{-100 * loss:+.0f}".replace("-", "−")
    return f"{'0' if number[1:] == '0' else number} {Text('Punkte', 'points').say(language)}"


def _beaten(language: str, beaten: int, orderings: int) -> str:
    return Text(
        f"besser als {beaten} von {orderings} zufälligen Reihenfolgen der Wörter",
        f"better than {beaten} of {orderings} random orders of the words",
    ).say(language)


def _verdict(language: str, check: AgainstChance) -> str:
    """One sentence for both tests."""
    least = CLEARLY * check.orderings
    passed = (check.more_comprehensive >= least) + (check.more_sufficient >= least)
    verdicts = (
        Text(
            "Für diesen Befund ist die Erklärung nicht verlässlicher als der Zufall. Bitte stützen Sie sich nicht auf "
            "sie.",
            "For this finding the explanation is no more reliable than chance. Please do not rest on it.",
        ),
        Text(
            "Die Erklärung trifft das Modell nur zum Teil: Einen der beiden Vergleiche mit dem Zufall besteht sie "
            "nicht klar.",
            "The explanation is true to the model only in part: it does not clearly pass one of the two comparisons "
            "with chance.",
        ),
        Text(
            "Die Erklärung nennt die Wörter, auf die sich das Modell hier wirklich stützt: Sie ist in beiden "
            "Vergleichen klar besser als der Zufall.",
            "The explanation names the words that the model really rests on here: it is clearly better than chance in "
            "both comparisons.",
        ),
    )
    unclear = Text(
        "Hier lässt sich nicht klar sagen, wie verlässlich die Erklärung ist.",
        "How reliable the explanation is cannot be told clearly here.",
    )
    return (unclear if passed < 2 and _notes(language, check) else verdicts[passed]).say(language)


def _notes(language: str, check: AgainstChance) -> list[str]:
    """Why the result says less than it could."""
    share = decimal(language, f"{100 * check.probability:.0f}")
    reasons = []
    if check.probability < LOW:
        reasons.append(
            Text(
                f"Die Wahrscheinlichkeit beträgt nur {share} %; viel kann sie nicht verlieren. Das Ergebnis ist daher "
                "wenig aussagekräftig.",
                f"The probability is only {share} %; it cannot lose much. The result therefore says little.",
            )
        )
    if check.words < FEW_WORDS:
        reasons.append(
            Text(
                "Der Text ist kurz; oft trifft auch der Zufall die richtigen Wörter. Das Ergebnis ist deshalb wenig "
                "aussagekräftig.",
                "The text is short; chance often meets the right words, too. The result therefore says little.",
            )
        )
    return [reason.say(language) for reason in reasons]


# ---------------------------------------------------------------------------------------------- proposals


def proposed_value(language: str, shown: Shown) -> dict[str, Any]:
    """What became of the proposal: where it waits, or the offer to take the text in."""
    proposed: Proposed | None = shown.proposed[shown.chosen]
    if proposed is None:
        return {
            "said": Text(
                "Dieser Text liegt nicht unter den Befunden zum Annotieren. Beim Aufnehmen wird er in der Datenbank "
                "gespeichert; bitte nur Texte ohne Angaben zur Person aufnehmen.",
                "This text is not among the reports to annotate. Taking it in stores it in the database; please take "
                "in only texts that identify nobody.",
            ).say(language),
            "add": Text("Aufnehmen und vorschlagen", "Take in and propose").say(language),
        }
    count, name = len(proposed.quotes), shown.name(language, shown.chosen)
    places = Text("1 Stelle" if count == 1 else f"{count} Stellen", "1 span" if count == 1 else f"{count} spans")
    return {
        "said": Text(
            f"{places.de} für {name} vorgeschlagen, Befund {proposed.key}. Sie gelten erst, wenn jemand sie auf der "
            "Annotationskarte bestätigt.",
            f"{places.en} proposed for {name}, report {proposed.key}. They count only once somebody confirms them on "
            "the annotation card.",
        ).say(language),
        "quotes": list(proposed.quotes),
        "report": proposed.report_id,
        "schema": shown.schema_id,
        "open": Text("Auf der Karte öffnen", "Open on the card").say(language),
    }


# ---------------------------------------------------------------------------------------------- methods


def methods_value(language: str, attribution: Attribution, shown: Shown) -> dict[str, Any]:
    """The methods to choose from, and what stands in place of the text where a method asks for it."""
    chosen = METHODS[attribution.method]
    return {
        "title": Text("Verfahren", "Method").say(language),
        "name": chosen.title(language),
        "about": Text(
            "Wie die Werte berechnet werden. Für den Alltag genügt die Voreinstellung.",
            "How the values are computed. The default is enough for every day.",
        ).say(language),
        "items": [_choice(language, key, named, key == shown.method) for key, named in METHODS.items()],
        "baseline": Text("Verglichen wird mit", "Compared with").say(language),
        "baselines": []
        if shown.method in WITHOUT_BASELINE
        else [_choice(language, key, named, key == shown.baseline) for key, named in BASELINES.items()],
    }


def _choice(language: str, key: str, named: Named, chosen: bool) -> dict[str, Any]:
    return {"id": key, "name": named.title(language), "said": named.said.say(language), "chosen": chosen}

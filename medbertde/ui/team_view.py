"""How a team's figures read on the page: tables and sentences in both languages. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from medbertde.bootstrap import Interval
from medbertde.schema import load_schema
from medbertde.services.ordering import OrderingStatus
from medbertde.services.team import MODEL, Comparison, Progress, ProjectView
from medbertde.services.team_figures import FindingAgreement, SuggestionEffect
from medbertde.types import State, WorkOrder
from medbertde.ui.words import Text, decimal, signed

Table = dict[str, Any]
FEWEST_COMPARED = 10  # reports with a suggestion, and without: with fewer a median says nothing
ORDERS = {
    WorkOrder.MIXED: Text("gemischt: unsicher, selten, verschieden, zufällig", "mixed: doubt, rare, diverse, random"),
    WorkOrder.UNCERTAINTY: Text("wo das Modell am unsichersten ist", "where the model is least certain"),
    WorkOrder.RARE: Text("seltene Befunde zuerst", "rare findings first"),
    WorkOrder.DIVERSITY: Text("möglichst verschiedene", "as diverse as possible"),
    WorkOrder.RANDOM: Text("zufällig", "at random"),
    WorkOrder.IMPORT: Text("wie importiert", "as imported"),
    WorkOrder.NEWEST: Text("neueste zuerst", "newest first"),
}  # fmt: skip
NOBODY_YET = Text("Hier hat noch niemand annotiert.", "Nobody has annotated here yet.")
DEFAULT_NAME = Text("Alle Befundtexte", "All reports")
EVERYONE = Text("Alle Annotierenden", "All annotators")
THE_MODEL = Text("Modell", "model")
AGREEMENT_HELP = Text(
    "**Rohwert**: Anteil gleicher Angaben (vorhanden, unsicher, verneint, nicht erwähnt). **κ** (Cohen) und **α** "
    "(Krippendorff) ziehen ab, was durch Zufall gleich wäre: 1 ist völlige Übereinstimmung, 0 so viel wie geraten. Bei "
    "seltenen Befunden fallen beide auch dann niedrig aus, wenn fast alles übereinstimmt; dort ist **AC1** (Gwet) "
    "verlässlicher. In Klammern: 95-%-Bereich. „–“: nicht definiert, die letzte Spalte sagt warum.",
    "**Raw**: share of equal values (present, uncertain, absent, not mentioned). **κ** (Cohen), **α** (Krippendorff) "
    "take off what would be equal by chance: 1 is full agreement, 0 as much as guessing. For rare findings both are "
    "low even where nearly everything agrees; there **AC1** (Gwet) is more reliable. In brackets: 95 % interval. “–”: "
    "undefined, the last column says why.",
)  # fmt: skip
WHY = {
    "": Text("", ""),
    "nothing_shared": Text("noch kein gemeinsamer Befundtext", "no report read by both yet"),
    "one_value": Text(
        "alle Angaben gleich: Zufallskorrektur nicht möglich", "all values equal: no correction for chance possible"
    ),
    "rare": Text("selten: κ und α täuschen, AC1 beachten", "rare: κ and α mislead, see AC1"),
    "few": Text("weniger als 30 Befundtexte", "fewer than 30 reports"),
}


def project_name(language: str, name: str) -> str:
    """The name of a project, of the default one in the page's language."""
    return name or DEFAULT_NAME.say(language)


def project_choices(language: str, views: Sequence[ProjectView]) -> list[tuple[str, int]]:
    """The projects of a list, the one in use marked."""
    mark = Text("hier annotieren Sie", "you annotate here").say(language)
    names = [(project_name(language, view.project.name), view) for view in views]
    return [(f"{name} ({mark})" if view.chosen and len(views) > 1 else name, view.project.id) for name, view in names]


def summary(language: str, view: ProjectView) -> str:
    """How far a project is and by which rules it goes."""
    project, rules = view.project, view.project.rules
    order = ORDERS[rules.order].say(language)
    lines = [
        Text(f"{view.done} von {project.total} Lesungen erledigt.", f"{view.done} of {project.total} readings done."),
        Text(f"Reihenfolge: {order}", f"Order: {order}"),
    ]
    parts = [line.say(language) for line in lines]
    if project.ranked_by:
        parts[-1] += Text(f" (nach {project.ranked_by})", f" (by {project.ranked_by})").say(language)
    parts[-1] += "."
    shares = (
        (rules.bare_share, Text("ohne Vorschlag zum Vergleich", "without suggestions, to compare")),
        (rules.overlap_share, Text(f"unabhängig von {rules.readers} gelesen", f"read blind by {rules.readers}")),
        (rules.test_share, Text("fester Testteil", "fixed test part")),
    )
    told = [f"{percent(language, share)} {text.say(language)}" for share, text in shares if share]
    return " ".join([*parts, *([", ".join(told) + "."] if told else [])])


def people_table(language: str, progress: Progress) -> Table:
    """Everyone's line; before anybody has read anything, that."""
    if not progress.people:
        return {"empty": NOBODY_YET.say(language)}
    columns = [
        Text("Person", "Person"), Text("erledigt", "done"), Text("Median je Befundtext", "median per report"),
        Text("zu schnell", "too fast"),
    ]  # fmt: skip
    rows = [
        [one.name, str(one.done), seconds(language, one.median_s), percent(language, one.too_fast)]
        for one in progress.people
    ]
    return table(language, columns, rows)


def findings_table(language: str, schema_id: str, progress: Progress) -> Table:
    """How often each finding was labelled, and how long the reports took that mention it; nothing before that."""
    if not progress.people:
        return {}
    columns = [
        Text("Befund", "Finding"), Text("vorhanden", "present"), Text("unsicher", "uncertain"),
        Text("verneint", "absent"), Text("Median je Befundtext", "median per report"),
    ]  # fmt: skip
    rows = [
        [
            finding_name(language, schema_id, one.label), *(str(one.counts[state]) for state in State),
            seconds(language, one.median_s),
        ]
        for one in progress.findings
    ]  # fmt: skip
    return table(language, columns, rows)


def pair_choices(language: str, readers: Sequence[str]) -> list[tuple[str, str]]:
    """Who can be compared with whom; the value joins the names, "" stands for all annotators."""
    people = [name for name in readers if name != MODEL]
    both = Text("und", "and").say(language)
    pairs = [*combinations(people, 2), *((name, MODEL) for name in people)]
    shown = {name: name or THE_MODEL.say(language) for name in readers}
    return [
        (EVERYONE.say(language), ""),
        *((f"{shown[a]} {both} {shown[b]}", "\n".join((a, b))) for a, b in pairs),
    ]


def agreement_table(language: str, schema_id: str, found: Comparison) -> Table:
    """One line per finding."""
    columns = [
        Text("Befund", "Finding"), Text("n", "n"), Text("Rohwert", "raw"), Text("κ", "κ"), Text("α", "α"),
        Text("AC1", "AC1"), Text("Hinweis", "note"),
    ]  # fmt: skip
    rows = [_agreement_row(language, schema_id, one) for one in found.findings]
    return table(language, columns, rows)


def _agreement_row(language: str, schema_id: str, one: FindingAgreement) -> list[str]:
    figures = (figure(language, value) for value in (one.raw, one.kappa, one.alpha, one.ac1))
    return [finding_name(language, schema_id, one.label), str(one.n), *figures, WHY[one.why].say(language)]


def effect_table(language: str, effect: SuggestionEffect, of_marks: Sequence[tuple[Text, str, str]] = ()) -> Table:
    """Reports with a suggestion against those without; in a schema of spans `of_marks` says what became of them."""
    columns = [Text("", ""), Text("mit Vorschlag", "with suggestion"), Text("ohne Vorschlag", "without")]
    named = [
        (Text("Befundtexte", "reports"), str(effect.n_shown), str(effect.n_bare)),
        (
            Text("Median je Befundtext", "median per report"),
            seconds(language, effect.median_shown_s),
            seconds(language, effect.median_bare_s),
        ),
        (
            Text("gleich wie das Modell", "same as the model"),
            share(language, effect.agrees_shown),
            share(language, effect.agrees_bare),
        ),
        *(of_marks or [(Text("Vorschläge übernommen", "suggestions kept"), percent(language, effect.accepted), "–")]),
        (Text("zu schnell", "too fast"), percent(language, effect.too_fast_shown), "–"),
    ]
    return table(language, columns, [[name.say(language), *values] for name, *values in named])


def effect_sentence(language: str, effect: SuggestionEffect) -> str:
    """What the table means."""
    if effect.saved_s is None or min(effect.n_shown, effect.n_bare) < FEWEST_COMPARED:
        return Text(
            f"Noch kein Vergleich möglich: {effect.n_shown} Befundtexte sind mit, {effect.n_bare} ohne Vorschlag "
            f"gelesen. Ab je {FEWEST_COMPARED} lässt sich sagen, was Vorschläge bringen und ob sie lenken.",
            f"No comparison yet: {effect.n_shown} reports were read with, {effect.n_bare} without suggestions. From "
            f"{FEWEST_COMPARED} of each on it can be said what suggestions bring and whether they lead.",
        ).say(language)
    saved = effect.saved_s
    value = decimal(language, f"{abs(saved.value):.1f}")
    low, high = (signed(language, number, 1) for number in (saved.low, saved.high))
    longer, en_longer = ("länger", "longer") if saved.value >= 0 else ("kürzer", "less")
    time = Text(
        f"Ohne Vorschlag dauert ein Befundtext im Median {value} s {longer} (95-%-Bereich {low} bis {high} s).",
        f"Without a suggestion a report takes {value} s {en_longer} in the median (95 % interval {low} to {high} s).",
    )
    shown, bare = effect.agrees_shown, effect.agrees_bare
    if shown is None or bare is None:
        return time.say(language)
    leads = bare.high < shown.value and shown.low > bare.value
    anchoring = (
        Text(
            "Mit Vorschlag stimmen die Angaben deutlich häufiger mit dem Modell überein: Vorschläge lenken "
            "möglicherweise.",
            "With a suggestion people say the same as the model clearly more often: suggestions may lead them.",
        )
        if leads
        else Text(
            "Ein Einfluss der Vorschläge auf die Angaben ist nicht nachweisbar.",
            "No influence of the suggestions on what people say can be shown.",
        )
    )
    return f"{time.say(language)} {anchoring.say(language)}"


def ordering_sentence(language: str, status: OrderingStatus | None) -> str:
    """How the computation of an order stands; nothing when there was none."""
    if status is None:
        return ""
    if status.refusal:
        return status.refusal.sentence(language)
    if status.running:
        return Text(
            f"Das Modell liest voraus: {status.done} von {status.total} Befundtexten.",
            f"The model reads ahead: {status.done} of {status.total} reports.",
        ).say(language)
    return Text("Die Reihenfolge gilt ab jetzt.", "The order holds from now on.").say(language)


# ---------------------------------------------------------------------------------------------- numbers


def seconds(language: str, value: float | None) -> str:
    """A time.

    >>> seconds("de", 12.34), seconds("de", None)
    ('12,3 s', '–')
    """
    return "–" if value is None else f"{decimal(language, f'{value:.1f}')} s"


def percent(language: str, value: float | None) -> str:
    """A share in whole per cent.

    >>> percent("de", 0.125), percent("en", None)
    ('12 %', '–')
    """
    return "–" if value is None else f"{100 * value:.0f} %"


def share(language: str, value: Interval | None) -> str:
    """A share with its interval.

    >>> share("de", Interval(0.9, 0.85, 0.95))
    '90 % (85–95)'
    """
    return "–" if value is None else f"{100 * value.value:.0f} % ({100 * value.low:.0f}–{100 * value.high:.0f})"


def figure(language: str, value: Interval | None) -> str:
    """A coefficient with its interval.

    >>> figure("de", Interval(0.8333, 0.7, 0.91))
    '0,83 (0,70–0,91)'
    >>> figure("en", Interval(-0.5, -0.7, 0.1))
    '−0.50 (−0.70–0.10)'
    """
    return "–" if value is None else decimal(language, str(value).replace("-", "−"))


def finding_name(language: str, schema_id: str, label: str) -> str:
    """The name of a label in the page's language."""
    return load_schema(schema_id).label(label).name[language]


def table(language: str, columns: Sequence[Text], rows: Sequence[Sequence[str]]) -> Table:
    """What `cards/table.js` draws."""
    return {"columns": [column.say(language) for column in columns], "rows": [list(row) for row in rows]}

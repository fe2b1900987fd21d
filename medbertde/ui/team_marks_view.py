"""How a team's figures on a schema of spans read on the page, beside `team_view`. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from medbertde.services.mark_figures import ALL_KINDS, KindProgress, MarkAgreement
from medbertde.services.team import Comparison
from medbertde.services.team_figures import SuggestedMarks
from medbertde.ui.team_view import Table, figure, finding_name, percent, seconds, table
from medbertde.ui.words import Text, decimal

AGREEMENT_HELP = Text(
    "**F1** zwischen zwei Lesungen: Anteil der Markierungen, die beide haben; 1 ist völlige Übereinstimmung. "
    "**Genau**: Anfang, Ende und Art sind gleich. **Überlappend**: Markierungen derselben Art haben mindestens ein "
    "Zeichen gemeinsam. Liegt nur der zweite Wert hoch, werden dieselben Stellen gefunden, aber anders abgegrenzt. κ "
    "ist hier nicht definiert: Wie viele Stellen übereinstimmend nicht markiert sind, lässt sich in einem Text nicht "
    "zählen. Bei mehr als zwei Lesungen zählen alle Paare zusammen. In Klammern: 95-%-Bereich.",
    "**F1** between two readings: the share of marks that both have; 1 is full agreement. **Strict**: both ends and "
    "the kind are equal. **Overlap**: marks of the same kind share at least one character. Where only the second "
    "figure is high, the same places are found but cut differently. κ is undefined here: how many places both leave "
    "unmarked cannot be counted in a text. Of more than two readings all pairs count together. In brackets: 95 % "
    "interval.",
)  # fmt: skip
ALL = Text("Alle Arten", "All kinds")
WHY = {
    "": Text("", ""),
    "nothing_shared": Text("noch kein gemeinsamer Befundtext", "no report read by both yet"),
    "no_marks": Text("niemand hat diese Art markiert", "nobody has marked this kind"),
    "few": Text("weniger als 30 Befundtexte", "fewer than 30 reports"),
}


def kinds_table(language: str, schema_id: str, kinds: Sequence[KindProgress]) -> Table:
    """How often each kind is marked, and how long the readings took that mark it."""
    columns = [
        Text("Art der Textstelle", "Kind of span"), Text("Markierungen", "marks"),
        Text("Lesungen damit", "readings with it"), Text("Median je Befundtext", "median per report"),
    ]  # fmt: skip
    rows = [
        [
            finding_name(language, schema_id, one.label),
            str(one.marks),
            str(one.readings),
            seconds(language, one.median_s),
        ]
        for one in kinds
    ]
    return table(language, columns, rows)


def agreement_table(language: str, schema_id: str, found: Comparison) -> Table:
    """All kinds together, then one line per kind."""
    columns = [
        Text("Art der Textstelle", "Kind of span"), Text("n", "n"), Text("Markierungen", "marks"),
        Text("F1 genau", "F1 strict"), Text("F1 überlappend", "F1 overlap"), Text("Hinweis", "note"),
    ]  # fmt: skip
    return table(language, columns, [_agreement_row(language, schema_id, one) for one in found.marks])


def _agreement_row(language: str, schema_id: str, one: MarkAgreement) -> list[str]:
    name = ALL.say(language) if one.label == ALL_KINDS else finding_name(language, schema_id, one.label)
    figures = (figure(language, value) for value in (one.strict, one.overlap))
    return [name, str(one.n), str(one.marks), *figures, WHY[one.why].say(language)]


def effect_rows(language: str, marks: SuggestedMarks) -> list[tuple[Text, str, str]]:
    """What became of the suggested marks: the rows of the table, with and without suggestion."""

    def mean(value: float | None) -> str:
        return "–" if value is None else decimal(language, f"{value:.1f}")

    return [
        (
            Text("Markierungen je Befundtext (Mittel)", "marks per report (mean)"),
            mean(marks.per_report_shown),
            mean(marks.per_report_bare),
        ),
        (Text("vorgeschlagene Stellen", "suggested spans"), str(marks.suggested), "–"),
        (Text("davon unverändert behalten", "of these kept as they were"), percent(language, marks.kept), "–"),
        (
            Text("davon geändert (Grenzen oder Art)", "of these changed (ends or kind)"),
            percent(language, marks.changed),
            "–",
        ),
        (Text("davon verworfen", "of these turned down"), percent(language, marks.removed), "–"),
        (
            Text("von Hand ergänzt", "added by hand"),
            str(marks.by_hand) if marks.suggested or marks.by_hand else "–",
            "–",
        ),
    ]

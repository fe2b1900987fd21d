"""Which held-out reports a new model of spans marks most differently."""

from __future__ import annotations

from typing import Any

from medbertde.services.mark_doubts import Apart, mark_doubts


def row(report: str, truth: list[tuple[str, int, int]], new: list[tuple[str, int, int]]) -> dict[str, Any]:
    def spans(found: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
        return [{"label": label, "start": start, "end": end} for label, start, end in found]

    return {"report": report, "truth": spans(truth), "new": spans(new), "differ": []}


def test_the_most_places_come_first_and_reports_without_a_difference_are_left_out() -> None:
    dose, drug = ("Dosis", 9, 13), ("Medikament", 0, 8)
    found = mark_doubts(
        [
            row("same", [dose, drug], [drug, dose]),
            row("one of two", [dose, drug], [drug]),
            row("one of one", [dose], []),
            row("two", [dose], [drug]),
        ]
    )
    assert [one.report for one in found] == ["two", "one of one", "one of two"]
    assert found[0].apart == (Apart("Medikament", None, (0, 8)), Apart("Dosis", (9, 13), None))


def test_overlapping_marks_of_a_kind_are_one_place_and_of_two_kinds_two() -> None:
    (found,) = mark_doubts([row("r", [("Dosis", 9, 13), ("Dosis", 14, 18)], [("Dosis", 9, 18), ("Frequenz", 9, 10)])])
    assert found.apart == (
        Apart("Frequenz", None, (9, 10)),
        Apart("Dosis", (9, 13), (9, 18)),
        Apart("Dosis", (14, 18), None),
    )
    assert found.equal == 0

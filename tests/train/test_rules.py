"""What the rules make of plain German: scope of negation and uncertainty, silence, devices, and their cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from medbertde.report_file import read_records
from medbertde.schema import load_schema, schema_ids
from medbertde.types import InvalidSchema, ReportRecord, State
from tests.train.conftest import write_reports
from train.rules import label, load_rules, main

SIGNS = {State.PRESENT: "+", State.UNCERTAIN: "?", State.ABSENT: "-"}


def said(text: str, schema_id: str = "chest_xray") -> set[str]:
    """The findings as in the report sources: ``{"Erguss+", "Pneumothorax-"}``."""
    return {name + SIGNS[state] for name, state in label(text, schema_id).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kleiner Pleuraerguss links.", {"Erguss+"}),
        ("Kein Pneumothorax.", {"Pneumothorax-"}),
        ("Keine Infiltrate, Ergüsse oder Stauungszeichen.", {"Verschattung-", "Erguss-", "Stauung-"}),
        ("Kein Pneumothorax, kleiner Erguss links.", {"Pneumothorax-", "Erguss+"}),
        ("Kein Pneumothorax bei liegender Thoraxdrainage.", {"Pneumothorax-", "Thoraxdrainage+"}),
        ("Kein Erguss, aber Infiltrat rechts basal.", {"Erguss-", "Verschattung+"}),
        ("Erguss rechts ohne Stauung.", {"Erguss+", "Stauung-"}),
        ("Kein größerer Erguss.", {"Erguss-"}),
        ("Weder Infiltrat noch Erguss.", {"Verschattung-", "Erguss-"}),
        (
            "Infiltrate, Atelektasen oder Rundherde sind nicht nachweisbar.",
            {"Verschattung-", "Rundherd_Raumforderung-"},
        ),
        ("Der Erguss hat sich vollständig zurückgebildet.", {"Erguss-"}),
        ("Für einen Pneumothorax ergibt sich kein Anhalt.", {"Pneumothorax-"}),
        ("Pneu: nein. Erguss: keiner.", {"Pneumothorax-", "Erguss-"}),
        ("Das Herz ist nicht vergrößert.", {"Kardiomegalie-"}),
        ("Das Herz ist deutlich vergrößert.", {"Kardiomegalie+"}),
    ],
)
def test_negation_reaches_as_far_as_it_is_meant(text: str, expected: set[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "V. a. Erguss links.",
        "Ein kleiner Erguss ist nicht auszuschließen.",
        "Ein kleiner Erguss kann nicht ausgeschlossen werden.",
        "Erguss links nicht sicher ausgeschlossen.",
        "Erguss links möglich.",
        "Fraglicher Erguss links.",
        "Die Trübung könnte einem Erguss entsprechen.",
        "Am ehesten Erguss.",
    ],
)
def test_a_doubt_is_neither_a_finding_nor_its_absence(text: str) -> None:
    assert "Erguss?" in said(text)
    assert not {"Erguss+", "Erguss-"} & said(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Randwinkel beidseits frei.", {"Erguss-"}),
        ("Herz schlank.", {"Kardiomegalie-"}),
        ("Herz normal groß, Lunge frei belüftet.", {"Kardiomegalie-", "Verschattung-"}),
        ("Lunge allseits anliegend.", {"Pneumothorax-"}),
        ("Knöcherner Thorax intakt.", {"Fraktur-"}),
        ("Rechter Randwinkel verschattet.", {"Erguss+"}),
    ],
)
def test_normal_wordings_are_negations_without_a_no(text: str, expected: set[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Frage nach Erguss.",
        "Erguss?",
        "Fragestellung: Pneumothorax, Infiltrat?",
        "Klinische Angaben: Pneumonie. Erguss punktiert.",
        "Klinische Angaben:\nPneumonie.\n\n",
        "Bitte um Ausschluss: Erguss erbeten.",
        "Z. n. Pneumothorax.",
        "",
    ],
)
def test_questions_indications_and_history_say_nothing(text: str) -> None:
    assert said(text) == set()


def test_after_the_indication_the_findings_count_again() -> None:
    assert said("Indikation: V. a. Pneumonie. Befund: Kein Erguss.") == {"Erguss-"}
    assert said("Klinik:\nHusten, Pneumonie?\n\nKleiner Erguss links.") == {"Erguss+"}


@pytest.mark.parametrize("text", ["Tubus entfernt.", "Nach Entfernung des Tubus.", "Tubus gezogen.", "Extubiert."])
def test_a_removed_device_is_absent(text: str) -> None:
    assert said(text) == {"Tubus-"}


def test_the_distance_to_a_landmark_is_no_removal() -> None:
    assert "Tubus+" in said("Tubus 3 cm von der Carina entfernt.")


def test_the_strongest_state_of_a_report_wins() -> None:
    assert said("Kein Erguss rechts. Fraglicher Erguss links.") == {"Erguss?"}
    assert said("Kein Erguss rechts. Fraglicher Erguss links. Erguss ventral.") == {"Erguss+"}


def test_spelling_does_not_matter() -> None:
    for text in ("KEIN GRÖSSERER ERGUSS.", "kein groesserer Erguß", "Kein grösserer Erguss"):
        assert said(text) == {"Erguss-"}


def test_dictated_punctuation_ends_scopes() -> None:
    assert said("Kein Pneumothorax Punkt Erguss links Komma Herz schlank Punkt") == {
        "Pneumothorax-",
        "Erguss+",
        "Kardiomegalie-",
    }


def test_other_kinds_of_oedema_and_emphysema_are_not_those_of_the_lung() -> None:
    assert said("Weichteilemphysem links, Weichteilödem.") == set()


def test_ct_has_its_own_findings() -> None:
    assert said("Keine zentrale Lungenembolie. Kleiner Perikarderguss.", "chest_ct") == {
        "Lungenembolie-",
        "Perikarderguss+",
    }


def test_a_weak_term_counts_only_with_a_cue() -> None:
    assert said("Leber mit Metastasen.", "chest_ct") == set()
    assert "Lungenmetastasen-" in said("Keine Metastasen.", "chest_ct")


@pytest.mark.parametrize("schema_id", schema_ids())
def test_every_finding_has_rules_and_only_findings_do(schema_id: str) -> None:
    assert tuple(finding.label for finding in load_rules(schema_id).findings) == load_schema(schema_id).label_ids


def test_a_schema_without_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("cues: {}\n", encoding="utf-8")
    with pytest.raises(InvalidSchema, match="no rules for the schema chest_xray"):
        load_rules("chest_xray", tmp_path / "rules.yaml")


def _seconds(text: str) -> float:
    """Processor time, which other processes do not stretch; the best of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        label(text, "chest_ct")
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize(
    "piece",
    ["a", "pleuraerguss", "kein ", "nicht sicher zu ", "herz lunge aorta ", "Befund: a. ", ". ", "kein Erguss, "],
)
def test_four_times_the_text_takes_about_four_times_the_time(piece: str) -> None:
    """Quadratic time would be sixteen times."""
    short, long = (piece * (size // len(piece)) for size in (4_000, 16_000))
    assert _seconds(long) < 10 * max(_seconds(short), 0.002)


def test_the_command_writes_weak_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_reports(tmp_path / "in.jsonl", [ReportRecord("Kein Erguss.", id="a"), ReportRecord("Gut.", id="b")])
    assert main([str(source), "--schema", "chest_xray", "--out", str(tmp_path / "out.jsonl")]) == 0
    first, second = read_records(tmp_path / "out.jsonl")
    assert (first.id, first.labels, first.meta["labels"]) == ("a", {"Erguss": State.ABSENT}, "rules")
    assert second.labels == {}
    assert "2 reports" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()

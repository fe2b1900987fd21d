"""Files in: every format, what their columns mean, and everything that can be wrong with a file."""

from __future__ import annotations

import io
import json
import re
import struct
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from openpyxl import Workbook

from medbertde.schema import load_schema
from medbertde.services.access import Access
from medbertde.services.exchange.incoming.plan import Choices, read_findings
from medbertde.services.exchange.incoming.preview import Preview
from medbertde.services.exchange.incoming.screened import SCREENING
from medbertde.services.files import STORING, Files
from medbertde.settings import Settings
from medbertde.store import labelled, labels, search
from medbertde.store.search import Filters
from medbertde.store.session import Database
from medbertde.types import Forbidden, ImportResult, InvalidFile, Progress, Rationale, ReportRecord, Role, State, User

XRAY = "chest_xray"
MB = 1024 * 1024


@pytest.fixture
def files(database: Database, access: Access, settings: Settings) -> Files:
    return Files(database, access, settings)


Look = Callable[..., Preview]


@pytest.fixture
def look(files: Files, anna: User) -> Look:
    """The preview of a file."""

    def preview(name: str, data: bytes | str, **choices: Any) -> Preview:
        return files.preview(anna, XRAY, name, data if isinstance(data, bytes) else data.encode(), Choices(**choices))

    return preview


def record(seen: Preview) -> ReportRecord:
    """The only report of a file."""
    (row,) = seen.rows
    assert row.record, row.fault
    return row.record


def refused(look: Look, name: str, data: bytes | str, **choices: Any) -> str:
    """The German sentence that refuses a file; the English one is there too and is another."""
    with pytest.raises(InvalidFile) as error:
        look(name, data, **choices)
    assert error.value.en
    assert error.value.en != error.value.de
    return error.value.de


def told(seen: Preview) -> str:
    return " ".join(notice.de for notice in seen.notices)


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def archive(members: dict[str, bytes | str], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


class TestCharacters:
    @pytest.mark.parametrize(
        ("encoding", "note"),
        [
            ("utf-8", ""),
            ("utf-8-sig", ""),
            ("utf-16", "UTF-16"),
            ("utf-16-le", "UTF-16"),
            ("utf-16-be", "UTF-16"),
            ("cp1252", "Windows-1252"),
            ("iso8859-15", "Windows-1252"),
        ],
    )
    def test_a_table_is_read_in_every_common_encoding_and_the_page_says_which(
        self, look: Look, encoding: str, note: str
    ) -> None:
        seen = look("a.csv", "id;text\nr1;Lungenödem, größenkonstant.\n".encode(encoding))
        assert record(seen).text == "Lungenödem, größenkonstant."
        assert note in told(seen)
        assert ("gespeichert und wurde so gelesen" in told(seen)) == bool(note)

    def test_damaged_utf8_is_refused_instead_of_read_as_garbage(self, look: Look) -> None:
        data = "text\nÖdem und Erguß.\n".encode() + b"\xff\n"
        assert "nicht in UTF-8 gespeichert" in refused(look, "a.csv", data)

    def test_damaged_utf16_and_binary_files_are_refused(self, look: Look) -> None:
        assert "in UTF-16 gespeichert, aber beschädigt" in refused(look, "a.csv", "text\nA".encode("utf-16") + b"\xd8")
        assert "Nullbytes" in refused(look, "a.csv", b"text\nKein\x00Erguss\n")
        assert "nicht in UTF-8" in refused(look, "a.csv", b"text\nA\xff\x02B\n")


class TestTables:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
    def test_the_separator_is_found_by_what_fits_the_rows(self, look: Look, separator: str) -> None:
        rows = [["id", "text", "Pleuraerguss"], ["r1", '"Kein Erguss; frei, klein | rund"', "0"]]
        seen = look("a.csv", "\n".join(separator.join(row) for row in rows) + "\n")
        assert record(seen).text == "Kein Erguss; frei, klein | rund"
        assert record(seen).labels == {"Erguss": State.ABSENT}

    def test_blank_lines_before_the_header_are_passed_over(self, look: Look) -> None:
        assert record(look("a.csv", "\n" * 25 + "id;text\nr1;Kein Erguss, kein Pneu\n")).id == "r1"

    @pytest.mark.parametrize(
        ("cell", "names"),
        [
            ("{}", []),
            ("[]", []),
            ('["Erguss"]', ["Erguss"]),
            ('{"Erguss": "present"}', ["Erguss"]),
            ("Erguss; Stauung", ["Erguss", "Stauung"]),
        ],
    )
    def test_a_cell_names_its_findings_as_json_or_as_a_list(self, look: Look, cell: str, names: list[str]) -> None:
        escaped = cell.replace('"', '""')
        seen = look("a.csv", f'text\tlabels\nEins.\t"{escaped}"\n')
        assert [found.name for found in seen.names] == names
        assert record(seen).labels == dict.fromkeys(names, State.PRESENT)

    @pytest.mark.parametrize(
        "day", ["1.3.2024 08:30", "01.03.24 08:30", "20240301 08:30", "01.03.2024, 08:30", "2024-03-01T08:30Z"]
    )
    def test_the_time_of_day_is_left_out_of_a_date(self, look: Look, day: str) -> None:
        assert record(look("a.csv", f"text;Datum\nEins.;{day}\n")).meta == {"date": "2024-03-01"}

    def test_columns_are_understood_by_usual_names(self, look: Look) -> None:
        header = "Befund-ID;Befundtext;Untersuchungsdatum;Modalität;Pleuraerguss;ZVK;label:Tubus;Station"
        seen = look("a.csv", f"{header}\n7;Kein Erguss.;01.03.2024;XRAY;-1;ja;neg;A 1\n")
        assert record(seen) == ReportRecord(
            text="Kein Erguss.",
            id="7",
            modality="XRAY",
            labels={"Erguss": State.UNCERTAIN, "ZVK": State.PRESENT, "Tubus": State.ABSENT},
            meta={"date": "2024-03-01", "Station": "A 1"},
        )

    @pytest.mark.parametrize("header", ["Bericht", "BERICHTSTEXT", "Befundbericht", "Report"])
    def test_a_report_is_known_by_its_plain_name(self, look: Look, header: str) -> None:
        assert record(look("a.csv", f"Nr;{header}\n7;Kein Erguss.\n")).text == "Kein Erguss."

    @pytest.mark.parametrize("name", ["rev.csv", "rev.jsonl"])
    def test_our_own_export_of_all_changes_is_no_file_of_reports(self, look: Look, name: str) -> None:
        changes = "report,schema,label,old_value,new_value,use\nr1,chest_xray,Erguss,present,absent,nur Forschung\n"
        sentence = refused(look, name, changes)
        assert sentence.startswith("Die Datei enthält Änderungen von Labels und keine Befundtexte")
        assert "JSONL oder CSV" in sentence
        assert sentence == refused(look, "rev.zip", archive({name: changes}))

    def test_several_columns_can_make_up_the_text(self, look: Look) -> None:
        seen = look("a.csv", "Befund;Beurteilung\nHerz normal.;Kein Erguss.\n", columns={"Beurteilung": "text"})
        assert record(seen).text == "Herz normal.\n\nKein Erguss."

    def test_an_unknown_finding_and_an_unknown_value_reject_their_row_until_they_are_assigned(self, look: Look) -> None:
        table = "text,label:Pleura,Stauung\nEins.,+,grenzwertig\n"
        assert look("a.csv", table).faulty == 1
        chosen = {"columns": {"label:Pleura": "label:Erguss"}, "values": {"Grenzwertig": "uncertain"}}
        assert record(look("a.csv", table, **chosen)).labels == {"Erguss": State.PRESENT, "Stauung": State.UNCERTAIN}
        left_out = {"columns": {"label:Pleura": "skip"}, "values": {"grenzwertig": "-"}}
        assert record(look("a.csv", table, **left_out)).labels == {}

    def test_the_preview_shows_which_values_stand_for_what(self, look: Look) -> None:
        seen = look("a.csv", "text,Erguss\nEins.,1\nZwei.,1.0\nDrei.,\nVier.,vielleicht\n")
        assert [(found.name, found.count, found.meaning) for found in seen.values] == [
            ("1", 2, "present"),
            ("", 1, ""),
            ("vielleicht", 1, "vielleicht"),
        ]

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ("a;b\n1;2\n", "Keine Spalte ist als Befundtext erkannt. Gefunden: a, b."),
            ("text\n", "enthält nur die Kopfzeile und keine Befunde"),
            ("", "Die Datei a.csv ist leer."),
            (" \n\n", "Die Datei a.csv ist leer."),
            ('text;id\n"Kein;1\n', "Ein Anführungszeichen ist nicht geschlossen"),
            (";".join(f"c{number}" for number in range(600)) + "\n1\n", "hat 600 Spalten, erlaubt sind 500"),
        ],
    )
    def test_a_table_that_cannot_be_read_is_refused(self, look: Look, data: str, sentence: str) -> None:
        assert sentence in refused(look, "a.csv", data)

    def test_one_long_line_is_a_fault_of_its_row(self, look: Look) -> None:
        seen = look("a.csv", f"id,text\nr1,{'x' * MB}\nr2,Kein Erguss.\n")
        assert [row.record is not None for row in seen.rows] == [False, True]
        assert seen.first_fault
        assert "Der Text hat 1.048.576 Zeichen" in seen.first_fault.de

    def test_html_stays_text_and_is_told(self, look: Look) -> None:
        seen = look("a.csv", "text\n<p>Kein <b>Erguss</b>.</p>\n")
        assert record(seen).text == "<p>Kein <b>Erguss</b>.</p>"
        assert "1 Texte enthalten HTML-Auszeichnungen" in told(seen)

    def test_a_date_that_is_none_and_an_unknown_choice_are_refused(self, look: Look) -> None:
        for day in ("gestern", "2024-03-015"):
            seen = look("a.csv", f"text,Datum\nEins.,{day}\n")
            assert seen.first_fault
            assert seen.first_fault.de.startswith("Das Datum ist nicht lesbar.")
        assert "Spalte „Fehlt“ gibt es nicht" in refused(look, "a.csv", "text\nEins.\n", columns={"Fehlt": "text"})


class TestWorkbooks:
    def test_dates_numbers_and_empty_cells_are_read_as_text(self, look: Look) -> None:
        from datetime import datetime

        rows = [["id", "text", "Datum", "Erguss"], [17.0, "Kein Erguss.", datetime(2024, 3, 1), 0], [], [None]]
        seen = look("a.xlsx", workbook(("leer", []), ("Daten", rows)))
        assert (seen.table.sheet, seen.table.sheets) == ("Daten", ("leer", "Daten"))
        assert record(seen) == ReportRecord(
            "Kein Erguss.", "17", None, {"Erguss": State.ABSENT}, (), {"date": "2024-03-01"}
        )

    def test_formula_cells_are_the_values_that_were_last_shown(self, look: Look) -> None:
        data = workbook(("Daten", [["text", "Station"], ["Kein Erguss.", "=1+1"]]))
        packed = zipfile.ZipFile(io.BytesIO(data))
        members = {name: packed.read(name) for name in packed.namelist()}
        name = "xl/worksheets/sheet1.xml"
        members[name] = members[name].replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>")
        assert b"<f>1+1</f><v>2</v>" in members[name]
        assert record(look("a.xlsx", archive(members))).meta == {"Station": "2"}

    def test_a_workbook_that_unpacks_to_too_much_is_refused(self, look: Look) -> None:
        members = {"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": b" " * (201 * MB)}
        assert "größer als 200 MB" in refused(look, "a.xlsx", archive(members))

    def test_a_sheet_that_claims_to_be_huge_costs_nothing(self, look: Look) -> None:
        packed = zipfile.ZipFile(io.BytesIO(workbook(("Daten", [["text"], ["Frei."]]))))
        members = {name: packed.read(name) for name in packed.namelist()}
        name = "xl/worksheets/sheet1.xml"
        members[name] = members[name].replace(b'ref="A1:A2"', b'ref="A1:XFD1048576"')
        assert record(look("a.xlsx", archive(members))).text == "Frei."

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 512, "mit einem Kennwort geschützt oder im alten Format"),
            (archive({"xl/workbook.xml": b"<kaputt"}), "beschädigt oder unvollständig"),
            (workbook(("A", [["text"], ["Frei."]]))[:-300], "beschädigt oder nicht vollständig übertragen"),
            (workbook(("A", [])), "ist leer"),
            (workbook(("A", [["text"]])), "nur die Kopfzeile"),
            (archive({"[Content_Types].xml": b"", "word/document.xml": b""}), "von der Art „Word"),
        ],
    )
    def test_what_is_no_readable_workbook_is_refused(self, look: Look, data: bytes, sentence: str) -> None:
        assert sentence in refused(look, "a.xlsx", data)

    def test_a_workbook_with_damaged_or_encrypted_members_is_refused(self, look: Look) -> None:
        whole = workbook(("A", [["text"], ["Frei."]]))
        with zipfile.ZipFile(io.BytesIO(whole)) as packed:
            at = packed.getinfo("xl/worksheets/sheet1.xml").header_offset
        start = at + 30 + sum(struct.unpack_from("<HH", whole, at + 26))
        damaged = whole[:start] + b"\xff" * 4 + whole[start + 4 :]
        locked = bytearray(whole)
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            for found in re.finditer(signature, whole):
                struct.pack_into("<H", locked, found.start() + flags, 1)
        for data in (damaged, bytes(locked)):
            assert "beschädigt oder unvollständig" in refused(look, "a.xlsx", data)

    def test_an_unknown_sheet_is_refused(self, look: Look) -> None:
        assert "kein Blatt mit diesem Namen" in refused(look, "a.xlsx", workbook(("A", [["text"], ["x"]])), sheet="B")


class TestParquet:
    def test_columns_and_nested_values_are_read(self, look: Look) -> None:
        spans = [{"label": "Erguss", "start": 5, "end": 11}]
        seen = look("a.parquet", parquet([{"text": "Kein Erguss.", "label:Erguss": "absent", "rationales": spans}]))
        assert record(seen).rationales == (Rationale("Erguss", 5, 11),)
        assert record(seen).labels == {"Erguss": State.ABSENT}

    def test_a_damaged_and_an_empty_file_are_refused(self, look: Look) -> None:
        data = parquet([{"text": "Kein Erguss."}])
        assert "keine lesbare Parquet-Datei" in refused(look, "a.parquet", data[:-20])
        assert "keine lesbare Parquet-Datei" in refused(look, "a.parquet", b"text\nKein Erguss.\n")
        empty = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), empty)
        assert "enthält keine Befunde" in refused(look, "a.parquet", empty.getvalue())


class TestJson:
    def test_a_line_of_ours_keeps_everything(self, look: Look) -> None:
        line = {"id": "r1", "text": "Kein Erguss.", "labels": {"Erguss": "absent"}, "meta": {"haus": "erfunden"}}
        line["rationales"] = [{"label": "Erguss", "start": 5, "end": 11}]
        found = record(look("a.jsonl", json.dumps(line)))
        assert found == ReportRecord(
            "Kein Erguss.", "r1", None, {"Erguss": State.ABSENT}, (Rationale("Erguss", 5, 11),), {"haus": "erfunden"}
        )

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("kaputt", "kein JSON-Objekt"),
            ('{"id": "a"}', "Das Feld „text“ fehlt"),
            ('{"text": "Kein \\ud83d."}', "unlesbare Zeichen"),
            ('{"text": "Kein \\u0000."}', "unlesbare Zeichen"),
            ('{"text": "A", "labels": {"Pneu": "+"}}', "„Pneu“ gehört nicht zum Schema"),
            ('{"text": "A", "labels": 5}', "weder ein Objekt noch eine Liste"),
            ('{"text": "A", "rationales": [{"label": "Erguss", "start": 1}]}', "keine gültigen Positionen"),
            ('{"text": "A", "rationales": 5}', "muss eine Liste von Textstellen sein"),
            ('{"text": "A", "rationales": [{"label": "Erguss", "start": 0, "end": 9}]}', "außerhalb des Textes"),
        ],
    )
    def test_a_wrong_line_is_a_fault_and_the_others_are_read_on(self, look: Look, line: str, sentence: str) -> None:
        seen = look("a.jsonl", '{"text": "Eins.", "labels": {}, "rationales": []}\n' + line + '\n{"text": "Drei."}\n')
        assert [row.record is not None for row in seen.rows] == [True, False, True]
        assert seen.first_fault
        assert sentence in seen.first_fault.de

    def test_a_list_that_is_cut_off_is_refused_with_its_line(self, look: Look) -> None:
        assert "kein vollständiges JSON (Zeile 2)" in refused(look, "a.json", '[{"text": "Eins."},\n{"text": ')
        assert "enthält keine Befunde" in refused(look, "a.json", "[]")

    def test_an_ending_that_does_not_fit_is_told(self, look: Look) -> None:
        seen = look("a.csv", '{"text": "Eins."}\n')
        assert record(seen).text == "Eins."
        assert "Die Datei heißt „.csv“, ihr Inhalt ist aber eine .jsonl-Datei" in told(seen)
        assert record(look("a.jsonl", "id;text\n1;Eins.\n")).text == "Eins."
        assert record(look("a.xlsx", "id;text\n1;Eins.\n")).text == "Eins."

    def test_kinds_that_are_not_read_are_named(self, look: Look) -> None:
        assert "von der Art „PDF“ und wird nicht gelesen. Möglich sind .jsonl, .csv" in refused(
            look, "a.csv", b"%PDF-1"
        )
        assert "von der Art „.docx“" in refused(look, "a.docx", "Kein Erguss.")

    @pytest.mark.parametrize(
        ("text", "start", "end", "quote"),
        [
            ("  Kein Erguss.", 7, 13, "Erguss"),
            ("Befund:\r\nKein Erguss.", 14, 20, "Erguss"),
            ("O\u0308dem. Erguss.", 7, 13, "Erguss"),
            ("Kein\u200b Erguss.", 6, 12, "Erguss"),
        ],
    )
    def test_spans_follow_the_cleaning_of_their_text(
        self, look: Look, text: str, start: int, end: int, quote: str
    ) -> None:
        line = {"text": text, "rationales": [{"label": "Erguss", "start": start, "end": end}]}
        found = record(look("a.jsonl", json.dumps(line)))
        assert [found.text[span.start : span.end] for span in found.rationales] == [quote]

    def test_a_span_within_a_character_is_refused(self, look: Look) -> None:
        line = {"text": "O\u0308dem.", "rationales": [{"label": "Erguss", "start": 1, "end": 4}]}
        seen = look("a.jsonl", json.dumps(line))
        assert seen.first_fault
        assert "mitten in einem Zeichen (Position 1)" in seen.first_fault.de


class TestLabelStudio:
    def task(self, *annotations: dict[str, Any], **data: Any) -> str:
        return json.dumps([{"id": 3, "data": {"text": "🫁 Kein Erguss.", **data}, "annotations": list(annotations)}])

    def test_choices_and_regions_become_findings_and_spans(self, look: Look) -> None:
        region = {"start": 7, "end": 13, "text": "Erguss", "labels": ["pleural effusion"]}
        result = [
            {"from_name": "Erguss", "type": "choices", "value": {"choices": ["absent"]}},
            {"from_name": "finding", "type": "choices", "value": {"choices": ["Kardiomegalie"]}},
            {"from_name": "spans", "type": "labels", "value": region},
        ]
        seen = look("a.json", self.task({"result": result, "completed_by": {"email": "a@b.c"}}, haus="erfunden"))
        found = record(seen)
        assert seen.table.format == "label_studio"
        assert found.labels == {"Erguss": State.ABSENT, "Kardiomegalie": State.PRESENT}
        assert found.rationales == (Rationale("Erguss", 7, 13),)
        assert found.meta == {"haus": "erfunden", "annotator": "a@b.c", "task": "3"}

    def test_positions_in_utf16_units_are_recognised_by_the_quoted_words(self, look: Look) -> None:
        region = {"start": 8, "end": 14, "text": "Erguss", "labels": ["Erguss"]}
        found = record(look("a.json", self.task({"result": [{"type": "labels", "value": region}]})))
        assert found.rationales == (Rationale("Erguss", 7, 13),)

    def test_a_quote_that_stands_nowhere_is_refused(self, look: Look) -> None:
        region = {"start": 1, "end": 5, "text": "Erguss", "labels": ["Erguss"]}
        seen = look("a.json", self.task({"result": [{"type": "labels", "value": region}]}))
        assert seen.first_fault
        assert "ist nicht die, die im Export dazu steht" in seen.first_fault.de

    def test_the_last_annotation_that_was_not_cancelled_counts(self, look: Look) -> None:
        def annotation(choice: str, at: str, **more: Any) -> dict[str, Any]:
            value = {"from_name": "Erguss", "type": "choices", "value": {"choices": [choice]}}
            return {"result": [value], "created_at": at, **more}

        task = self.task(
            annotation("absent", "2024-01-02"),
            annotation("present", "2024-01-01"),
            annotation("uncertain", "2024-01-03", was_cancelled=True),
        )
        assert record(look("a.json", task)).labels == {"Erguss": State.ABSENT}

    def test_the_flat_form_is_read_too(self, look: Look) -> None:
        item = {
            "id": 5,
            "text": "Kein Erguss.",
            "findings": {"choices": ["Stauung", "Emphysem"]},
            "label": [{"start": 5, "end": 11, "text": "Erguss", "labels": ["Erguss"]}],
            "annotator": 1,
            "annotation_id": 9,
            "lead_time": 3.2,
        }
        seen = look("a.json", json.dumps([item]))
        assert seen.table.format == "label_studio_min"
        assert record(seen).labels == {"Stauung": State.PRESENT, "Emphysem": State.PRESENT}
        assert record(seen).rationales == (Rationale("Erguss", 5, 11),)

    def test_a_column_named_annotator_makes_no_export_of_label_studio(self, look: Look) -> None:
        spans = [{"label": "Erguss", "start": 5, "end": 11}]
        item = {"text": "Kein Erguss.", "labels": {"Erguss": "absent"}, "rationales": spans, "annotator": "anna"}
        for more, found in (({}, "json"), ({"annotation_id": 9}, "label_studio_min")):
            seen = look("a.json", json.dumps([item | more]))
            assert seen.table.format == found
            assert record(seen).labels == {"Erguss": State.ABSENT}
            assert record(seen).rationales == (Rationale("Erguss", 5, 11),)
            assert record(seen).meta == {"annotator": "anna"}

    def test_names_can_be_assigned_or_left_out(self, look: Look) -> None:
        result = [{"from_name": "f", "type": "choices", "value": {"choices": ["Fluid", "Quality"]}}]
        task = self.task({"result": result})
        assert look("a.json", task).faulty == 1
        assert [found.name for found in look("a.json", task).names] == ["Fluid", "Quality"]
        chosen = look("a.json", task, names={"Fluid": "Erguss", "Quality": "-"})
        assert record(chosen).labels == {"Erguss": State.PRESENT}

    def test_what_is_no_task_is_a_fault(self, look: Look) -> None:
        seen = look("a.json", '[{"id": 1, "data": {"text": "Eins."}, "annotations": []}, {"annotations": 5}, 7]')
        assert [row.record is not None for row in seen.rows] == [True, False, False]

    @pytest.mark.parametrize("annotations", [5, {"result": []}, [{"result": 5}], [{"result": {"value": {}}}]])
    def test_a_task_whose_annotations_are_malformed_is_a_fault(self, look: Look, annotations: Any) -> None:
        whole = {"data": {"text": "Eins."}, "annotations": []}
        seen = look("a.json", json.dumps([whole, {"data": {"text": "Zwei."}, "annotations": annotations}, whole]))
        assert [row.record is not None for row in seen.rows] == [True, False, True]
        assert seen.first_fault
        assert "„annotations“ oder „result“ ist keine Liste" in seen.first_fault.de


class TestDoccano:
    @pytest.mark.parametrize(
        "line",
        [
            {"id": 1, "text": "Kein Erguss.", "label": [[5, 11, "Pleuraerguss"]], "Comments": []},
            {"id": 1, "text": "Kein Erguss.", "labels": [[5, 11, "Erguss"]]},
            {
                "id": 1,
                "text": "Kein Erguss.",
                "entities": [{"id": 4, "label": "Erguss", "start_offset": 5, "end_offset": 11}],
                "relations": [],
            },
        ],
    )
    def test_sequence_labels_become_spans(self, look: Look, line: dict[str, Any]) -> None:
        seen = look("a.jsonl", json.dumps(line))
        assert seen.table.format == "doccano"
        assert record(seen).rationales == (Rationale("Erguss", 5, 11),)
        assert (record(seen).id, record(seen).labels) == ("1", {})

    @pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
    @pytest.mark.parametrize("entities", [["x"], 5, "x", {"label": "Erguss"}])
    def test_a_row_whose_entities_are_malformed_is_a_fault(self, look: Look, name: str, entities: Any) -> None:
        whole = {"text": "Kein Erguss.", "entities": [{"label": "Erguss", "start_offset": 5, "end_offset": 11}]}
        rows = [whole, {"text": "Zwei.", "entities": entities}, whole]
        seen = look(name, json.dumps(rows) if name == "a.json" else "\n".join(map(json.dumps, rows)))
        assert [row.record is not None for row in seen.rows] == [True, False, True]
        assert seen.first_fault
        assert "Das Feld „entities“ ist keine Liste von Textstellen" in seen.first_fault.de

    def test_classes_become_findings(self, look: Look) -> None:
        lines = [{"text": "Eins.", "label": ["Erguss", "Stauung"]}, {"text": "Zwei.", "label": []}]
        seen = look("a.jsonl", "\n".join(map(json.dumps, lines)))
        assert [dict(row.record.labels) for row in seen.rows if row.record] == [
            {"Erguss": State.PRESENT, "Stauung": State.PRESENT},
            {},
        ]


class TestArchives:
    def test_members_of_all_kinds_are_read_in_their_order(self, look: Look) -> None:
        members = {
            "befunde/eins.txt": "Eins.",
            "befunde/zwei.csv": "id;text\nr2;Zwei.\n".encode("cp1252"),
            "drei.jsonl": '{"text": "Drei."}\n',
            "vier.xlsx": workbook(("A", [["text"], ["Vier."]])),
            "fünf.parquet": parquet([{"text": "Fünf."}]),
            "__MACOSX/._eins.txt": b"\x00\x05",
            ".DS_Store": b"\x00",
        }
        seen = look("a.zip", archive(members))
        assert [(row.number, row.record.text if row.record else row.fault) for row in seen.rows] == [
            (1, "Eins."),
            (2, "Zwei."),
            (3, "Drei."),
            (4, "Vier."),
            (5, "Fünf."),
        ]
        assert seen.rows[0].record
        assert seen.rows[0].record.meta == {"file": "befunde/eins.txt"}

    def test_a_member_that_cannot_be_read_is_one_fault_with_its_name(self, look: Look) -> None:
        inner = archive({"a.txt": "innen"})
        data = archive({"../../etc/eins.txt": "Eins.", "bild.png": b"\x89PNG\x00", "innen.zip": inner, "x.txt": b""})
        faults = [row.fault.de.split(": ")[0] for row in look("a.zip", data).rows if row.fault]
        assert faults == ["bild.png", "innen.zip", "x.txt"]

    def test_a_damaged_member_is_a_fault(self, look: Look) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            packed.writestr("a.txt", "Kein Erguss.")
            packed.writestr("b.txt", "Kein Infiltrat.")
        seen = look("a.zip", buffer.getvalue().replace(b"Kein Erguss.", b"Kein Erg#ss."))
        assert [row.fault.de for row in seen.rows if row.fault] == ["a.txt: Die Datei im Archiv ist beschädigt."]

    def test_bombs_half_archives_and_passwords_are_refused(self, look: Look) -> None:
        assert "größer als 200 MB" in refused(look, "a.zip", archive({"a.txt": b" " * (5 * MB)}))
        whole = archive({"a.txt": "Eins."})
        assert "nicht vollständig übertragen" in refused(look, "a.zip", whole[: len(whole) // 2])
        directory = whole.index(b"PK\x01\x02")
        locked = bytearray(whole)
        struct.pack_into("<H", locked, directory + 8, 1)
        assert "mit einem Kennwort geschützt" in refused(look, "a.zip", bytes(locked))

    def test_an_archive_without_reports_says_why(self, look: Look) -> None:
        assert "keine lesbare Befunddatei. bild.png: " in refused(look, "a.zip", archive({"bild.png": b"\x89PNG\x00"}))


class TestStoring:
    def texts(self, database: Database) -> list[str]:
        with database.read() as session:
            page = search.search(session, wanted=(), filters=Filters(XRAY), limit=10_000)
        return [hit.report.text for hit in page.hits]

    def test_progress_comes_first_and_whoever_stops_before_storing_has_stored_nothing(
        self, files: Files, anna: User, database: Database
    ) -> None:
        data = "\n".join(json.dumps({"text": f"Befund {number}."}) for number in range(1200)).encode()
        steps = files.import_steps(anna, XRAY, "a.jsonl", data)
        told = list(takewhile(lambda step: isinstance(step, Progress) and step.note != STORING, steps))
        assert [(step.done, step.note) for step in told if isinstance(step, Progress)] == [
            (500, ""),
            (1000, ""),
            *((done, SCREENING) for done in range(200, 1201, 200)),
        ]
        steps.close()  # type: ignore[attr-defined]
        assert self.texts(database) == []

    def test_a_failure_while_storing_leaves_nothing_behind(
        self, files: Files, anna: User, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> int:
            raise OSError("disk")

        monkeypatch.setattr(labels, "save_imported", fail)
        with pytest.raises(OSError, match="disk"):
            files.import_file(anna, XRAY, "a.csv", b"text,Erguss\nEins.,1\n")
        assert self.texts(database) == []

    def test_spans_without_findings_are_stored_too(self, files: Files, anna: User, database: Database) -> None:
        line = {"text": "Kein Erguss.", "label": [[5, 11, "Erguss"]]}
        result = files.import_file(anna, XRAY, "a.jsonl", json.dumps(line).encode())
        assert result == ImportResult(added=1, duplicates=0, labelled=1)
        with database.read() as session:
            (found,) = labelled.records(session, schema_id=XRAY)
        assert found.rationales == (Rationale("Erguss", 5, 11),)

    def test_more_rows_than_allowed_are_refused_as_a_whole(
        self, files: Files, anna: User, database: Database, settings: Settings
    ) -> None:
        small = replace(files, settings=replace(settings, max_import_rows=2))
        with pytest.raises(InvalidFile, match="more than 2 rows"):
            small.import_file(anna, XRAY, "a.csv", b"text\nEins.\nZwei.\nDrei.\n")
        assert self.texts(database) == []

    def test_a_viewer_may_not(self, files: Files, anna: User) -> None:
        viewer = User(anna.id, anna.name, Role.VIEWER, anna.terms_version)
        with pytest.raises(Forbidden, match="annotator"):
            files.preview(viewer, XRAY, "a.txt", b"Eins.")

    def test_every_finding_of_the_schema_is_found_by_its_german_and_english_name(self, look: Look) -> None:
        for label in load_schema(XRAY).labels:
            for name in (label.id, *label.name.values()):
                assert record(look("a.csv", f"text\t{name}\nEins.\t1\n")).labels == {label.id: State.PRESENT}


def test_a_cell_with_a_long_run_of_spaces_is_read_at_once() -> None:
    before = time.process_time()
    assert read_findings(f" Erguss ;{' ' * 100_000}Kein | Stauung,, ") == ["Erguss", "Kein", "Stauung"]
    assert read_findings("a" + " " * 100_000 + "b") != []
    assert time.process_time() - before < 2

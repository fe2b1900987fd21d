"""Report files as people send them: what is read, which row is refused with which sentence, what is written back."""

from __future__ import annotations

import csv
import json
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from medbertde.report_file import Row, csv_line, read_records, read_reports, to_json
from medbertde.schema import load_schema
from medbertde.types import InvalidFile, Rationale, ReportRecord, State

SCHEMA = load_schema("chest_xray")


def rows(name: str, content: str | bytes) -> list[Row]:
    """The rows of an uploaded file for `chest_xray`."""
    data = content.encode() if isinstance(content, str) else content
    return list(read_reports(name, data, schema=SCHEMA))


def record(name: str, content: str | bytes) -> ReportRecord:
    """The only record of a file."""
    (row,) = rows(name, content)
    assert row.record, row.fault
    return row.record


def fault(**fields: Any) -> tuple[str, str]:
    """What is wrong with a JSON line of these fields, in both languages."""
    (row,) = rows("a.jsonl", json.dumps({"text": "Kein Erguss rechts.", **fields}))
    assert row.fault, row.record
    return row.fault.de, row.fault.en


def refusal(name: str, content: str | bytes) -> InvalidFile:
    """What is said about a file that cannot be read as a whole."""
    with pytest.raises(InvalidFile) as refused:
        rows(name, content)
    return refused.value


class TestAnyFile:
    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
    @pytest.mark.parametrize("content", ["", " \n\r\n\t", "\ufeff"])
    def test_an_empty_one_is_refused(self, name: str, content: str) -> None:
        error = refusal(name, content)
        assert (error.de, error.en) == (f"Die Datei {name} ist leer.", f"The file {name} is empty.")

    @pytest.mark.parametrize(("name", "kind"), [("befunde.xlsx", ".xlsx"), ("befunde", "befunde"), ("a.csv.gz", ".gz")])
    def test_one_of_another_kind_is_refused(self, name: str, kind: str) -> None:
        error = refusal(name, "x")
        assert error.de == f"Dateien der Art „{kind}“ werden nicht gelesen. Möglich sind .jsonl, .csv und .txt."
        assert error.en == f"Files of the kind “{kind}” are not read. Possible are .jsonl, .csv and .txt."

    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
    def test_one_that_is_not_utf_8_is_refused(self, name: str) -> None:
        assert f"Die Datei {name} ist nicht in UTF-8 gespeichert" in refusal(name, "text\nÖdem".encode("cp1252")).de

    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
    def test_one_with_null_bytes_is_refused(self, name: str) -> None:
        assert f"Die Datei {name} enthält Nullbytes" in refusal(name, b"text\nKein\x00Erguss").de

    def test_the_ending_may_be_written_in_capitals(self) -> None:
        assert record("BEFUND.TXT", "Kein Erguss.").text == "Kein Erguss."

    def test_a_text_file_is_one_report(self) -> None:
        assert record("a.txt", "\ufeffBefund:\r\nKein Erguss.\r\n").text == "Befund:\nKein Erguss."

    def test_a_text_that_is_too_long_is_refused_in_its_row(self) -> None:
        (row,) = rows("a.txt", "x" * 20_001)
        assert row.fault
        assert row.fault.de.startswith("Der Text hat 20.001 Zeichen, erlaubt sind 20.000.")


class TestJsonLines:
    def test_everything_a_report_can_bring_along_is_read(self) -> None:
        line = {
            "id": 17,
            "modality": "xray",
            "text": "Kein Erguss, V. a. Pneu.",
            "labels": {"Erguss": "absent", "Pneumothorax": "unsicher", "Stauung": None},
            "rationales": [{"label": "Erguss", "start": 0, "end": 11}],
            "meta": {"haus": "erfunden", "jahr": 2024, "leer": None},
        }
        assert record("a.jsonl", json.dumps(line)) == ReportRecord(
            text="Kein Erguss, V. a. Pneu.",
            id="17",
            modality="xray",
            labels={"Erguss": State.ABSENT, "Pneumothorax": State.UNCERTAIN},
            rationales=(Rationale("Erguss", 0, 11),),
            meta={"haus": "erfunden", "jahr": "2024"},
        )

    def test_a_wrong_line_keeps_its_number_and_the_others_are_read_on(self) -> None:
        found = rows("a.jsonl", '\ufeff{"text": "Eins."}\r\n\r\n{"text": "Zwei."\r\n{"text": "Drei."}\r\n')
        assert [(row.number, row.record.text if row.record else None) for row in found] == [
            (1, "Eins."),
            (3, None),
            (4, "Drei."),
        ]
        assert found[1].fault
        assert (found[1].fault.de, found[1].fault.en) == (
            "Die Zeile ist kein JSON-Objekt.",
            "The row is not a JSON object.",
        )

    @pytest.mark.parametrize(
        "line", ["kaputt", "[1]", '"Kein Erguss."', "null", "[" * 100_000, '{"text": "a", "meta": {"n": ' + "1" * 5000]
    )
    def test_what_is_no_object_is_refused(self, line: str) -> None:
        (row,) = rows("a.jsonl", line)
        assert row.fault
        assert row.fault.en == "The row is not a JSON object."

    @pytest.mark.parametrize("line", ["{}", '{"text": null}', '{"text": 5}', '{"Text": "Kein Erguss."}'])
    def test_a_line_without_a_text_is_refused(self, line: str) -> None:
        (row,) = rows("a.jsonl", line)
        assert row.fault
        assert row.fault.de == "Das Feld „text“ fehlt oder ist kein Text."
        assert row.fault.en == "The field “text” is missing or not a text."

    @pytest.mark.parametrize("text", ["", "  ", "\u200b", "Kein \x00 Erguss.", "Kein \ud83d Erguss."])
    def test_a_line_whose_text_cannot_be_read_is_refused(self, text: str) -> None:
        assert "Text" in fault(text=text)[0]

    def test_a_pair_of_surrogates_is_one_character(self) -> None:
        assert record("a.jsonl", '{"text": "\\ud83e\\udec1 frei"}').text == "🫁 frei"

    def test_an_unknown_finding_is_refused(self) -> None:
        de, en = fault(labels={"Pneu": "present"})
        assert de.startswith("Der Befund „Pneu“ gehört nicht zum Schema chest_xray. Erlaubt sind: Stauung, ")
        assert en.startswith("The finding “Pneu” is not in the schema chest_xray. Allowed are: Stauung, ")

    def test_without_a_schema_any_finding_is_read(self) -> None:
        (row,) = read_reports("a.jsonl", b'{"text": "a b", "labels": {"Pneu": "+"}}')
        assert row.record
        assert row.record.labels == {"Pneu": State.PRESENT}

    def test_a_wrong_state_is_refused(self) -> None:
        de, en = fault(labels={"Erguss": "ja"})
        assert de.startswith("„ja“ ist kein Zustand. Erlaubt sind: present, uncertain, absent")
        assert en == "“ja” is not a state. Allowed are: present, uncertain, absent."

    @pytest.mark.parametrize("labels", [{"\ud800": "+"}, {"Erguss": "\ud800"}, {"Kein Erguss rechts.": "+"}])
    def test_no_message_repeats_text_or_broken_characters(self, labels: dict[str, str]) -> None:
        assert "„…“" in fault(labels=labels)[0]

    @pytest.mark.parametrize(
        ("fields", "de"),
        [
            ({"labels": ["Erguss"]}, "Das Feld „labels“ muss ein Objekt in geschweiften Klammern sein."),
            ({"meta": "x"}, "Das Feld „meta“ muss ein Objekt in geschweiften Klammern sein."),
            ({"rationales": {"a": 1}}, "Das Feld „rationales“ muss eine Liste in eckigen Klammern sein."),
        ],
    )
    def test_a_field_of_the_wrong_form_is_refused(self, fields: dict[str, Any], de: str) -> None:
        assert fault(**fields)[0] == de

    @pytest.mark.parametrize("value", ["x" * 201, "a\x00b", "\udc80", ["r1"], {"a": 1}])
    @pytest.mark.parametrize("field", ["id", "modality"])
    def test_an_id_that_is_no_short_text_is_refused(self, field: str, value: object) -> None:
        de, en = fault(**{field: value})
        assert de == f"Das Feld „{field}“ ist unbrauchbar. Erwartet wird ein lesbarer Text mit höchstens 200 Zeichen."
        assert en == f"The field “{field}” cannot be used. A readable text of at most 200 characters is expected."

    @pytest.mark.parametrize("value", ["", "  ", "\u200b", None])
    def test_an_empty_id_is_none(self, value: str | None) -> None:
        assert record("a.jsonl", json.dumps({"text": "Kein Erguss.", "id": value})).id is None

    def test_an_id_is_one_line(self) -> None:
        assert record("a.jsonl", '{"text": "Kein Erguss.", "id": " r\\n1 "}').id == "r 1"

    def test_broken_characters_in_meta_are_refused(self) -> None:
        assert "unlesbare Zeichen" in fault(meta={"haus": "\ud800"})[0]


class TestRationales:
    @pytest.mark.parametrize(("start", "end"), [(-1, 4), (0, 20), (5, 5), (7, 3), (100, 200)])
    def test_one_outside_the_text_is_refused_with_the_texts_length(self, start: int, end: int) -> None:
        de, en = fault(rationales=[{"label": "Erguss", "start": start, "end": end}])
        assert de == f"Die Textstelle {start}–{end} liegt außerhalb des Textes (19 Zeichen)."
        assert en == f"The rationale {start}–{end} lies outside the text (19 characters)."

    @pytest.mark.parametrize(
        "item",
        ["Erguss", None, {"label": "Erguss"}, {"label": "Erguss", "start": "0", "end": 4}, {"start": 0, "end": 4}],
    )
    def test_an_incomplete_one_is_refused(self, item: object) -> None:
        de, en = fault(rationales=[item])
        assert de == "Jede Textstelle braucht „label“ sowie „start“ und „end“ als ganze Zahlen."
        assert en == "Each rationale needs “label”, and “start” and “end” as whole numbers."

    def test_an_infinite_one_is_refused(self) -> None:
        (row,) = rows("a.jsonl", '{"text": "a b", "rationales": [{"label": "Erguss", "start": 1e999, "end": 2}]}')
        assert row.fault

    def test_one_of_an_unknown_finding_is_refused(self) -> None:
        assert "„Pneu“ gehört nicht zum Schema" in fault(rationales=[{"label": "Pneu", "start": 0, "end": 4}])[0]

    @pytest.mark.parametrize("text", ["  Kein Erguss.", "Befund:\r\nKein Erguss.", "O\u0308dem, kein Erguss."])
    def test_they_are_refused_where_cleaning_the_text_may_have_moved_them(self, text: str) -> None:
        de, en = fault(text=text, rationales=[{"label": "Erguss", "start": 0, "end": 4}])
        assert de.startswith("Die Textstellen können verschoben sein, weil der Text beim Lesen bereinigt wurde")
        assert en.startswith("The rationales may be shifted, because the text was cleaned on reading")

    def test_space_at_the_end_of_the_text_moves_nothing(self) -> None:
        line = {"text": "Kein Erguss. \n", "rationales": [{"label": "Erguss", "start": 5, "end": 11}]}
        assert record("a.jsonl", json.dumps(line)).rationales == (Rationale("Erguss", 5, 11),)


class TestCsv:
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_separator_line_end_and_byte_order_mark_do_not_matter(
        self, mark: str, separator: str, line_end: str
    ) -> None:
        lines = [["id", "text", "label:Erguss", "Haus"], ["r1", '"Kein Erguss; frei, ""gut"""', "-", "Süd"]]
        content = mark + line_end.join(separator.join(line) for line in lines) + line_end
        assert record("a.csv", content) == ReportRecord(
            text='Kein Erguss; frei, "gut"', id="r1", labels={"Erguss": State.ABSENT}, meta={"Haus": "Süd"}
        )

    def test_a_report_may_have_several_lines(self) -> None:
        assert record("a.csv", 'text,id\r\n"Befund:\r\nKein Erguss.",r1\r\n').text == "Befund:\nKein Erguss."

    def test_a_single_column_needs_no_quotes(self) -> None:
        assert record("a.csv", "text\nKein Erguss, kein Pneu; frei.\n").text == "Kein Erguss, kein Pneu; frei."

    def test_without_a_column_text_it_is_refused_with_the_columns_found(self) -> None:
        error = refusal("a.csv", "id;befund;label:Erguss\nr1;Kein Erguss.;-\n")
        assert error.de == (
            "Der CSV-Datei fehlt die Spalte „text“. Gefunden: id, befund, label:Erguss. Bitte die Spalte mit dem "
            "Befundtext „text“ nennen."
        )
        assert error.en == (
            "The CSV file has no column “text”. Found: id, befund, label:Erguss. Please name the column with the "
            "report “text”."
        )

    def test_without_a_header_no_report_is_repeated(self) -> None:
        assert "Gefunden: r1, …." in refusal("a.csv", "r1,Kein Erguss rechts.\nr2,Kein Pneu.\n").de

    def test_with_a_header_only_it_is_refused(self) -> None:
        error = refusal("a.csv", "id,text\r\n\r\n")
        assert error.de == "Die CSV-Datei enthält nur die Kopfzeile und keine Befunde."
        assert error.en == "The CSV file holds the header only and no reports."

    def test_a_text_cut_at_an_unquoted_comma_is_refused_not_shortened(self) -> None:
        good, bad = rows("a.csv", "id,text\nr1,Kein Erguss.\nr2,Kein Erguss, kein Pneu.\n")
        assert good.record
        assert bad.fault
        assert bad.fault.de == (
            "Die Zeile ist länger als die Kopfzeile (3 statt 2 Zellen); ein Text mit Trennzeichen muss in "
            "Anführungszeichen stehen."
        )
        assert bad.fault.en.startswith("The row is longer than the header (3 instead of 2 cells);")

    def test_empty_cells_beyond_the_header_do_no_harm(self) -> None:
        assert record("a.csv", "id,text\nr1,Kein Erguss.,,\n").text == "Kein Erguss."

    def test_a_short_row_lacks_its_last_cells(self) -> None:
        assert record("a.csv", "text,id,label:Erguss\nKein Erguss.\n").labels == {}

    def test_an_open_quote_is_refused_with_its_line_and_swallows_nothing(self) -> None:
        error = refusal("a.csv", 'id,text\nr1,"Kein\nErguss."\nr2,"Kein Pneu.\nr3,Frei.\n')
        assert error.de == (
            "Die CSV-Datei ist ab Zeile 4 nicht lesbar: Ein Anführungszeichen ist nicht geschlossen oder innerhalb "
            "eines Textes nicht verdoppelt."
        )
        assert error.en.startswith("The CSV file cannot be read from line 4 on: a quote is not closed")

    def test_a_quote_that_is_not_doubled_is_refused(self) -> None:
        assert "ab Zeile 2 nicht lesbar" in refusal("a.csv", 'text,id\n"Der "große" Erguss.",r1\n').de

    def test_wrong_rows_are_numbered_without_the_header(self) -> None:
        content = "text,label:Erguss,label:Pneu\nEins.,,\nZwei.,ja,\n,+,\nVier.,,+\nFünf.,+,\n"
        found = rows("a.csv", content)
        assert [(row.number, row.fault.de.split(".")[0] if row.fault else None) for row in found] == [
            (1, None),
            (2, "„ja“ ist kein Zustand"),
            (3, "Der Text ist leer"),
            (4, "Der Befund „Pneu“ gehört nicht zum Schema chest_xray"),
            (5, None),
        ]


class TestWriting:
    RECORD = ReportRecord(
        text="- Tubus regelrecht.\n- Kein Erguss; „frei“, <5 mm 🫁",
        id="=r1",
        modality="xray",
        labels={"Tubus": State.PRESENT, "Erguss": State.ABSENT},
        rationales=(Rationale("Erguss", 22, 33),),
        meta={"haus": "erfunden", "use": "research"},
    )

    def test_a_json_line_is_read_back_as_it_was(self) -> None:
        assert record("a.jsonl", to_json(self.RECORD)) == self.RECORD

    def test_a_table_is_read_back_as_it_was_but_for_the_rationales(self) -> None:
        states = {f"label:{label}": state.value for label, state in self.RECORD.labels.items()}
        cells = {"id": "=r1", "modality": "xray", "text": self.RECORD.text, **states}
        cells["meta"] = json.dumps(dict(self.RECORD.meta))
        read = record("a.csv", csv_line(cells) + csv_line(cells.values()))
        assert read == ReportRecord(
            self.RECORD.text, "=r1", "xray", self.RECORD.labels, rationales=(), meta=self.RECORD.meta
        )

    @pytest.mark.parametrize("cell", ["=1+1", "+49", "-2", "@SUM(A1)", "\t=1", "\r=1", "'=1+1", "''-"])
    def test_no_cell_runs_in_a_spreadsheet_and_none_is_changed_by_reading_it_back(self, cell: str) -> None:
        (written,) = next(csv.reader([csv_line([cell])]))
        assert written == f"'{cell}"
        meta = record("a.csv", csv_line(["text", "zelle"]) + csv_line(["Kein Erguss.", cell])).meta
        assert meta == {"zelle": cell.strip()}

    @pytest.mark.parametrize("cell", ["Kein Pneu.", "'s ist frei", "1-2", "", "'"])
    def test_other_cells_stay_as_they_are(self, cell: str) -> None:
        assert next(csv.reader([csv_line([cell, "x"])]))[0] == cell


def test_a_trusted_file_with_a_wrong_row_is_refused_with_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"text": "Kein Erguss."}\nkaputt\n', encoding="utf-8")
    with pytest.raises(InvalidFile) as refused:
        read_records(path)
    assert refused.value.de == "labels.jsonl, Zeile 2: Die Zeile ist kein JSON-Objekt."
    assert refused.value.en == "labels.jsonl, row 2: The row is not a JSON object."


@pytest.mark.parametrize(
    ("name", "header", "line"), [("a.jsonl", "", '{"text": "Lunge frei."}\n'), ("a.csv", "text\n", '"Lunge frei."\n')]
)
def test_a_huge_file_is_read_row_by_row(name: str, header: str, line: str) -> None:
    data = (header + line * (10_000_000 // len(line))).encode()
    found = read_reports(name, data, schema=SCHEMA)
    tracemalloc.start()
    try:
        texts = {row.record.text for row in islice(found, 2_000) if row.record}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts == {"Lunge frei."}
    assert peak < 1_000_000

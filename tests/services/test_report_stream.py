"""Files of any size, row by row: what is read, what is refused as a whole, and that memory does not grow."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from medbertde.report_file import csv_line, read_reports
from medbertde.services.report_stream import count_rows, stream_rows
from medbertde.types import InvalidFile

TEXTS = ["Kein Pneumothorax.", "Mehrzeilig:\n- Erguss\n- „Stauung“", "=1+1", "Er sagte ''Erguss'', 5 mm"]


def texts(path: Path) -> list[str]:
    return [row.record.text if row.record else "–" for row in stream_rows(path)]


def refusal(path: Path) -> str:
    with pytest.raises(InvalidFile) as refused:
        count_rows(path)
    return refused.value.de


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "befunde"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_read_like_an_import(file: Path, separator: str) -> None:
    path = file.with_suffix(".csv")
    lines = [csv_line(["id", "text"]), *(csv_line([f"r{row}", text]) for row, text in enumerate(TEXTS))]
    if separator != ",":
        quoted = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
        lines = [f"id{separator}text\r\n", *(f"r{row}{separator}{text}\r\n" for row, text in enumerate(quoted))]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(lines).encode())
    assert texts(path) == TEXTS
    assert list(stream_rows(path)) == list(read_reports(path.name, path.read_bytes()))
    assert count_rows(path) == 4


def test_lines_of_json_keep_their_numbers_and_labels_do_not_matter(file: Path) -> None:
    path = file.with_suffix(".jsonl")
    path.write_text('{"text": "Eins.", "labels": {"x": "nix"}}\n\n[]\n{"text": 3}\n{"id": 4}\n{"text": "Fünf."}')
    rows = list(stream_rows(path))
    assert [(row.number, row.record is not None) for row in rows] == [
        (1, True),
        (3, False),
        (4, False),
        (5, False),
        (6, True),
    ]
    assert rows[1].fault
    assert rows[1].fault.de == "Die Zeile ist kein JSON-Objekt."
    assert count_rows(path) == 5


def test_parquet_is_read_in_its_order(file: Path) -> None:
    path = file.with_suffix(".parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": [*TEXTS, *["Frei."] * 600], "x": [1.5] * 604}), path)
    assert texts(path) == [*TEXTS, *["Frei."] * 600]
    assert [row.number for row in stream_rows(path)] == list(range(1, 605))


def test_a_row_longer_than_the_header_is_a_fault_of_that_row(file: Path) -> None:
    path = file.with_suffix(".csv")
    path.write_text("text,id\nKein Erguss,kein Pneu,1\nFrei.,2\n", encoding="utf-8")
    assert texts(path) == ["–", "Frei."]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.docx", b"x", "Dateien der Art „.docx“ werden nicht gelesen. Möglich sind .csv, .jsonl, .parquet, .txt."),
        ("a.csv", b"", "Die Datei a.csv ist leer."),
        ("a.csv", b"text\n", "Die Datei a.csv enthält keine Befunde."),
        ("a.jsonl", b" \n\n", "Die Datei a.jsonl enthält keine Befunde."),
        ("a.csv", b"befund;id\nFrei.;1\n", "Der CSV-Datei fehlt die Spalte „text“. Gefunden: befund, id."),
        ("a.csv", b'text\n"Frei.\n', "Die CSV-Datei ist ab Zeile 2 nicht lesbar"),
        ("a.csv", "text\nFrei.\nErguß\n".encode("latin-1"), "(Zeile 3 ist nicht lesbar)"),
        ("a.jsonl", b'{"text": "a\x00"}', "(Zeile 1 ist nicht lesbar)"),
        ("a.parquet", b"PAR1 und dann nichts", "ist keine lesbare Parquet-Datei"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_before_anything_is_computed(
    tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert sentence in refusal(path)


def test_parquet_without_the_column_is_refused(file: Path) -> None:
    path = file.with_suffix(".parquet")
    pyarrow.parquet.write_table(pyarrow.table({"befund": ["Frei."]}), path)
    assert refusal(path).startswith("Der Parquet-Datei fehlt die Spalte „text“. Gefunden: befund.")


def test_parquet_with_damaged_rows_is_refused_wherever_the_damage_is(file: Path) -> None:
    path = file.with_suffix(".parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": [f"Kein Erguss, frei. {row}" for row in range(500)]}), path)
    whole = path.read_bytes()
    for place in range(4, len(whole) - 100, 97):
        path.write_bytes(whole[:place] + b"\xff" * 8 + whole[place + 8 :])
        assert "ist keine lesbare Parquet-Datei" in refusal(path)


def test_memory_does_not_grow_with_the_file(file: Path) -> None:
    path = file.with_suffix(".jsonl")
    peaks = []
    for count in (1_000, 20_000):
        line = json.dumps({"text": "Kein Erguss. " * 40}) + "\n"
        path.write_text(line * count, encoding="utf-8")
        tracemalloc.start()
        assert sum(1 for _ in stream_rows(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]

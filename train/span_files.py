"""Files with spans as report files: CoNLL columns with BIO tags, and JSON objects with `text` and `spans`.

    python -m train.span_files corpus.conll --schema medication --out runs/my-run/labels.jsonl
    python -m train.span_files spans.jsonl --schema medication --name DRUG=Medikament --name AGE=- --out labels.jsonl

CoNLL: a word first and its tag last in each line, a blank line after each sentence; `-DOCSTART-` begins a text, without
it every sentence is one. Tags are BIO (also IOB1, BIOES and BILOU). Columns hold no spaces, so the text is put together
as German is written; where exact texts matter use JSON. JSON: one object per line or one list; places are code points.
Rows that cannot be used are told and left out (exit code 1). No message repeats a text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medbertde.report_file import Row, check_row, text_lines, to_json
from medbertde.schema import Kind, Schema, load_schema
from medbertde.text import MAX_CHARS, decode, shown
from medbertde.types import InvalidFile, InvalidSchema, Notice, UserError
from train.output import make_room

NEW_TEXT = "-DOCSTART-"
NO_LABEL = "-"
_BEGIN, _INSIDE, _LAST = frozenset("BSU"), frozenset("IEL"), frozenset("ESLU")
_CLOSING, _OPENING = frozenset(".,;:!?)]}%“”"), frozenset("([{„")
Names = Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """A word with its tag, and the number of its line."""

    number: int
    word: str
    tag: str


def read_span_file(name: str, data: bytes, schema: Schema, names: Names | None = None) -> Iterator[Row]:
    """The rows of a file, checked like those of a report file; `InvalidFile` for one that cannot be read as a whole.

    `names` says which label of the schema a name in the file stands for; `-` leaves its spans out.
    """
    require_spans(schema)
    text = decode(data, name)
    if not text.strip():
        raise InvalidFile(f"Die Datei {name} ist leer.", f"The file {name} is empty.")
    rows = _json_rows(text) if text.lstrip().startswith(("{", "[")) else _conll_rows(text, Path(name).stem)
    for number, raw in rows:
        yield check_row(number, _renamed(raw, names or {}), schema, MAX_CHARS)


def require_spans(schema: Schema) -> None:
    """Refuse a schema whose labels are findings."""
    if schema.kind is not Kind.SPANS:
        raise InvalidSchema(
            f"Das Schema {schema.id} hat Befunde, keine Textstellen. Bitte ein Schema mit „kind: spans“ angeben, zum "
            "Beispiel medication.",
            f"The schema {schema.id} has findings, no spans. Please give a schema with “kind: spans”, such as "
            "medication.",
        )


def _renamed(raw: Mapping[str, Any] | Notice, names: Names) -> Mapping[str, Any] | Notice:
    """The row with the schema's labels, and `spans` under the name that report files give them."""
    if isinstance(raw, Notice):
        return raw
    spans = raw.get("spans", raw.get("rationales"))
    if not isinstance(spans, list):
        return _fault("Das Feld „spans“ fehlt oder ist keine Liste.", "The field “spans” is missing or not a list.")
    named = [
        {**span, "label": names.get(str(span.get("label")), span.get("label"))} if isinstance(span, dict) else span
        for span in spans
    ]
    kept = [span for span in named if not (isinstance(span, dict) and span.get("label") == NO_LABEL)]
    fields = {name: raw.get(name) for name in ("text", "id", "modality", "meta")}
    return {**fields, "rationales": kept}


# ------------------------------------------------------------------------------------------------ JSON


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any] | Notice]]:
    """The objects of a list, or of the lines."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidFile("Die Datei ist kein gültiges JSON.", "The file is no valid JSON.") from None
        yield from enumerate(map(_object, found), start=1)
        return
    for number, line in enumerate(text_lines(text), start=1):
        if line.strip():
            try:
                yield number, _object(json.loads(line))
            except (ValueError, RecursionError):
                yield number, _object(None)


def _object(raw: Any) -> Mapping[str, Any] | Notice:
    return raw if isinstance(raw, dict) else _fault("Die Zeile ist kein JSON-Objekt.", "The row is not a JSON object.")


def _fault(de: str, en: str) -> Notice:
    return Notice("InvalidFile", de, en)


# ------------------------------------------------------------------------------------------------ CoNLL


def _conll_rows(text: str, stem: str) -> Iterator[tuple[int, Mapping[str, Any] | Notice]]:
    """The texts of a CoNLL file, numbered by the line they begin in."""
    for count, (name, sentences) in enumerate(_texts(text), start=1):
        try:
            whole, spans = put_together(sentences)
        except InvalidFile as error:
            yield sentences[0][0].number, _fault(error.de, error.en)
            continue
        row = {"text": whole, "spans": spans, "id": name or f"{stem}-{count}"}
        yield sentences[0][0].number, row


def _texts(text: str) -> Iterator[tuple[str, list[list[Line]]]]:
    """The id and the sentences of each text."""
    marked = any(line.startswith(NEW_TEXT) for line in text_lines(text))
    name = ""
    sentences: list[list[Line]] = []
    sentence: list[Line] = []
    for number, line in enumerate([*text_lines(text), "\n"], start=1):
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        is_start = line.startswith(NEW_TEXT)
        if cells and line.strip() and not is_start:
            if _is_comment(cells):
                name = line.partition("=")[2].strip() if line.startswith("# id =") else name
            else:
                sentence.append(Line(number, cells[0], cells[-1].strip() if len(cells) > 1 else ""))
            continue
        if sentence:
            sentences, sentence = [*sentences, sentence], []
        if sentences and (is_start or not marked):
            yield name, sentences
            name, sentences = "", []
    if sentences:
        yield name, sentences


def _is_comment(cells: Sequence[str]) -> bool:
    """Whether a line that begins with # is no word of the text: its last column is no tag."""
    return cells[0].startswith("#") and _tag(cells[-1]) is None


def _tag(tag: str) -> tuple[str, str] | None:
    """The place (B, I, …) and the label of a tag; ("O", "") outside; None for what is none.

    >>> _tag("B-Dosis"), _tag("O"), _tag("Dosis")
    (('B', 'Dosis'), ('O', ''), None)
    """
    if tag in ("O", "_"):
        return "O", ""
    place, separator, label = tag.partition("-")
    return (place, label) if separator and label and place in _BEGIN | _INSIDE else None


def put_together(sentences: Iterable[Sequence[Line]]) -> tuple[str, list[dict[str, Any]]]:
    """The text of tagged words, a line for each sentence, and its spans; `InvalidFile` names a line that is wrong.

    >>> words = [Line(1, "ASS", "B-Medikament"), Line(2, "100", "B-Dosis"), Line(3, "mg", "I-Dosis"), Line(4, ".", "O")]
    >>> put_together([words])[0], put_together([words])[1][1]
    ('ASS 100 mg.', {'label': 'Dosis', 'start': 4, 'end': 10})
    """
    text = ""
    spans: list[dict[str, Any]] = []
    for sentence in sentences:
        text += "\n" if text else ""
        begun: dict[str, Any] | None = None
        before = ""
        for line in sentence:
            tag = _tag(line.tag)
            if tag is None:
                raise _no_tag(line)
            place, label = tag
            text += " " if before and not _joins(before, line.word) else ""
            start, before = len(text), line.word
            text += line.word
            if place == "O":
                begun = None
                continue
            if begun is None or place in _BEGIN or begun["label"] != label:
                begun = {"label": label, "start": start, "end": len(text)}
                spans.append(begun)
            begun["end"] = len(text)
            begun = None if place in _LAST else begun
    return text, spans


def _joins(before: str, word: str) -> bool:
    """Whether no space stands between two words."""
    return word in _CLOSING or before in _OPENING


def _no_tag(line: Line) -> InvalidFile:
    found = shown(line.tag) if line.tag else "–"
    return InvalidFile(
        f"Zeile {line.number}: In der letzten Spalte steht kein BIO-Tag (gefunden: {found}). Erwartet wird zum "
        "Beispiel O, B-Dosis oder I-Dosis.",
        f"Line {line.number}: the last column is no BIO tag (found: {found}). Expected is for example O, B-Dosis or "
        "I-Dosis.",
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="CoNLL columns or JSON with spans, in UTF-8")
    parser.add_argument("--schema", required=True, help="a schema of spans: medication, …")
    parser.add_argument("--name", action="append", default=[], metavar="NAME=LABEL", help="what a name stands for")
    parser.add_argument("--out", type=Path, required=True, help="the report file to write, such as labels.jsonl")
    args = parser.parse_args()
    names = dict(pair.rpartition("=")[::2] for pair in args.name)
    left_out = 0
    try:
        make_room(args.out)
        schema, records = load_schema(args.schema), []
        for path in args.files:
            if not path.is_file():
                raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
            for row in read_span_file(path.name, path.read_bytes(), schema, names):
                if row.record is None:
                    left_out += 1
                    print(f"{path.name}, {row.number}: {row.fault.en if row.fault else ''}", file=sys.stderr)
                else:
                    records.append(row.record)
    except UserError as error:
        raise SystemExit(str(error)) from None
    partial = args.out.with_name(f".{args.out.name}.partial")
    partial.write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    partial.replace(args.out)
    spans = sum(len(record.rationales) for record in records)
    print(f"{len(records)} texts with {spans} spans, {left_out} left out: {args.out}")
    return 1 if left_out else 0


if __name__ == "__main__":
    raise SystemExit(main())

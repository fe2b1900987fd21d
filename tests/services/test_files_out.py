"""Files out: every format holds the labels with what they rest on, and what can be read back comes back the same."""

from __future__ import annotations

import csv
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
from datasets import load_dataset

from medbertde.schema import load_schema
from medbertde.services.access import Access, Caller
from medbertde.services.exchange import ExportFormat, ExportOrder, Wanted
from medbertde.services.exchange.outgoing.conll import tagged, without_overlaps
from medbertde.services.files import Files
from medbertde.settings import Settings
from medbertde.store import audit, labelled, labels, reports, search, users
from medbertde.store.search import Filters
from medbertde.store.session import Database, open_database
from medbertde.types import LabelChange, Rationale, ReportRecord, Role, Source, State, User

XRAY = "chest_xray"
RECORDS = (
    ReportRecord(
        "- Tubus regelrecht.\n- Kein Erguss; „frei“, <5 mm 🫁",
        "=r1",
        "xray",
        {"Tubus": State.PRESENT, "Erguss": State.ABSENT},
        (Rationale("Erguss", 22, 33), Rationale("Tubus", 2, 7)),
        {"haus": "erfunden"},
    ),
    ReportRecord("Unauffällig.", "r2", "xray", {}, (), {}),
)
IMPORTABLE = (
    ExportFormat.JSONL,
    ExportFormat.CSV,
    ExportFormat.PARQUET,
    ExportFormat.HUGGING_FACE,
    ExportFormat.LABEL_STUDIO,
)
Take = Callable[..., Path]


@pytest.fixture
def files(database: Database, access: Access, settings: Settings, anna: User) -> Files:
    """Two annotated reports, the second without findings."""
    with database.write() as session:
        added = reports.add_reports(session, records=RECORDS, imported_by=anna.id)
        for record, report_id in zip(RECORDS, added.added_ids, strict=True):
            labels.save(
                session,
                report_id=report_id,
                schema_id=XRAY,
                schema_version=1,
                user_id=anna.id,
                changes=[LabelChange(label, state, Source.HUMAN) for label, state in record.labels.items()],
                client_uuid=str(uuid.uuid4()),
                comment="=1+1",
                rationales=record.rationales,
            )
    return Files(database, access, settings)


@pytest.fixture
def ben(access: Access, database: Database) -> User:
    """An annotator, not the one local user."""
    return with_role(access, database, "ben", Role.ANNOTATOR)


@pytest.fixture
def cem(access: Access, database: Database) -> User:
    return with_role(access, database, "cem", Role.CURATOR)


def with_role(access: Access, database: Database, name: str, role: Role) -> User:
    with database.write() as session:
        user = users.ensure_user(session, name=name, role=role)
    return access.accept_terms(user)


@pytest.fixture
def take(files: Files, anna: User, tmp_path: Path) -> Take:
    """An export as a file."""

    def export(kind: ExportFormat, **wanted: Any) -> Path:
        path = tmp_path / kind.ending
        files.export(anna, ExportOrder(XRAY, kind, Wanted(**wanted)), path)
        return path

    return export


def test_json_lines_have_every_annotated_report_with_provenance(take: Take) -> None:
    first, second = map(json.loads, take(ExportFormat.JSONL).read_text(encoding="utf-8").splitlines())
    assert first["labels"] == {"Tubus": "present", "Erguss": "absent"}
    assert first["rationales"][0] == {"label": "Erguss", "start": 22, "end": 33}
    assert first["meta"]["haus"] == "erfunden"
    assert first["meta"]["sources"] == "Tubus=human, Erguss=human"
    assert (first["meta"]["annotator"], first["meta"]["provenance"]) == ("anna", "single")
    assert "Nur für die Forschung" in first["meta"]["use"]
    assert (second["text"], second["labels"]) == ("Unauffällig.", {})


def test_a_table_has_a_column_per_finding_opens_in_excel_and_holds_no_formula(take: Take) -> None:
    data = take(ExportFormat.CSV).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert [name for name in first if name.startswith("label:")] == [
        f"label:{label}" for label in load_schema(XRAY).label_ids
    ]
    assert (first["id"], first["comment"], first["text"][:3]) == ("'=r1", "'=1+1", "'- ")
    assert (first["label:Erguss"], second["label:Erguss"]) == ("absent", "")
    assert (first["provenance"], first["annotators"]) == ("single", "anna")
    assert "Research use only" in first["use"]


def test_the_history_has_a_row_per_change_and_no_text(take: Take) -> None:
    text = take(ExportFormat.REVISIONS).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["report"], row["label"], row["new_value"], row["annotator"]) for row in rows] == [
        ("'=r1", "Tubus", "present", "anna"),
        ("'=r1", "Erguss", "absent", "anna"),
    ]
    assert "regelrecht" not in text
    narrowed = take(ExportFormat.REVISIONS, finding="Erguss").read_text(encoding="utf-8-sig")
    assert [row["label"] for row in csv.DictReader(narrowed.splitlines())] == ["Erguss"]


def test_parquet_has_nested_spans_and_says_what_it_is_for(take: Take) -> None:
    table = pyarrow.parquet.read_table(take(ExportFormat.PARQUET))
    assert b"Research use only" in table.schema.metadata[b"use"]
    first, second = table.to_pylist()
    assert first["rationales"][1] == {"label": "Tubus", "start": 2, "end": 7, "source": None}
    assert (first["label:Tubus"], second["label:Tubus"], second["rationales"]) == ("present", None, [])


@pytest.mark.filterwarnings("ignore")
def test_the_hugging_face_folder_is_loaded_by_datasets(take: Take, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    with zipfile.ZipFile(take(ExportFormat.HUGGING_FACE)) as archive:
        archive.extractall(folder)
    rows = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"][:] == ["=r1", "r2"]
    assert rows[0]["label:Erguss"] == "absent"
    assert rows[0]["rationales"][0] == {"label": "Erguss", "start": 22, "end": 33, "source": None}
    assert rows[1]["label:Erguss"] is None
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Nur für die Forschung" in card
    assert all(f"`label:{label}`" in card for label in load_schema(XRAY).label_ids)


def test_label_studio_gets_tasks_and_the_interface_that_fits_them(take: Take) -> None:
    tasks = json.loads(take(ExportFormat.LABEL_STUDIO).read_text(encoding="utf-8"))
    interface = ElementTree.parse(take(ExportFormat.LABEL_STUDIO_CONFIG)).getroot()
    controls = {one.get("name"): {choice.get("value") for choice in one} for one in interface.iter("Choices")}
    controls["rationales"] = {one.get("value") for one in interface.iter("Label")}
    for region in tasks[0]["annotations"][0]["result"]:
        (chosen,) = region["value"].get("choices") or region["value"]["labels"]
        assert chosen in controls[region["from_name"]]
    span = tasks[0]["annotations"][0]["result"][2]["value"]
    assert span == {"start": 22, "end": 33, "text": "Kein Erguss", "labels": ["Erguss"]}
    assert "Research use only" in tasks[0]["data"]["use"]
    assert tasks[1]["annotations"] == [{"result": []}]


def test_conll_tags_exactly_the_marked_words(take: Take) -> None:
    text = take(ExportFormat.CONLL).read_text(encoding="utf-8")
    assert text.startswith("# Nur für die Forschung")
    first, second = text.split("-DOCSTART-\tO\n\n")[1:]
    assert "# id = =r1\n" in first
    tags = [line.split("\t") for line in first.splitlines() if "\t" in line]
    assert [pair for pair in tags if pair[1] != "O"] == [
        ["Tubus", "B-Tubus"],
        ["Kein", "B-Erguss"],
        ["Erguss", "I-Erguss"],
    ]
    assert ".\tO\n\n-\tO" in first, "a line of the report begins after a blank line"
    assert "Unauffällig\tO\n.\tO" in second


def test_spans_that_cut_words_and_overlap_are_written_honestly() -> None:
    spans = [Rationale("Erguss", 0, 6), Rationale("Erguss", 7, 11), Rationale("Stauung", 4, 6)]
    kept, dropped = without_overlaps(spans)
    assert dropped == [Rationale("Stauung", 4, 6)]
    assert tagged("Pleura erguss", kept) == [
        ("Pleura", "B-Erguss", True),
        ("ergu", "B-Erguss", False),
        ("ss", "O", False),
    ]


@pytest.mark.parametrize("kind", IMPORTABLE)
def test_an_export_can_be_imported_again_and_is_the_same(
    kind: ExportFormat, take: Take, anna: User, tmp_path: Path
) -> None:
    path = take(kind)
    other = open_database(f"sqlite:///{tmp_path / 'other.sqlite'}")
    try:
        settings = Settings(var=tmp_path, database_url="sqlite:///unused.sqlite")
        access = Access(other, settings)
        ben = access.accept_terms(access.identify(Caller("ben", None)))
        result = Files(other, access, settings).import_file(ben, XRAY, path.name, path.read_bytes())
        assert (result.added, result.labelled, result.rejected) == (2, 1, ())
        with other.read() as session:
            (again,) = labelled.records(session, schema_id=XRAY)
            keys = [hit.report.key for hit in search.search(session, wanted=(), filters=Filters(XRAY)).hits]
    finally:
        other.close()
    first = RECORDS[0]
    assert keys == ["=r1", "r2"]
    assert (again.text, again.id, again.modality) == (first.text, first.id, first.modality)
    assert (again.labels, again.rationales) == (first.labels, first.rationales)
    assert again.meta["haus"] == "erfunden"


MEDICATION = "medication"
MARKS = (
    Rationale("Medikament", 0, 8, source=Source.SUGGESTION_ACCEPTED),
    Rationale("Dosis", 9, 13, source=Source.SUGGESTION_CHANGED),
    Rationale("Frequenz", 14, 19, source=Source.HUMAN),
)
SOURCES = {"Medikament": "suggestion_accepted", "Dosis": "suggestion_changed", "Frequenz": "human"}


@pytest.fixture
def take_marks(files: Files, database: Database, anna: User, tmp_path: Path) -> Callable[[ExportFormat], Path]:
    """An export of one letter with marks that came about in three ways."""
    with database.write() as session:
        letter = ReportRecord("Ramipril 5 mg 1-0-1.", "m1", "letter")
        (report_id,) = reports.add_reports(session, records=[letter], imported_by=anna.id).added_ids
        saved: dict[str, Any] = {"report_id": report_id, "user_id": anna.id, "client_uuid": str(uuid.uuid4())}
        labels.save(session, schema_id=MEDICATION, schema_version=1, changes=[], rationales=MARKS, **saved)

    def export(kind: ExportFormat) -> Path:
        path = tmp_path / kind.ending
        files.export(anna, ExportOrder(MEDICATION, kind), path)
        return path

    return export


def test_each_mark_says_how_it_came_about_in_lines_tables_and_columns(
    take_marks: Callable[[ExportFormat], Path], tmp_path: Path
) -> None:
    line = json.loads(take_marks(ExportFormat.JSONL).read_text(encoding="utf-8"))
    (row,) = csv.DictReader(io.StringIO(take_marks(ExportFormat.CSV).read_text(encoding="utf-8-sig"), newline=""))
    (columns,) = pyarrow.parquet.read_table(take_marks(ExportFormat.PARQUET)).to_pylist()
    for spans in (line["rationales"], json.loads(row["rationales"]), columns["rationales"]):
        assert {span["label"]: span["source"] for span in spans} == SOURCES
    with zipfile.ZipFile(take_marks(ExportFormat.HUGGING_FACE)) as archive:
        (again,) = pyarrow.parquet.read_table(io.BytesIO(archive.read("data/train.parquet"))).to_pylist()
        assert "`source` says how the mark came about" in archive.read("README.md").decode()
    assert again["rationales"] == columns["rationales"]


def test_label_studio_and_conll_say_it_in_their_own_way(take_marks: Callable[[ExportFormat], Path]) -> None:
    (task,) = json.loads(take_marks(ExportFormat.LABEL_STUDIO).read_text(encoding="utf-8"))
    regions = task["annotations"][0]["result"]
    assert [(one["origin"], one["meta"]["source"]) for one in regions] == [
        ("prediction", "suggestion_accepted"),
        ("prediction-changed", "suggestion_changed"),
        ("manual", "human"),
    ]
    text = take_marks(ExportFormat.CONLL).read_text(encoding="utf-8")
    said = "Medikament 0-8 suggestion_accepted, Dosis 9-13 suggestion_changed, Frequenz 14-19 human"
    assert f"# sources = {said}\n" in text


@pytest.mark.parametrize("kind", IMPORTABLE)
def test_our_own_export_keeps_how_marks_came_about_when_it_is_imported(
    kind: ExportFormat, take_marks: Callable[[ExportFormat], Path], tmp_path: Path
) -> None:
    path = take_marks(kind)
    assert imported_sources(tmp_path, path.name, path.read_bytes()) == SOURCES


def test_marks_of_another_tool_count_as_imported(tmp_path: Path) -> None:
    spans = [{"label": "Dosis", "start": 0, "end": 4, "source": "crowd"}, {"label": "Frequenz", "start": 5, "end": 10}]
    data = json.dumps({"text": "5 mg 1-0-1", "rationales": spans}).encode()
    assert imported_sources(tmp_path, "fremd.jsonl", data) == {"Dosis": "import", "Frequenz": "import"}


def imported_sources(folder: Path, name: str, data: bytes) -> dict[str, str | None]:
    """By label how the marks came about, after an import into an empty database."""
    other = open_database(f"sqlite:///{folder / 'other.sqlite'}")
    try:
        settings = Settings(var=folder, database_url="sqlite:///unused.sqlite")
        access = Access(other, settings)
        ben = access.accept_terms(access.identify(Caller("ben", None)))
        result = Files(other, access, settings).import_file(ben, MEDICATION, name, data)
        assert (result.labelled, result.rejected) == (1, ())
        with other.read() as session:
            (record,) = labelled.records(session, schema_id=MEDICATION)
    finally:
        other.close()
    return {span.label: span.source.value if span.source else None for span in record.rationales}


def test_an_export_that_fails_leaves_no_file_and_does_not_touch_the_old_one(
    files: Files, anna: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("kostbar", encoding="utf-8")

    def fail(*_: object, **__: object) -> object:
        raise OSError("disk")

    monkeypatch.setattr("medbertde.services.exchange.outgoing.files.record_of", fail)
    with pytest.raises(OSError, match="disk"):
        files.export(anna, ExportOrder(XRAY, ExportFormat.JSONL), path)
    assert path.read_text(encoding="utf-8") == "kostbar"
    assert [one.name for one in tmp_path.glob("*labels.jsonl*")] == ["labels.jsonl"]


@pytest.mark.parametrize("kind", ExportFormat)
@pytest.mark.parametrize("asked", ["", "anna"])
def test_an_annotator_takes_out_only_their_own_labels_and_a_curator_everyones(
    kind: ExportFormat, asked: str, files: Files, database: Database, ben: User, cem: User, tmp_path: Path
) -> None:
    order, path = ExportOrder(XRAY, kind, Wanted(annotator=asked)), tmp_path / kind.ending
    if kind is ExportFormat.LABEL_STUDIO_CONFIG:
        assert files.export(ben, order, path) == 0
        return
    assert files.export(cem, order, path) == 2
    assert files.annotators(cem, XRAY) == ["anna"]
    assert files.export(ben, order, path) == 0, "ben has annotated nothing"
    with database.write() as session:
        report_id = search.search(session, wanted=(), filters=Filters(XRAY)).hits[0].report.id
        own: dict[str, Any] = {"schema_id": XRAY, "schema_version": 1, "user_id": ben.id}
        said = [LabelChange("Erguss", State.PRESENT, Source.HUMAN)]
        labels.save(session, report_id=report_id, changes=said, client_uuid=str(uuid.uuid4()), **own)
    assert files.export(ben, order, path) == 1
    held = path.read_bytes() if kind is not ExportFormat.HUGGING_FACE else unzipped(path)
    assert b"anna" not in held
    assert files.annotators(ben, XRAY) == ["ben"]


def unzipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return b"".join(map(archive.read, archive.namelist()))


def test_who_exported_is_on_record(take: Take, database: Database) -> None:
    take(ExportFormat.CSV)
    with database.read() as session:
        entries = audit.entries(session)
    exported = [entry for entry in entries if entry.action == "export"]
    assert [(entry.user, entry.facts["kind"]) for entry in exported] == [("anna", "csv")]

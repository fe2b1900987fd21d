"""Time and memory of files in and out: `python -m tests.bench_exchange`; `--million N` adds exports of N reports.

Not a test: nothing fails here, the figures belong to the machine that the table names. Import and export go through the
services: role, terms, validation and audit included. CPU seconds stand beside the wall clock, because other work on the
machine slows only the latter.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from openpyxl import Workbook

from medbertde.services.access import Access, Caller
from medbertde.services.exchange import ExportFormat, ExportOrder
from medbertde.services.files import Files
from medbertde.settings import Settings
from medbertde.store.session import open_database

SCHEMA = "chest_xray"
REPORTS = 10_000
LABELS_PER_REPORT = 4
EXPORTED_ROWS = 18_000
WORDS = (
    "Herz normal groß, keine Stauung. Kein Pneumothorax, kein Erguss. Zeichen eines Infiltrates links basal. "
    "Zentraler Venenkatheter von rechts, Spitze in Projektion auf die obere Hohlvene. "
)
STATES = ("present", "uncertain", "absent", "absent")
FINDINGS = ("Erguss", "Stauung", "Pneumothorax", "ZVK")


def measured(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def opened(folder: Path) -> tuple[Files, Access]:
    """The services over an empty database."""
    settings = Settings(var=folder, deidentification="off")
    database = open_database(settings.database_url)
    access = Access(database, settings)
    access.accept_terms(access.identify(Caller("anna", None)))
    return Files(database, access, settings), access


def rows(count: int, *, labelled: bool) -> list[dict[str, object]]:
    """Report-like texts of about 500 characters, none like another."""
    labels = dict(zip(FINDINGS, STATES, strict=True)) if labelled else {}
    return [
        {"id": f"r{number}", "text": f"Aufnahme {number}. {WORDS * 2} Verlauf {number % 97}.", "labels": labels}
        for number in range(count)
    ]


def as_jsonl(found: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in found).encode()


def as_csv(found: list[dict[str, object]]) -> bytes:
    return ("id;text\n" + "".join(f'{row["id"]};"{row["text"]}"\n' for row in found)).encode()


def as_xlsx(found: list[dict[str, object]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Befunde")
    sheet.append(["id", "text"])
    for row in found:
        sheet.append([row["id"], row["text"]])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def import_figures() -> dict[str, tuple[float, float]]:
    """Importing 10,000 reports into an empty database, by format."""
    figures = {}
    plain, labelled = rows(REPORTS, labelled=False), rows(REPORTS, labelled=True)
    for name, file, data in (
        ("import 10,000 reports, .jsonl", "a.jsonl", as_jsonl(plain)),
        ("import 10,000 reports, .csv", "a.csv", as_csv(plain)),
        ("import 10,000 reports, .xlsx", "a.xlsx", as_xlsx(plain)),
        ("import 10,000 reports with 40,000 labels, .jsonl", "a.jsonl", as_jsonl(labelled)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            files, access = opened(Path(folder))
            user = access.identify(Caller("anna", None))
            figures[name] = measured(lambda f=files, u=user, n=file, d=data: f.import_file(u, SCHEMA, n, d))  # type: ignore[misc]
            files.database.close()
    return figures


def export_figures() -> dict[str, tuple[float, float]]:
    """Exporting 18,000 label rows (4,500 reports with four findings each), by format."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        files, access = opened(Path(folder))
        user = access.identify(Caller("anna", None))
        files.import_file(user, SCHEMA, "a.jsonl", as_jsonl(rows(EXPORTED_ROWS // LABELS_PER_REPORT, labelled=True)))
        for kind in (ExportFormat.JSONL, ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.LABEL_STUDIO):
            order, path = ExportOrder(SCHEMA, kind), Path(folder) / kind.ending
            figures[f"export 18,000 rows, {kind.value}"] = measured(lambda o=order, p=path: files.export(user, o, p))  # type: ignore[misc]
        files.database.close()
    return figures


def fill(database: Path, reports: int) -> None:
    """Annotated reports with four findings each, written straight into the file."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("DROP TRIGGER IF EXISTS reports_search_insert")
        stamp = "2026-03-01 08:00:00.000000"
        connection.executemany(
            "INSERT INTO reports (id, key, text, content_hash, modality, meta, created_at) VALUES (?,?,?,?,?,?,?)",
            ((n, f"r{n}", f"{n}. {WORDS}", str(n), "xray", "{}", stamp) for n in range(1, reports + 1)),
        )
        connection.executemany(
            "INSERT INTO submissions (id, client_uuid, report_id, schema_id, schema_version, user_id, active_ms,"
            " comment, flagged, purpose, created_at) VALUES (?,?,?,?,1,1,0,'',0,'annotation',?)",
            ((n, str(n), n, SCHEMA, stamp) for n in range(1, reports + 1)),
        )
        connection.executemany(
            "INSERT INTO label_events (submission_id, label, new_value, source) VALUES (?,?,?,'human')",
            ((n, label, state) for n in range(1, reports + 1) for label, state in zip(FINDINGS, STATES, strict=True)),
        )
        connection.commit()


def large_export(folder: Path, kind: ExportFormat) -> tuple[float, float, float]:
    """Wall, CPU and growth of the peak memory (MiB) of one export; to be run in a process of its own."""
    files, access = opened(folder)
    user = access.identify(Caller("anna", None))
    before = peak_kib()
    wall, cpu = measured(lambda: files.export(user, ExportOrder(SCHEMA, kind), folder / kind.ending))
    return wall, cpu, (peak_kib() - before) / 1024


def peak_kib() -> int:
    """The peak memory of this process; `getrusage` would count that of the process it was started from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def million(reports: int) -> None:
    """Exports of many reports, each in a fresh process, because peak memory never falls."""
    with tempfile.TemporaryDirectory() as folder:
        files, _ = opened(Path(folder))
        files.database.close()
        fill(Path(folder) / "medbertde.sqlite", reports)
        for kind in (ExportFormat.JSONL, ExportFormat.CSV, ExportFormat.PARQUET):
            script = (
                "import sys; from pathlib import Path; from tests import bench_exchange as b;"
                f"print(*b.large_export(Path(sys.argv[1]), b.ExportFormat('{kind.value}')))"
            )
            done = subprocess.run([sys.executable, "-c", script, folder], check=True, capture_output=True, text=True)
            wall, cpu, grown = map(float, done.stdout.split())
            size = (Path(folder) / kind.ending).stat().st_size / 1024 / 1024
            name = f"export {reports:,} reports ({size:.0f} MiB), {kind.value}"
            print(f"{name:52}{wall:8.2f} s{cpu:9.2f} s   + {grown:.0f} MiB memory")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", type=int, metavar="REPORTS", help="also export this many annotated reports")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}")
    print(f"{'':52}{'wall':>8}  {'CPU':>8}")
    for name, (wall, cpu) in (import_figures() | export_figures()).items():
        print(f"{name:52}{wall:8.2f} s{cpu:9.2f} s")
    if args.million:
        million(args.million)


if __name__ == "__main__":
    main()

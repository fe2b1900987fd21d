"""Speed of the annotation store: `python -m tests.bench_store` prints a table and writes `build/bench_store.json`.

Import, eight annotators who save and take the next report (through the services, then through HTTP), export and search,
on SQLite and on PostgreSQL; `--reports 1000000` fills the database up to that number first. The whole way is measured:
roles, validation, leases, audit; no model is loaded, as in the systems of docs/annotation-speed.md. Not a test: figures
belong to the machine that is named in the table and to how busy it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import text

from medbertde.report_file import read_records
from medbertde.services import Services, open_services
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision
from medbertde.services.exchange.outgoing.order import ExportFormat, ExportOrder
from medbertde.services.overview import Filters
from medbertde.settings import ROOT, Settings
from medbertde.store import rows, sqlite
from medbertde.store.session import Database
from medbertde.types import Progress, Role, State, User
from medbertde.ui.layout import build_page
from medbertde.ui.server import running, settle
from tests import postgres
from tests.http_annotators import NAMES, in_threads
from tests.launch import free_port, password_of

XRAY = "chest_xray"
IMPORTED, LABELLED = 10_000, 4_500  # 4,500 reports with four labels each: 18,000 rows to export
REPORTS = ROOT / "data" / "reports" / "chest_xray.jsonl"
OUT = ROOT / "build" / "bench_store.json"
FOUR = {"Erguss": State.PRESENT, "ZVK": State.ABSENT, "Stauung": State.UNCERTAIN, "Pneumothorax": State.ABSENT}
Figures = dict[str, float]


def main() -> None:
    """Measure what is asked for, print the table, store it."""
    args = _parser().parse_args()
    if args.move:
        print("\n".join(f"{name:44}{value:14.2f}" for name, value in move(args.move).items()))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, SQLite "
    machine += f"{sqlite.driver().sqlite_version}, Python {platform.python_version()}"
    figures = {kind: measure(kind, args.reports, args.seconds) for kind in args.databases}
    print(machine)
    print(f"{args.reports:,} reports".ljust(44) + "".join(kind.rjust(14) for kind in figures))
    for name in next(iter(figures.values())):
        print(name.ljust(44) + "".join(f"{found[name]:14.2f}" for found in figures.values()))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine, "reports": args.reports, "figures": figures}, indent=2))


def measure(kind: str, count: int, seconds: float) -> Figures:
    """All figures of one database."""
    figures: Figures = {}
    with _services(kind) as services:
        user = services.access.identify(Caller(NAMES[0], None))
        data = _report_file()
        figures["import 10,000 reports, s"] = _seconds(
            lambda: services.annotate.import_reports(user, XRAY, "bench.jsonl", data)
        )
        if count > IMPORTED:
            grow(services.database, count)
        figures["first report of a new project, s"] = _seconds(lambda: services.annotate.next_reports(user, XRAY))
        figures |= _named("services", _store_clients(services, seconds / 4))
        figures |= _named("HTTP", _through_http(services, seconds))
        figures |= _named("HTTP, 2 s apart", _through_http(services, seconds, pause=2))
        figures |= _reading(services, user)
        figures["memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def _reading(services: Services, user: User) -> Figures:
    """Export, search, figures of the overview."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        order = ExportOrder(XRAY, ExportFormat.JSONL)
        figures["export of 18,000 label rows and more, s"] = _seconds(
            lambda: services.files.export(user, order, Path(folder) / "labels.jsonl")
        )
    for query in ("erguss", "„kein pneumothorax“ zvk", "hydropneumothorax links", "nr. 9999"):
        found = lambda query=query: services.overview.find(user, query, Filters(XRAY))  # noqa: E731
        figures[f"search {query}, ms"] = _median_ms(found)
    figures["figures of the overview, ms"] = _median_ms(lambda: services.overview.figures(user, XRAY))
    return figures


# ------------------------------------------------------------------------------------------------ surroundings


@contextmanager
def _services(kind: str) -> Iterator[Services]:
    """Services without a model over an empty database that waits for the disk."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = ""
        if kind == "postgresql":
            url = stack.enter_context(postgres.running(durable=True)).create("bench")
        settings = Settings(var=folder, database_url=url, profile="server", port=free_port(), deidentification="off")
        services = open_services(settings, shipped={})
        stack.callback(services.database.close)
        for name in NAMES:
            services.accounts.add(services.access.operator(), name, Role.ADMIN, password_of(name))
            services.access.accept_terms(services.access.identify(Caller(name, None)))
        yield services


def _report_file() -> bytes:
    """10,000 different reports as JSON lines, the first 4,500 with four labels each."""
    texts = [record.text for record in read_records(REPORTS)]
    lines = []
    for number in range(IMPORTED):
        report: dict[str, object] = {"text": f"{texts[number % len(texts)]} Nr. {number}."}
        if number < LABELLED:
            report["labels"] = {label: state.value for label, state in FOUR.items()}
        lines.append(json.dumps(report))
    return "\n".join(lines).encode()


def grow(database: Database, count: int) -> None:
    """Copies of the imported reports with other numbers, inside the database; their index as an import makes it."""
    with database.write() as session:
        importing = "INSERT INTO imports (file_name, added, duplicates, clashes, user_id, created_at) "
        session.execute(text(importing + "SELECT 'grown', 0, 0, 0, user_id, created_at FROM imports WHERE id = 1"))
        numbers = "WITH RECURSIVE copies(c) AS (SELECT 1 UNION ALL SELECT c + 1 FROM copies WHERE c < :copies) "
        session.execute(
            text(
                "INSERT INTO reports (key, text, content_hash, modality, meta, import_id, created_at) "
                + numbers
                + "SELECT key || '-' || c, text || ' Kopie ' || c, content_hash || '-' || c, modality, meta, 2, "
                "created_at FROM copies CROSS JOIN reports"
            ),
            {"copies": count // IMPORTED - 1},
        )
        if not database.is_postgresql:
            _grow_index(session)
    with database.write() as session:
        session.execute(text("ANALYZE"))


def _grow_index(session: object) -> None:
    """The words of the copies are those of their originals."""
    from medbertde.search_text import fold, words

    execute = session.execute  # type: ignore[attr-defined]
    execute(text("CREATE TEMP TABLE originals (id INTEGER PRIMARY KEY, words TEXT)"))
    found = execute(text("SELECT id, text FROM reports WHERE import_id = 1")).all()
    values = [{"id": number, "words": " ".join(words(fold(content)))} for number, content in found]
    execute(text("INSERT INTO originals VALUES (:id, :words)"), values)
    execute(
        text(
            "INSERT INTO report_search (rowid, words) SELECT reports.id, originals.words || ' kopie' FROM reports "
            f"JOIN originals ON originals.id = (reports.id - 1) % {IMPORTED} + 1 WHERE import_id = 2 "
            "ORDER BY reports.id"
        )
    )
    execute(text("INSERT OR IGNORE INTO report_words VALUES ('kopie')"))


# ------------------------------------------------------------------------------------------------ eight annotators


def _store_clients(services: Services, seconds: float) -> list[float]:
    """Save and take the next, in eight threads; the milliseconds of each call."""
    users = [services.access.identify(Caller(name, None)) for name in NAMES]

    def work(user: User) -> Iterator[float]:
        items = services.annotate.next_reports(user, XRAY).items
        while items:
            decision = Decision(str(uuid.uuid4()), XRAY, items[0].report.id, FOUR, active_ms=30_000, seen=0)
            start = time.perf_counter()
            items = services.annotate.save(user, decision, count=1).work.items
            yield (time.perf_counter() - start) * 1000

    return in_threads([work(user) for user in users], seconds)


def _through_http(services: Services, seconds: float, pause: float = 0) -> list[float]:
    """The same over the page's own calls; the annotators are a process of their own."""
    page = build_page(services)
    with running(page, services) as url:
        settle()
        card = next(number for number, block in page.blocks.items() if block.elem_id == "annotate-card")
        command = [sys.executable, "-m", "tests.http_annotators", url, str(card), str(seconds), str(pause)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    times: list[float] = json.loads(done.stdout)
    return times


# ------------------------------------------------------------------------------------------------ figures


def _named(way: str, timed: list[float]) -> Figures:
    """The first number is how long it went in seconds, the others are the milliseconds of each call."""
    seconds, *times = timed
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]  # noqa: E731
    return {
        f"save + next through {way}, items/s": len(times) / seconds,
        f"save + next through {way}, p50 ms": at(0.5),
        f"save + next through {way}, p95 ms": at(0.95),
        f"save + next through {way}, p99 ms": at(0.99),
    }


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _median_ms(action: Callable[[], object]) -> float:
    action()
    return statistics.median(_seconds(action) for _ in range(5)) * 1000


def move(count: int) -> Figures:
    """SQLite with `count` labels to PostgreSQL, compared by hash."""
    from medbertde.services import safekeeping

    with _services("sqlite") as services, postgres.running(durable=True) as server:
        user = services.access.identify(Caller(NAMES[0], None))
        texts = [record.text for record in read_records(REPORTS)]
        labelled = {label: state.value for label, state in FOUR.items()}
        lines = [
            json.dumps({"text": f"{random.choice(texts)} Nr. {number}.", "labels": labelled})
            for number in range(count // len(FOUR))
        ]
        services.annotate.import_reports(user, XRAY, "move.jsonl", "\n".join(lines).encode())
        target, seen = server.create("moved"), list[Progress]()
        taken = _seconds(lambda: safekeeping.move(services.settings, target, seen.append, force=True))
        with services.database.read() as session:
            labels = rows.count(session)["label_events"]
    return {"labels moved": labels, "rows": seen[-1].total, "move with equal hash, s": taken}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=IMPORTED, help="reports in the database, a multiple of 10,000")
    parser.add_argument("--seconds", type=float, default=10, help="how long the eight annotators work through HTTP")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], help="sqlite, postgresql")
    parser.add_argument("--move", type=int, default=0, help="instead: move this many labels to PostgreSQL")
    return parser


if __name__ == "__main__":
    main()

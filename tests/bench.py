"""Time and memory of what users wait for: `make bench` prints a table and writes `build/bench.json`.

Not a test: nothing fails here, figures belong to the machine that is named in the table. Run it on a quiet machine.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import torch

from medbertde.report_file import read_records
from medbertde.services import open_services
from medbertde.services.access import Caller
from medbertde.services.annotate import Decision
from medbertde.services.exchange import ExportFormat, ExportOrder
from medbertde.services.screening import Screener
from medbertde.settings import ROOT, Settings
from medbertde.types import State

REPORTS = ROOT / "data" / "reports" / "test_chest_xray.jsonl"
OUT = ROOT / "build" / "bench.json"


def median_ms(action: Callable[[], object], runs: int) -> float:
    """Median wall time of `action` in milliseconds after one warm-up."""
    action()
    return statistics.median(_seconds(action) for _ in range(runs)) * 1000


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(folder: Path) -> dict[str, float]:
    """All figures, by name with unit."""
    figures: dict[str, float] = {}
    start = time.perf_counter()
    services = open_services(Settings(var=folder, deidentification="off"))  # screening is measured by itself
    figures["start without the page, s"] = time.perf_counter() - start
    user = services.access.accept_terms(services.access.identify(Caller(None, None)))
    texts = [record.text for record in read_records(REPORTS)]
    report = max(texts, key=len)
    reading, runtime = services.reading, services.runtime
    version = reading.model_version("chest_xray")
    figures["classify one report, ms"] = median_ms(lambda: reading.classify(user, "chest_xray", report), 20)
    figures["classify 1,000 reports, s"] = _seconds(lambda: runtime.classify("chest_xray", (texts * 14)[:1000]))
    figures["explain one finding, ms"] = median_ms(
        lambda: reading.explain(user, "chest_xray", report, "Erguss", state=State.PRESENT, model_version=version), 10
    )
    figures["fill one gap, ms"] = median_ms(lambda: reading.fill_mask(user, "Kein [MASK] eines Pneumothorax.", 10), 20)
    lines = [json.dumps({"text": f"{text} Nr. {number}."}) for number in range(134) for text in texts][:10_000]
    data = "\n".join(lines).encode()
    annotate = services.annotate
    figures["import 10,000 reports, s"] = _seconds(
        lambda: annotate.import_reports(user, "chest_xray", "bench.jsonl", data, lambda progress: None)
    )
    screener = Screener()
    figures["screen 1,000 reports for names, s"] = _seconds(
        lambda: [screener.screen(text) for text in (texts * 14)[:1000]]
    )
    figures |= _save_and_next(services, user)
    figures["export 200 labelled reports, s"] = _seconds(
        lambda: services.files.export(user, ExportOrder("chest_xray", ExportFormat.JSONL), folder / "labels.jsonl")
    )
    figures["peak memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def _save_and_next(services: object, user: object) -> dict[str, float]:
    """200 reports labelled one after the other: save and fetch the next with its suggestion in one call."""
    annotate = services.annotate  # type: ignore[attr-defined]
    item = annotate.next_reports(user, "chest_xray").items[0]
    times = []
    for _ in range(200):
        decision = Decision(str(uuid.uuid4()), "chest_xray", item.report.id, {"Erguss": State.PRESENT})
        start = time.perf_counter()
        item = annotate.save(user, decision, count=1).work.items[0]
        times.append((time.perf_counter() - start) * 1000)
    return {"save and next p50, ms": statistics.median(times), "save and next p99, ms": sorted(times)[-2]}


def main() -> None:
    """Print and store."""
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    print(machine)
    for name, value in figures.items():
        print(f"{name:34}{value:10.2f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

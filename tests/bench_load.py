"""Many people at once: waiting times, crossed answers, memory and hot swaps of the model, through the whole server.

    python -m tests.bench_load --requests 1000 --long 10000 --swaps 20

The page with sign-in rules, gate and queue over the embedded X-ray classifier; the clients run in a process of their
own (`tests.http_readers`) and ask the public endpoint about different reports without a pause. Every answer is compared
with what the model version it names says of that report by itself: one that belongs to another report, or that two
versions made together, counts as wrong. Writes `build/bench_load.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from medbertde.inference.checkpoint import load_checkpoint, save_checkpoint
from medbertde.report_file import read_records
from medbertde.services import EMBEDDED, Services
from medbertde.services.access import Caller
from medbertde.settings import ROOT
from tests.launch import XRAY, launched

REPORTS = ROOT / "data" / "reports" / "queue_chest_xray.jsonl"
EMBEDDED_FOLDER = ROOT / "data" / "models" / EMBEDDED[XRAY]
OUT = ROOT / "build" / "bench_load.json"
TEXTS = 200
CLIENTS = (1, 10, 50)
SMALL_QUEUE = 8
LONG_CLIENTS, QUARTERS = 10, 4
SAME = 1e-3  # a report in a batch with others differs by rounding only

Expected = Mapping[str, Sequence[Mapping[str, float]]]  # by version, by text: the probability of "present" per finding


@dataclass(frozen=True)
class Load:
    """What came of so many requests."""

    clients: int
    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    busy: int
    wrong: int


def texts() -> list[str]:
    """Reports that differ from each other."""
    written = [record.text for record in read_records(REPORTS)]
    return [f"{written[number % len(written)]} Aufnahme {number}." for number in range(TEXTS)]


def second_model(folder: Path) -> Path:
    """A model that answers differently: the embedded one with moved biases."""
    base = load_checkpoint(EMBEDDED_FOLDER)
    with torch.no_grad():
        base.model.classifier.bias.add_(0.5)
    save_checkpoint(base.model, base.tokenizer, replace(base.facts, name="moved"), folder)
    return folder


def answers(services: Services, asked: Sequence[str]) -> list[dict[str, float]]:
    """What the active model says of each report by itself."""
    predictions = [services.runtime.classify(XRAY, [text])[0] for text in asked]
    return [{label: score.present for label, score in each.scores.items()} for each in predictions]


def start(url: str, asked: Sequence[str], clients: int, requests: int) -> subprocess.Popen[str]:
    """The clients, at work."""
    command = [sys.executable, "-m", "tests.http_readers", url, str(clients), str(requests)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(json.dumps(list(asked)))
    process.stdin.close()
    process.stdin = None
    return process


def told_by(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the clients; what they tell."""
    told: dict[str, Any] = json.loads(process.communicate()[0])
    return told


def judged(clients: int, told: Sequence[Mapping[str, Any]], expected: Expected) -> Load:
    """What came of the requests of one or more runs of so many clients."""
    requests = [each for run in told for each in run["requests"]]
    answered = [each for each in requests if "answer" in each]
    cuts = statistics.quantiles(sorted(each["ms"] for each in answered), n=100, method="inclusive")
    wrong = sum(not right(each, expected) for each in answered)
    per_second = len(answered) / sum(run["seconds"] for run in told)
    return Load(clients, len(requests), per_second, cuts[49], cuts[94], len(requests) - len(answered), wrong)


def right(told: Mapping[str, Any], expected: Expected) -> bool:
    """Whether an answer is what its version says of its report."""
    wanted = expected.get(told["answer"]["model_version"], [{}] * TEXTS)[told["text"]]
    scores = told["answer"]["scores"]
    return wanted.keys() == scores.keys() and all(abs(scores[at]["present"] - wanted[at]) < SAME for at in wanted)


def swap(services: Services, models: Sequence[Path], process: subprocess.Popen[str], swaps: int) -> int:
    """Change the answering model again and again while the clients ask; how often it was done."""
    user = services.access.identify(Caller(None, None))
    for number in range(swaps):
        services.models.switch(user, XRAY, str(models[number % 2]))
        time.sleep(1.0)
        if process.poll() is not None:
            return number + 1
    return swaps


def long_run(
    services: Services, url: str, models: Sequence[Path], requests: int, swaps: int, expected: Expected
) -> dict[str, Any]:
    """Ten clients while the model is changed, in four quarters, and the memory of the server after each.

    In every quarter the clients are new ones, as visitors are: what is kept of those before shows.
    """
    told, done, memory = [], 0, [_mb()]
    for _ in range(QUARTERS):
        running = start(url, texts(), LONG_CLIENTS, requests // QUARTERS)
        done += swap(services, models, running, swaps // QUARTERS)
        told.append(told_by(running))
        memory.append(_mb())
    return {"long": judged(LONG_CLIENTS, told, expected).__dict__, "swaps": done, "mb": memory}


def _mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def measure(requests: int, long: int, swaps: int) -> dict[str, Any]:
    """All figures."""
    asked = texts()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, launched(Path(folder) / "var", EMBEDDED) as (services, url):
        figures["mb_started"] = _mb()
        models = [second_model(Path(folder) / "moved"), EMBEDDED_FOLDER]
        expected: dict[str, list[dict[str, float]]] = {}
        for path in models:
            services.models.switch(services.access.identify(Caller(None, None)), XRAY, str(path))
            expected[services.models.versions()[XRAY]] = answers(services, asked)
        figures["loads"] = [
            judged(clients, [told_by(start(url, asked, clients, requests))], expected).__dict__ for clients in CLIENTS
        ]
        figures |= long_run(services, url, models, long, swaps, expected)
    small = {"max_queue": SMALL_QUEUE}
    with tempfile.TemporaryDirectory() as folder, launched(Path(folder), EMBEDDED, **small) as (services, url):
        expected = {services.models.versions()[XRAY]: answers(services, asked)}
        figures["small_queue"] = judged(50, [told_by(start(url, asked, 50, requests))], expected).__dict__
    return figures


def table(figures: Mapping[str, Any]) -> str:
    """As Markdown."""
    rows = [*figures["loads"], figures["long"], figures["small_queue"]]
    kinds = ["", "", "", f"{figures['swaps']} changes of the model meanwhile", f"queue of {SMALL_QUEUE}"]
    lines = [
        "| clients | requests | answers/s | p50, ms | p95, ms | told to come back | wrong or mixed | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, kind in zip(rows, kinds, strict=True):
        lines.append(
            f"| {row['clients']} | {row['requests']:,} | {row['per_second']:.0f} | {row['p50_ms']:.0f} | "
            f"{row['p95_ms']:.0f} | {row['busy']} | {row['wrong']} | {kind} |"
        )
    before, *after = (f"{mb:.0f}" for mb in figures["mb"])
    memory = f"Memory of the server: {figures['mb_started']:.0f} MB at the start, {before} MB before the long run, "
    return "\n".join([*lines, "", f"{memory}{', '.join(after)} MB after each quarter of it."])


def main() -> None:
    """Print the table and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1000, help="requests for each number of clients")
    parser.add_argument("--long", type=int, default=10_000, help="requests while the model is changed")
    parser.add_argument("--swaps", type=int, default=20, help="changes of the model meanwhile")
    args = parser.parse_args()
    figures = measure(args.requests, args.long, args.swaps)
    print(table(figures))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()

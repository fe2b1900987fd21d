"""Time, memory and precision of classification: `python -m tests.bench_runtime` prints a table for docs/runtime.md.

Not a test. First the embedded classifiers (or those of `--models`): one report, and 1,000 of realistic lengths.
Then a BERT of base size with random weights against `transformers.pipeline` on the same weights and texts: its best
batch size is found first, then all ways take turns, so that a busy machine slows all of them alike; the figure to read
is the ratio within a round. Memory is measured in a process per way.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import medbertde
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint, save_checkpoint
from medbertde.inference.checkpoint_labels import output_names
from medbertde.inference.classify import classify
from medbertde.inference.facts import CheckpointFacts
from medbertde.inference.forward import prepare
from medbertde.inference.joined import Joiner
from medbertde.inference.packed import has_bf16
from medbertde.inference.rows import never
from medbertde.report_file import read_records
from medbertde.schema import load_schema
from medbertde.settings import ROOT
from medbertde.text import MAX_CHARS
from medbertde.types import Prediction, Task

REPORTS = ROOT / "data" / "reports"
TEXTS = {"chest_xray": REPORTS / "chest_xray.jsonl", "chest_ct": REPORTS / "chest_ct.jsonl"}
BATCH_SIZES = (1, 4, 8, 16, 32)
CALLERS = 8


def texts_of(schema_id: str, count: int) -> list[str]:
    """Distinct reports, evenly over the file."""
    found = [record.text for record in read_records(TEXTS[schema_id])]
    return found[:: max(1, len(found) // count)][:count]


def clock() -> float:
    """Seconds, or on a busy machine (`--one-core`) those of the processor that this process had."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds(action: Callable[[], object]) -> float:
    start = clock()
    action()
    return clock() - start


def timed(model: LoadedModel, texts: Sequence[str]) -> tuple[float, torch.Tensor]:
    """Seconds, and all probabilities."""
    start = clock()
    found = classify(model, texts)
    return clock() - start, values(found)


def values(predictions: Sequence[Prediction]) -> torch.Tensor:
    """All probabilities, one row per report."""
    return torch.tensor(
        [
            [value for score in each.scores.values() for value in (score.present, score.uncertain, score.absent)]
            for each in predictions
        ]
    )


def row(*cells: object) -> None:
    print(
        "| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True
    )


# ------------------------------------------------------------------------------------------------ embedded


def embedded(names: Sequence[str], count: int) -> None:
    """One report and many, in each precision, with the largest difference of a probability to fp32."""
    cells = ("precision", "one report, ms (median · p90)", f"{count} reports, s", "max diff to fp32", "states changed")
    row("model", "words (median, p90, most)", *cells)
    row(*["---"] * 7)
    for name in names:
        model = medbertde.load(name).loaded
        assert model.schema
        texts = texts_of(model.schema.id, count)
        words = sorted(len(text.split()) for text in texts)
        lengths = f"{words[len(words) // 2]}, {words[int(0.9 * len(words))]}, {words[-1]}"
        exact = None
        for precision in ("fp32", "bf16")[: 1 + has_bf16()]:
            prepare(model, precision)
            classify(model, texts[:20])
            singles = sorted(timed(model, [text])[0] * 1000 for text in texts[:200])
            took, found = timed(model, texts)
            exact = found if exact is None else exact
            changed = states_changed(model, found, exact)
            latency = f"{statistics.median(singles):.1f} · {singles[int(0.9 * len(singles))]:.1f}"
            row(model.version, lengths, precision, latency, took, float((found - exact).abs().max()), changed)


def states_changed(model: LoadedModel, found: torch.Tensor, exact: torch.Tensor) -> str:
    """How many "present" decisions differ, of how many."""
    limits = torch.tensor([model.thresholds[label] for label in model.schema.label_ids])  # type: ignore[union-attr]
    differ = (found[:, ::3] >= limits) != (exact[:, ::3] >= limits)
    return f"{int(differ.sum())} of {differ.numel()}"


def callers(name: str) -> None:
    """Eight callers at once with one report each: as they come, one after the other, and as the runtime joins them."""
    model = medbertde.load(name).loaded
    assert model.schema
    texts = texts_of(model.schema.id, 240)
    lock, joiner = threading.Lock(), Joiner()

    def locked(text: str) -> object:
        with lock:
            return classify(model, [text])

    ways: dict[str, Callable[[str], object]] = {
        "as they come": lambda text: classify(model, [text]),
        "one after the other": locked,
        "joined": lambda text: joiner.classify(model, [text], max_chars=MAX_CHARS, stop=never),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(5):
        for way, ask in ways.items():
            rates[way].append(len(texts) / seconds(lambda ask=ask: _at_once(ask, texts)))
    row(f"{CALLERS} callers of {model.version}", "reports/s (median of 5)", "ratio to “as they come”, median of rounds")
    row(*["---"] * 3)
    for way, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates["as they come"], strict=True)]
        row(way, statistics.median(found), statistics.median(ratios))


def _at_once(ask: Callable[[str], object], texts: Sequence[str]) -> None:
    def work(part: Sequence[str]) -> None:
        for text in part:
            ask(text)

    threads = [threading.Thread(target=work, args=(texts[index::CALLERS],)) for index in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ------------------------------------------------------------------------------------------------ base size


def base_folder(folder: Path) -> Path:
    """A BERT of base size with random weights and the embedded vocabulary, that reads reports in windows."""
    schema = load_schema("chest_xray")
    names = output_names(schema, states=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(ROOT / "data" / "models" / "mini-chest-xray")
    tokenizer.model_max_length = 512
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30_000,
        num_attention_heads=8,
        id2label=dict(enumerate(names)),
        label2id={name: column for column, name in enumerate(names)},
        problem_type="multi_label_classification",
    )
    model = BertForSequenceClassification(config).eval()
    thresholds = dict.fromkeys(schema.label_ids, 0.5)
    facts = CheckpointFacts("base", Task.CLASSIFY, schema.id, schema.version, thresholds=thresholds)
    save_checkpoint(model, tokenizer, facts, folder)
    return folder


def peer(folder: Path) -> Callable[[Sequence[str], int], object]:
    """`transformers.pipeline` as its documentation has it."""
    pipe = transformers.pipeline(
        "text-classification", model=str(folder), top_k=None, device="cpu", function_to_apply="sigmoid"
    )
    return lambda texts, size: pipe(list(texts), batch_size=size, truncation=True)


def ours(folder: Path, precision: str) -> Callable[[Sequence[str]], list[Prediction]]:
    model = load_checkpoint(folder)
    prepare(model, precision)
    return lambda texts: classify(model, texts)


def against_pipeline(folder: Path, count: int, rounds: int) -> None:
    """Interleaved rounds; throughput on many reports and latency of one."""
    texts = texts_of("chest_xray", count)
    pipe = peer(folder)
    pipe(texts[:2], 1)
    by_size = {size: seconds(lambda size=size: pipe(texts[: count // 4], size)) for size in BATCH_SIZES}
    best = min(by_size, key=by_size.__getitem__)
    found = ", ".join(f"{size}: {took:.1f} s" for size, took in by_size.items())
    print(f"\nbatch sizes of the pipeline on {count // 4} reports: {found}\n")
    ways: dict[str, Callable[[Sequence[str]], object]] = {f"pipeline, batch size {best}": lambda part: pipe(part, best)}
    for precision in ("fp32", "bf16")[: 1 + has_bf16()]:
        ways[f"medbertde {precision}"] = ours(folder, precision)
    many: dict[str, list[float]] = {way: [] for way in ways}
    one: dict[str, list[float]] = {way: [] for way in ways}
    middle = sorted(texts, key=len)[len(texts) // 2]
    for _ in range(rounds):
        for way, ask in ways.items():
            many[way].append(seconds(lambda ask=ask: ask(texts)))
            one[way].append(statistics.median(seconds(lambda ask=ask: ask([middle])) for _ in range(5)))
    reference = next(iter(ways))
    exact = values(ours(folder, "fp32")(texts[:100]))
    row("base size", "reports/s", "ratio", "one report, ms", "ratio", "peak memory, MiB", "max diff to fp32")
    row(*["---"] * 7)
    for way, ask in ways.items():
        ratios = [
            statistics.median(a / b for a, b in zip(times[reference], times[way], strict=True)) for times in (many, one)
        ]
        gap = "" if way == reference else float((values(ask(texts[:100])) - exact).abs().max())  # type: ignore[arg-type]
        rate, latency = count / statistics.median(many[way]), statistics.median(one[way]) * 1000
        row(way, rate, ratios[0], latency, ratios[1], peak_memory("tests.bench_runtime", folder, way), gap)


def peak_memory(module: str, folder: Path, way: str) -> int:
    """MiB at most that a process of its own needs for some texts this way; `module` prints it at `--memory-of`."""
    words = [sys.executable, "-m", module, "--memory-of", way, "--folder", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def print_peak_memory() -> None:
    """MiB that this process had at most; getrusage would count its parent's as well."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")))


def memory_of(folder: Path, way: str) -> None:
    texts = texts_of("chest_xray", 100)
    if way.startswith("pipeline"):
        peer(folder)(texts, int(way.rsplit(" ", 1)[1]))
    else:
        ours(folder, way.rsplit(" ", 1)[1])(texts)
    print_peak_memory()


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=["mini-chest-xray", "mini-chest-ct"], help="names or folders")
    parser.add_argument("--reports", type=int, default=1000, help="for the embedded models")
    parser.add_argument("--base-reports", type=int, default=200, help="for the base size; 0: leave it out")
    parser.add_argument("--rounds", type=int, default=3, help="in which the ways take turns")
    parser.add_argument("--callers", action="store_true", help="also eight callers at once")
    parser.add_argument("--one-core", action="store_true", help="one thread, processor time: for a busy machine")
    parser.add_argument("--memory-of", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if args.one_core:
        torch.set_num_threads(1)
    if args.memory_of:
        memory_of(args.folder, args.memory_of)
        return
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = "processor time of one core" if args.one_core else f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    print(f"{platform.machine()}, {cores}, torch {torch.__version__}, load {load}\n")
    embedded(args.models, args.reports)
    if args.callers:
        print()
        callers(args.models[0])
    if args.base_reports:
        with tempfile.TemporaryDirectory() as folder:
            against_pipeline(base_folder(Path(folder) / "base"), args.base_reports, args.rounds)


if __name__ == "__main__":
    main()

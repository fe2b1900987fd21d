"""Time and memory of filling gaps: `python -m tests.bench_fill_mask` prints a table for docs/runtime.md.

Not a test. The embedded language model and a BERT of base size with random weights, against
`transformers.pipeline("fill-mask")` on the same weights and sentences. The pipeline ranks single pieces, so the way to
compare with is `pieces`; `words` also searches words of several pieces, which the pipeline cannot do. The ways take
turns; the figure to read is the ratio within a round. Memory is measured in a process per way.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
import yaml
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from medbertde.inference.checkpoint import load_checkpoint, save_checkpoint
from medbertde.inference.facts import CheckpointFacts
from medbertde.inference.fill_mask import fillings
from medbertde.inference.forward import prepare
from medbertde.inference.packed import has_bf16
from medbertde.settings import ROOT
from medbertde.types import Task
from tests.bench_runtime import peak_memory, print_peak_memory, row, seconds

EMBEDDED = ROOT / "data" / "models" / "medbertde-mini"
TOP_K = 10
WAYS = ("pipeline", *(f"{one} {what}" for one in ("fp32", "bf16")[: 1 + has_bf16()] for what in ("pieces", "words")))
Fill = Callable[[str], dict[str, float]]  # the probability of each candidate, by the filled sentence


def sentences() -> list[str]:
    """The 100 gaps that the embedded model is measured on."""
    found = yaml.safe_load((ROOT / "data" / "cloze.yaml").read_text(encoding="utf-8"))
    return [one["text"] for one in found]


def base_folder(folder: Path) -> Path:
    """A language model of base size with random weights and the embedded vocabulary."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(EMBEDDED)
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), num_attention_heads=8)).eval()
    save_checkpoint(model, tokenizer, CheckpointFacts("base", Task.FILL_MASK), folder)
    return folder


def way(folder: Path, name: str) -> Fill:
    """The pipeline, or ours in a precision: single pieces as the pipeline ranks them, or whole words."""
    if name == "pipeline":
        pipe = transformers.pipeline("fill-mask", model=str(folder), top_k=TOP_K, device="cpu", dtype=torch.float32)
        return lambda text: {one["sequence"]: one["score"] for one in pipe(text)}
    precision, what = name.split()
    model, whole = load_checkpoint(folder), what == "words"
    prepare(model, precision)
    return lambda text: {one.text: one.probability for one in fillings(model, text, TOP_K, whole=whole).candidates}


def compare(title: str, folder: Path, texts: list[str], rounds: int) -> None:
    """One table: each way on each sentence alone, as the page asks."""
    found = {name: way(folder, name) for name in WAYS}
    taken: dict[str, list[float]] = {name: [] for name in found}
    for fill in found.values():
        fill(texts[0])
    for _ in range(rounds):
        for name, fill in found.items():
            taken[name].append(statistics.median(seconds(lambda fill=fill, text=text: fill(text)) for text in texts))
    exact = [found["pipeline"](text) for text in texts]
    row(title, "one sentence, ms", "ratio", "peak memory, MiB", "max diff to the pipeline")
    row(*["---"] * 5)
    for name, fill in found.items():
        ratio = statistics.median(a / b for a, b in zip(taken["pipeline"], taken[name], strict=True))
        gap = largest_difference([fill(text) for text in texts], exact) if name.endswith("pieces") else ""
        memory = peak_memory("tests.bench_fill_mask", folder, name)
        row(name, statistics.median(taken[name]) * 1000, ratio, memory, gap)
    print()


def largest_difference(found: list[dict[str, float]], exact: list[dict[str, float]]) -> float:
    """Between the sorted probabilities: how a piece is joined to its sentence is written differently by the two."""
    pairs = zip(found, exact, strict=True)
    ranked = ((sorted(one.values()), sorted(other.values())) for one, other in pairs)
    return max(abs(a - b) for one, other in ranked for a, b in zip(one, other, strict=True))


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="in which the ways take turns")
    parser.add_argument("--base-sentences", type=int, default=20, help="for the base size")
    parser.add_argument("--memory-of", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if args.memory_of:
        fill = way(args.folder, args.memory_of)
        for text in sentences()[:20]:
            fill(text)
        print_peak_memory()
        return
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, load {load}\n")
    compare("medbertde-mini", EMBEDDED, sentences(), args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        compare("base size", base_folder(Path(folder) / "base"), sentences()[: args.base_sentences], args.rounds)


if __name__ == "__main__":
    main()

"""Time of explanations against Captum's BERT tutorial: `python -m tests.bench_explain` prints tables for the docs.

Not a test. The tutorial's way: `LayerIntegratedGradients` on the embeddings, 50 steps, one finding at a time, weights
that require gradients, float32. Both read the same weights and the same text as one window and take turns; the figure
to read is the ratio within a round. Where the tutorial would take too long, `--share` of its steps are timed and the
time is scaled; the gap in the table is always that of all 50. Then the embedded classifiers as they are shipped, by
sentence, on a report of 200 words, and what it takes to open a sentence that adds nothing to the score.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
from captum.attr import LayerIntegratedGradients
from torch import Tensor

import medbertde
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.explain import explain, explain_all, with_words
from medbertde.inference.forward import forward_of, prepare
from medbertde.types import Attribution, Reading
from tests.bench_runtime import base_folder, clock, row, texts_of

TUTORIAL_STEPS = 50
WORDS = 200


def timed(action: Callable[[], object]) -> tuple[float, object]:
    """Seconds and the result."""
    start = clock()
    found = action()
    return clock() - start, found


def text_of(model: LoadedModel, tokens: int) -> str:
    """Shipped reports, cut to what fills `tokens` tokens."""
    assert model.schema
    schema = "chest_ct" if model.schema.id == "chest_ct" else "chest_xray"
    text = " ".join(" ".join(texts_of(schema, 40)).split())
    [pieces] = model.encoder.pieces([text])
    wanted = tokens - len(model.encoder.prefix) - len(model.encoder.suffix)
    return text[: pieces.offsets[wanted - 1][1]]


@dataclass(frozen=True, eq=False)
class Tutorial:
    """Captum's BERT tutorial, on a copy of the weights."""

    model: torch.nn.Module
    loaded: LoadedModel

    def __call__(self, text: str, label: str, steps: int) -> float:
        """Explain, and say how far the scores are from the change of the logit (relative)."""
        encoder = self.loaded.encoder
        [pieces] = encoder.pieces([text])
        ids = torch.tensor([encoder.model_ids(pieces.ids)])
        blank = torch.tensor([encoder.model_ids([encoder.pad_id] * len(pieces.ids))])

        def forward(tokens: Tensor) -> Tensor:
            return self.model(tokens, attention_mask=torch.ones_like(tokens)).logits

        column = self.loaded.outputs.index(label)
        layer = LayerIntegratedGradients(forward, self.model.get_submodule("bert.embeddings"))
        scores = layer.attribute(ids, blank, target=column, n_steps=steps, internal_batch_size=10)
        with torch.no_grad():
            change = float(forward(ids)[0, column] - forward(blank)[0, column])
        return abs(float(scores.sum()) - change) / abs(change)


def compare(loaded: LoadedModel, name: str, tokens: int, rounds: int, share: float) -> None:
    """One row per question: one finding, all findings."""
    model = replace(loaded, facts=replace(loaded.facts, reads=Reading.WINDOWS))
    prepare(model)
    assert model.schema
    labels = model.schema.label_ids
    text, label = text_of(model, tokens), labels[2]
    tutorial = Tutorial(copy.deepcopy(model.model).requires_grad_(True), model)
    steps = max(2, round(TUTORIAL_STEPS * share))
    scale = TUTORIAL_STEPS / steps
    explain(model, text, label)
    theirs, one, every = [], [], []
    answer: dict[str, Attribution] = {}
    for _ in range(rounds):
        theirs.append(scale * timed(lambda: tutorial(text, label, steps))[0])
        one.append(timed(lambda: explain(model, text, label))[0])
        took, found = timed(lambda: explain_all(model, text))
        every.append(took)
        answer = found  # type: ignore[assignment]
    their_gap = tutorial(text, label, TUTORIAL_STEPS) if share == 1 else float("nan")
    gap = max(each.relative_delta for each in answer.values())
    used = statistics.median(each.steps for each in answer.values())
    for question, ours, count in (("one finding", one, 1), (f"all {len(labels)}", every, len(labels))):
        ratio = statistics.median(count * a / b for a, b in zip(theirs, ours, strict=True))
        cells = (f"{count * statistics.median(theirs):.2f}", f"{statistics.median(ours):.2f}", f"{ratio:.1f}×")
        gaps = (f"{their_gap:.2%}" if share == 1 else "–", f"{answer[label].relative_delta if count == 1 else gap:.2%}")
        row(name, tokens, forward_of(model).precision.value, question, *cells, *gaps, used)


def shipped(name: str, rounds: int) -> None:
    """An embedded classifier as users have it, on a report of about 200 words."""
    model = medbertde.load(name).loaded
    assert model.schema
    texts = texts_of(model.schema.id, 1000)
    text = min(texts, key=lambda each: abs(len(each.split()) - WORDS))
    label = model.schema.label_ids[2]
    explain(model, text, label)
    one = [timed(lambda: explain(model, text, label))[0] for _ in range(rounds)]
    every = [timed(lambda: explain_all(model, text))[0] for _ in range(max(1, rounds // 2))]
    gap = max(each.relative_delta for each in explain_all(model, text).values())
    found = explain(model, text, label)
    later = [each.start for each in found.passages if each.words is None]
    opened = [timed(lambda start=start: with_words(model, found, [start]))[0] for start in later]
    milliseconds = [f"{1000 * statistics.median(times):.0f}" if times else "–" for times in (one, opened, every)]
    sentences = f"{len(found.passages)} sentences ({len(later)} add nothing)"
    row(model.version, f"{len(text.split())} words, {sentences}", *milliseconds, f"{gap:.2%}")


def main(argv: Sequence[str] | None = None) -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="128 tokens only, one round, a tenth of the steps for base"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.2, help="of the tutorial's steps that are timed for base size")
    parser.add_argument("--one-core", action="store_true", help="one thread, processor time: for a busy machine")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    if args.one_core:
        torch.set_num_threads(1)
    rounds = 1 if args.quick else args.rounds
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = "processor time of one core" if args.one_core else f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    print(f"{platform.machine()}, {cores}, torch {torch.__version__}, load {load}\n")
    row("as shipped", "report", "one finding, ms", "a sentence opened, ms", "all findings, ms", "largest gap")
    row(*["---"] * 6)
    for name in ("mini-chest-xray", "mini-chest-ct"):
        shipped(name, 2 if args.quick else 5)
    print()
    row("model", "tokens", "ours in", "question", "tutorial, s", "ours, s", "ratio", "their gap", "our gap", "steps")
    row(*["---"] * 10)
    with tempfile.TemporaryDirectory() as folder:
        base = load_checkpoint(base_folder(Path(folder) / "base"))
        for tokens in (128,) if args.quick else (128, 512):
            compare(medbertde.load("mini-chest-xray").loaded, "mini-chest-xray, trained", tokens, rounds, 1)
            compare(base, "base, random weights", tokens, rounds, 0.1 if args.quick else args.share)


if __name__ == "__main__":
    main()

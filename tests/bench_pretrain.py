"""Tokens per second of `train.pretrain` against Hugging Face's `Trainer` as run_mlm.py sets it up.

    python -m tests.bench_pretrain [--sizes mini base] [--threads 1 2] [--rounds 5]

Same model, same texts, same number of tokens per step. Theirs: texts joined and cut into full blocks (run_mlm's
default) or one text per row padded to the block (`--line_by_line --pad_to_max_length`), with
DataCollatorForLanguageModeling, fp32, AdamW, logits for every position. Ours: rows as they are in length-bucketed
batches, bf16, logits for the chosen positions. Tokens are those of the texts, padding not counted. Both take turns,
round by round, and a ratio is the median over rounds, by wall time and by CPU time, since other work slows both. On a
GPU it also prints the model FLOPs utilisation of the full size in bf16. Not a test: nothing fails here.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle
from pathlib import Path

import torch
from accelerate import Accelerator
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from medbertde.inference.tokens import text_encoder
from medbertde.settings import ROOT
from train.mlm import Batch, MaskedModel, make_batch, masking
from train.pretrain import take_batches
from train.pretrain_config import MEDBERT, MINI, PretrainConfig, Recipe
from train.pretrain_start import Run
from train.resume import Progress
from train.schedule import Plan
from train.steps import adamw
from train.texts import documents
from train.token_store import cut, tokenise

FILES = [ROOT / "data" / "reports" / f"{name}.jsonl" for name in ("chest_xray", "chest_ct", "clinical_text")]
BLOCK = 128
SIZES = {"mini": (MINI, 32, 2), "base": (MEDBERT, 8, 1)}  # recipe, rows of a block per step, steps per round
H200_FLOPS = 989e12  # dense bf16, as its maker states


@dataclass(frozen=True)
class Round:
    """What one round took."""

    tokens: int
    wall_s: float
    cpu_s: float  # of all threads of this process: what other work on the machine hardly changes


Turn = Callable[[], Round]


def timed(turn: Callable[[], int]) -> Turn:
    """A round that returns its tokens, with the time it took."""

    def measured() -> Round:
        wall, cpu = time.perf_counter(), time.process_time()
        tokens = turn()
        return Round(tokens, time.perf_counter() - wall, time.process_time() - cpu)

    return measured


def vocabulary_of(recipe: Recipe) -> int:
    """Entries of the embedding: medBERT.de's for the full size, the embedded model's for the small one."""
    return 30_000 if recipe is MEDBERT else 8_000


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> BertForMaskedLM:
    """Random weights at the recipe's size, with as many entries as it has, whatever the text fills of them."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=vocabulary_of(recipe),
            hidden_size=recipe.hidden,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=4 * recipe.hidden,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).train()


class InBf16(torch.nn.Module):
    """What Accelerate makes of a model with `mixed_precision="bf16"`; its own setting would reach the Trainer, too."""

    def __init__(self, module: MaskedModel) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> torch.Tensor:
        """The loss, computed in bf16 where that is safe."""
        with torch.autocast(batch.ids.device.type, torch.bfloat16):
            return self.module(batch)


def ours(recipe: Recipe, rows: int, steps: int, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Turn:
    """Rounds of our loop."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    encoder = text_encoder(tokenizer, BLOCK)
    windows = cut(tokenise(texts, encoder), encoder, BLOCK)
    module = MaskedModel(new_model(recipe, tokenizer))
    model, optimizer = accelerator.prepare(InBf16(module), adamw(module, weight_decay=0.01))
    config = PretrainConfig([], Path("bench"), recipe=recipe)
    how = masking(tokenizer, 0.15)
    run = Run(
        config, accelerator, tokenizer, encoder, how, windows.pieces, windows, module, model, Path(), None, Progress()
    )
    phase = replace(recipe.phases[0], max_tokens=BLOCK, steps=10**9, sequences=None, batch_tokens=rows * BLOCK)
    plan = Plan(windows.lengths, phase, rows * BLOCK, seed=0).steps()

    def turn() -> int:
        chosen = [next(plan) for _ in range(steps)]
        for number, step in enumerate(chosen):
            take_batches(run, optimizer, windows, step, 1e-4, seed=number)
        return sum(int(windows.lengths[batch].sum()) for step in chosen for batch in step)

    return timed(turn)


def blocks(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, joined: bool) -> Dataset:
    """Rows as run_mlm.py makes them: all texts joined and cut, or each text cut off or padded to the block."""
    if not joined:
        return Dataset.from_dict(
            dict(
                tokenizer(
                    list(texts),
                    padding="max_length",
                    truncation=True,
                    max_length=BLOCK,
                    return_special_tokens_mask=True,
                )
            )
        )
    encoded = tokenizer(list(texts), return_special_tokens_mask=True)
    flat = {name: list(chain(*values)) for name, values in encoded.items()}
    full = len(flat["input_ids"]) // BLOCK * BLOCK
    return Dataset.from_dict(
        {name: [values[at : at + BLOCK] for at in range(0, full, BLOCK)] for name, values in flat.items()}
    )


class OpenTrainer(Trainer):
    """The Trainer, its training step called from outside: loading, collating, loss, clipping and AdamW are its own."""

    def rounds(self, steps: int, size: Callable[[dict[str, torch.Tensor]], int]) -> Turn:
        """Rounds of its loop, over its own data loader; `size` counts what a batch holds."""
        model, optimizer = self.model, self.create_optimizer()
        assert model is not None
        model.train()
        self.current_gradient_accumulation_steps = 1  # its inner loop sets it
        batches: Iterator[dict[str, torch.Tensor]] = cycle(self.get_train_dataloader())

        def turn() -> int:
            done = 0
            for _ in range(steps):
                batch = next(batches)
                done += size(batch)
                self.training_step(model, batch)
                self.accelerator.clip_grad_norm_(model.parameters(), self.args.max_grad_norm)
                optimizer.step()
                model.zero_grad()
            return done

        return timed(turn)


def theirs(
    recipe: Recipe, rows: int, steps: int, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, joined: bool
) -> Turn:
    """Rounds of Hugging Face's loop."""
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=rows,
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
    )
    trainer = OpenTrainer(
        model=new_model(recipe, tokenizer),
        args=arguments,
        train_dataset=blocks(texts, tokenizer, joined=joined),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
    )
    return trainer.rounds(steps, lambda batch: int(batch["attention_mask"].sum()))


def compare(size: str, threads: int, rounds: int, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> str:
    """One row of the table."""
    torch.set_num_threads(threads)
    recipe, rows, steps = SIZES[size]
    turns = {
        "ours": ours(recipe, rows, steps, texts, tokenizer),
        "joined": theirs(recipe, rows, steps, texts, tokenizer, joined=True),
        "padded": theirs(recipe, rows, steps, texts, tokenizer, joined=False),
    }
    found: dict[str, list[Round]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            measured = turn()
            if number:  # the first round warms up
                found[name].append(measured)
    own = found.pop("ours")
    cells = [size, str(threads), f"{statistics.median(turn.tokens / turn.wall_s for turn in own):,.0f}"]
    for others in found.values():
        pairs = list(zip(own, others, strict=True))
        wall = statistics.median(a.tokens / a.wall_s * b.wall_s / b.tokens for a, b in pairs)
        cpu = statistics.median(a.tokens / a.cpu_s * b.cpu_s / b.tokens for a, b in pairs)
        speed = statistics.median(turn.tokens / turn.wall_s for turn in others)
        cells += [f"{speed:,.0f}", f"{wall:.1f}", f"{cpu:.1f}"]
    return f"| {' | '.join(cells)} |"


def flops_per_token(recipe: Recipe, length: int, vocabulary: int) -> float:
    """Forward and backward, multiplications and additions: 6 per weight of a matrix, attention, the head on 15 %."""
    layer = 12 * recipe.hidden**2  # query, key, value, output, and the feed-forward pair of four times the width
    attention = 2 * length * recipe.hidden  # scores and weighted sum, per token and layer
    head = recipe.share * (recipe.hidden**2 + recipe.hidden * vocabulary)
    return 6 * (recipe.layers * (layer + attention) + head)


def utilisation(length: int, rows: int, steps: int = 20) -> str:
    """Model FLOPs utilisation of the full size on full rows, in bf16 on one GPU."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "models" / "medbertde-mini")
    accelerator = Accelerator()
    module = MaskedModel(new_model(MEDBERT, tokenizer))
    model, optimizer = accelerator.prepare(InBf16(module), adamw(module, weight_decay=0.01))
    encoder = text_encoder(tokenizer, length)
    windows = cut(tokenise(["Kein Erguss. " * length * rows], encoder), encoder, length)
    batch = make_batch(windows, torch.arange(rows).numpy(), masking(tokenizer, 0.15), seed=0).to(accelerator.device)

    def step() -> None:
        accelerator.backward(model(batch) / len(batch.targets))
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    speed = rows * length * steps / (time.perf_counter() - started)
    share = speed * flops_per_token(MEDBERT, length, vocabulary_of(MEDBERT)) / H200_FLOPS
    return f"{length} tokens: {speed:,.0f} tokens/s, {share:.0%} of {H200_FLOPS / 1e12:.0f} TFLOP/s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    texts = [document.text for document in documents(FILES)]
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "models" / "medbertde-mini")
    print(f"{platform.machine()}, torch {torch.__version__}, {args.rounds} rounds, tokens/s")
    print("| size | threads | ours | Trainer, texts joined | ratio | CPU | Trainer, padded | ratio | CPU |")
    print("|" + 9 * "---|")
    for size in args.sizes:
        for threads in args.threads:
            print(compare(size, threads, args.rounds, texts, tokenizer), flush=True)
    if torch.cuda.is_available():
        for length, rows in ((128, 512), (512, 128)):
            print(utilisation(length, rows))


if __name__ == "__main__":
    main()

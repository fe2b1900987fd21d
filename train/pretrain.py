"""Pretrain a BERT with masked language modelling.

    python -m train.pretrain --tokenizer build/tokenizer --out build/mini data/reports/*.jsonl

15 % of the tokens are chosen; 80 % of those become [MASK], 10 % a random token, 10 % stay, and the loss is taken on all
of them (Devlin et al. 2019, doi:10.18653/v1/N19-1423). The head runs on the chosen positions only. Documents are cut
into windows of `--max-tokens` without losing tokens and never joined. One document in fifty is held out, chosen by its
hash; the weights with the lowest held-out loss are kept. `--base` goes on from a model, `--start local` begins with
word statistics in the weights (`train/local_start.py`). One process, on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerBase

from medbertde.inference.checkpoint import CheckpointFacts, Lineage, load_checkpoint, save_checkpoint
from medbertde.report_file import read_records
from medbertde.schema import schema_ids
from medbertde.text import content_hash
from medbertde.types import Task, TrainingRefused, UserError
from train.augment import cue_sentence, load_lexicon
from train.dataset import buckets, pad
from train.local_start import start_locally
from train.steps import adamw, take_step

IGNORED = -100
HELD_OUT_OF = 50  # one document in this many is held out


@dataclass(frozen=True)
class PretrainConfig:
    """What a run does; `main` explains each value in its `--help`."""

    files: list[Path]
    tokenizer: str
    out: Path
    name: str | None = None
    base: str | None = None
    start: str = "random"
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    max_tokens: int = 256
    epochs: int = 60
    batch_tokens: int = 4096
    rate: float = 1e-3
    warmup: int = 200
    share: float = 0.15
    dropout: float = 0.1
    cues: int = 4000
    precision: str = "no"
    half: bool = False
    seed: int = 42
    cpu: bool = False


def windows(pieces: Sequence[int], first: int, last: int, max_tokens: int) -> list[list[int]]:
    """The pieces of one document in windows of at most `max_tokens`, each with its special tokens; none is lost.

    >>> windows([10, 11, 12], first=2, last=3, max_tokens=4)
    [[2, 10, 11, 3], [2, 12, 3]]
    """
    room = max_tokens - 2
    return [[first, *pieces[start : start + room], last] for start in range(0, len(pieces), room)]


def mask_tokens(
    ids: Tensor, tokenizer: PreTrainedTokenizerBase, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Masked input ids and targets, both `(rows, tokens)`; targets are `IGNORED` where no token was chosen."""
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    chosen = (torch.rand(ids.shape, generator=generator) < share) & ~special
    action = torch.rand(ids.shape, generator=generator)
    masked = torch.where(chosen & (action < 0.8), torch.full_like(ids, tokenizer.mask_token_id), ids)
    drawn = torch.randint(len(tokenizer), ids.shape, generator=generator)
    masked = torch.where(chosen & (action >= 0.9), drawn, masked)
    return masked, torch.where(chosen, ids, torch.full_like(ids, IGNORED))


def masked_loss(model: BertForMaskedLM, ids: Tensor, attention: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the chosen positions; the head sees only those."""
    hidden = model.bert(input_ids=ids, attention_mask=attention).last_hidden_state  # (rows, tokens, hidden)
    chosen = targets != IGNORED
    logits = model.cls(hidden[chosen])  # (chosen, vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), targets[chosen])


def learning_rate(step: int, total: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak`, then cosine decay that reaches zero at the last step of `total`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def read_texts(files: Sequence[Path], cues: int, seed: int) -> tuple[list[str], list[str]]:
    """Training and held-out texts; `cues` short statements from the lexicon join the training part."""
    texts = [record.text for path in files for record in read_records(path)]
    held_out = [text for text in texts if _is_held_out(text)]
    train = [text for text in texts if not _is_held_out(text)]
    if not train or not held_out:
        raise TrainingRefused(
            f"Die {len(texts)} Texte reichen nicht: Etwa jeder {HELD_OUT_OF}. wird zum Prüfen zurückgehalten, hier "
            f"sind es {len(held_out)}. Bitte mehr Texte angeben.",
            f"The {len(texts)} texts are too few: about one in {HELD_OUT_OF} is held out for testing, here it is "
            f"{len(held_out)}. Please give more texts.",
        )
    rng = random.Random(seed)
    lexicons = [lexicon for schema_id in schema_ids() if (lexicon := load_lexicon(schema_id))]
    return train + [cue_sentence(rng.choice(lexicons), rng).text for _ in range(cues)], held_out


def _is_held_out(text: str) -> bool:
    return int(content_hash(text)[:8], 16) % HELD_OUT_OF == 0


def token_rows(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> list[list[int]]:
    """The windows of all texts, special tokens included."""
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [row for pieces in encoded for row in windows(pieces, first, last, max_tokens)]


def epoch_batches(
    rows: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase, batch_tokens: int, share: float, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Masked ids, attention mask and targets of one pass; equal for equal seeds."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    for chosen in buckets([len(row) for row in rows], batch_tokens, rng):
        ids = pad([rows[index] for index in chosen], tokenizer.pad_token_id)
        masked, targets = mask_tokens(ids, tokenizer, share, generator)
        if (targets != IGNORED).any():
            yield masked, (ids != tokenizer.pad_token_id).long(), targets


@torch.no_grad()
def held_out_loss(model: BertForMaskedLM, rows: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> float:
    """Mean loss per chosen token on the held-out rows, always with the same masks."""
    model.eval()
    total = count = 0.0
    for batch in epoch_batches(rows, tokenizer, 4096, 0.15, seed=0):
        ids, attention, targets = (tensor.to(model.device) for tensor in batch)
        chosen = int((targets != IGNORED).sum())
        total += masked_loss(model, ids, attention, targets).item() * chosen
        count += chosen
    model.train()
    return total / max(1.0, count)


def build_model(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]
) -> BertForMaskedLM:
    """The base model, else a new BERT of the configured size, which always has 512 positions.

    `rows`, the token ids of the training text, are what `--start local` counts.
    """
    if config.base:
        return AutoModelForMaskedLM.from_pretrained(config.base, use_safetensors=True, dtype=torch.float32)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.hidden,
            max_position_embeddings=512,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return start_locally(model, rows, config.seed) if config.start == "local" else model


def train(config: PretrainConfig) -> float:
    """Run the job; returns the lowest held-out loss (nats per chosen token)."""
    accelerator = Accelerator(mixed_precision=config.precision, cpu=config.cpu)
    set_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(config.tokenizer)
    texts, held_out_texts = read_texts(config.files, config.cues, config.seed)
    rows = token_rows(texts, tokenizer, config.max_tokens)
    held_out = token_rows(held_out_texts, tokenizer, config.max_tokens)
    tokenizer.model_max_length = config.max_tokens
    model = build_model(config, tokenizer, rows)
    model, optimizer = accelerator.prepare(model, adamw(model, weight_decay=0.01))
    plain = accelerator.unwrap_model(model)
    total = config.epochs * len(buckets([len(row) for row in rows], config.batch_tokens, random.Random(0)))
    step, best, started, tokens = 0, math.inf, time.monotonic(), 0
    for epoch in range(config.epochs):
        losses = []
        for batch in epoch_batches(rows, tokenizer, config.batch_tokens, config.share, seed=config.seed + epoch):
            ids, attention, targets = (tensor.to(accelerator.device) for tensor in batch)
            with accelerator.autocast():
                loss = masked_loss(plain, ids, attention, targets)
            rate = learning_rate(step, total, config.warmup, config.rate)
            losses.append(take_step(accelerator, model, optimizer, loss, rate))
            step, tokens = step + 1, tokens + int(attention.sum())
        held = held_out_loss(plain, held_out, tokenizer)
        speed = tokens / (time.monotonic() - started)
        mean = sum(losses) / len(losses)
        print(
            f"epoch {epoch + 1}/{config.epochs} loss {mean:.3f} held-out {held:.3f} {speed:,.0f} tokens/s", flush=True
        )
        if held < best and accelerator.is_main_process:
            best = held
            save_checkpoint(plain, tokenizer, _facts(config, best), config.out)
    if config.half and accelerator.is_main_process:
        _halve(config.out)
    return best


def _facts(config: PretrainConfig, loss: float) -> CheckpointFacts:
    return CheckpointFacts(
        name=config.name or config.out.name,
        task=Task.FILL_MASK,
        figures={"held_out_loss": loss, "held_out_perplexity": math.exp(loss)},
        lineage=Lineage(
            base_model=config.base, seed=config.seed, created_at=datetime.now(UTC).isoformat(timespec="seconds")
        ),
    )


def _halve(folder: Path) -> None:
    """Store the weights of a checkpoint in 16 bits."""
    kept = load_checkpoint(folder)
    save_checkpoint(kept.model.half(), kept.tokenizer, kept.facts, folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="report files (.jsonl, .csv)")
    parser.add_argument("--tokenizer", required=True, help="tokenizer folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--name", help="name of the model; default: the folder's")
    parser.add_argument("--base", help="BERT checkpoint to go on from; its tokenizer must be the one given")
    parser.add_argument("--start", choices=("random", "local"), help="weights of a new model")
    parser.add_argument("--layers", type=int, help="transformer layers")
    parser.add_argument("--hidden", type=int, help="hidden size; the feed-forward size is four times it")
    parser.add_argument("--heads", type=int, help="attention heads")
    parser.add_argument("--max-tokens", type=int, help="longest window in tokens")
    parser.add_argument("--epochs", type=int, help="passes over the text")
    parser.add_argument("--batch-tokens", type=int, help="tokens per step, padding included")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--warmup", type=int, help="warm-up steps")
    parser.add_argument("--share", type=float, help="share of tokens chosen for the loss")
    parser.add_argument("--dropout", type=float, help="dropout of a new model")
    parser.add_argument("--cues", type=int, help="short lexicon statements added to the text")
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"), help="mixed precision")
    parser.add_argument("--half", action="store_true", help="store the weights in 16 bits")
    parser.add_argument("--seed", type=int, help="seed of masks, order and weights")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    parser.set_defaults(**{item.name: item.default for item in fields(PretrainConfig) if item.default is not MISSING})
    try:
        loss = train(PretrainConfig(**vars(parser.parse_args())))
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(f"lowest held-out loss {loss:.3f}")


if __name__ == "__main__":
    main()

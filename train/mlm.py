"""Masked language modelling: which tokens are hidden, batches of them, and the loss.

15 % of the tokens are chosen; 80 % of those become the tokenizer's own mask, 10 % a random token, 10 % stay, and the
loss is taken on all of them (Devlin et al. 2019, doi:10.18653/v1/N19-1423). The head, with its output matrix of the
size of the vocabulary, runs on the chosen positions only. Works for models of the BERT and the RoBERTa family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from medbertde.types import TrainingRefused
from train.schedule import micro_batches, seed_of
from train.token_store import Windows

IGNORED = -100
HEADS = ("cls", "lm_head")  # of BERT and its relatives, of RoBERTa and its relatives
EVALUATION_TOKENS = 4096  # tokens per batch of a held-out loss; part of what the figure means

_SPACE_MARKS = ("Ġ", "▁")
_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True, eq=False)
class Masking:
    """How tokens are chosen and replaced, for one tokenizer."""

    share: float
    mask_id: int
    pad_id: int
    special: Tensor  # (vocabulary,): control tokens, which are never chosen and never drawn
    ordinary: Tensor  # the other ids
    continues: Tensor | None = None  # (vocabulary,): pieces that go on with a word; given for whole words


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows with masks. `chosen` are flat indices into `(rows × tokens)`, `targets` the true ids there."""

    ids: Tensor  # (rows, tokens)
    attention: Tensor | None  # (rows, tokens), None where there is no padding
    chosen: Tensor  # (chosen,)
    targets: Tensor  # (chosen,)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        attention = self.attention if self.attention is None else self.attention.to(device, non_blocking=True)
        moved = (tensor.to(device, non_blocking=True) for tensor in (self.chosen, self.targets))
        return Batch(self.ids.to(device, non_blocking=True), attention, *moved)


def masking(tokenizer: PreTrainedTokenizerBase, share: float, *, whole_words: bool = False) -> Masking:
    """The masking with this tokenizer's own mask and control tokens; `TrainingRefused` where it has no mask."""
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise TrainingRefused(
            "Der Tokenizer hat kein Maskenzeichen oder kein Füllzeichen. Erwartet wird der eines maskierten "
            "Sprachmodells wie BERT oder RoBERTa.",
            "The tokenizer has no mask token or no padding token. Expected is that of a masked language model such as "
            "BERT or RoBERTa.",
        )
    special = torch.zeros(len(tokenizer), dtype=torch.bool)
    special[torch.tensor(tokenizer.all_special_ids)] = True
    continues = continuations(tokenizer) & ~special if whole_words else None
    ordinary = (~special).nonzero()[:, 0]
    return Masking(share, tokenizer.mask_token_id, tokenizer.pad_token_id, special, ordinary, continues)


def continuations(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Which entries `(vocabulary,)` go on with a word: `##…` in WordPiece, letters without a space mark elsewhere."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    if any(piece.startswith("##") for piece in pieces):
        return torch.tensor([piece.startswith("##") for piece in pieces])
    return torch.tensor([not piece.startswith(_SPACE_MARKS) and bool(_LETTER.search(piece)) for piece in pieces])


def mask_tokens(ids: Tensor, how: Masking, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Masked input ids and targets, both `(rows, tokens)`; targets are `IGNORED` where no token was chosen."""
    draw = torch.rand(ids.shape, generator=generator)
    if how.continues is not None:
        words = (~how.continues[ids]).cumsum(1)  # (rows, tokens): number of the word in its row
        draw = draw.gather(1, (words - words[:, :1]))  # one draw per word
    chosen = (draw < how.share) & ~how.special[ids]
    action = torch.rand(ids.shape, generator=generator)
    drawn = how.ordinary[torch.randint(len(how.ordinary), ids.shape, generator=generator)]
    masked = ids.masked_fill(chosen & (action < 0.8), how.mask_id)
    masked = torch.where(chosen & (action >= 0.9), drawn, masked)
    return masked, ids.masked_fill(~chosen, IGNORED)


def make_batch(windows: Windows, rows: np.ndarray, how: Masking, seed: int) -> Batch:
    """These rows, padded and masked; equal for equal seeds, whatever process makes it."""
    ids = torch.from_numpy(windows.padded(rows, how.pad_id))
    masked, targets = mask_tokens(ids, how, torch.Generator().manual_seed(seed))
    lengths = torch.from_numpy(windows.lengths[rows])
    attention = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    chosen = (targets.flatten() != IGNORED).nonzero()[:, 0]
    return Batch(masked, None if bool(attention.all()) else attention, chosen, targets.flatten()[chosen])


def held_out_batches(windows: Windows, how: Masking, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
    """The rows once, always in the same batches with the same masks; one process's share of them."""
    grouped = micro_batches(windows.lengths, EVALUATION_TOKENS, np.random.default_rng(0))
    return (make_batch(windows, grouped[at], how, seed_of(0, at)) for at in range(rank, len(grouped), processes))


class MaskedModel(nn.Module):
    """A language model whose forward pass is the loss, so that it can be distributed over processes."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Cross-entropy in nats, summed over the chosen positions."""
        return loss_sum(self.model, batch)


def loss_sum(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Cross-entropy in nats, summed over the chosen positions; the head sees only those."""
    logits = chosen_logits(model, batch.ids, batch.attention, batch.chosen)
    return nn.functional.cross_entropy(logits.float(), batch.targets, reduction="sum")


def chosen_logits(model: PreTrainedModel, ids: Tensor, attention: Tensor | None, chosen: Tensor) -> Tensor:
    """Logits `(chosen, vocabulary)` at flat positions of `(rows × tokens)`."""
    hidden = model.base_model(input_ids=ids, attention_mask=attention).last_hidden_state  # (rows, tokens, hidden)
    logits: Tensor = _head(model)(hidden.flatten(0, 1)[chosen])
    return logits


def _head(model: PreTrainedModel) -> nn.Module:
    return next(getattr(model, name) for name in HEADS if hasattr(model, name))


@torch.no_grad()
def require_same_logits(model: PreTrainedModel, how: Masking) -> None:
    """Refuse a model whose head does not give at single positions what the model itself gives there."""
    ids = how.ordinary[:6].to(model.device)[None]
    model.eval()
    fits = any(isinstance(getattr(model, name, None), nn.Module) for name in HEADS)
    if fits:
        logits = chosen_logits(model, ids, None, torch.arange(ids.shape[1], device=model.device))
        fits = torch.allclose(logits, model(input_ids=ids).logits[0], atol=1e-3)
    model.train()
    if not fits:
        name = type(model).__name__
        raise TrainingRefused(
            f"{name} kann hier nicht weitertrainiert werden. Möglich sind Modelle der Familien BERT und RoBERTa.",
            f"{name} cannot be trained further here. Possible are models of the BERT and RoBERTa families.",
        )


@torch.no_grad()
def held_out_sums(model: PreTrainedModel, batches: Iterator[Batch]) -> tuple[float, int]:
    """Summed loss and number of chosen tokens; leaves the model training."""
    model.eval()
    total, chosen = torch.zeros((), dtype=torch.float64), 0
    for batch in batches:
        total += loss_sum(model, batch.to(model.device)).double().cpu()
        chosen += len(batch.targets)
    model.train()
    return float(total), chosen

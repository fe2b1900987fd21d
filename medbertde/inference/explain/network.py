"""Logits from word embeddings, with a graph back to these embeddings and to nothing else.

Owns the passes that explanations need. The weights are frozen, so no gradient of a weight is ever computed; positions
and token types are the model's own and stay as they are wherever a text's embeddings come from (models of the RoBERTa
family would number positions anew from padding ids). Nothing is hooked into the shared model: a classification in
another thread reads the same weights undisturbed.

On the CPU, BERT and RoBERTa classifiers compute rows of any lengths end to end, as `packed` does without gradients:
oneDNN's matrix products forwards and backwards, attention per group of rows of one length, and in the last layer only
the first token. All others run their own `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.forward import Precision, forward_of
from medbertde.inference.packed import supports
from medbertde.types import Task

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_TYPICAL_TOKENS = 1024  # of a chunk; oneDNN lays bfloat16 weights out for about that many


@dataclass(frozen=True, eq=False)
class Row:
    """One input of the model as word embeddings: `text` and the `blank` one it is compared with, ``[length, hidden]``.

    `free` ``[length]`` marks the positions that are explained; control tokens are not and are equal in both. A language
    model is asked for `piece` at `position`.
    """

    text: Tensor
    blank: Tensor
    free: Tensor
    position: int = 0
    piece: int = 0

    @property
    def change(self) -> Tensor:
        """What the text puts in place of the blank ``[length, hidden]``; zero at control tokens."""
        return self.text - self.blank


class Network(Protocol):
    """Logits ``[sum of the blocks' rows, outputs]`` in float32; block i ``[n, length, hidden]`` is `n` times row i."""

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """The logits, with a graph where a block asks for gradients."""
        ...


_NETWORKS: WeakKeyDictionary[LoadedModel, Network] = WeakKeyDictionary()


def network_of(model: LoadedModel) -> Network:
    """How `model` computes explanations: in the precision it classifies in."""
    found = _NETWORKS.get(model)
    if found is None:
        found = _NETWORKS[model] = _network(model)
    return found


def exact_network_of(model: LoadedModel) -> Network:
    """The same in float32, for the differences that explanations have to add up to."""
    network = network_of(model)
    return network.exact if isinstance(network, PackedNetwork) else network


def _network(model: LoadedModel) -> Network:
    if model.task is Task.FILL_MASK:
        return GapNetwork(model.model, model.encoder.pad_id)
    if supports(model.model):
        half = forward_of(model).precision is Precision.BF16
        return PackedNetwork(model.model, torch.bfloat16 if half else torch.float32)
    return PlainNetwork(model.model)


# ---------------------------------------------------------------------------------------------- any architecture


class PlainNetwork:
    """A classifier's own `forward`: per block on the CPU, over padded rows at once on a GPU."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """See `Network`."""
        if blocks[0].device.type == "cpu":
            return torch.cat([self._logits(block, _ones(block)) for block in blocks])
        return self._logits(*_padded(blocks))

    def _logits(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self._model(inputs_embeds=embeddings, attention_mask=mask).logits
        return logits.float()


class GapNetwork:
    """What a language model gives for each row's `piece` at its `position`.

    Output 0 is the piece's logit, output 1 the logarithm of its probability. The head runs at that position only.
    """

    def __init__(self, model: PreTrainedModel, pad_id: int) -> None:
        self._model = model
        self._head = getattr(model, "cls", None) or getattr(model, "lm_head", None)

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """See `Network`."""
        return torch.cat([self._outputs(row, block) for row, block in zip(rows, blocks, strict=True)])

    def _outputs(self, row: Row, block: Tensor) -> Tensor:
        if self._head is None:
            scores = self._model(inputs_embeds=block, attention_mask=_ones(block)).logits[:, row.position]
        else:
            hidden = self._model.base_model(inputs_embeds=block, attention_mask=_ones(block)).last_hidden_state
            scores = self._head(hidden[:, row.position])  # [n, vocabulary]
        scores = scores.float()
        logit = scores[:, row.piece]
        return torch.stack([logit, logit - scores.logsumexp(dim=-1)], dim=1)


def _ones(block: Tensor) -> Tensor:
    return torch.ones(block.shape[:2], dtype=torch.long, device=block.device)


def _padded(blocks: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """All blocks as one batch ``[rows, longest, hidden]`` with its attention mask."""
    longest = max(block.shape[1] for block in blocks)
    embeddings = torch.cat([functional.pad(block, (0, 0, 0, longest - block.shape[1])) for block in blocks])
    mask = torch.cat([functional.pad(_ones(block), (0, longest - block.shape[1])) for block in blocks])
    return embeddings, mask


# ---------------------------------------------------------------------------------------------- packed rows


class _Frozen(torch.autograd.Function):
    """A linear layer whose weights are constants: its backward pass gives the gradient of the input, and only that."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: _Linear) -> Tensor:
        ctx.layer = layer
        return layer.product(inputs)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        layer: _Linear = ctx.layer  # type: ignore[attr-defined]
        return layer.transposed_product(gradients[0].contiguous()), None


@dataclass(frozen=True, eq=False)
class _Linear:
    """``x @ weight.T + bias`` in float32, or with bfloat16 copies of the weights and float32 at both ends."""

    weight: Tensor
    transposed: Tensor
    bias: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        return _Frozen.apply(inputs, self)

    def product(self, inputs: Tensor) -> Tensor:
        """``[tokens, in]`` to ``[tokens, out]``."""
        if not _ONEDNN:
            return functional.linear(inputs, self.weight, self.bias)
        return _onednn(inputs, self.weight, self.bias)

    def transposed_product(self, gradients: Tensor) -> Tensor:
        """``[tokens, out]`` to ``[tokens, in]``."""
        return _onednn(gradients, self.transposed, None) if _ONEDNN else gradients @ self.weight


def _onednn(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = torch.ops.mkldnn._linear_pointwise(inputs.to(weight.dtype), weight, bias, "none", [], "")
    return product.float()


@dataclass(frozen=True, eq=False)
class _Layer:
    query: _Linear
    key_value: _Linear
    out: _Linear
    after_attention: nn.Module
    up: _Linear
    activation: Callable[[Tensor], Tensor]
    down: _Linear
    after_feed_forward: nn.Module


class PackedNetwork:
    """BERT and RoBERTa classifiers on the CPU: blocks of different lengths as one matrix ``[tokens, hidden]``."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        base: Any = model.base_model
        self._heads = int(model.config.num_attention_heads)
        self._embeddings = base.embeddings
        self._first_position = 0 if model.config.model_type == "bert" else int(model.config.pad_token_id) + 1
        self._layers = tuple(_layer(module, dtype) for module in base.encoder.layer)
        self._head = _head(model)
        self.exact = self if dtype is torch.float32 else PackedNetwork(model, torch.float32)

    def __call__(self, rows: Sequence[Row], blocks: Sequence[Tensor]) -> Tensor:
        """See `Network`."""
        shapes = [block.shape[:2] for block in blocks]
        hidden = torch.cat([self._embedded(block) for block in blocks])  # [tokens, hidden]
        for layer in self._layers[:-1]:
            hidden = self._forward(layer, hidden, hidden, shapes)
        starts, done = [], 0
        for count, length in shapes:
            starts.append(done + length * torch.arange(count))
            done += count * length
        last = self._forward(self._layers[-1], hidden, hidden[torch.cat(starts)], shapes)  # [rows, hidden]
        return self._head(last[:, None]).float()

    def _embedded(self, block: Tensor) -> Tensor:
        """Word, position and token-type embeddings, normalised: ``[rows · length, hidden]``."""
        positions = self._first_position + torch.arange(block.shape[1])[None]
        embedded: Tensor = self._embeddings(inputs_embeds=block, position_ids=positions)
        return embedded.reshape(-1, block.shape[2])

    def _forward(self, layer: _Layer, hidden: Tensor, asking: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
        """The layer's output at the tokens `asking`: all of them, or the first of each row."""
        query = layer.query(asking)
        key, value = layer.key_value(hidden).chunk(2, dim=1)
        whole = asking is hidden
        tokens = [count * length for count, length in shapes]
        asked = tokens if whole else [count for count, _ in shapes]
        parts = zip(query.split(asked), key.split(tokens), value.split(tokens), shapes, strict=True)
        seen = torch.cat([self._attend(*part) for part in parts])
        kept = layer.after_attention(layer.out(seen) + asking)
        return layer.after_feed_forward(layer.down(layer.activation(layer.up(kept))) + kept)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, shape: torch.Size) -> Tensor:
        """Attention within each of the rows of one block: ``[asked tokens, hidden]``."""
        seen = functional.scaled_dot_product_attention(
            self._by_head(query, shape[0]), self._by_head(key, shape[0]), self._by_head(value, shape[0])
        )  # [rows, heads, asked per row, size]
        return seen.transpose(1, 2).reshape(query.shape)

    def _by_head(self, tokens: Tensor, rows: int) -> Tensor:
        """``[rows · length, hidden]`` as ``[rows, heads, length, size]``."""
        return tokens.reshape(rows, -1, self._heads, tokens.shape[1] // self._heads).transpose(1, 2)


def _layer(module: Any, dtype: torch.dtype) -> _Layer:
    attention, output = module.attention, module.output
    return _Layer(
        query=_linear(dtype, attention.self.query),
        key_value=_linear(dtype, attention.self.key, attention.self.value),
        out=_linear(dtype, attention.output.dense),
        after_attention=attention.output.LayerNorm,
        up=_linear(dtype, module.intermediate.dense),
        activation=module.intermediate.intermediate_act_fn,
        down=_linear(dtype, output.dense),
        after_feed_forward=output.LayerNorm,
    )


def _linear(dtype: torch.dtype, *modules: nn.Linear) -> _Linear:
    """One layer that gives the outputs of `modules` side by side; of a single one in float32 it keeps views."""
    weights, biases = [module.weight.detach() for module in modules], [module.bias.detach() for module in modules]
    weight, bias = (weights[0], biases[0]) if len(modules) == 1 else (torch.cat(weights), torch.cat(biases))
    if dtype is torch.float32:
        return _Linear(weight, weight.t(), bias)
    laid_out = [
        torch.ops.mkldnn._reorder_linear_weight(each.to(dtype).contiguous(), _TYPICAL_TOKENS)
        for each in (weight, weight.t())
    ]
    return _Linear(laid_out[0], laid_out[1], bias.to(dtype))


def _head(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """From the first tokens ``[rows, 1, hidden]`` to the logits, with the model's own modules."""
    modules: Any = model
    if model.config.model_type == "bert":
        pooler = modules.base_model.pooler
        return lambda first: modules.classifier(pooler(first))
    head: nn.Module = modules.classifier
    return head

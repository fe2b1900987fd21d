"""BERT and RoBERTa classifiers on the CPU: rows of any lengths end to end, with a graph back to their embeddings.

As `inference.packed` does without gradients: oneDNN's matrix products, here forwards and backwards, attention for all
rows of one length at once, and in the last layer only the first token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.activations import GELUActivation

from medbertde.inference.explain.row import Row
from medbertde.inference.packed import ONEDNN, onednn_linear

_TYPICAL_TOKENS = 1024  # of a chunk; oneDNN lays bfloat16 weights out for about that many


class _Frozen(torch.autograd.Function):
    """A linear layer whose weights are constants: its backward pass gives the gradient of the input, and only that."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: _Linear) -> Tensor:
        ctx.layer, ctx.dtype = layer, inputs.dtype
        return layer.product(inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        layer: _Linear = ctx.layer
        return layer.transposed_product(gradients[0].contiguous()).to(ctx.dtype), None


@dataclass(frozen=True, eq=False)
class _Linear:
    """``x @ weight.T + bias`` in float32, or with bfloat16 copies of the weights.

    What comes out is of type `out`; what goes in may be of either.
    """

    weight: Tensor
    transposed: Tensor
    bias: Tensor
    out: torch.dtype

    def __call__(self, inputs: Tensor) -> Tensor:
        return _Frozen.apply(inputs, self)

    def product(self, inputs: Tensor) -> Tensor:
        """``[tokens, in]`` to ``[tokens, out]``."""
        if not ONEDNN:
            return functional.linear(inputs, self.weight, self.bias)
        return onednn_linear(inputs.to(self.weight.dtype), self.weight, self.bias).to(self.out)

    def transposed_product(self, gradients: Tensor) -> Tensor:
        """``[tokens, out]`` to ``[tokens, in]``."""
        if not ONEDNN:
            return gradients @ self.weight
        return onednn_linear(gradients.to(self.transposed.dtype), self.transposed, None)


@dataclass(frozen=True, eq=False)
class _Layer:
    query: _Linear
    key_value: _Linear
    out: _Linear
    after_attention: nn.Module
    up: _Linear
    activation: nn.Module
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
        order = sorted(range(len(blocks)), key=lambda place: blocks[place].shape[1])
        of_one_length = [list(group) for _, group in groupby(order, key=lambda place: blocks[place].shape[1])]
        merged = [torch.cat([blocks[place] for place in group]) for group in of_one_length]
        parts = self._logits(merged).split([len(blocks[place]) for place in order])
        return torch.cat([part for _, part in sorted(zip(order, parts, strict=True), key=lambda each: each[0])])

    def _logits(self, blocks: Sequence[Tensor]) -> Tensor:
        """The logits of blocks that differ in length: attention is computed for each of them at once."""
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
    attention, output, activation = module.attention, module.output, module.intermediate.intermediate_act_fn
    return _Layer(
        query=_linear(dtype, attention.self.query),
        key_value=_linear(dtype, attention.self.key, attention.self.value),
        out=_linear(dtype, attention.output.dense),
        after_attention=attention.output.LayerNorm,
        up=_linear(dtype, module.intermediate.dense, out=dtype if _exact_in_half(activation) else torch.float32),
        activation=activation,
        down=_linear(dtype, output.dense),
        after_feed_forward=output.LayerNorm,
    )


def _exact_in_half(activation: nn.Module) -> bool:
    """Whether it computes in float32 and only rounds at its end, so that converting around it changes nothing."""
    return isinstance(activation, GELUActivation | nn.GELU | nn.ReLU)


def _linear(dtype: torch.dtype, *modules: nn.Linear, out: torch.dtype = torch.float32) -> _Linear:
    """One layer that gives the outputs of `modules` side by side; of a single one in float32 it keeps views."""
    weights, biases = [module.weight.detach() for module in modules], [module.bias.detach() for module in modules]
    weight, bias = (weights[0], biases[0]) if len(modules) == 1 else (torch.cat(weights), torch.cat(biases))
    if dtype is torch.float32:
        return _Linear(weight, weight.t(), bias, out)
    laid_out = [
        torch.ops.mkldnn._reorder_linear_weight(each.to(dtype).contiguous(), _TYPICAL_TOKENS)
        for each in (weight, weight.t())
    ]
    return _Linear(laid_out[0], laid_out[1], bias.to(dtype), out)


def _head(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """From the first tokens ``[rows, 1, hidden]`` to the logits, with the model's own modules."""
    modules: Any = model
    if model.config.model_type == "bert":
        pooler = modules.base_model.pooler
        return lambda first: modules.classifier(pooler(first))
    head: nn.Module = modules.classifier
    return head

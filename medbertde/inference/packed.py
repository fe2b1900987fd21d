"""The forward pass of the BERT and RoBERTa families on the CPU over rows laid end to end: no padding, no masks.

Owns the arithmetic. Every linear layer sees all tokens of a batch as one matrix ``[tokens, hidden]``; attention runs
over groups of rows of equal length; in the last layer only one token of each row goes on, because the head reads no
other: the first one for a classifier, the masked one for a language model. It computes with the checkpoint's own
weights in float32, or with bfloat16 copies of the linear layers, where sums, LayerNorm and softmax stay in float32.
Tests compare it with the model's own `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

FAMILIES = frozenset({"bert", "camembert", "roberta", "xlm-roberta"})
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_STEP = 32  # oneDNN makes and keeps a kernel for every number of tokens: half a GB if each were left as it comes
_TYPICAL_TOKENS = 1024  # of a batch; oneDNN lays the weights out for about that many


def supports(model: PreTrainedModel) -> bool:
    """Whether this module computes what `model` computes: encoders of the known families on the CPU."""
    config = model.config
    plain = not getattr(config, "is_decoder", False) and not getattr(config, "add_cross_attention", False)
    return config.model_type in FAMILIES and plain and model.device.type == "cpu"


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX)."""
    cpu = torch.cpu
    return ONEDNN and bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


def onednn_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> Tensor:
    """The product of ``[tokens, in]`` in steps of tokens, because oneDNN keeps a kernel for every number of them."""
    attribute, algorithm = ("gelu", "none") if gelu else ("none", "")
    tokens = inputs.shape[0]
    filled = functional.pad(inputs, (0, 0, 0, -tokens % _STEP))
    product: Tensor = torch.ops.mkldnn._linear_pointwise(filled, weight, bias, attribute, [], algorithm)
    return product[:tokens]


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear layer ``x @ weight.T + bias``; with oneDNN the activation runs in the same pass."""

    weight: Tensor
    bias: Tensor

    def __call__(self, inputs: Tensor, *, gelu: bool = False) -> Tensor:
        if ONEDNN:
            return onednn_linear(inputs, self.weight, self.bias, gelu=gelu)
        outputs = functional.linear(inputs, self.weight, self.bias)
        return functional.gelu(outputs) if gelu else outputs


@dataclass(frozen=True, eq=False)
class _Layer:
    """One encoder layer. `activation` is None where GELU runs inside `up`."""

    query: _Linear
    key: _Linear
    value: _Linear
    out: _Linear
    after_attention: nn.Module
    up: _Linear
    activation: Callable[[Tensor], Tensor] | None
    down: _Linear
    after_feed_forward: nn.Module


@dataclass(frozen=True)
class _Group:
    """Consecutive rows of one length; the first of their tokens is token `start` of the batch."""

    start: int
    rows: int
    length: int


class PackedModel:
    """A classifier's or language model's weights, made ready for packed rows in one precision."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        """Keep views of the weights for float32, copies in oneDNN's own layout for bfloat16."""
        base: Any = model.base_model
        gelu = model.config.hidden_act == "gelu"
        self._dtype = dtype
        self._heads = int(model.config.num_attention_heads)
        self._embeddings = base.embeddings
        self._first_position = 0 if model.config.model_type == "bert" else int(model.config.pad_token_id) + 1
        self._layers = tuple(_layer(module, dtype, gelu) for module in base.encoder.layer)
        self._head = _head(model)

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Sequence[int]], at: Sequence[int] = ()) -> Tensor:
        """Logits ``[rows, outputs]`` in float32 of token ids, control tokens included; equal lengths side by side.

        `at` is the position that is asked for in each row, the first one if not given.
        """
        groups = list(_groups(rows))
        ids = torch.tensor([token for row in rows for token in row])
        places = torch.cat([torch.arange(group.length).repeat(group.rows) for group in groups])
        asked = torch.cat([group.start + group.length * torch.arange(group.rows) for group in groups])
        if at:
            asked = asked + torch.tensor(at)
        hidden = self._embeddings(input_ids=ids[None], position_ids=self._first_position + places[None])[0]
        for layer in self._layers[:-1]:
            hidden = self._forward(layer, hidden, groups, None)  # [tokens, hidden]
        last = self._forward(self._layers[-1], hidden, groups, asked)  # [rows, hidden]
        return self._head(last)

    def _forward(self, layer: _Layer, hidden: Tensor, groups: Sequence[_Group], only: Tensor | None) -> Tensor:
        """The layer's output ``[tokens, hidden]`` in float32, or that of the tokens `only`, one per row."""
        inputs = hidden.to(self._dtype)
        asking = inputs if only is None else inputs[only]
        seen = self._attend(layer.query(asking), layer.key(inputs), layer.value(inputs), groups, only is not None)
        kept = hidden if only is None else hidden[only]
        kept = layer.after_attention(layer.out(seen) + kept)
        wide = layer.up(kept.to(self._dtype), gelu=layer.activation is None)
        if layer.activation is not None:
            wide = layer.activation(wide)
        return layer.after_feed_forward(layer.down(wide) + kept)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, groups: Sequence[_Group], one_each: bool) -> Tensor:
        """Attention within each row; `query` holds one token per row if `one_each`, else all of them."""
        seen, done = torch.empty_like(query), 0
        for group in groups:
            tokens = group.rows * group.length
            asked = slice(done, done + (group.rows if one_each else tokens))
            known = slice(group.start, group.start + tokens)
            found = functional.scaled_dot_product_attention(
                self._by_head(query[asked], group.rows),
                self._by_head(key[known], group.rows),
                self._by_head(value[known], group.rows),
            )  # [rows, heads, asked per row, size]
            seen[asked] = found.transpose(1, 2).reshape(-1, seen.shape[1])
            done = asked.stop
        return seen

    def _by_head(self, tokens: Tensor, rows: int) -> Tensor:
        """``[rows · length, hidden]`` as ``[rows, heads, length, size]``."""
        return tokens.view(rows, -1, self._heads, tokens.shape[1] // self._heads).transpose(1, 2)


def _groups(rows: Sequence[Sequence[int]]) -> Iterator[_Group]:
    start = 0
    for length, same in groupby(map(len, rows)):
        count = len(list(same))
        yield _Group(start, count, length)
        start += count * length


def _layer(module: Any, dtype: torch.dtype, gelu: bool) -> _Layer:
    attention, output = module.attention, module.output
    own = attention.self
    fused = gelu and ONEDNN
    return _Layer(
        query=_linear(own.query, dtype),
        key=_linear(own.key, dtype),
        value=_linear(own.value, dtype),
        out=_linear(attention.output.dense, dtype),
        after_attention=attention.output.LayerNorm,
        up=_linear(module.intermediate.dense, dtype),
        activation=None if fused else module.intermediate.intermediate_act_fn,
        down=_linear(output.dense, dtype),
        after_feed_forward=output.LayerNorm,
    )


def _linear(module: nn.Linear, dtype: torch.dtype) -> _Linear:
    weight, bias = module.weight.detach(), module.bias.detach()
    if dtype is torch.float32:
        return _Linear(weight, bias)
    return _Linear(torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), _TYPICAL_TOKENS), bias.to(dtype))


def _head(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """From one token of each row ``[rows, hidden]`` to the logits, with the model's own modules."""
    modules: Any = model
    language = language_head(model)
    if language is not None:
        return language
    if model.config.model_type == "bert":
        pooler = modules.base_model.pooler
        return lambda first: modules.classifier(pooler(first[:, None]))
    head: nn.Module = modules.classifier
    return lambda first: head(first[:, None])


def language_head(model: PreTrainedModel) -> nn.Module | None:
    """The head of a masked language model where it is a module of its own, None for a classifier."""
    return getattr(model, "cls", None) or getattr(model, "lm_head", None)

"""A start for small BERTs from which masked language modelling learns at once: word statistics, put into weights.

From the usual random start a small model spends most of a short training at the loss of single-word frequencies. Here
it starts as an n-gram model written in BERT's own parts, and what is learnt stays an ordinary BERT:

- Word embeddings are the leading singular vectors of the pointwise mutual information between a word and its
  neighbours (Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization").
- Position embeddings are sinusoids in the first dimensions of the hidden space. A rotation of such a sinusoid by a
  fixed angle is a shift (Vaswani et al. 2017, arXiv:1706.03762, section 3.5), so a head whose query and key matrices
  differ by that rotation looks at the neighbour at its offset. Frequencies are spread evenly over (0, π): the logit of
  any other distance is close to zero.
- Value and output matrices of those heads in the first layer map a neighbour's embedding to the embeddings that go
  with it; the other sublayers begin quietly, and the decoder's bias is the logarithm of the words' frequencies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix, hstack
from scipy.sparse.linalg import svds
from torch import Tensor, nn
from transformers import BertForMaskedLM
from transformers.models.bert.modeling_bert import BertSelfAttention

OFFSETS = ((-1, 1, -2, 2), (-1, 1, -3, 3))  # of the heads of the first layers; further heads and layers start at random
WORD_NORM = 0.6  # of a word embedding
POSITION_AMPLITUDE = 0.13  # against WORD_NORM: after LayerNorm, positions and words are both plainly to be read
PEAK_LOGIT = 7.0  # of the neighbour at the offset, about 0 elsewhere
QUIET = 0.1  # scale of what the other sublayers add to the residual stream at first
LINEAR = 3.0  # a bias with which GELU is close to linear; the LayerNorm after it takes the bias out again


@torch.no_grad()
def start_locally(model: BertForMaskedLM, rows: Sequence[Sequence[int]], seed: int) -> BertForMaskedLM:
    """Set the weights of an untrained `model` from the token ids of the training text; equal for equal seeds.

    The hidden size must be at least twice the size of a head.
    """
    generator = torch.Generator().manual_seed(seed)
    size = model.config.hidden_size // model.config.num_attention_heads
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.normal_(0.0, 1 / math.sqrt(module.in_features), generator=generator)
    for layer in model.bert.encoder.layer:
        layer.attention.output.dense.weight *= QUIET
        layer.output.dense.weight *= QUIET
    association = {offset: pmi(rows, model.config.vocab_size, offset) for offset in OFFSETS[0]}
    directions = word_directions(list(association.values()), model.config.hidden_size - size)
    _set_embeddings(model, directions, size)
    for layer, offsets in zip(model.bert.encoder.layer, OFFSETS, strict=False):
        for head, offset in enumerate(offsets[: model.config.num_attention_heads]):
            _look_at(layer.attention.self, slice(head * size, (head + 1) * size), offset)
    for head, offset in enumerate(OFFSETS[0][: model.config.num_attention_heads]):
        _map_neighbour(model, slice(head * size, (head + 1) * size), directions, association[offset])
    head = model.cls.predictions
    head.transform.dense.weight.copy_(torch.eye(model.config.hidden_size))
    head.transform.dense.bias.fill_(LINEAR)
    head.bias.copy_(log_frequencies(rows, model.config.vocab_size))
    return model


def log_frequencies(rows: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
    """Logarithms of the shares of all tokens `[vocabulary]`, one half added to each count."""
    counts = np.full(vocabulary, 0.5)
    for token, count in Counter(token for row in rows for token in row).items():
        counts[token] += count
    return torch.from_numpy(np.log(counts / counts.sum())).float()


def pmi(rows: Sequence[Sequence[int]], vocabulary: int, offset: int) -> csr_matrix:
    """Positive pointwise mutual information `[vocabulary, vocabulary]` of a token (row) and the one at `offset`.

    >>> float(pmi([[1, 2], [1, 2], [3, 4]], 5, offset=1)[1, 2]) > 0
    True
    """
    pairs: Counter[tuple[int, int]] = Counter()
    step = abs(offset)
    for row in rows:
        pairs.update(zip(row, row[step:], strict=False) if offset > 0 else zip(row[step:], row, strict=False))
    index = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    together = np.array(list(pairs.values()), dtype=np.float64)
    here = np.bincount(index[:, 0], together, vocabulary)
    there = np.bincount(index[:, 1], together, vocabulary) ** 0.75  # smoothed, so that rare neighbours count less
    information = np.log(together / here[index[:, 0]] / (there[index[:, 1]] / there.sum()))
    return coo_matrix((np.maximum(information, 0), (index[:, 0], index[:, 1])), (vocabulary, vocabulary)).tocsr()


def word_directions(association: Sequence[csr_matrix], size: int) -> Tensor:
    """Unit vectors `[vocabulary, size]`: words with the same neighbours point the same way, unseen words nowhere."""
    joined = hstack(association).tocsr()
    rank = min(size, *(length - 1 for length in joined.shape))
    left, strength, _ = svds(joined, k=rank, rng=np.random.default_rng(0))
    vectors = np.zeros((joined.shape[0], size))
    vectors[:, :rank] = left * np.sqrt(strength)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return torch.from_numpy(vectors / np.maximum(norms, 1e-9)).float()


def _set_embeddings(model: BertForMaskedLM, directions: Tensor, size: int) -> None:
    embeddings = model.bert.embeddings
    words, positions = embeddings.word_embeddings.weight, embeddings.position_embeddings.weight
    words.zero_()
    words[:, size:] = WORD_NORM * directions
    positions.zero_()
    places = torch.arange(len(positions))
    positions[:, :size] = POSITION_AMPLITUDE * _sinusoids(places, _frequencies(size // 2))
    embeddings.token_type_embeddings.weight.zero_()
    model.tie_weights()


def _look_at(attention: BertSelfAttention, head: slice, offset: int) -> None:
    """Make one head attend to the token at `offset`."""
    size = head.stop - head.start
    attention.query.weight[head] *= QUIET
    attention.key.weight[head] *= QUIET
    attention.query.weight[head, :size] = _gain(size) * _shift(_frequencies(size // 2), offset)
    attention.key.weight[head, :size] = _gain(size) * torch.eye(size)


def _map_neighbour(model: BertForMaskedLM, head: slice, directions: Tensor, association: csr_matrix) -> None:
    """Let one head of the first layer add what goes with the neighbour: the best map of the head's rank.

    Least squares for `directions · map · directionsᵀ ≈ association`.
    """
    size = head.stop - head.start
    inverse = torch.linalg.pinv(directions).double().numpy()  # [hidden − size, vocabulary]
    mapping = torch.from_numpy(inverse @ (association @ inverse.T)).float()  # word → neighbour, both as directions
    left, strength, right = torch.linalg.svd(mapping)
    root = strength[:size].sqrt()
    attention = model.bert.encoder.layer[0].attention
    scale = math.sqrt(model.config.hidden_size) / float((directions @ mapping.T).norm(dim=1).mean() + 1e-9) / 2
    attention.self.value.weight[head] = 0
    attention.self.value.weight[head, size:] = root[:, None] * right[:size]
    attention.output.dense.weight[:, head] = 0
    attention.output.dense.weight[size:, head] = scale * left[:, :size] * root


def _frequencies(count: int) -> Tensor:
    """`count` angles per position, spread over (0, π) by the golden ratio so that no distance looks like another."""
    golden = (math.sqrt(5) - 1) / 2
    return math.pi * torch.remainder(torch.arange(1, count + 1, dtype=torch.float64) * golden, 1.0)


def _sinusoids(positions: Tensor, frequencies: Tensor) -> Tensor:
    """`[positions, 2 · frequencies]`: cosine and sine, side by side."""
    angles = positions[:, None] * frequencies
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1).float()


def _shift(frequencies: Tensor, offset: int) -> Tensor:
    """The matrix that turns the sinusoids of a position into those of the position `offset` further on.

    >>> angles = _frequencies(4)
    >>> here, there = _sinusoids(torch.tensor([5, 3]), angles)
    >>> torch.allclose(_shift(angles, -2) @ here, there, atol=1e-5)
    True
    """
    turned = offset * frequencies
    blocks = torch.stack([torch.stack([turned.cos(), -turned.sin()]), torch.stack([turned.sin(), turned.cos()])])
    return torch.block_diag(*blocks.permute(2, 0, 1)).float()


def _gain(size: int) -> float:
    """Weight of query and key for `PEAK_LOGIT`, given that LayerNorm brings the sinusoids to an amplitude near 2.

    The logit at the offset is gain² · amplitude² · (size / 2) / √size.
    """
    return math.sqrt(PEAK_LOGIT / (4.0 * (size / 2) / math.sqrt(size)))

"""Fill-mask: the words a language model would write for `[MASK]`.

Owns the way from `[MASK]` in the page's text to the model's own mask token and from its vocabulary back to words with
the right spacing. Several masks are filled together, left to right, with a beam over the joint probability.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.classify import require
from medbertde.text import MASK, MAX_CHARS, clean
from medbertde.types import Candidate, InvalidText, ModelUnavailable, Task, UserError

MAX_MASKS = 8
MAX_CANDIDATES = 100
MIN_BEAM = 10
_CLOSING = frozenset(".,;:!?)]%“”")  # written without a space before
_CONTROL = re.compile(r"\[.+\]|<.+>")  # [unused12], <unk> and their like
_SPACE_MARKS = ("Ġ", "▁")  # how byte-level and SentencePiece vocabularies write the space before a word


def fill_mask(model: LoadedModel, text: str, top_k: int = 10, *, max_chars: int = MAX_CHARS) -> list[Candidate]:
    """The `top_k` likeliest whole words for `[MASK]`, best first, with the model's own softmax probability.

    Several masks give one candidate per combination: `word` joins the words with `` … ``, `probability` is joint.
    Of a text longer than the model's input, the part around the masks is read.
    """
    require(model, Task.FILL_MASK)
    if not 1 <= top_k <= MAX_CANDIDATES:
        raise UserError(
            f"Es können 1 bis {MAX_CANDIDATES} Vorschläge berechnet werden, verlangt sind {top_k}.",
            f"Between 1 and {MAX_CANDIDATES} candidates can be computed, asked for are {top_k}.",
        )
    segments = _segments(clean(text, max_chars))
    ids, positions = _masked_ids(model, segments)
    width = top_k if len(positions) == 1 else max(top_k, MIN_BEAM)
    beams: list[tuple[float, tuple[int, ...]]] = [(1.0, ())]
    for step in range(len(positions)):
        beams = _extend(model, ids, positions, beams, _after_space(segments, step), width)
    words_of = _vocabulary(model).words
    candidates: dict[tuple[str, ...], Candidate] = {}
    for probability, filled in beams:
        words = tuple(words_of[token] for token in filled)
        if words not in candidates:  # "Kein" with and without a space before it is one word at the start of a text
            candidates[words] = Candidate(" … ".join(words), probability, _join(segments, words))
    return list(candidates.values())[:top_k]


def _segments(text: str) -> list[str]:
    """The text between the masks."""
    segments = text.split(MASK)
    if not 2 <= len(segments) <= MAX_MASKS + 1:
        raise InvalidText(
            f"Der Text enthält {len(segments) - 1} Lücken, erwartet werden 1 bis {MAX_MASKS}. Bitte {MASK} an die "
            "Stelle schreiben, an der ein Wort eingesetzt werden soll.",
            f"The text contains {len(segments) - 1} gaps, expected are 1 to {MAX_MASKS}. Please write {MASK} where a "
            "word should be filled in.",
        )
    return segments


def _masked_ids(model: LoadedModel, segments: Sequence[str]) -> tuple[list[int], list[int]]:
    """Model input with mask tokens, cut around them where it is too long, and the positions of the masks."""
    encoder = model.encoder
    if encoder.mask_id is None:
        raise ModelUnavailable(
            f"Der Tokenizer des Modells {model.version} hat kein Maskenzeichen. Bitte ein anderes Modell wählen.",
            f"The tokenizer of the model {model.version} has no mask token. Please choose another model.",
        )
    # A byte-level mask stands for the word and the space before it, so no space may be left over in front.
    parts = encoder.pieces([*(segment.rstrip() for segment in segments[:-1]), segments[-1]])
    ids, masks = list(parts[0].ids), []
    for part in parts[1:]:
        masks.append(len(ids))
        ids += [encoder.mask_id, *part.ids]
    if masks[-1] - masks[0] >= encoder.room:
        raise InvalidText(
            "Die Lücken liegen weiter auseinander, als das Modell auf einmal lesen kann. Bitte den Text kürzen.",
            "The gaps are further apart than the model can read at once. Please shorten the text.",
        )
    middle = (masks[0] + masks[-1]) // 2
    start = max(0, min(middle - encoder.room // 2, len(ids) - encoder.room))
    offset = len(encoder.prefix) - start
    return encoder.model_ids(ids[start : start + encoder.room]), [mask + offset for mask in masks]


def _extend(
    model: LoadedModel,
    ids: list[int],
    positions: list[int],
    beams: list[tuple[float, tuple[int, ...]]],
    after_space: bool | None,
    width: int,
) -> list[tuple[float, tuple[int, ...]]]:
    """The best `width` continuations of the beams by one more mask."""
    step = len(beams[0][1])
    inputs = torch.tensor([ids] * len(beams), device=model.device)  # [beams, tokens]
    for row, (_, filled) in enumerate(beams):
        inputs[row, positions[:step]] = torch.tensor(filled, dtype=torch.long, device=model.device)
    probabilities = _mask_probabilities(model.model, inputs, positions[step])  # [beams, vocabulary]
    joint = probabilities * torch.tensor([[probability] for probability, _ in beams])
    joint[:, ~_vocabulary(model).allowed(after_space)] = -1.0
    best = joint.flatten().topk(min(2 * width, joint.numel()))  # twice: some words occur with and without a space
    columns = joint.shape[1]
    return [
        (value, (*beams[index // columns][1], index % columns))
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        if value >= 0
    ]


@torch.inference_mode()
def _mask_probabilities(model: PreTrainedModel, inputs: Tensor, position: int) -> Tensor:
    """The softmax ``[batch, vocabulary]`` at one position; the head runs there only where it is a module of its own."""
    mask = torch.ones_like(inputs)
    head = getattr(model, "cls", None) or getattr(model, "lm_head", None)
    if head is None:
        logits = model(input_ids=inputs, attention_mask=mask).logits[:, position]
    else:
        hidden = model.base_model(input_ids=inputs, attention_mask=mask).last_hidden_state  # [batch, tokens, hidden]
        logits = head(hidden[:, position])
    return logits.float().softmax(dim=-1).cpu()


def _after_space(segments: Sequence[str], step: int) -> bool | None:
    """Whether the mask stands after a space (True), after a character (False) or at the start of the text (None)."""
    before = segments[step]
    if not before:
        return None if step == 0 else False
    return before[-1].isspace()


def _join(segments: Sequence[str], words: Sequence[str]) -> str:
    """The text with the words in place.

    >>> _join(["Kein Erguss ", " Kein ", ""], [".", "Pneu"])
    'Kein Erguss. Kein Pneu'
    """
    text = segments[0]
    for word, segment in zip(words, segments[1:], strict=True):
        text = (text.rstrip() if word in _CLOSING else text) + word + segment
    return text


@dataclass(frozen=True, eq=False)
class _Vocabulary:
    """What each token id writes, and which ids are whole words (``[vocabulary]`` masks)."""

    words: tuple[str, ...]
    spaced: Tensor  # words after a space
    glued: Tensor  # words directly after a character

    def allowed(self, after_space: bool | None) -> Tensor:
        """The ids that may stand after a space, after a character, or (None) at the start of a text."""
        return self.either if after_space is None else self.spaced if after_space else self.glued

    @cached_property
    def either(self) -> Tensor:
        """Words in both places."""
        return self.spaced | self.glued


_vocabularies: WeakKeyDictionary[LoadedModel, _Vocabulary] = WeakKeyDictionary()  # goes with its model


def _vocabulary(model: LoadedModel) -> _Vocabulary:
    found = _vocabularies.get(model)
    if found is None:
        found = _vocabularies[model] = _read_vocabulary(model.tokenizer, model.model.config.vocab_size)
    return found


def _read_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int) -> _Vocabulary:
    """WordPiece marks continuations (``##``), so other pieces are words; other kinds mark the space before a word."""
    tokens = [*tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), *[""] * (size - len(tokenizer))]
    special = set(tokenizer.all_special_tokens)
    marks_space = any(token.startswith(_SPACE_MARKS) for token in tokens)
    words, spaced, glued = [], [], []
    for token in tokens:
        word = tokenizer.convert_tokens_to_string([token]).strip() if marks_space else token
        usable = bool(word) and token not in special and not _CONTROL.fullmatch(word)
        usable = usable and word.isprintable() and "\ufffd" not in word and not token.startswith("##")
        words.append(word)
        after_space = not marks_space or token.startswith(_SPACE_MARKS) or word in _CLOSING
        spaced.append(usable and after_space)
        glued.append(usable and not (marks_space and token.startswith(_SPACE_MARKS)))
    return _Vocabulary(tuple(words), torch.tensor(spaced), torch.tensor(glued))

"""How a model computes: along which way and in which precision, chosen once per loaded model, never silently.

Owns that choice and its record, for classifiers and for language models, which are asked about one position of each
row. On the CPU, the BERT and RoBERTa families run over packed rows (`packed`); all other
models, and every model on a GPU, run their own `forward` over padded rows, there under autocast. Half precision is only
used where the hardware has it and, checked on probe sentences when the model is loaded, no probability moves by more
than half of `TOLERANCE`; docs/runtime.md has the measurements behind the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.packed import PackedModel, has_bf16, language_head, supports
from medbertde.inference.tokens import pad
from medbertde.types import CheckpointRefused, Task

TOLERANCE = 0.02  # what half precision may move a probability by, against float32
PROBE_LIMIT = TOLERANCE / 2  # on the probes; a thousand reports hold a harder sentence than twenty probes
CPU_TOKENS, GPU_TOKENS = 2048, 32_768  # of a batch: what stays in the caches of two cores; what fills a GPU
PROBES = (
    "Kein Nachweis eines Pneumothorax. Keine pneumonischen Infiltrate, kein Erguss.",
    "V. a. Infiltrat rechts basal, DD Dystelektase.",
    "Kleiner Pleuraerguss links, nach dorsal auslaufend. Z. n. ZVK-Anlage rechts, Spitze in der V. cava superior.",
    "Herz links betont verbreitert, zentrale Gefäße unscharf, vereinbar mit beginnender Stauung.",
    "Lungenembolie in den Segmentarterien des rechten Unterlappens; kein Hinweis auf Rechtsherzbelastung.",
    "Bekannter Rundherd im linken Oberlappen, 8 mm, größenkonstant.",
    "Regelrechter knöcherner Thorax, keine frische Fraktur.",
    "Unauffällig.",
    "Kleiner Randwinkelerguss links nicht sicher auszuschließen.",
    "Streifige Verdichtung im linken Unterfeld, am ehesten Belüftungsstörung.",
    "Tubus etwa 4 cm oberhalb der Karina, Magensonde regelrecht, ZVK zu tief im rechten Vorhof.",
    "Infiltrat? Erguss? Stauung?",
    "Im Vergleich zur Voraufnahme regredienter Erguss rechts, Stauung vollständig rückgebildet.",
    "Rechts kein Erguss, links schmale Flüssigkeitslamelle.",
    "Milchglastrübungen beidseits peripher, DD atypische Pneumonie, DD organisierende Pneumonie.",
    "Mehrere bis 6 mm große Noduli, metastasenverdächtig; mediastinal keine vergrößerten Lymphknoten.",
    "Zentrilobuläres Emphysem, Bronchialwandverdickungen, einzelne Bronchiektasen im Mittellappen.",
    "Koronarsklerose. Aorta ascendens 42 mm, leicht ektatisch. Kein Perikarderguss.",
    "Ältere Rippenserienfraktur rechts, konsolidiert. Fragliche Deckplattenimpression BWK 8.",
    "Thoraxdrainage rechts in situ, kein Restpneu abgrenzbar.",
)


class Precision(StrEnum):
    """In what the matrix products are computed."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def dtype(self) -> torch.dtype:
        """The number format."""
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.value]


class Logits(Protocol):
    """``[rows, outputs]`` in float32 on the CPU, of token ids and, for a language model, a position in each row."""

    def __call__(self, rows: Sequence[Sequence[int]], at: Sequence[int] = ()) -> Tensor:
        """Compute."""


@dataclass(frozen=True, eq=False)
class Forward:
    """A way to compute: `logits` of rows of token ids ``[rows, outputs]`` in float32 on the CPU.

    A language model is also given the position that is asked for in each row; its outputs are its vocabulary.
    `padded`: whether a batch costs its longest row times its rows; `tokens`: how many make a good batch; `difference`:
    the largest one of a probability to float32 on the probe sentences (0 for float32 itself).
    """

    logits: Logits
    precision: Precision
    padded: bool
    tokens: int
    difference: float = 0.0


_CHOSEN: WeakKeyDictionary[LoadedModel, Forward] = WeakKeyDictionary()


def forward_of(model: LoadedModel) -> Forward:
    """How `model` computes; the first call for a model that nobody prepared chooses as for ``auto``."""
    return _CHOSEN.get(model) or prepare(model)


def prepare(model: LoadedModel, wanted: str = "auto") -> Forward:
    """Choose and keep how `model` computes from now on. `wanted` is auto, fp32 or bf16.

    ``auto`` takes half precision where it is faster and within the tolerance; ``bf16`` is refused with
    `CheckpointRefused` where it is not available or not within the tolerance.
    """
    exact = _forward(model, Precision.FP32)
    chosen = exact
    precision = _half(model.model) if wanted == "auto" else Precision(wanted)
    if wanted == "bf16" and not _offers_bf16(model.model):
        raise _no_bf16(model)
    if precision is not None and precision is not Precision.FP32:
        half = _forward(model, precision)
        difference = _difference(model, half, exact)
        if difference <= PROBE_LIMIT:
            chosen = Forward(half.logits, half.precision, half.padded, half.tokens, difference)
        elif wanted == "bf16":
            raise _too_coarse(model, difference)
    _CHOSEN[model] = chosen
    return chosen


def _forward(model: LoadedModel, precision: Precision) -> Forward:
    if supports(model.model):
        return Forward(PackedModel(model.model, precision.dtype), precision, padded=False, tokens=CPU_TOKENS)
    tokens = CPU_TOKENS if model.device.type == "cpu" else GPU_TOKENS
    return Forward(_padded(model.model, model.encoder.pad_id, precision), precision, padded=True, tokens=tokens)


def _half(model: PreTrainedModel) -> Precision | None:
    """The half precision that is faster for `model` on its device, None where there is none."""
    if model.device.type == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP16
    return Precision.BF16 if model.device.type == "cpu" and supports(model) and has_bf16() else None


def _offers_bf16(model: PreTrainedModel) -> bool:
    if model.device.type == "cpu":
        return supports(model) and has_bf16()
    return model.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _padded(model: PreTrainedModel, pad_id: int, precision: Precision) -> Logits:
    head = language_head(model)

    def context() -> AbstractContextManager[object]:
        half = precision is not Precision.FP32
        return torch.autocast(model.device.type, dtype=precision.dtype) if half else nullcontext()

    @torch.inference_mode()
    def logits(rows: Sequence[Sequence[int]], at: Sequence[int] = ()) -> Tensor:
        ids, mask = pad(rows, pad_id, model.device)  # [rows, longest]
        asked = (torch.arange(len(rows), device=model.device), torch.tensor(at, dtype=torch.long, device=model.device))
        with context():
            if not at:
                found = model(input_ids=ids, attention_mask=mask).logits  # [rows, outputs]
            elif head is None:
                found = model(input_ids=ids, attention_mask=mask).logits[asked]
            else:  # the head runs at the asked positions only
                found = head(model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state[asked])
        return found.float().cpu()

    return logits


def _difference(model: LoadedModel, half: Forward, exact: Forward) -> float:
    """The largest difference of a probability on the probe sentences."""
    pieces = model.encoder.pieces(PROBES)
    rows = sorted((model.encoder.model_ids(piece.ids[: model.encoder.room]) for piece in pieces), key=len)
    one, other = (_probabilities(model, way, rows) for way in (half, exact))
    return float((one - other).abs().max())


def _probabilities(model: LoadedModel, way: Forward, rows: Sequence[list[int]]) -> Tensor:
    """Of the outputs; of a language model those of all words in the middle of each row, which is masked."""
    if model.task is not Task.FILL_MASK:
        return torch.sigmoid(way.logits(rows) / torch.tensor(model.temperatures))
    encoder = model.encoder  # one without a mask token is refused when a gap is filled
    gap = [encoder.pad_id if encoder.mask_id is None else encoder.mask_id]
    middles = [len(row) // 2 for row in rows]
    masked = [row[:middle] + gap + row[middle + 1 :] for row, middle in zip(rows, middles, strict=True)]
    return way.logits(masked, middles).softmax(dim=-1)


def _no_bf16(model: LoadedModel) -> CheckpointRefused:
    return CheckpointRefused(
        f"Das Modell {model.version} kann auf diesem Rechner nicht in bf16 rechnen. Bitte MEDBERTDE_PRECISION auf auto "
        "oder fp32 setzen.",
        f"The model {model.version} cannot compute in bf16 on this machine. Please set MEDBERTDE_PRECISION to auto or "
        "fp32.",
    )


def _too_coarse(model: LoadedModel, difference: float) -> CheckpointRefused:
    found = f"{difference:.3f}"
    return CheckpointRefused(
        f"In bf16 weichen die Wahrscheinlichkeiten des Modells {model.version} um bis zu {found.replace('.', ',')} ab, "
        f"erlaubt sind {str(PROBE_LIMIT).replace('.', ',')}. Bitte MEDBERTDE_PRECISION auf auto oder fp32 setzen.",
        f"In bf16 the probabilities of the model {model.version} differ by up to {found}, {PROBE_LIMIT} is allowed. "
        "Please set MEDBERTDE_PRECISION to auto or fp32.",
    )

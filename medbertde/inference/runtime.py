"""The models that answer right now, one per slot, and their exchange while the app runs.

Owns one immutable mapping from slot to loaded model. A call takes its model once and keeps it to the end; a swap
loads, checks and warms the newcomer up before it assigns, so a refused checkpoint leaves the old one answering. Knows
neither the catalogue nor who may swap.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import explain
from medbertde.inference.fill_mask import fill_mask
from medbertde.inference.forward import prepare
from medbertde.inference.joined import Joiner
from medbertde.inference.mark import mark
from medbertde.inference.memory import give_back
from medbertde.inference.rows import Stop, never
from medbertde.text import MASK, MAX_CHARS
from medbertde.types import Attribution, Candidate, CheckpointRefused, ModelUnavailable, Prediction, State, Task

FILL_MASK_SLOT = "fill_mask"
_WARM_UP_TEXT = f"Kein Nachweis eines Pneumothorax, {MASK} Erguss."


class Runtime:
    """Holds the active models. All methods may be called from any thread."""

    def __init__(
        self, device: str = "auto", threads: int = 0, max_chars: int = MAX_CHARS, precision: str = "auto"
    ) -> None:
        """`device` is auto, cpu, cuda or mps; `threads` limits torch on the CPU (0: leave it to torch).

        `precision` is auto, fp32 or bf16, see `forward`.
        """
        self.device = pick_device(device)
        self.precision = precision
        self.max_chars = max_chars
        if threads:
            torch.set_num_threads(threads)
        self._models: Mapping[str, LoadedModel] = MappingProxyType({})
        self.exchanging = threading.RLock()  # held by whoever exchanges a model, so that one comes after the other
        self._joiner = Joiner()

    def swap(self, slot: str, folder: Path, *, name: str | None = None) -> LoadedModel:
        """Let the checkpoint in `folder` answer for `slot` (`FILL_MASK_SLOT` or a schema id) from the next call on.

        Raises `CheckpointRefused` and changes nothing when the folder cannot be served in this slot.
        """
        with self.exchanging:
            newcomer = self.load(slot, folder, name=name)
            self.put(slot, newcomer)
        return newcomer

    def load(self, slot: str, folder: Path, *, name: str | None = None) -> LoadedModel:
        """A model for `slot`, checked and warmed up, that does not answer yet; `CheckpointRefused` as for `swap`."""
        newcomer = load_checkpoint(folder, self.device, name=name)
        _require_slot(newcomer, slot)
        if newcomer.task is not Task.NER:
            prepare(newcomer, self.precision)
        _warm_up(newcomer)
        return newcomer

    def put(self, slot: str, model: LoadedModel) -> None:
        """Let a model from `load` answer for its slot from the next call on."""
        with self.exchanging:
            self._models = MappingProxyType({**self._models, slot: model})
        give_back()  # of the model before, unless an answer still uses it

    def models(self) -> Mapping[str, LoadedModel]:
        """The model that answers in each slot."""
        return self._models

    def versions(self) -> dict[str, str]:
        """The version that answers in each slot."""
        return {slot: model.version for slot, model in self._models.items()}

    def model_for(self, schema_id: str) -> LoadedModel:
        """The classifier of this schema; `ModelUnavailable` when none is active."""
        return self._model(schema_id)

    def fill_mask_model(self) -> LoadedModel:
        """The language model; `ModelUnavailable` when none is active."""
        return self._model(FILL_MASK_SLOT)

    def classify(self, schema_id: str, texts: Sequence[str], *, stop: Stop = never) -> list[Prediction]:
        """The predictions of `texts`, all from one model version; `Cancelled` once `stop` says True.

        Small requests that come in while another one is computed are computed together.
        """
        return self._joiner.classify(self.model_for(schema_id), texts, max_chars=self.max_chars, stop=stop)

    def explain(self, schema_id: str, text: str, label: str, *, target: State = State.PRESENT) -> Attribution:
        """Which words moved the score of `label`."""
        return explain(self.model_for(schema_id), text, label, target=target, max_chars=self.max_chars)

    def fill_mask(self, text: str, top_k: int = 10) -> list[Candidate]:
        """The best fillings of `[MASK]` in `text`."""
        return fill_mask(self.fill_mask_model(), text, top_k, max_chars=self.max_chars)

    def _model(self, slot: str) -> LoadedModel:
        model = self._models.get(slot)
        if model is None:
            raise ModelUnavailable(
                f"Für „{slot}“ ist kein Modell aktiv. Bitte ein Modell auswählen oder trainieren.",
                f"No model is active for “{slot}”. Please choose or train one.",
            )
        return model


def pick_device(wanted: str = "auto") -> str:
    """The device to compute on: `wanted`, or for ``auto`` the best one there is; `ModelUnavailable` if absent.

    Where a launcher started several processes on one machine, each takes the GPU of its own number.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(device for device, available in there.items() if available)
    if not there.get(wanted, False):
        raise ModelUnavailable(
            f"Das Rechengerät „{wanted}“ ist auf diesem Rechner nicht verfügbar. Bitte auto oder cpu einstellen.",
            f"The device “{wanted}” is not available on this machine. Please set auto or cpu.",
        )
    return f"cuda:{os.environ['LOCAL_RANK']}" if wanted == "cuda" and os.environ.get("LOCAL_RANK") else wanted


def _require_slot(model: LoadedModel, slot: str) -> None:
    fits = FILL_MASK_SLOT if model.task is Task.FILL_MASK else model.facts.schema_id
    if fits != slot:
        raise CheckpointRefused(
            f"Das Modell {model.version} ist für „{fits}“ gemacht und kann nicht für „{slot}“ antworten.",
            f"The model {model.version} is made for “{fits}” and cannot answer for “{slot}”.",
        )


def _warm_up(model: LoadedModel) -> None:
    """One real answer: the first call pays for memory and kernels, and a model that cannot answer is not served."""
    match model.task:
        case Task.CLASSIFY:
            classify(model, [_WARM_UP_TEXT])
        case Task.NER:
            mark(model, [_WARM_UP_TEXT])
        case Task.FILL_MASK:
            fill_mask(model, _WARM_UP_TEXT, top_k=1)

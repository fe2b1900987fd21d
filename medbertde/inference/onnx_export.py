"""A checkpoint as ONNX, for programs without PyTorch: written, compared with the original, and refused if they differ.

The folder it writes has `model.onnx` (inputs `input_ids` and `attention_mask`, output `logits`, any number of rows and
tokens) beside the checkpoint's other files. Needs `NEEDED`, which the app itself does not.
"""

from __future__ import annotations

import logging
import shutil
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.forward import PROBES
from medbertde.inference.tokens import pad
from medbertde.inference.weights_file import WEIGHTS_FILE
from medbertde.types import CheckpointRefused, InvalidFile, ModelUnavailable

ONNX_FILE = "model.onnx"
NEEDED = ("onnx==1.23.2", "onnxscript==0.7.2", "onnxruntime==1.32.0")
TOLERANCE = 1e-3  # of a logit; float32 on another engine differs by some 1e-5
_INPUTS = ("input_ids", "attention_mask")
_BATCH = 6


@dataclass(frozen=True)
class Parity:
    """How ONNX compares with PyTorch on our probe sentences: the largest difference of a logit, of how many."""

    difference: float
    logits: int


def export_onnx(model: LoadedModel, folder: Path) -> Parity:
    """Write the model to a new folder; `CheckpointRefused`, and no folder, where a logit differs by `TOLERANCE`.

    `model` must lie on the CPU.
    """
    _require_libraries()
    if folder.exists():
        raise InvalidFile(
            f"Den Ordner {folder} gibt es schon. Bitte einen anderen Namen wählen.",
            f"The folder {folder} is there already. Please choose another name.",
        )
    partial = folder.with_name(f".{folder.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        _write(model, partial / ONNX_FILE)
        parity = compare(model, partial / ONNX_FILE)
        _require_parity(model, parity)
        for path in model.folder.iterdir():
            if path.is_file() and path.name != WEIGHTS_FILE:
                shutil.copy(path, partial / path.name)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return parity


def compare(model: LoadedModel, path: Path) -> Parity:
    """The largest difference between the logits of both, over rows of different length, alone and padded together."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    largest, count = 0.0, 0
    for rows in _probe_rows(model):
        ids, mask = pad(rows, model.encoder.pad_id, torch.device("cpu"))
        inputs = dict(zip(_INPUTS, (ids.numpy(), mask.numpy()), strict=True))
        found = torch.from_numpy(session.run(None, inputs)[0])
        with torch.inference_mode():
            expected = model.model(input_ids=ids, attention_mask=mask).logits
        difference = (found - expected).abs()
        if difference.ndim == 3:  # a logit per token: padding says nothing
            difference = difference[mask.bool()]
        largest, count = max(largest, float(difference.nan_to_num(torch.inf).max())), count + difference.numel()
    return Parity(largest, count)


def _require_parity(model: LoadedModel, parity: Parity) -> None:
    if parity.difference > TOLERANCE:
        found, allowed = f"{parity.difference:.2g}", f"{TOLERANCE:g}"
        raise CheckpointRefused(
            f"Das Modell {model.version} rechnet als ONNX anders: Logits weichen um bis zu {found.replace('.', ',')} "
            f"ab, erlaubt sind {allowed.replace('.', ',')}. Es wurde nichts geschrieben.",
            f"The model {model.version} computes differently as ONNX: logits differ by up to {found}, {allowed} is "
            "allowed. Nothing was written.",
        )


def _require_libraries() -> None:
    missing = [pin for pin in NEEDED if find_spec(pin.partition("==")[0]) is None]
    if missing:
        raise ModelUnavailable(
            f"Für ONNX fehlt: {', '.join(missing)}. Bitte installieren: pip install {' '.join(NEEDED)}",
            f"For ONNX this is missing: {', '.join(missing)}. Please install: pip install {' '.join(NEEDED)}",
        )


class _Logits(nn.Module):
    """The model as ONNX sees it: two inputs, one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits ``[rows, outputs]`` or ``[rows, tokens, outputs]``."""
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def _write(model: LoadedModel, path: Path) -> None:
    ids, mask = pad(_rows(model, PROBES[:2]), model.encoder.pad_id, torch.device("cpu"))
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", max=model.max_tokens)}
    with _quiet():
        torch.onnx.export(
            _Logits(model.model).eval(),
            (ids, mask),
            path,
            dynamo=True,
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_shapes=(free, free),
            external_data=False,
            verbose=False,
        )


def _rows(model: LoadedModel, texts: Sequence[str]) -> list[list[int]]:
    pieces = model.encoder.pieces(texts)
    return [model.encoder.model_ids(piece.ids[: model.encoder.room]) for piece in pieces]


def _probe_rows(model: LoadedModel) -> Iterator[list[list[int]]]:
    """Batches: one row alone, all probe sentences padded together, and one as long as the model reads."""
    yield _rows(model, PROBES[:1])
    for start in range(0, len(PROBES), _BATCH):
        yield _rows(model, PROBES[start : start + _BATCH])
    yield _rows(model, [" ".join(PROBES * (1 + model.max_tokens // 256))])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says to its own authors; wherever somebody listens, it also writes long traces."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""The checkpoint folder: what lies in it, how it is checked, loaded and written.

Owns the contract with the outside: a plain Hugging Face folder with `medbertde.json` beside it. Knows nothing of the
catalogue, of texts or of a running app; `train/` writes with `save_checkpoint` what the app reads with
`load_checkpoint`. A folder is either served as it is meant or refused with the reason: never half trained, never with
code or pickles in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from medbertde.inference.checkpoint_files import check_files
from medbertde.inference.checkpoint_labels import check_labels, listed
from medbertde.inference.facts import FACTS_FILE, FORMAT, CheckpointFacts, model_card, read_facts, refuse
from medbertde.inference.memory import available_bytes
from medbertde.inference.tokenizer_files import read_tokenizer
from medbertde.inference.tokens import Pieces, TextEncoder, text_encoder
from medbertde.inference.weights_file import WEIGHTS_FILE, read_weights_file
from medbertde.schema import Schema
from medbertde.types import Reading, Task

_ARCHITECTURES = {
    "ForMaskedLM": Task.FILL_MASK,
    "ForSequenceClassification": Task.CLASSIFY,
    "ForTokenClassification": Task.NER,
}
_LOADERS = {
    Task.FILL_MASK: AutoModelForMaskedLM,
    Task.CLASSIFY: AutoModelForSequenceClassification,
    Task.NER: AutoModelForTokenClassification,
}
_UNLIMITED = 1_000_000  # tokenizers without a limit report an astronomically large one
_BYTES_PER_PARAMETER = 4  # weights are served in float32


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A checked checkpoint in memory: frozen weights, eval mode, never changed after loading.

    `outputs` names the columns: a classifier's sigmoid outputs, the tags of a model that marks spans; `version` is what
    every answer names.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    encoder: TextEncoder
    task: Task
    version: str
    schema: Schema | None
    outputs: tuple[str, ...]
    facts: CheckpointFacts
    max_tokens: int
    folder: Path

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The decision threshold per label."""
        return self.facts.thresholds

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The calibration temperature of each output column (1 where none is given)."""
        given = self.facts.temperatures
        return tuple(given.get(output, given.get(output.partition(":")[0], 1.0)) for output in self.outputs)

    @property
    def span_temperature(self) -> float:
        """The calibration temperature of a model that marks spans: one for all labels."""
        return next(iter(self.facts.temperatures.values()), 1.0)

    @property
    def device(self) -> torch.device:
        """The device the weights lie on."""
        return self.model.device

    def windows(self, text: str, pieces: Pieces) -> list[tuple[int, ...]]:
        """The pieces of a text, by their index, that the model reads at once: its windows or its sentences."""
        read = {Reading.WINDOWS: self.encoder.windows, Reading.SENTENCES: self.encoder.sentence_windows}
        return read[self.facts.reads](text, pieces)

    @property
    def predicts_states(self) -> bool:
        """Whether the model tells uncertain and absent findings apart, not only present ones."""
        return any(":" in output for output in self.outputs)


# ---------------------------------------------------------------------------------------------- loading


def load_checkpoint(folder: Path, device: str = "cpu", *, name: str | None = None) -> LoadedModel:
    """Check the folder and load it onto `device` in float32; `CheckpointRefused` says what is wrong with it.

    `name` names the version where the folder has no `medbertde.json` (a model from the Hub); of a path, its last part.
    """
    task, facts = read_folder(folder, name=name)
    loader = _LOADERS[task]
    config = _config(folder)
    tokenizer = _tokenizer(folder, config)
    schema, outputs = (None, ()) if task is Task.FILL_MASK else check_labels(folder, facts, config)
    _check_memory(folder, loader, config, device)
    model = _model(folder, loader)
    max_tokens = _max_tokens(model, tokenizer)
    return LoadedModel(
        model=model.to(device),  # type: ignore[arg-type]  # the stub of `to` wants a model as its argument
        tokenizer=tokenizer,
        encoder=text_encoder(tokenizer, max_tokens),
        task=task,
        version=f"{facts.name}@{weights_hash(folder)[:8]}",
        schema=schema,
        outputs=outputs,
        facts=facts,
        max_tokens=max_tokens,
        folder=folder,
    )


def read_folder(folder: Path, *, name: str | None = None) -> tuple[Task, CheckpointFacts]:
    """What a folder says it is, checked as far as that goes without loading tokenizer and weights."""
    task = _architecture(folder, check_files(folder))
    return task, _facts(folder, task, name)


def verify(folder: Path) -> CheckpointFacts:
    """Everything `load_checkpoint` checks, for a folder that is not needed in memory."""
    return load_checkpoint(folder).facts


def weights_hash(folder: Path) -> str:
    """SHA-256 of the weights file, in hexadecimal."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------------------------------------- checks


def _architecture(folder: Path, raw: Mapping[str, Any]) -> Task:
    names = raw.get("architectures") or ["?"]
    for suffix, task in _ARCHITECTURES.items():
        if str(names[0]).endswith(suffix):
            return task
    refuse(
        folder,
        f"die Architektur {names[0]} ist nicht verwendbar; erwartet wird …ForMaskedLM, …ForSequenceClassification oder "
        "…ForTokenClassification",
        f"the architecture {names[0]} cannot be used; expected is …ForMaskedLM, …ForSequenceClassification or "
        "…ForTokenClassification",
    )


def _facts(folder: Path, task: Task, name: str | None) -> CheckpointFacts:
    """The written facts; a language model may come without any, a classifier may not."""
    if task is Task.FILL_MASK and not (folder / FACTS_FILE).is_file():
        short = Path((name or "").partition("@")[0]).name or folder.resolve().name
        return CheckpointFacts(name=short, task=task)
    facts = read_facts(folder)
    if facts.task is not task:
        refuse(
            folder,
            f"{FACTS_FILE} nennt die Aufgabe {facts.task.value}, die Gewichte sind für {task.value}",
            f"{FACTS_FILE} names the task {facts.task.value}, the weights are for {task.value}",
        )
    return facts


def _config(folder: Path) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse(folder, "config.json nennt kein bekanntes Modell", "config.json names no known model", error)


def _tokenizer(folder: Path, config: PretrainedConfig) -> PreTrainedTokenizerBase:
    """The tokenizer, refused when it is empty or does not fit the weights' vocabulary."""
    try:
        tokenizer = read_tokenizer(folder)
        text_encoder(tokenizer, max_tokens=_UNLIMITED)
    except Exception as error:  # noqa: BLE001  # the Rust tokenizer raises plain Exception for malformed files
        refuse(folder, "der Tokenizer ist nicht lesbar", "the tokenizer cannot be read", error)
    pieces, rows = len(tokenizer), config.vocab_size
    if pieces > rows or pieces <= len(tokenizer.all_special_ids):
        refuse(
            folder,
            f"der Tokenizer passt nicht zu den Gewichten ({pieces} Wortteile, das Modell hat {rows})",
            f"the tokenizer does not fit the weights ({pieces} word pieces, the model has {rows})",
        )
    return tokenizer


def _check_memory(folder: Path, loader: type, config: PretrainedConfig, device: str) -> None:
    """Refuse a model that the device has no room for, by its weights and by what its configuration would allocate."""
    with torch.device("meta"):  # shapes only
        try:
            # float32: transformers makes another one that config.json names the default of all threads meanwhile
            empty = loader.from_config(config, dtype=torch.float32)  # type: ignore[attr-defined]
            promised = sum(weight.numel() for weight in empty.parameters())
        except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
            refuse(folder, "config.json beschreibt kein Modell", "config.json describes no model", error)
    needed = _BYTES_PER_PARAMETER * max(promised, read_weights_file(folder / WEIGHTS_FILE).parameters)
    available = available_bytes(device)
    if needed > available:
        there, wanted = f"{available / 1e9:.1f} GB", f"{needed / 1e9:.1f} GB"
        refuse(
            folder,
            f"es braucht etwa {wanted.replace('.', ',')} Speicher, frei sind {there.replace('.', ',')}; bitte ein "
            "kleineres Modell wählen oder andere Programme beenden",
            f"it needs about {wanted} of memory, {there} are free; please choose a smaller model or end other programs",
        )


def _model(folder: Path, loader: type) -> PreTrainedModel:
    """The model with frozen weights in eval mode; refused when any weight is missing or not finite."""
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # the load report would repeat on stderr what a refusal says
    try:
        model, info = loader.from_pretrained(  # type: ignore[attr-defined]
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        refuse(folder, "die Gewichte passen nicht zur config.json", "the weights do not fit config.json", error)
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing:
        refuse(
            folder,
            f"es ist nicht fertig trainiert, diese Gewichte fehlen: {listed(missing)}",
            f"it is not fully trained, these weights are missing: {listed(missing)}",
        )
    broken = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        refuse(
            folder,
            f"Gewichte sind keine Zahlen (NaN oder unendlich): {listed(broken)}",
            f"weights are not numbers (NaN or infinite): {listed(broken)}",
        )
    return model.eval().requires_grad_(False)


def _max_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input in tokens; models of the RoBERTa family count positions from their padding id + 1."""
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    embeddings = getattr(model.base_model, "embeddings", None)
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        positions -= int(model.config.pad_token_id) + 1
    return min(positions, tokenizer.model_max_length)


# ---------------------------------------------------------------------------------------------- saving


def save_checkpoint(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: CheckpointFacts, folder: Path
) -> None:
    """Write a checkpoint folder: complete beside its place, then renamed. A folder already there is replaced.

    It stays when the new one cannot be put in its place. A classifier's `model.config.id2label` must carry
    `output_names`; the result is what `load_checkpoint` accepts.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    partial, replaced = (folder.with_name(f".{folder.name}.{kind}-{mark}") for kind in ("partial", "replaced"))
    transformers_logging.disable_progress_bar()
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        content = json.dumps({"format": FORMAT, **asdict(facts)}, ensure_ascii=False, indent=2)
        (partial / FACTS_FILE).write_text(content + "\n", encoding="utf-8")
        (partial / "README.md").write_text(model_card(facts), encoding="utf-8")
        if folder.exists():
            folder.rename(replaced)
        try:
            partial.rename(folder)
        except OSError:
            if replaced.exists():
                replaced.rename(folder)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

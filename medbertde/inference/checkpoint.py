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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

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

from medbertde.inference.memory import available_bytes
from medbertde.inference.tokenizer_files import read_tokenizer
from medbertde.inference.tokens import Pieces, TextEncoder, text_encoder
from medbertde.inference.weights_file import WEIGHTS_FILE, read_weights_file
from medbertde.schema import Kind, Schema, load_schema
from medbertde.span_tags import tag_names
from medbertde.types import CheckpointRefused, InvalidSchema, Metrics, Reading, ReliabilityBin, State, Task

FACTS_FILE = "medbertde.json"
FORMAT = 1
REFUSED_SUFFIXES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".py"})

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


@dataclass(frozen=True)
class Lineage:
    """Where a checkpoint comes from, so that it can be made again.

    `ancestors` are all models it goes back to, the first one first and the base model last; empty for a model that
    began untrained, and in checkpoints made before this was kept.
    """

    base_model: str | None = None
    ancestors: tuple[str, ...] = ()
    data_hash: str | None = None
    git_commit: str | None = None
    seed: int | None = None
    run_id: str | None = None
    created_at: str | None = None


@dataclass(frozen=True)
class CheckpointFacts:
    """The content of `medbertde.json`.

    `reads` says how a report was cut for training, and so is for reading.
    `thresholds` maps every label to its decision threshold on the calibrated probability of `present`.
    `temperatures` divides the logits; a key is a label (all its states) or one output such as ``Erguss:absent``.
    `figures` holds numbers that are no classifier metrics, such as the loss of a masked language model.
    `reliability` sets probabilities beside what was true in the validation reports; empty in checkpoints made before.
    """

    name: str
    task: Task
    schema_id: str | None = None
    schema_version: int | None = None
    reads: Reading = Reading.WINDOWS
    thresholds: Mapping[str, float] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    metrics: Metrics | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    reliability: tuple[ReliabilityBin, ...] = ()
    lineage: Lineage = field(default_factory=Lineage)


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


def output_names(schema: Schema, *, states: bool) -> tuple[str, ...]:
    """The classifier outputs of a schema in column order: labels, then ``label:uncertain``, then ``label:absent``."""
    names = schema.label_ids
    if states:
        for state in (State.UNCERTAIN, State.ABSENT):
            names += tuple(f"{label}:{state.value}" for label in schema.label_ids)
    return names


# ---------------------------------------------------------------------------------------------- loading


def load_checkpoint(folder: Path, device: str = "cpu", *, name: str | None = None) -> LoadedModel:
    """Check the folder and load it onto `device` in float32; `CheckpointRefused` says what is wrong with it.

    `name` names the version where the folder has no `medbertde.json` (a model from the Hub); of a path, its last part.
    """
    task, facts = read_folder(folder, name=name)
    loader = _LOADERS[task]
    config = _config(folder)
    tokenizer = _tokenizer(folder, config)
    schema, outputs = (None, ()) if task is Task.FILL_MASK else _check_labels(folder, facts, config)
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
    task = _architecture(folder, _check_files(folder))
    return task, _facts(folder, task, name)


def verify(folder: Path) -> CheckpointFacts:
    """Everything `load_checkpoint` checks, for a folder that is not needed in memory."""
    return load_checkpoint(folder).facts


def weights_hash(folder: Path) -> str:
    """SHA-256 of the weights file, in hexadecimal."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_facts(folder: Path) -> CheckpointFacts:
    """The checkpoint's `medbertde.json`; `CheckpointRefused` when it is missing or malformed."""
    path = folder / FACTS_FILE
    if not path.is_file():
        _refuse(folder, f"die Datei {FACTS_FILE} fehlt", f"the file {FACTS_FILE} is missing")
    raw = _read_json(path)
    if raw.get("format") != FORMAT:
        _refuse(
            folder,
            f"{FACTS_FILE} hat das Format {raw.get('format')}, erwartet wird {FORMAT}",
            f"{FACTS_FILE} has format {raw.get('format')}, expected is {FORMAT}",
        )
    try:
        return CheckpointFacts(
            name=str(raw["name"]),
            task=Task(raw["task"]),
            schema_id=raw.get("schema_id"),
            schema_version=raw.get("schema_version"),
            reads=Reading(raw.get("reads", Reading.WINDOWS)),
            thresholds={str(label): float(value) for label, value in raw.get("thresholds", {}).items()},
            temperatures={str(label): float(value) for label, value in raw.get("temperatures", {}).items()},
            metrics=Metrics(**raw["metrics"]) if raw.get("metrics") else None,
            figures={str(name): float(value) for name, value in raw.get("figures", {}).items()},
            reliability=tuple(_reliability_bin(**row) for row in raw.get("reliability", ())),
            lineage=_lineage(**raw.get("lineage", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _refuse(folder, f"{FACTS_FILE} ist fehlerhaft ({error})", f"{FACTS_FILE} is malformed ({error})", error)


def _lineage(ancestors: list[str] | tuple[str, ...] = (), **facts: Any) -> Lineage:
    return Lineage(ancestors=tuple(map(str, ancestors)), **facts)


def _reliability_bin(probability: float, observed: float, n: int) -> ReliabilityBin:
    """One row of the table; `ValueError` for numbers that cannot be."""
    row = ReliabilityBin(float(probability), float(observed), int(n))
    if not (0 <= row.probability <= 1 and 0 <= row.observed <= 1 and row.n > 0):
        raise ValueError(f"reliability: {row.probability}, {row.observed}, {row.n}")
    return row


def _refuse(folder: Path, de: str, en: str, cause: BaseException | None = None) -> NoReturn:
    raise CheckpointRefused(
        f"Das Modell im Ordner {folder.name} wird nicht geladen: {de}.",
        f"The model in the folder {folder.name} is not loaded: {en}.",
    ) from cause


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _refuse(path.parent, f"{path.name} ist nicht lesbar", f"{path.name} cannot be read", error)
    if not isinstance(raw, dict):
        _refuse(path.parent, f"{path.name} ist kein JSON-Objekt", f"{path.name} is not a JSON object")
    return raw


# ---------------------------------------------------------------------------------------------- checks


def _check_files(folder: Path) -> dict[str, Any]:
    """Refuse missing, dangerous and cut-off files; the raw configuration."""
    if not folder.is_dir():
        _refuse(folder, "den Ordner gibt es nicht", "there is no such folder")
    _require_file(
        folder, "config.json"
    )  # first: what is no model may be a whole disk, which nobody should look through
    dangerous = sorted(path.name for path in folder.rglob("*") if path.suffix.lower() in REFUSED_SUFFIXES)
    if dangerous:
        _refuse(
            folder,
            f"er enthält Dateien, die Programmcode ausführen können ({', '.join(dangerous)}); erlaubt ist safetensors",
            f"it contains files that can run code ({', '.join(dangerous)}); only safetensors is allowed",
        )
    _require_file(folder, WEIGHTS_FILE)
    raw = _read_json(folder / "config.json")
    tokenizer_config = folder / "tokenizer_config.json"
    if "auto_map" in raw or (tokenizer_config.is_file() and "auto_map" in _read_json(tokenizer_config)):
        _refuse(folder, "er verlangt fremden Programmcode (auto_map)", "it asks for foreign code (auto_map)")
    _check_weights_file(folder)
    return raw


def _require_file(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        _refuse(folder, f"die Datei {name} fehlt", f"the file {name} is missing")


def _check_weights_file(folder: Path) -> None:
    """Refuse a safetensors file whose size is not what its header promises (an interrupted copy, an LFS pointer)."""
    try:
        weights = read_weights_file(folder / WEIGHTS_FILE)
    except OSError as error:
        _refuse(folder, f"{WEIGHTS_FILE} ist nicht lesbar", f"{WEIGHTS_FILE} cannot be read", error)
    if not weights.whole:
        size = weights.size
        found = f"{size:,}".replace(",", ".")
        _refuse(
            folder,
            f"{WEIGHTS_FILE} ist beschädigt oder unvollständig ({found} Byte gefunden); bitte neu kopieren",
            f"{WEIGHTS_FILE} is damaged or incomplete ({size:,} bytes found); please copy it again",
        )


def _architecture(folder: Path, raw: Mapping[str, Any]) -> Task:
    names = raw.get("architectures") or ["?"]
    for suffix, task in _ARCHITECTURES.items():
        if str(names[0]).endswith(suffix):
            return task
    _refuse(
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
        _refuse(
            folder,
            f"{FACTS_FILE} nennt die Aufgabe {facts.task.value}, die Gewichte sind für {task.value}",
            f"{FACTS_FILE} names the task {facts.task.value}, the weights are for {task.value}",
        )
    return facts


def _config(folder: Path) -> PretrainedConfig:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _refuse(folder, "config.json nennt kein bekanntes Modell", "config.json names no known model", error)


def _tokenizer(folder: Path, config: PretrainedConfig) -> PreTrainedTokenizerBase:
    """The tokenizer, refused when it is empty or does not fit the weights' vocabulary."""
    try:
        tokenizer = read_tokenizer(folder)
        text_encoder(tokenizer, max_tokens=_UNLIMITED)
    except Exception as error:  # noqa: BLE001  # the Rust tokenizer raises plain Exception for malformed files
        _refuse(folder, "der Tokenizer ist nicht lesbar", "the tokenizer cannot be read", error)
    pieces, rows = len(tokenizer), config.vocab_size
    if pieces > rows or pieces <= len(tokenizer.all_special_ids):
        _refuse(
            folder,
            f"der Tokenizer passt nicht zu den Gewichten ({pieces} Wortteile, das Modell hat {rows})",
            f"the tokenizer does not fit the weights ({pieces} word pieces, the model has {rows})",
        )
    return tokenizer


def _check_labels(folder: Path, facts: CheckpointFacts, config: PretrainedConfig) -> tuple[Schema, tuple[str, ...]]:
    """Schema and output names of a model with labels, refused where they do not belong together."""
    try:
        schema = load_schema(facts.schema_id or "")
    except InvalidSchema as error:
        raise CheckpointRefused(error.de, error.en) from error
    if facts.schema_version != schema.version:
        _refuse(
            folder,
            f"es gehört zu Version {facts.schema_version} des Schemas {schema.id}, gültig ist {schema.version}",
            f"it belongs to version {facts.schema_version} of the schema {schema.id}, current is {schema.version}",
        )
    outputs = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
    if facts.task is Task.NER:
        _check_tags(folder, schema, outputs)
        _check_temperatures(folder, facts)
        return schema, outputs
    expected = {output_names(schema, states=states) for states in (False, True)}
    if sorted(outputs) not in [sorted(names) for names in expected]:
        missing = sorted(set(schema.label_ids) - set(outputs))
        foreign = sorted(set(outputs) - set(output_names(schema, states=True)))
        _refuse(
            folder,
            f"seine {len(outputs)} Ausgaben passen nicht zum Schema {schema.id} mit {len(schema.labels)} Befunden "
            f"(fehlend: {_listed(missing)}; unbekannt: {_listed(foreign)})",
            f"its {len(outputs)} outputs do not match the schema {schema.id} with {len(schema.labels)} findings "
            f"(missing: {_listed(missing)}; unknown: {_listed(foreign)})",
        )
    if config.problem_type != "multi_label_classification":
        _refuse(
            folder,
            f"problem_type ist {config.problem_type}, erwartet wird multi_label_classification",
            f"problem_type is {config.problem_type}, expected is multi_label_classification",
        )
    _check_calibration(folder, facts, schema)
    return schema, outputs


def _check_tags(folder: Path, schema: Schema, outputs: tuple[str, ...]) -> None:
    """Refuse a schema whose labels are not spans, and outputs that are not its tags in their order."""
    if schema.kind is not Kind.SPANS:
        _refuse(
            folder,
            f"es markiert Textstellen, das Schema {schema.id} hat aber Befunde (kind: findings)",
            f"it marks spans, but the schema {schema.id} has findings (kind: findings)",
        )
    if outputs != tag_names(schema.label_ids):
        _refuse(
            folder,
            f"seine {len(outputs)} Ausgaben sind nicht O und je B und I der {len(schema.labels)} Labels des Schemas "
            f"{schema.id} in dessen Reihenfolge",
            f"its {len(outputs)} outputs are not O and B and I of each of the {len(schema.labels)} labels of the "
            f"schema {schema.id} in its order",
        )


def _check_calibration(folder: Path, facts: CheckpointFacts, schema: Schema) -> None:
    without = [label for label in schema.label_ids if not 0 < facts.thresholds.get(label, -1.0) < 1]
    if without:
        _refuse(
            folder,
            f"{FACTS_FILE} nennt keine Schwelle zwischen 0 und 1 für {_listed(without)}",
            f"{FACTS_FILE} gives no threshold between 0 and 1 for {_listed(without)}",
        )
    _check_temperatures(folder, facts)


def _check_temperatures(folder: Path, facts: CheckpointFacts) -> None:
    bad = [name for name, value in facts.temperatures.items() if not 0 < value < float("inf")]
    if bad:
        _refuse(
            folder,
            f"{FACTS_FILE} nennt keine positive Temperatur für {_listed(bad)}",
            f"{FACTS_FILE} gives no positive temperature for {_listed(bad)}",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") if names else "–"


def _check_memory(folder: Path, loader: type, config: PretrainedConfig, device: str) -> None:
    """Refuse a model that the device has no room for, by its weights and by what its configuration would allocate."""
    with torch.device("meta"):  # shapes only
        try:
            promised = sum(weight.numel() for weight in loader.from_config(config).parameters())  # type: ignore[attr-defined]
        except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
            _refuse(folder, "config.json beschreibt kein Modell", "config.json describes no model", error)
    needed = _BYTES_PER_PARAMETER * max(promised, read_weights_file(folder / WEIGHTS_FILE).parameters)
    available = available_bytes(device)
    if needed > available:
        there, wanted = f"{available / 1e9:.1f} GB", f"{needed / 1e9:.1f} GB"
        _refuse(
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
        _refuse(folder, "die Gewichte passen nicht zur config.json", "the weights do not fit config.json", error)
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing:
        _refuse(
            folder,
            f"es ist nicht fertig trainiert, diese Gewichte fehlen: {_listed(missing)}",
            f"it is not fully trained, these weights are missing: {_listed(missing)}",
        )
    broken = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        _refuse(
            folder,
            f"Gewichte sind keine Zahlen (NaN oder unendlich): {_listed(broken)}",
            f"weights are not numbers (NaN or infinite): {_listed(broken)}",
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

    A classifier's `model.config.id2label` must carry `output_names`; the result is what `load_checkpoint` accepts.
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
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def model_card(facts: CheckpointFacts) -> str:
    """The README of a checkpoint in Markdown: what it is for, its figures and its lineage."""
    purpose = {
        Task.CLASSIFY: f"Multi-label classifier for German radiology reports, schema `{facts.schema_id}` version "
        f"{facts.schema_version}. Outputs are independent sigmoids; `{FACTS_FILE}` holds thresholds and temperatures.",
        Task.NER: f"Marks spans in German clinical text (token classification), schema `{facts.schema_id}` version "
        f"{facts.schema_version}. Outputs are BIO tags; the first piece of a word decides. F1, precision and recall "
        "count a span only where both ends and its label are right.",
        Task.FILL_MASK: "Masked language model for German clinical text.",
    }[facts.task]
    figures = dict(facts.figures)
    if facts.metrics is not None:
        summary = asdict(facts.metrics)
        figures |= {name: value for name, value in summary.items() if isinstance(value, int | float)}
    lines = [
        *("---", "language: de", "library_name: transformers", "---", "", f"# {facts.name}", "", purpose, ""),
        "**For research only.** Not a medical device; answers must not guide the care of patients. Unless the lineage",
        "says otherwise, the reports it was trained on are fictional.",
        *("", "## Figures on held-out reports", "", "| figure | value |", "|---|---|"),
        *(f"| {name} | {value:.4g} |" for name, value in figures.items()),
        *("", "## Lineage", "", "| fact | value |", "|---|---|"),
        *(f"| {name} | {_told(value)} |" for name, value in asdict(facts.lineage).items()),
    ]
    return "\n".join(lines) + "\n"


def _told(value: object) -> str:
    """A fact of the lineage in the card."""
    if isinstance(value, tuple):
        return " → ".join(map(str, value)) or "none"
    return "not recorded" if value is None else str(value)

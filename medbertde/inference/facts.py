"""What a checkpoint says of itself: `medbertde.json` and the model card made from it.

Owns the content of that file, how it is read and how a folder is refused. Knows no tensors; `checkpoint` loads and
writes the whole folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from medbertde.types import CheckpointRefused, Metrics, Reading, ReliabilityBin, Task

FACTS_FILE = "medbertde.json"
FORMAT = 1


@dataclass(frozen=True)
class Lineage:
    """Where a checkpoint comes from, so that it can be made again.

    `ancestors` are all models it goes back to, the first one first and the base model last; empty for a model that
    began untrained, and in checkpoints made before this was kept. A language model also says how many short statements
    joined its texts (`cues`) and that one text in `held_out_of` was held out.
    """

    base_model: str | None = None
    ancestors: tuple[str, ...] = ()
    data_hash: str | None = None
    cues: int | None = None
    held_out_of: int | None = None
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


def read_facts(folder: Path) -> CheckpointFacts:
    """The checkpoint's `medbertde.json`; `CheckpointRefused` when it is missing or malformed."""
    path = folder / FACTS_FILE
    if not path.is_file():
        refuse(folder, f"die Datei {FACTS_FILE} fehlt", f"the file {FACTS_FILE} is missing")
    raw = read_json(path)
    if raw.get("format") != FORMAT:
        refuse(
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
        refuse(folder, f"{FACTS_FILE} ist fehlerhaft ({error})", f"{FACTS_FILE} is malformed ({error})", error)


def _lineage(ancestors: list[str] | tuple[str, ...] = (), **facts: Any) -> Lineage:
    return Lineage(ancestors=tuple(map(str, ancestors)), **facts)


def _reliability_bin(probability: float, observed: float, n: int) -> ReliabilityBin:
    """One row of the table; `ValueError` for numbers that cannot be."""
    row = ReliabilityBin(float(probability), float(observed), int(n))
    if not (0 <= row.probability <= 1 and 0 <= row.observed <= 1 and row.n > 0):
        raise ValueError(f"reliability: {row.probability}, {row.observed}, {row.n}")
    return row


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model's folder; the folder is refused where it is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse(path.parent, f"{path.name} ist nicht lesbar", f"{path.name} cannot be read", error)
    if not isinstance(raw, dict):
        refuse(path.parent, f"{path.name} ist kein JSON-Objekt", f"{path.name} is not a JSON object")
    return raw


def refuse(folder: Path, de: str, en: str, cause: BaseException | None = None) -> NoReturn:
    """Say why the model in this folder is not loaded; the reason is half a sentence."""
    raise CheckpointRefused(
        f"Das Modell im Ordner {folder.name} wird nicht geladen: {de}.",
        f"The model in the folder {folder.name} is not loaded: {en}.",
    ) from cause


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
        *(f"| {name} | {_told(value)} |" for name, value in _lineage_rows(facts)),
    ]
    return "\n".join(lines) + "\n"


def _lineage_rows(facts: CheckpointFacts) -> list[tuple[str, object]]:
    """The lineage for the card; a classifier has no figures of a pretraining."""
    foreign = () if facts.task is Task.FILL_MASK else ("cues", "held_out_of")
    return [(name, value) for name, value in asdict(facts.lineage).items() if name not in foreign]


def _told(value: object) -> str:
    """A fact of the lineage in the card."""
    if isinstance(value, tuple):
        return " → ".join(map(str, value)) or "none"
    return "not recorded" if value is None else str(value)

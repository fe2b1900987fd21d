"""What can be chosen for a run, and the configuration that its job reads (`train/run_folder.py`: `FinetuneConfig`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medbertde.schema import Kind, Schema
from medbertde.services.training_bases import ACTIVE, Base, learning_rate, positive_weight
from medbertde.services.training_data import Selection
from medbertde.types import TrainingRefused

REPLAY_TEXTS = 1_500  # of the shipped reports, drawn anew for each pass
SEED = 42
UNCERTAIN = ("absent", "present", "ignore")
_FOR_SPANS = {"batch_tokens": 256}  # there are no single sentences to learn from: few reports still have to give steps


@dataclass(frozen=True)
class Choices:
    """What can be chosen for a run beside the schema and the epochs.

    `base` names one of `Training.bases` or a model folder; `uncertain` is what an uncertain finding counts as.
    """

    base: str = ACTIVE
    uncertain: str = "absent"
    selection: Selection = field(default_factory=Selection)


def configuration(
    *, run_id: str, schema: Schema, base: Base, compare_with: Path | None, epochs: int, uncertain: str, replay: Path
) -> dict[str, Any]:
    """Go on from `base`, mix in the shipped reports in `replay`, compare with what answers now."""
    return {
        "schema_id": schema.id,
        "base_model": str(base.folder.resolve()),
        "compare_with": str(compare_with.resolve()) if compare_with else None,
        "name": f"{schema.id.replace('_', '-')}-{run_id}",
        "replay": _shipped(replay, f"{schema.id}.jsonl"),
        "replay_texts": REPLAY_TEXTS,
        "epochs": epochs,
        "learning_rate": learning_rate(base, schema.kind),
        "own_copies": 3,
        **(_FOR_SPANS if schema.kind is Kind.SPANS else _for_findings(schema, base, uncertain, replay)),
        "seed": SEED,
        "run_id": run_id,
    }


def _for_findings(schema: Schema, base: Base, uncertain: str, replay: Path) -> dict[str, Any]:
    """What has a meaning for findings only; a run on spans refuses it."""
    if uncertain not in UNCERTAIN:
        raise TrainingRefused(
            f"Für unsichere Befunde gibt es die Regel „{uncertain}“ nicht.",
            f"There is no rule “{uncertain}” for uncertain findings.",
        )
    return {
        "statements": _shipped(replay, f"statements_{schema.id}.jsonl"),
        "positive_weight": positive_weight(base),
        "uncertain": uncertain,
    }


def _shipped(folder: Path, name: str) -> list[str]:
    path = folder.resolve() / name
    return [str(path)] if path.is_file() else []

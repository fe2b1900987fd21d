"""What can be chosen for a run, and the configuration that its job reads (`train/run_folder.py`: `FinetuneConfig`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medbertde.services.training_bases import ACTIVE, Base, pace
from medbertde.services.training_data import Selection
from medbertde.types import TrainingRefused

REPLAY_TEXTS = 1_500  # of the shipped reports, drawn anew for each pass
SEED = 42
UNCERTAIN = ("absent", "present", "ignore")


@dataclass(frozen=True)
class Choices:
    """What can be chosen for a run beside the schema and the epochs.

    `base` names one of `Training.bases` or a model folder; `uncertain` is what an uncertain finding counts as.
    """

    base: str = ACTIVE
    uncertain: str = "absent"
    selection: Selection = field(default_factory=Selection)


def configuration(
    *, run_id: str, schema_id: str, base: Base, compare_with: Path | None, epochs: int, uncertain: str, replay: Path
) -> dict[str, Any]:
    """Go on from `base`, mix in the shipped reports in `replay`, compare with what answers now."""
    if uncertain not in UNCERTAIN:
        raise TrainingRefused(
            f"Für unsichere Befunde gibt es die Regel „{uncertain}“ nicht.",
            f"There is no rule “{uncertain}” for uncertain findings.",
        )
    shipped = {
        name: [str(path)] if (path := replay.resolve() / f"{prefix}{schema_id}.jsonl").is_file() else []
        for name, prefix in {"replay": "", "statements": "statements_"}.items()
    }
    return {
        "schema_id": schema_id,
        "base_model": str(base.folder.resolve()),
        "compare_with": str(compare_with.resolve()) if compare_with else None,
        "name": f"{schema_id.replace('_', '-')}-{run_id}",
        **shipped,
        "replay_texts": REPLAY_TEXTS,
        "epochs": epochs,
        **pace(base),
        "own_copies": 3,
        "uncertain": uncertain,
        "seed": SEED,
        "run_id": run_id,
    }

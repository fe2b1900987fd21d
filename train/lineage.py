"""Where a model comes from: the state of this code, the texts, and all models it goes back to."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from medbertde.inference.catalogue import find, hub_id_of, resolve
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.facts import FACTS_FILE, Lineage, read_facts
from train.run_folder import LABELS_FILE, FinetuneConfig


def load_base(name: str) -> LoadedModel:
    """The model that a run names: a checkpoint folder, or one of the catalogue by its id."""
    return load_checkpoint(resolve(name), name=name) if find(name) else load_checkpoint(Path(name))


def git_commit() -> str | None:
    """The commit that is checked out, None where there is no repository or no git."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return None
    return found.stdout.strip() or None


def ancestors_of(folder: Path, name: str) -> tuple[str, ...]:
    """All models that one made from the model in `folder` goes back to, the first one first, that model last.

    A model from the Hub is named by its id there, whatever its folder is called; any other one by `name`.
    """
    own = read_facts(folder).lineage if (folder / FACTS_FILE).is_file() else Lineage()
    earlier = own.ancestors or ((own.base_model,) if own.base_model else ())
    return (*earlier, hub_id_of(folder) or name)


def run_lineage(folder: Path, config: FinetuneConfig, base: LoadedModel) -> Lineage:
    """The lineage of what the fine-tuning in `folder` makes of `base`."""
    return Lineage(
        base_model=base.version,
        ancestors=ancestors_of(base.folder, base.version),
        data_hash=sha256((folder / LABELS_FILE).read_bytes()).hexdigest(),
        git_commit=git_commit(),
        seed=config.seed,
        run_id=config.run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )

"""The run folder of a fine-tuning job: its configuration, its progress, its figures and its refusal as files.

Owns the contract with the app (`medbertde/services/training.py`), which writes the configuration and reads the rest.
Knows no model and no report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from medbertde.parts import TEST_SHARE, VALIDATION_SHARE
from medbertde.text import content_hash
from medbertde.types import Reading, ReportRecord, TrainingRefused, UserError

CONFIG_FILE = "config.json"
LABELS_FILE = "labels.jsonl"
PROGRESS_FILE = "progress.jsonl"
UNCERTAIN = ("absent", "present", "ignore")


@dataclass(frozen=True)
class FinetuneConfig:
    """What a run does.

    `base_model` is the checkpoint folder or catalogue id of the model it goes on from, `compare_with` that of the one
    whose figures stand beside its own.
    `replay` names report files that join the training and validation parts, never the test part, `statements` files of
    single sentences that are only learnt from; `own_copies` says how often each own training report counts beside them,
    `replay_texts` how many of their texts an epoch draws (all without it). `test_file` replaces the share of
    `labels.jsonl` that would be held out. `run_together` and `cues` are numbers of augmented texts per epoch.
    `positive_weight` weighs positive targets at the start and decays to 1 later on: an untrained head learns many times
    faster with it. Without `whole_reports` the model learns from their sentences only, which an untrained head needs;
    `keep_last` keeps the last epoch, where validation on whole reports would not judge that. `reads` sets how the model
    reads a report (a small model learns sentences better than whole reports); without it, as its base.
    `uncertain` is what an uncertain finding counts as for the output "present": `absent` (it is not present), `present`
    or `ignore`; the output "uncertain" learns it in any case. `class_weights` lets rare outputs learn faster,
    `layer_decay` < 1 lets layers far from the head learn slower, `lora_rank` > 0 trains low-rank adapters instead of
    the encoder, `gradient_checkpointing` trades time for memory. At most `checkpoint_minutes` of work are lost by a
    kill.
    """

    schema_id: str
    base_model: str
    name: str
    compare_with: str | None = None
    replay: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    test_file: str | None = None
    test_share: float = TEST_SHARE
    validation_share: float = VALIDATION_SHARE
    epochs: int = 8
    patience: int = 4
    learning_rate: float = 2e-4
    reads: Reading | None = None
    warmup_share: float = 0.1
    positive_weight: float = 1.0
    weight_decay: float = 0.01
    batch_tokens: int = 2048
    whole_reports: bool = True
    keep_last: bool = False
    sentences: bool = True
    run_together: int = 0
    cues: int = 0
    own_copies: int = 1
    replay_texts: int | None = None
    uncertain: str = "absent"
    class_weights: bool = False
    layer_decay: float = 1.0
    lora_rank: int = 0
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = 5.0
    seed: int = 42
    precision: str = "no"
    half_weights: bool = False
    run_id: str | None = None


def read_config(folder: Path) -> FinetuneConfig:
    """The run's configuration; `TrainingRefused` for one that is broken or names what this version does not know."""
    try:
        raw = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        _refuse("fehlt oder ist kein JSON", "is missing or not JSON")
    if not isinstance(raw, dict):
        _refuse("ist kein JSON-Objekt", "is not a JSON object")
    known = [item.name for item in fields(FinetuneConfig)]
    unknown = ", ".join(sorted(set(raw) - set(known)))
    if unknown:
        _refuse(f"enthält Unbekanntes: {unknown}", f"has unknown entries: {unknown}")
    missing = ", ".join(name for name in ("schema_id", "base_model", "name") if not isinstance(raw.get(name), str))
    if missing:
        _refuse(f"nennt nicht: {missing}", f"does not name: {missing}")
    _check_kinds(raw)
    try:
        reads = Reading(raw["reads"]) if raw.get("reads") else None
    except ValueError:
        _refuse(
            f"enthält einen unmöglichen Wert: reads = {raw['reads']}",
            f"has an impossible value: reads = {raw['reads']}",
        )
    files = {name: tuple(raw.get(name, ())) for name in ("replay", "statements")}
    config = FinetuneConfig(**{**raw, **files, "reads": reads})
    _check_numbers(config)
    return config


def _check_kinds(raw: Mapping[str, Any]) -> None:
    """Refuse values of another kind than the field's, of which the first one is named."""
    kinds = get_type_hints(FinetuneConfig)
    for name, value in raw.items():
        fits, de, en = _KINDS[kinds[name]]
        if not fits(value):
            _refuse(
                f"enthält einen unmöglichen Wert: {name} = {json.dumps(value, ensure_ascii=False)}; erwartet wird {de}",
                f"has an impossible value: {name} = {json.dumps(value, ensure_ascii=False)}; expected is {en}",
            )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and isfinite(value))


def _or_none(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or fits(value)


_KINDS: Mapping[Any, tuple[Callable[[object], bool], str, str]] = {
    str: (_is_text, "Text", "text"),
    str | None: (_or_none(_is_text), "Text oder null", "text or null"),
    tuple[str, ...]: (_is_texts, "eine Liste von Texten", "a list of texts"),
    int: (_is_whole, "eine ganze Zahl", "a whole number"),
    int | None: (_or_none(_is_whole), "eine ganze Zahl oder null", "a whole number or null"),
    float: (_is_number, "eine Zahl", "a number"),
    bool: (lambda value: isinstance(value, bool), "true oder false", "true or false"),
    Reading | None: (_or_none(_is_text), "Text oder null", "text or null"),
}


def _check_numbers(config: FinetuneConfig) -> None:
    """Refuse values that cannot work, of which the first one is named."""
    works = {
        "epochs": config.epochs >= 1,
        "patience": config.patience >= 1,
        "learning_rate": config.learning_rate > 0,
        "positive_weight": config.positive_weight >= 1,
        "batch_tokens": config.batch_tokens >= 1,
        "own_copies": config.own_copies >= 1,
        "replay_texts": config.replay_texts is None or config.replay_texts >= 0,
        "test_share": 0 <= config.test_share < 1,
        "validation_share": 0 <= config.validation_share < 1 - config.test_share,
        "warmup_share": 0 <= config.warmup_share < 1,
        "uncertain": config.uncertain in UNCERTAIN,
        "layer_decay": 0 < config.layer_decay <= 1,
        "lora_rank": config.lora_rank >= 0,
        "checkpoint_minutes": config.checkpoint_minutes >= 0,
        "precision": config.precision in ("no", "bf16", "fp16"),
        "weight_decay": config.weight_decay >= 0,
        "run_together": config.run_together >= 0,
        "cues": config.cues >= 0,
        "seed": 0 <= config.seed < 2**32,
    }
    wrong = next((name for name, fine in works.items() if not fine), None)
    if wrong:
        value = getattr(config, wrong)
        _refuse(f"enthält einen unmöglichen Wert: {wrong} = {value}", f"has an impossible value: {wrong} = {value}")


def _refuse(de: str, en: str) -> NoReturn:
    raise TrainingRefused(f"{CONFIG_FILE} {de}.", f"{CONFIG_FILE} {en}.")


class RunLog:
    """Appends what happens to `progress.jsonl`, one complete line at a time.

    A run that goes on after `done` steps keeps the lines up to there and the time they took.
    """

    def __init__(self, folder: Path, done: int = 0, *, write: bool = True) -> None:
        self._path, self._write = folder / PROGRESS_FILE, write
        kept = [line for line in _read_lines(self._path) if line["step"] <= done] if done else []
        self._started = time.monotonic() - (kept[-1]["elapsed_s"] if kept else 0.0)
        if write:
            self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def write(self, step: int, total: int, **facts: Any) -> None:
        """One line: the step (at most the total), the total, seconds since the start and `facts`."""
        if self._write:
            elapsed_s = round(time.monotonic() - self._started, 2)
            line = {"step": min(step, total), "total": total, "elapsed_s": elapsed_s, **facts}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a log; a kill may have cut the last one."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def report_keys(records: Sequence[ReportRecord]) -> list[str]:
    """How reports are named in what comes out of a run: by id, else by content hash."""
    return [record.id or content_hash(record.text) for record in records]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object per line; reports are named, never quoted."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """`metrics.json`, complete or not at all; it is written last and says that the run has finished."""
    partial = folder / ".metrics.json.partial"
    partial.write_text(json.dumps(metrics, ensure_ascii=False, indent=2), encoding="utf-8")
    partial.replace(folder / "metrics.json")


def write_refusal(folder: Path, error: UserError) -> None:
    """`refused.json`: why the run ended early, for the page."""
    (folder / "refused.json").write_text(json.dumps({"de": error.de, "en": error.en}), encoding="utf-8")

"""What the tests of the training jobs share: one thread, small labelled reports, run folders over a tiny checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from medbertde.report_file import to_json
from medbertde.types import ReportRecord, State

WriteRun = Callable[..., Path]


@contextmanager
def as_a_job() -> Iterator[None]:
    """As in a process of its own: one thread, without the device and precision that Accelerate keeps in a global."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[None]:
    """Each test runs its jobs as in a process of their own; what several tests share is made `as_a_job` too."""
    with as_a_job():
        yield


def write_reports(path: Path, records: Sequence[ReportRecord]) -> Path:
    path.write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_folder(folder: Path, records: Sequence[ReportRecord], **config: object) -> Path:
    """A run folder: the reports and a configuration with short defaults, which needs a `base_model`."""
    folder.mkdir()
    write_reports(folder / "labels.jsonl", records)
    given = {"schema_id": "chest_xray", "name": "neu", "epochs": 2, "batch_tokens": 256, **config}
    (folder / "config.json").write_text(json.dumps(given), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def reports() -> list[ReportRecord]:
    """60 short reports that are easy to learn: a third each says effusion, no effusion, nothing of it."""
    kinds = (
        ("Kleiner Erguss links", {"Erguss": State.PRESENT}),
        ("Kein Erguss", {"Erguss": State.ABSENT}),
        ("Herz normal", {}),
    )
    return [
        ReportRecord(f"{text}{'.' * (number // 3 + 1)}", labels=labels)
        for number in range(60)
        for text, labels in [kinds[number % 3]]
    ]


@pytest.fixture
def write_run(tmp_path: Path, tiny_classifier_folder: Path) -> WriteRun:
    """Write a run folder over a tiny classifier (see `write_folder`)."""

    def write(records: Sequence[ReportRecord], name: str = "run", **config: object) -> Path:
        return write_folder(tmp_path / name, records, **{"base_model": str(tiny_classifier_folder), **config})

    return write

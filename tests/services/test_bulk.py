"""Several reports at once on the page: steps, limits, several files, one model to the end, and stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from medbertde.inference import rows as rows_module
from medbertde.services import Services, open_services
from medbertde.services.access import Caller
from medbertde.services.bulk import ROWS_PER_STEP, Batch
from medbertde.settings import Settings
from medbertde.types import Forbidden, InvalidFile, ModelUnavailable, User
from tests import tiny


@pytest.fixture
def services(tmp_path: Path, tiny_classifier_folder: Path) -> Iterator[Services]:
    opened = open_services(
        Settings(var=tmp_path / "var", max_upload_mb=1, max_import_rows=100),
        shipped={"chest_xray": str(tiny_classifier_folder)},
    )
    yield opened
    opened.database.close()


@pytest.fixture
def user(services: Services) -> User:
    return services.access.accept_terms(services.access.identify(Caller(None, None)))


@pytest.fixture
def batch(services: Services) -> Batch:
    return Batch(services.runtime, services.access, services.settings)


def table(folder: Path, rows: int, name: str = "befunde.csv") -> Path:
    path = folder / name
    path.write_text("text\n" + "".join(f"Kein Erguss {row}.\n" for row in range(rows)), encoding="utf-8")
    return path


def test_the_answers_come_in_steps_after_the_number_of_rows(batch: Batch, user: User, tmp_path: Path) -> None:
    steps = list(batch.classify(user, "chest_xray", [table(tmp_path, ROWS_PER_STEP + 3)]))
    assert [(step.done, step.total, len(step.answers)) for step in steps] == [
        (0, ROWS_PER_STEP + 3, 0),
        (ROWS_PER_STEP, ROWS_PER_STEP + 3, ROWS_PER_STEP),
        (ROWS_PER_STEP + 3, ROWS_PER_STEP + 3, 3),
    ]
    rows = [answer["row"] for step in steps for answer in step.answers]
    assert rows == list(range(1, ROWS_PER_STEP + 4))


def test_several_files_are_numbered_through_and_text_files_keep_their_names(
    batch: Batch, user: User, tmp_path: Path
) -> None:
    (tmp_path / "thorax 7.txt").write_text("Kein Erguss.", encoding="utf-8")
    files = [table(tmp_path, 2), tmp_path / "thorax 7.txt", table(tmp_path, 1, "b.csv")]
    *_, last = batch.classify(user, "chest_xray", files)
    assert [(answer["row"], answer["id"]) for answer in last.answers] == [
        (1, None),
        (2, None),
        (3, "thorax 7"),
        (4, None),
    ]


def test_a_bad_row_is_listed_with_its_reason_and_the_others_are_read(batch: Batch, user: User, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Kein Erguss."}\n{"text": ""}\nkaputt\n', encoding="utf-8")
    *_, last = batch.classify(user, "chest_xray", [path])
    assert [answer["row"] for answer in last.answers] == [1]
    assert [(number, fault.de) for number, fault in last.faults] == [
        (2, "Der Text ist leer. Bitte einen Befundtext eingeben."),
        (3, "Die Zeile ist kein JSON-Objekt."),
    ]


def test_limits_come_from_the_settings(batch: Batch, user: User, tmp_path: Path) -> None:
    large = tmp_path / "gross.txt"
    large.write_text("a" * 1_600_000)
    for files, sentence in (
        ([], "Bitte zuerst eine Datei wählen."),
        ([table(tmp_path, 101)], "Die Dateien enthalten 101 Befunde, erlaubt sind 100."),
        ([large], "Die Dateien haben zusammen 2 MB, erlaubt sind 1 MB."),
    ):
        with pytest.raises(InvalidFile) as refused:
            next(batch.classify(user, "chest_xray", files))
        assert refused.value.de.startswith(sentence)


def test_without_terms_or_a_model_nothing_is_read(services: Services, batch: Batch, user: User, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        next(batch.classify(replace(user, terms_version=None), "chest_xray", []))
    with pytest.raises(ModelUnavailable):
        next(batch.classify(user, "chest_ct", [table(tmp_path, 1)]))


def test_one_model_answers_to_the_end(services: Services, batch: Batch, user: User, tmp_path: Path) -> None:
    before = services.runtime.model_for("chest_xray").version
    steps = batch.classify(user, "chest_xray", [table(tmp_path, 80)])
    next(steps)
    services.runtime.swap("chest_xray", tiny.classifier_folder(tmp_path / "newer", seed=1))
    assert {answer["model_version"] for step in steps for answer in step.answers} == {before}


def test_closing_stops_the_computation(
    batch: Batch, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    plain = rows_module.in_parts

    def counting(compute: Callable[[Sequence[Sequence[int]]], Tensor], rows: Sequence[Sequence[int]]) -> list[Tensor]:
        computed.append(len(rows))
        return plain(compute, rows)

    monkeypatch.setattr(rows_module, "in_parts", counting)
    steps = batch.classify(user, "chest_xray", [table(tmp_path, 90)])
    next(steps)
    next(steps)
    seen = len(computed)
    steps.close()  # type: ignore[attr-defined]
    assert seen == len(computed) == 1

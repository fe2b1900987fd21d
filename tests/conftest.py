"""Fixtures that many tests share: tiny checkpoints in folders and a PostgreSQL server, both made once per session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medbertde.store import open_database
from medbertde.ui import uploads
from tests import postgres, tiny


@pytest.fixture(scope="session", autouse=True)
def own_uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files of browsers lie apart for each test process: named by content, they end with the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(uploads.VARIABLE, str(tmp_path_factory.mktemp("uploads")))
        yield


@pytest.fixture(scope="session")
def tiny_mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT masked language model."""
    return tiny.mlm_folder(tmp_path_factory.mktemp("models") / "tiny-mlm")


@pytest.fixture(scope="session")
def tiny_classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT classifier for `chest_xray` with all three states."""
    return tiny.classifier_folder(tmp_path_factory.mktemp("models") / "tiny-chest-xray")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server with a database "migrated" that holds our tables, to be copied."""
    with postgres.running() as server:
        open_database(server.create("migrated")).close()
        yield server


@pytest.fixture
def new_postgres(postgres_server: postgres.Server) -> Iterator[Callable[[], str]]:
    """Makes databases with our tables, each empty and for this test alone, and returns their addresses."""
    made: list[str] = []

    def make() -> str:
        made.append(f"test_{uuid.uuid4().hex}")
        return postgres_server.create(made[-1], "migrated")

    yield make
    for name in made:
        postgres_server.drop(name)

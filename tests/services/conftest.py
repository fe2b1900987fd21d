"""What the tests of the services share: services over a real database file, with a tiny classifier that answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medbertde.inference.runtime import Runtime
from medbertde.services.access import Access, Caller
from medbertde.services.accounts import Accounts
from medbertde.services.annotate import Annotate
from medbertde.services.deidentification import Gate
from medbertde.services.review import Review
from medbertde.services.screening import Screener
from medbertde.services.team import Team
from medbertde.settings import Settings
from medbertde.store.session import Database, open_database
from medbertde.types import User


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path, database_url=f"sqlite:///{tmp_path / 'labels.sqlite'}", max_chars=2_000)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.database_url)
    yield opened
    opened.close()


@pytest.fixture
def runtime(tiny_classifier_folder: Path) -> Runtime:
    runtime = Runtime("cpu")
    runtime.swap("chest_xray", tiny_classifier_folder)
    return runtime


@pytest.fixture
def access(database: Database, settings: Settings) -> Access:
    return Access(database, settings)


@pytest.fixture
def gate(database: Database, access: Access, settings: Settings) -> Gate:
    """With the length that the runtime of these tests takes."""
    return Gate(database, access, replace(settings, max_chars=20_000), Screener(settings.deidentification_dates))


@pytest.fixture
def accounts(database: Database, access: Access, settings: Settings) -> Accounts:
    return Accounts(database, access, settings)


@pytest.fixture
def annotate(database: Database, runtime: Runtime, access: Access, settings: Settings) -> Annotate:
    return Annotate(database, runtime, access, settings)


@pytest.fixture
def anna(access: Access) -> User:
    return access.accept_terms(access.identify(Caller("anna", None)))


@pytest.fixture
def ben(access: Access) -> User:
    return access.accept_terms(access.identify(Caller("ben", None)))


@pytest.fixture
def team(database: Database, access: Access) -> Team:
    return Team(database, access)


@pytest.fixture
def review(database: Database, access: Access) -> Review:
    return Review(database, access)

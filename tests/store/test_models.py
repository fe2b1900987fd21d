"""The newest activation is the active version; going back is one more."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from medbertde.store import Database, models
from medbertde.types import Conflict, NotFound, User


def add(database: Database, version: str, folder: str = "runs/r1/checkpoint") -> None:
    with database.write() as session:
        models.add_version(session, version=version, schema_id="chest_xray", folder=folder)


def activate(database: Database, version: str, user: User) -> None:
    with database.write() as session:
        models.activate(session, version=version, user_id=user.id)


def active(database: Database, schema_id: str = "chest_xray") -> str | None:
    with database.read() as session:
        found = models.active_version(session, schema_id=schema_id)
    return None if found is None else found.version


def test_nothing_is_active_before_the_first_activation(database: Database) -> None:
    add(database, "v1")
    assert active(database) is None


def test_a_version_that_was_moved_is_looked_for_in_its_new_folder(database: Database, anna: User) -> None:
    add(database, "v1")
    activate(database, "v1", anna)
    with database.write() as session:
        models.move_version(session, version="v1", folder="elsewhere")
        with pytest.raises(NotFound):
            models.move_version(session, version="v2", folder="elsewhere")
    with database.read() as session:
        found = models.active_version(session, schema_id="chest_xray")
    assert found
    assert (found.version, found.folder) == ("v1", "elsewhere")


def test_rolling_back_keeps_the_whole_story(database: Database, anna: User, ben: User) -> None:
    add(database, "v1")
    add(database, "v2")
    for version, user in (("v1", anna), ("v2", anna), ("v1", ben), ("v1", anna)):
        activate(database, version, user)
    assert active(database) == "v1"
    assert active(database, "chest_ct") is None
    with database.read() as session:
        versions = models.list_versions(session, schema_id="chest_xray")
        story = session.execute(text("SELECT version FROM activations ORDER BY id")).scalars().all()
    assert [(v.version, v.active, v.promoted_by) for v in versions] == [("v2", False, "anna"), ("v1", True, "ben")]
    assert story == ["v1", "v2", "v1"]


def test_the_same_version_again_is_no_second_one_but_another_folder_is_refused(database: Database) -> None:
    add(database, "v1")
    add(database, "v1")
    with pytest.raises(Conflict, match="already exists with another folder"):
        add(database, "v1", folder="runs/r2/checkpoint")
    with database.read() as session:
        assert [v.folder for v in models.list_versions(session, schema_id="chest_xray")] == ["runs/r1/checkpoint"]


def test_an_unknown_version_cannot_be_activated(database: Database, anna: User) -> None:
    with pytest.raises(NotFound):
        activate(database, "v9", anna)

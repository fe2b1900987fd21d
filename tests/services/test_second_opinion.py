"""A second classifier reads the same report beside the one that answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.inference.runtime import Runtime
from medbertde.services.access import Access, Caller
from medbertde.services.deidentification import Gate
from medbertde.services.models import Models
from medbertde.services.second_opinion import SecondOpinion
from medbertde.store.session import Database
from medbertde.types import Forbidden, ModelUnavailable, State, User
from tests import tiny
from tests.launch import XRAY

TEXT = "Kein Pneumothorax. Kleiner Erguss links."


@pytest.fixture
def models(database: Database, runtime: Runtime, access: Access) -> Models:
    return Models(database, runtime, access)


@pytest.fixture
def second(runtime: Runtime, gate: Gate, models: Models) -> SecondOpinion:
    return SecondOpinion(runtime, gate, models)


@pytest.fixture
def admin(access: Access) -> User:
    return access.accept_terms(access.identify(Caller(None, None)))


@pytest.fixture
def known(models: Models, admin: User, tmp_path: Path) -> tuple[str, str]:
    """Two versions that were taken over, the second one answers."""
    folders = [tiny.classifier_folder(tmp_path / name, seed=seed) for name, seed in (("old", 5), ("new", 6))]
    versions = [models.switch(admin, XRAY, str(folder)).version for folder in folders]
    return versions[0], versions[1]


def test_it_reads_and_explains_without_answering_for_anybody_else(
    second: SecondOpinion, runtime: Runtime, admin: User, known: tuple[str, str]
) -> None:
    old, new = known
    offered = [choice.name for choice in second.choices(XRAY)]
    assert old in offered
    assert new not in offered
    found = second.read(admin, XRAY, TEXT, old, label="Erguss", state=State.PRESENT)
    assert (found.prediction.model_version, found.attribution.model_version) == (old, old)
    assert (found.attribution.label, found.attribution.text) == ("Erguss", TEXT)
    assert runtime.versions()[XRAY] == new
    first = runtime.classify(XRAY, [TEXT])[0]
    assert found.prediction.scores["Erguss"].present != pytest.approx(first.scores["Erguss"].present, abs=1e-4)


def test_only_models_of_the_list_are_read_with(second: SecondOpinion, admin: User, tmp_path: Path) -> None:
    folder = tiny.classifier_folder(tmp_path / "unknown", seed=7)
    for name in (str(folder), "no-such@model", ""):
        with pytest.raises(ModelUnavailable, match="The second model is not on this machine"):
            second.read(admin, XRAY, TEXT, name, label="Erguss", state=State.PRESENT)


def test_who_has_not_accepted_the_terms_gets_no_second_opinion(
    second: SecondOpinion, access: Access, known: tuple[str, str]
) -> None:
    newcomer = access.identify(Caller("neu", None))
    with pytest.raises(Forbidden, match="accept the terms"):
        second.read(newcomer, XRAY, TEXT, known[0], label="Erguss", state=State.PRESENT)

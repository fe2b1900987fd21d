"""Filling gaps as a service: terms first, the version in each answer, and who may name a second model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.services.access import Access, Caller
from medbertde.services.accounts import Accounts
from medbertde.services.deidentification import Gate
from medbertde.services.reading import Reading
from medbertde.types import Forbidden, ModelUnavailable, User
from tests import tiny

TEXT = "Kein Nachweis eines [MASK] rechts."


@pytest.fixture
def reading(runtime: Runtime, access: Access, gate: Gate, tiny_mlm_folder: Path) -> Reading:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    return Reading(runtime, access, gate)


@pytest.mark.parametrize(
    "ask",
    [
        lambda reading, user: reading.suggest(user, TEXT, 3),
        lambda reading, user: reading.rank_words(user, TEXT, "Erguss"),
        lambda reading, user: reading.tokenise(user, TEXT),
    ],
    ids=["suggest", "rank_words", "tokenise"],
)
def test_there_is_no_answer_before_the_terms_are_accepted(
    reading: Reading, access: Access, ask: Callable[[Reading, User], object]
) -> None:
    user = access.identify(Caller("neu", None))
    with pytest.raises(Forbidden):
        ask(reading, user)
    assert ask(reading, access.accept_terms(user))


def test_each_answer_names_the_model_that_gave_it(reading: Reading, anna: User, tmp_path: Path) -> None:
    second = str(tiny.mlm_folder(tmp_path / "second", family="roberta"))
    assert reading.suggest(anna, TEXT, 3).model_version == reading.fill_mask_version()
    assert reading.rank_words(anna, TEXT, "Erguss, Pneu").model_version == reading.fill_mask_version()
    assert reading.suggest(anna, TEXT, 3, second=second).model_version.startswith("second@")
    assert reading.tokenise(anna, TEXT, second=second).model_version.startswith("second@")


def test_a_guest_may_choose_from_the_list_but_name_no_folder(
    reading: Reading, access: Access, accounts: Accounts, tmp_path: Path
) -> None:
    guest = accounts.user_of(accounts.welcome_guest())
    assert guest is not None
    guest = access.accept_terms(guest)
    folder = str(tiny.mlm_folder(tmp_path / "second", seed=5))
    with pytest.raises(Forbidden, match="This needs the role “admin”"):
        reading.suggest(guest, TEXT, 3, second=folder)
    assert reading.tokenise(guest, TEXT, second="mini-chest-xray").model_version.startswith("mini-chest-xray")


def test_a_classifier_compares_pieces_but_fills_no_gap(reading: Reading, anna: User) -> None:
    assert "mini-chest-xray" in [entry.id for entry in reading.second_models()]
    with pytest.raises(ModelUnavailable, match="cannot fill masks"):
        reading.suggest(anna, TEXT, 3, second="mini-chest-xray")


def test_the_examples_cover_ten_specialties_and_more(reading: Reading) -> None:
    specialties = {example.title["de"].partition(":")[0] for example in reading.example_gaps()}
    assert len(specialties) >= 10

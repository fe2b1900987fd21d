"""Asking the models: terms first, the version of each answer, and what is said where no model answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.services.access import TERMS_VERSION, Access, Caller
from medbertde.services.deidentification import Gate
from medbertde.services.reading import Reading
from medbertde.store import users
from medbertde.store.session import Database
from medbertde.types import Conflict, Forbidden, InvalidText, ModelUnavailable, NotSignedIn, Role, State, User
from tests import tiny

XRAY = "chest_xray"
REPORT = "Kein Pneumothorax, kleiner Erguss links. Herz normal groß."


@pytest.fixture
def reading(runtime: Runtime, access: Access, gate: Gate, tiny_mlm_folder: Path) -> Reading:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    return Reading(runtime, access, gate)


class TestTerms:
    @pytest.mark.parametrize(
        "ask",
        [
            lambda reading, user: reading.classify(user, XRAY, REPORT),
            lambda reading, user: reading.fill_mask(user, "Kein [MASK].", 3),
            lambda reading, user: reading.explain(
                user, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=reading.model_version(XRAY)
            ),
        ],
        ids=["classify", "fill_mask", "explain"],
    )
    def test_there_is_no_answer_before_the_terms_are_accepted_and_one_after(
        self, reading: Reading, access: Access, ask: Callable[[Reading, User], object]
    ) -> None:
        user = access.identify(Caller("neu", None))
        with pytest.raises(Forbidden) as refusal:
            ask(reading, user)
        assert refusal.value.de.startswith("Bitte bestätigen Sie zuerst die Nutzungsbedingungen")
        assert ask(reading, access.accept_terms(user))

    def test_acceptance_is_kept_and_a_new_version_of_the_terms_asks_again(
        self, reading: Reading, access: Access, database: Database
    ) -> None:
        access.accept_terms(access.identify(Caller("anna", None)))
        assert access.identify(Caller("anna", None)).terms_version == TERMS_VERSION
        with database.write() as session:
            outdated = users.accept_terms(session, user_id=access.identify(Caller("anna", None)).id, version="2020-01")
        with pytest.raises(Forbidden):
            reading.classify(outdated, XRAY, REPORT)


class TestIdentity:
    def test_on_a_laptop_everyone_is_the_local_user(self, access: Access) -> None:
        first, again = access.identify(Caller(None, "s1")), access.identify(Caller(None, "s2"))
        assert first == again
        assert (first.name, first.role) == ("lokal", Role.ADMIN)

    def test_on_a_space_nobody_is_known_whom_the_guard_has_not_named(
        self, access: Access, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPACE_ID", "someone/medbertde")
        for caller in (Caller(None, "session-one"), Caller("gast-erfunden", None)):
            with pytest.raises(NotSignedIn):
                access.identify(caller)

    def test_a_role_that_is_missing_is_named_beside_ones_own(self, access: Access) -> None:
        with pytest.raises(Forbidden, match="This needs the role “admin”, you are signed in as “annotator”"):
            access.require(User(1, "anna", Role.ANNOTATOR), Role.ADMIN)


class TestVersions:
    def test_an_answer_names_its_version(self, reading: Reading, anna: User) -> None:
        assert reading.classify(anna, XRAY, REPORT).model_version == reading.model_version(XRAY)

    def test_an_explanation_of_an_answer_by_another_model_is_a_conflict(
        self, reading: Reading, anna: User, runtime: Runtime, tmp_path: Path
    ) -> None:
        answered_by = reading.classify(anna, XRAY, REPORT).model_version
        runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "new", seed=3))
        with pytest.raises(Conflict) as refusal:
            reading.explain(anna, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=answered_by)
        assert refusal.value.de == (
            "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren."
        )

    def test_an_explanation_belongs_to_the_model_that_classified(self, reading: Reading, anna: User) -> None:
        prediction = reading.classify(anna, XRAY, REPORT)
        attribution = reading.explain(
            anna, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=prediction.model_version
        )
        assert attribution.model_version == prediction.model_version
        assert [word.text for word in attribution.words][:2] == ["Kein", "Pneumothorax"]

    def test_without_a_model_there_is_no_version_and_a_sentence_instead_of_an_answer(
        self, reading: Reading, anna: User
    ) -> None:
        assert reading.active_version("chest_ct") is None
        with pytest.raises(ModelUnavailable) as refusal:
            reading.classify(anna, "chest_ct", REPORT)
        assert refusal.value.de == ("Für „chest_ct“ ist kein Modell aktiv. Bitte ein Modell auswählen oder trainieren.")


def test_a_remark_comes_with_the_answer_to_an_english_text(reading: Reading, anna: User) -> None:
    text = "No evidence of pneumothorax. The heart is normal in size and the lungs are clear."
    assert "not_german" in [notice.code for notice in reading.classify(anna, XRAY, text).warnings]


def test_an_empty_or_over_long_text_is_refused(reading: Reading, anna: User) -> None:
    with pytest.raises(InvalidText, match="The text is empty"):
        reading.classify(anna, XRAY, " \n ")
    with pytest.raises(InvalidText, match="characters, 20,000 are allowed"):
        reading.classify(anna, XRAY, "Erguss " * 5_000)


def test_every_schema_has_examples_that_can_be_read(reading: Reading) -> None:
    for schema in reading.schemas():
        examples = reading.example_reports(schema.id)
        assert examples
        assert all(example.text and example.title["de"] and example.title["en"] for example in examples)
    assert all("[MASK]" in example.text for example in reading.example_gaps())

"""Explanations as the page asks for them: of the model that answered, one finding or all, stopped, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.inference.rows import Cancelled
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.services.access import Access, Caller
from medbertde.services.deidentification import Gate
from medbertde.services.reading import Reading
from medbertde.types import Conflict, Forbidden, Progress, State, User, UserError
from medbertde.types import Reading as Reads
from tests import tiny

XRAY = "chest_xray"
REPORT = "Kein Pneumothorax. Kleiner Erguss links."
LONGER = f"Klinik: Husten.\nHerz normal groß. Keine Stauung. {REPORT}"
GAP = "Kein [MASK] links."


@pytest.fixture
def reading(runtime: Runtime, access: Access, gate: Gate, tiny_mlm_folder: Path) -> Reading:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    return Reading(runtime, access, gate)


def test_the_default_method_comes_first_and_each_can_be_asked_for(reading: Reading, anna: User) -> None:
    first, *others = reading.methods()
    version = reading.model_version(XRAY)
    usual = reading.explain(anna, XRAY, REPORT, "Erguss", state=State.ABSENT, model_version=version)
    assert (usual.method, usual.target) == (first, "absent")
    assert "occlusion" in others
    other = reading.explain(
        anna, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=version, method="occlusion", baseline="mask"
    )
    assert (other.method, other.baseline) == ("occlusion", "[CLS] [MASK] … [SEP]")
    with pytest.raises(UserError, match="There is no method “deep_lift”"):
        reading.explain(
            anna, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=version, method="deep_lift"
        )  # fmt: skip


def test_all_findings_come_at_once_in_the_states_asked_for(reading: Reading, anna: User) -> None:
    version, seen = reading.model_version(XRAY), list[Progress]()
    states = {"Erguss": State.PRESENT, "Pneumothorax": State.ABSENT}
    found = reading.explain_all(anna, XRAY, REPORT, states, model_version=version, on_progress=seen.append)
    assert {label: each.target for label, each in found.items()} == {"Erguss": "present", "Pneumothorax": "absent"}
    assert seen[-1].done == seen[-1].total
    with pytest.raises(Cancelled):
        reading.explain_all(anna, XRAY, REPORT, states, model_version=version, stop=lambda: True)


def test_a_word_in_a_gap_is_explained_by_the_model_that_proposed_it(reading: Reading, anna: User) -> None:
    version = reading.fill_mask_version()
    assert version
    found = reading.explain_word(anna, GAP, "Erguss", model_version=version)
    assert [word.text for word in found.words] == ["Kein", "links."]
    with pytest.raises(Conflict) as refusal:
        reading.explain_word(anna, GAP, "Erguss", model_version="other@0")
    assert refusal.value.de.endswith("Bitte die Lücke noch einmal füllen lassen.")


def test_two_models_are_never_mixed(reading: Reading, anna: User, runtime: Runtime, tmp_path: Path) -> None:
    version = reading.model_version(XRAY)
    kept = reading.explain(anna, XRAY, REPORT, "Erguss", state=State.PRESENT, model_version=version)
    assert 0 <= reading.faithfulness(anna, XRAY, kept).infidelity <= 1
    runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "new", seed=3))
    with pytest.raises(Conflict):
        reading.faithfulness(anna, XRAY, kept)
    with pytest.raises(Conflict) as refusal:
        reading.explain_all(anna, XRAY, REPORT, model_version=version)
    assert refusal.value.de == "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren."


def test_words_that_were_left_out_come_later_from_the_same_model_or_not_at_all(
    reading: Reading, anna: User, runtime: Runtime, tmp_path: Path
) -> None:
    runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "m", reads=Reads.SENTENCES))
    version = reading.model_version(XRAY)
    found = reading.explain_all(anna, XRAY, LONGER, model_version=version).values()
    kept = next(each for each in found if any(passage.words is None for passage in each.passages))
    starts = [passage.start for passage in kept.passages if passage.words is None]
    later = reading.with_words(anna, XRAY, kept, starts[:1])
    assert [passage.start for passage in later.passages if passage.words is None] == starts[1:]
    with pytest.raises(Cancelled):
        reading.with_words(anna, XRAY, kept, stop=lambda: True)
    whole = reading.with_words(anna, XRAY, kept)
    runtime.swap(XRAY, tiny.classifier_folder(tmp_path / "new", seed=3))
    assert reading.with_words(anna, XRAY, whole) == whole, "nothing is left to ask a model for"
    with pytest.raises(Conflict) as refusal:
        reading.with_words(anna, XRAY, kept, starts[:1])
    assert refusal.value.de == "Inzwischen antwortet ein anderes Modell. Bitte den Befund noch einmal klassifizieren."


def test_nothing_is_explained_before_the_terms_are_accepted(reading: Reading, access: Access) -> None:
    user = access.identify(Caller("neu", None))
    with pytest.raises(Forbidden):
        reading.explain_all(user, XRAY, REPORT, model_version=reading.model_version(XRAY))
    with pytest.raises(Forbidden):
        reading.explain_word(user, GAP, "Erguss", model_version="x")

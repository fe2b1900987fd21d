"""The runtime: models are exchanged under load without mixing, and a refused one changes nothing."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medbertde.inference.explain import explain
from medbertde.inference.facts import FACTS_FILE
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime, pick_device
from medbertde.types import CheckpointRefused, ModelUnavailable, Prediction
from tests import tiny

TEXTS = ["Kein Nachweis eines Pneumothorax.", "Kleiner Erguss links, Herz normal groß."]


def present(predictions: list[Prediction]) -> list[float]:
    return [score.present for prediction in predictions for score in prediction.scores.values()]


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(device="cpu")


def test_every_slot_answers_with_its_own_model(
    runtime: Runtime, tiny_mlm_folder: Path, tiny_classifier_folder: Path
) -> None:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    active = runtime.swap("chest_xray", tiny_classifier_folder)
    assert runtime.versions() == {
        FILL_MASK_SLOT: runtime.fill_mask_model().version,
        "chest_xray": active.version,
    }
    assert len(runtime.fill_mask("Kein [MASK].", top_k=3)) == 3
    assert runtime.classify("chest_xray", TEXTS)[0].model_version == active.version
    assert runtime.explain("chest_xray", TEXTS[0], "Erguss").model_version == active.version


def test_an_empty_slot_says_what_to_do(runtime: Runtime) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        runtime.classify("chest_ct", TEXTS)
    assert "Für „chest_ct“ ist kein Modell aktiv" in refused.value.de


def test_a_broken_checkpoint_leaves_the_old_one_answering(
    runtime: Runtime, tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    active = runtime.swap("chest_xray", tiny_classifier_folder)
    broken = Path(shutil.copytree(tiny_classifier_folder, tmp_path / "broken"))
    (broken / FACTS_FILE).unlink()
    with pytest.raises(CheckpointRefused):
        runtime.swap("chest_xray", broken)
    assert runtime.classify("chest_xray", TEXTS)[0].model_version == active.version


def test_a_model_is_refused_in_a_slot_it_was_not_made_for(
    runtime: Runtime, tiny_mlm_folder: Path, tiny_classifier_folder: Path
) -> None:
    with pytest.raises(CheckpointRefused) as refused:
        runtime.swap("chest_ct", tiny_classifier_folder)
    assert "für „chest_xray“ gemacht und kann nicht für „chest_ct“ antworten" in refused.value.de
    with pytest.raises(CheckpointRefused):
        runtime.swap("chest_xray", tiny_mlm_folder)
    assert runtime.versions() == {}


def test_a_swap_under_load_never_mixes_two_models(runtime: Runtime, tmp_path: Path) -> None:
    folders = [tiny.classifier_folder(tmp_path / f"m{seed}", seed=seed) for seed in (1, 2)]
    expected = {}
    for folder in folders:
        version = runtime.swap("chest_xray", folder).version
        expected[version] = present(runtime.classify("chest_xray", TEXTS))
    done, seen = threading.Event(), set()

    def ask() -> int:
        answers = 0
        while not done.is_set() or not answers:
            predictions = runtime.classify("chest_xray", TEXTS)
            [version] = {item.model_version for item in predictions}
            assert present(predictions) == pytest.approx(expected[version], abs=1e-5)
            seen.add(version)
            answers += 1
        return answers

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for folder in folders * 4:
                runtime.swap("chest_xray", folder)
        finally:
            done.set()
        assert all(future.result() > 0 for future in asking)
    assert len(seen) == 2


def test_explaining_does_not_disturb_classifying_in_another_thread(
    runtime: Runtime, tiny_classifier_folder: Path
) -> None:
    model = runtime.swap("chest_xray", tiny_classifier_folder)
    expected = present(runtime.classify("chest_xray", TEXTS))
    with ThreadPoolExecutor(2) as pool:
        explaining = [pool.submit(explain, model, TEXTS[1], "Erguss", max_steps=40) for _ in range(10)]
        for _ in range(40):
            assert present(runtime.classify("chest_xray", TEXTS)) == pytest.approx(expected, abs=1e-5)
    alone = explain(model, TEXTS[1], "Erguss", max_steps=40)
    for future in explaining:
        assert [word.score for word in future.result().words] == pytest.approx(
            [word.score for word in alone.words], abs=1e-5
        )


def test_the_device_is_found_or_refused() -> None:
    assert pick_device("auto") in ("cpu", "cuda", "mps")
    assert pick_device("cpu") == "cpu"
    with pytest.raises(ModelUnavailable) as refused:
        pick_device("tpu")
    assert "„tpu“ ist auf diesem Rechner nicht verfügbar" in refused.value.de

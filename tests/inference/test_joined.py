"""Simultaneous requests: computed together, each with its own answers, refusals and wish to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from medbertde.inference import joined
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.forward import prepare
from medbertde.inference.joined import Joiner
from medbertde.inference.rows import Cancelled, never
from medbertde.types import InvalidText, ModelUnavailable, Prediction
from tests import tiny

DEADLINE_S = 20
TEXTS = [f"Kein Erguss, Nr. {number}, Herz normal groß." for number in range(6)]


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    loaded = load_checkpoint(tiny.classifier_folder(tmp_path / "tiny"))
    prepare(loaded, "fp32")
    return loaded


class Held:
    """Holds the first computation back until `go`, so that requests pile up behind it; keeps what was computed."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.failing = False

    def classify(self, model: LoadedModel, texts: Sequence[str], **more: object) -> list[Prediction]:
        self.calls.append(texts)
        self.begun.set()
        assert self.go.wait(DEADLINE_S)
        if self.failing and len(texts) > 1:
            raise ModelUnavailable("zu viel", "too much")
        return classify(model, texts, **more)  # type: ignore[arg-type]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    watch = Held()
    monkeypatch.setattr(joined, "classify", watch.classify)
    return watch


@pytest.fixture
def ask(held: Held, model: LoadedModel) -> Iterator[Callable[..., Future[list[Prediction]]]]:
    """Ask in a thread; returns once the request waits or is computed."""
    joiner = Joiner()
    with ThreadPoolExecutor(8) as pool:

        def asking(*texts: str, stop: Callable[[], bool] = never, of: LoadedModel = model) -> Future[list[Prediction]]:
            waiting, first = len(joiner._waiting), not held.begun.is_set()
            future = pool.submit(joiner.classify, of, texts, max_chars=1000, stop=stop)
            if not first:
                end = time.monotonic() + DEADLINE_S
                while len(joiner._waiting) == waiting and not future.done() and time.monotonic() < end:
                    time.sleep(0.005)
            assert held.begun.wait(DEADLINE_S)
            return future

        yield asking
        held.go.set()


def present(predictions: Sequence[Prediction]) -> list[float]:
    return [score.present for prediction in predictions for score in prediction.scores.values()]


def test_what_waits_is_computed_together_and_everyone_gets_their_own_answers(
    ask: Callable[..., Future[list[Prediction]]], held: Held, model: LoadedModel
) -> None:
    asked = [ask(TEXTS[0]), ask(TEXTS[1]), ask(TEXTS[2], TEXTS[3]), ask(TEXTS[4])]
    held.go.set()
    answers = [future.result(DEADLINE_S) for future in asked]
    assert [len(texts) for texts in held.calls] == [1, 4]
    assert [len(found) for found in answers] == [1, 1, 2, 1]
    alone = classify(model, TEXTS[:5])
    assert present([each for found in answers for each in found]) == pytest.approx(present(alone), abs=1e-5)


def test_a_text_that_cannot_be_read_is_its_own_callers_matter(
    ask: Callable[..., Future[list[Prediction]]], held: Held
) -> None:
    first, bad, good = ask(TEXTS[0]), ask(" "), ask(TEXTS[1])
    held.go.set()
    with pytest.raises(InvalidText):
        bad.result(DEADLINE_S)
    assert len(first.result(DEADLINE_S)) == len(good.result(DEADLINE_S)) == 1


def test_a_failure_of_the_joint_computation_is_tried_again_alone(
    ask: Callable[..., Future[list[Prediction]]], held: Held
) -> None:
    held.failing = True
    asked = [ask(text) for text in TEXTS[:4]]
    held.go.set()
    outcomes = [future.exception(DEADLINE_S) for future in asked]
    assert sum(outcome is None for outcome in outcomes) == 3  # the one who computed for all was refused
    assert [len(texts) for texts in held.calls] == [1, 3, 1, 1]


def test_who_does_not_want_an_answer_any_more_gets_none_and_the_others_theirs(
    ask: Callable[..., Future[list[Prediction]]], held: Held
) -> None:
    gone = threading.Event()
    first, leaving = ask(TEXTS[0]), ask(TEXTS[1], stop=gone.is_set)
    gone.set()
    held.go.set()
    assert first.result(DEADLINE_S)
    with pytest.raises(Cancelled):
        leaving.result(DEADLINE_S)


def test_requests_of_different_models_are_not_mixed(
    ask: Callable[..., Future[list[Prediction]]], held: Held, tmp_path: Path
) -> None:
    other = load_checkpoint(tiny.classifier_folder(tmp_path / "other", seed=1))
    asked = [ask(TEXTS[0]), ask(TEXTS[1]), ask(TEXTS[2], of=other), ask(TEXTS[3])]
    held.go.set()
    versions = [future.result(DEADLINE_S)[0].model_version.partition("@")[0] for future in asked]
    assert versions == ["tiny", "tiny", "other", "tiny"]


def test_a_large_request_goes_alone(held: Held, model: LoadedModel) -> None:
    held.go.set()
    assert len(Joiner().classify(model, TEXTS * 2, max_chars=1000, stop=never)) == 12
    assert Joiner().classify(model, [], max_chars=1000, stop=never) == []

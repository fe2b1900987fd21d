"""The public API as `gradio_client` sees it: what there is, what it answers, what it refuses."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from medbertde.services import Services
from tests.launch import XRAY, launched

TEXT = "Kein Nachweis eines Pneumothorax, kleiner Erguss links."


pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # gradio_client leaves event loops open


@pytest.fixture(scope="module", autouse=True)
def event_loops_left_open() -> Iterator[None]:
    """Collect what `gradio_client` left here, or its warnings would fail a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, tiny_mlm_folder: Path, tiny_classifier_folder: Path
) -> Iterator[tuple[Services, str]]:
    models = {"fill_mask": str(tiny_mlm_folder), XRAY: str(tiny_classifier_folder)}
    with launched(tmp_path_factory.mktemp("api"), models) as running:
        yield running


@pytest.fixture(scope="module")
def services(running: tuple[Services, str]) -> Services:
    return running[0]


@pytest.fixture
def client(running: tuple[Services, str]) -> Iterator[Client]:
    with connected(running[1]) as client:
        yield client


@contextmanager
def connected(url: str) -> Iterator[Client]:
    client = Client(url, verbose=False)
    yield client
    client.close()


def refused(client: Client, *arguments: object, api_name: str) -> str:
    """The sentence of a refusal."""
    with pytest.raises(AppError) as raised:
        client.predict(*arguments, api_name=api_name)
    return str(raised.value)


def test_the_public_endpoints_are_exactly_these(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == {"/classify", "/fill_mask", "/explain", "/deidentify"}
    assert described["unnamed_endpoints"] == {}


def test_classify_answers_with_scores_states_and_the_model_version(client: Client, services: Services) -> None:
    answer = client.predict(TEXT, XRAY, api_name="/classify")
    expected = services.runtime.classify(XRAY, [TEXT])[0]
    assert answer["model_version"] == expected.model_version
    assert answer["scores"]["Erguss"]["present"] == pytest.approx(expected.scores["Erguss"].present, abs=1e-6)
    assert set(answer["states"].values()) <= {"present", "uncertain", "absent", None}
    assert answer["warnings"] == []


def test_fill_mask_answers_with_the_likeliest_words_first(client: Client) -> None:
    found = client.predict("Kein [MASK] eines Pneumothorax.", 3, api_name="/fill_mask")
    assert len(found) == 3
    assert found[0]["probability"] >= found[1]["probability"] >= found[2]["probability"]
    assert found[0]["text"] == f"Kein {found[0]['word']} eines Pneumothorax."


def test_explain_answers_with_spans_of_the_text(client: Client) -> None:
    answer = client.predict(TEXT, "Erguss", XRAY, api_name="/explain")
    assert [TEXT[word["start"] : word["end"]] for word in answer["words"]] == [word["text"] for word in answer["words"]]
    assert {"method", "baseline", "steps", "delta", "relative_delta", "model_version"} <= set(answer)


def test_refusals_say_in_both_languages_what_was_expected_and_found(client: Client) -> None:
    assert refused(client, "", XRAY, api_name="/classify") == (
        "Der Text ist leer. Bitte einen Befundtext eingeben. / The text is empty. Please enter a report."
    )
    assert "20.799 Zeichen" in refused(client, "Kein Erguss. " * 1_600, XRAY, api_name="/classify")
    assert "unlesbare Zeichen" in refused(client, "Kein\x00Erguss", XRAY, api_name="/classify")
    assert "found was “list”" in refused(client, [TEXT], XRAY, api_name="/classify")
    assert "kein Modell aktiv" in refused(client, TEXT, "chest_ct", api_name="/classify")
    assert "gehört nicht zum Schema chest_xray" in refused(client, TEXT, "Schnupfen", XRAY, api_name="/explain")
    assert "0 Lücken" in refused(client, TEXT, 5, api_name="/fill_mask")
    assert "verlangt sind 0" in refused(client, "Kein [MASK].", 0, api_name="/fill_mask")
    assert "A whole number is expected" in refused(client, "Kein [MASK].", "viele", api_name="/fill_mask")


def test_deidentify_answers_with_the_text_without_persons_and_what_was_replaced(client: Client) -> None:
    answer = client.predict("Frau Gerda Kasulke, geb. 3.4.1956, am 12.03.2024.", "birth", api_name="/deidentify")
    assert answer["text"] == "Frau [PATIENT], geb. [GEBURTSDATUM], am 12.03.2024."
    assert [(span["kind"], span["start"]) for span in answer["spans"]] == [("patient", 5), ("birth", 25)]
    assert "noch einmal lesen" in answer["warnings"][0]
    assert "Allowed for dates: birth, all, shift." in refused(client, "Kein Erguss.", "keine", api_name="/deidentify")


def test_where_the_policy_demands_it_a_text_with_a_name_is_answered_only_when_confirmed(
    tmp_path: Path, tiny_classifier_folder: Path, tiny_mlm_folder: Path
) -> None:
    models = {XRAY: str(tiny_classifier_folder), "fill_mask": str(tiny_mlm_folder)}
    text, gap = "Befund an Frau Dr. Wehmeier: kein Erguss.", "Frau Dr. Tannhofer: kein [MASK]."
    with launched(tmp_path, models, deidentification="confirm") as (services, url), connected(url) as client:
        said = refused(client, text, XRAY, api_name="/classify")
        assert "1 Stelle, die eine Person erkennbar machen könnte: 1 Name. Er wurde deshalb noch nicht" in said
        assert "Wehmeier" not in said
        assert "1 name" in refused(client, text, "Erguss", XRAY, api_name="/explain")
        assert "1 name" in refused(client, gap, 3, api_name="/fill_mask")
        assert "1 name" in refused(client, text, XRAY, "true", api_name="/classify"), "only a plain true counts"
        assert client.predict(text, XRAY, True, api_name="/classify")["model_version"]
        assert client.predict(text, "Erguss", XRAY, api_name="/explain")["words"], "what was let through stays so"
        assert len(client.predict(gap, 3, True, api_name="/fill_mask")) == 3
        on_record = services.accounts.audit(services.access.operator(), limit=9)
    assert [(entry.action, dict(entry.facts)) for entry in on_record][:2] == [("read_identifying", {"doctor": 1})] * 2


def test_nothing_is_answered_before_the_terms_are_accepted(tmp_path: Path, tiny_mlm_folder: Path) -> None:
    with (
        launched(tmp_path, {"fill_mask": str(tiny_mlm_folder)}, terms_accepted=False) as (_, url),
        connected(url) as client,
    ):
        assert "Nutzungsbedingungen" in refused(client, "Kein [MASK].", 5, api_name="/fill_mask")


def test_several_clients_at_once_get_their_own_answers(running: tuple[Services, str]) -> None:
    services, url = running
    texts = [" ".join(words) for words in permutations(("Kein", "Erguss", "links", "Stauung"))]
    expected = [services.runtime.classify(XRAY, [text])[0].scores["Erguss"].present for text in texts]
    assert len(set(expected)) > 12

    def ask(part: list[str]) -> list[float]:
        with connected(url) as client:
            return [client.predict(text, XRAY, api_name="/classify")["scores"]["Erguss"]["present"] for text in part]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, [texts[start::6] for start in range(6)]))
    for start, found in enumerate(answers):
        assert found == pytest.approx(expected[start::6], abs=1e-5)

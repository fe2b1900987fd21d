"""What the server keeps of a page that somebody had open: nothing that they typed or read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client

from medbertde.services import open_services
from medbertde.settings import Settings
from medbertde.ui import page_sessions
from medbertde.ui.layout import build_page
from medbertde.ui.server import running
from tests.launch import XRAY, free_port

TEXT = "Kein Nachweis eines Pneumothorax, kleiner Randwinkelerguss links."


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_classifier_folder: Path) -> Iterator[tuple[gr.Blocks, str]]:
    settings = Settings(var=tmp_path_factory.mktemp("sessions"), port=free_port(), profile="local")
    services = open_services(settings, shipped={XRAY: str(tiny_classifier_folder)})
    services.access.accept_terms(services.access.operator())
    page = build_page(services)
    with running(page, services) as url:
        yield page, url
    services.database.close()


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in (*value.keys(), *value.values()):
            yield from texts(each)
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from texts(each)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # gradio_client leaves event loops open
def test_a_session_keeps_neither_a_copy_of_the_page_nor_the_report_that_was_asked_about(
    served: tuple[gr.Blocks, str],
) -> None:
    page, url = served
    client = Client(url, verbose=False)
    answer = client.predict(TEXT, XRAY, False, api_name="/classify")
    client.close()
    assert answer["scores"]
    (session,) = page.app.state_holder.session_data.values()
    assert session.config_values == {}
    assert not any("Pneumothorax, kleiner" in text for text in texts(vars(session)))


def test_of_many_sessions_the_one_used_longest_ago_is_forgotten(
    served: tuple[gr.Blocks, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = served[0].app.state_holder
    assert holder.capacity == page_sessions.MOST
    monkeypatch.setattr(holder, "capacity", 3)
    for name in "abcd":
        assert holder[name] is holder[name]
    assert list(holder.session_data) == ["b", "c", "d"]


def test_a_state_is_kept_from_one_event_to_the_next(served: tuple[gr.Blocks, str]) -> None:
    page = served[0]
    number, state = next((number, block) for number, block in page.blocks.items() if isinstance(block, gr.State))
    session = page.app.state_holder["state"]
    assert session[number] == state.value
    session[number] = "kept"
    assert page.app.state_holder["state"][number] == "kept"
    assert session.config_values == {}

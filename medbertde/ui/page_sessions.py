"""What Gradio keeps of each open page: the values of its `gr.State`s and nothing more.

Gradio would copy the whole page for every session and write into the copy what its user types and reads, so that a
"deep link" can bring it back: half a megabyte and the text of a report for each of the last 10,000 sessions. There are
no deep links here, and a session takes 14 kB. Knows no user and no model.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

MOST = 2_000  # sessions that are kept; the one that was used longest ago goes first


def keep_little(page: gr.Blocks) -> None:
    """Let a page that is about to be served keep its sessions this way."""
    page.state_session_capacity = MOST
    page.app.state_holder = _Sessions()
    page.app.state_holder.set_blocks(page)


class _Sessions(StateHolder):
    """As Gradio's, with small sessions."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _Session(self.blocks)
        return super().__getitem__(session_id)


class _Session(SessionState):
    """As Gradio's, without the copy of the page."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Nothing to bring up to date."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing to bring up to date."""

"""Cards: parts of the page that draw themselves from JSON, because no Gradio component shows them well.

A card is a `gr.HTML` with a fixed frame. Its script (`cards/<name>.js`) builds the content with DOM calls and sets text
as text only, so nothing in a report can become markup. `cards/dom.js` is shared by all, `cards/text.js` by those in
which words are marked. A card that is more than one file of script has its parts in `cards/<name>/`; they share one
scope and come before `cards/<name>.js`, which starts them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent / "cards"
MARKING = frozenset({"annotate", "review"})  # the cards in which words are marked


class Card(gr.HTML):
    """A card named after its files. `value` is a JSON object; the script re-draws whenever it changes."""

    def __init__(self, name: str, value: dict[str, Any] | None = None, **properties: Any) -> None:
        """`name` is the stem of the files in `cards/`; `properties` go to `gr.HTML` (events, server functions)."""
        json_value: Any = value  # gr.HTML passes any JSON value on to the script
        super().__init__(
            json_value,
            html_template=f'<div class="mb-card mb-{name}" data-card="{name}"></div>',
            js_on_load=_script(name),
            apply_default_css=False,
            **properties,
        )

    def get_block_name(self) -> str:
        """The front end knows this component as its parent."""
        return "html"


@cache
def _script(name: str) -> str:
    shared = ["dom.js", *(["text.js"] if name in MARKING else [])]
    files = [*(FOLDER / file for file in shared), *sorted((FOLDER / name).glob("*.js")), FOLDER / f"{name}.js"]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def styles() -> str:
    """The style sheets of the page and of all cards, in alphabetical order."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.css")))

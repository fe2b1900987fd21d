"""Two languages for one page: texts beside the components they belong to, switched in one event.

Owns no wording itself; each tab writes its own where it uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import Block

_FIRST_ARGUMENT: dict[Any, str] = {gr.Tab: "label", gr.Accordion: "label", gr.UploadButton: "label"} | dict.fromkeys(
    (gr.Radio, gr.Dropdown), "choices"
)
Made = TypeVar("Made", bound=Block)


@dataclass(frozen=True)
class Text:
    """One wording in German and English."""

    de: str
    en: str

    def say(self, language: str) -> str:
        """The wording in `language`."""
        return self.en if language == "en" else self.de


class Words:
    """Builds components with `Text` arguments and can say them all again in the other language."""

    def __init__(self, language: str = "de") -> None:
        self.language = language
        self._updates: list[tuple[Block, Callable[[str], Any]]] = []

    def __call__(self, kind: Callable[..., Made], *args: Any, **properties: Any) -> Made:
        """Construct `kind`; every `Text` among the arguments, also inside lists and pairs, follows the language."""
        component = kind(*_said(args, self.language), **_said(properties, self.language))
        spoken = {name: value for name, value in properties.items() if _has_text(value)}
        if args and _has_text(args[0]):
            spoken[_FIRST_ARGUMENT.get(kind, "value")] = args[0]
        if spoken:
            self.on_language(component, lambda language: gr.update(**_said(spoken, language)))
        return component

    def on_language(self, component: Block, update: Callable[[str], Any]) -> None:
        """Have `update(language)` applied to `component` on a switch, for what is more than a wording."""
        self._updates.append((component, update))

    @property
    def components(self) -> list[Block]:
        """All components that follow the language, in the order of `updates`."""
        return [component for component, _ in self._updates]

    def updates(self, language: str) -> list[Any]:
        """One update per component."""
        return [update(language) for _, update in self._updates]


def _has_text(value: Any) -> bool:
    """Whether there is a `Text` in `value`."""
    if isinstance(value, dict):
        return any(map(_has_text, value.values()))
    return isinstance(value, Text) or (isinstance(value, list | tuple) and any(map(_has_text, value)))


def _said(value: Any, language: str) -> Any:
    """`value` with every `Text` in it as a string."""
    if isinstance(value, Text):
        return value.say(language)
    if isinstance(value, dict):
        return {name: _said(item, language) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_said(item, language) for item in value)
    return value


def counted(count: int, one: Text, many: Text) -> Text:
    """A number with what it counts.

    >>> rows = Text("Zeile", "row"), Text("Zeilen", "rows")
    >>> counted(1, *rows).de, counted(2000, *rows).de
    ('1 Zeile', '2.000 Zeilen')
    """
    noun, number = one if count == 1 else many, f"{count:,}"
    return Text(f"{number.replace(',', '.')} {noun.de}", f"{number} {noun.en}")


def signed(language: str, value: float, digits: int) -> str:
    """A number with its sign, as the language writes it.

    >>> signed("de", -0.1234, 2)
    '−0,12'
    """
    return decimal(language, f"{value:+.{digits}f}".replace("-", "−"))


def decimal(language: str, number: str) -> str:
    """A formatted number with the language's decimal sign."""
    return number.replace(".", ",") if language == "de" else number

"""What a request and its answer name: sessions, events, uploads, files and functions of the page.

Reads names and says whether they can be any; whose they are is in `belongings`, what is refused in `guard`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gradio.block_function import BlockFunction
from gradio.utils import get_upload_folder

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # Gradio makes letters, digits and hyphens
_LONGEST_PATH = 4096


def is_name(name: object) -> bool:
    r"""Whether this can be the name of a session, an event or an upload. Half a character would stop Gradio's queue.

    >>> is_name("0f4kzq1c2b"), is_name("\ud800"), is_name("")
    (True, False, False)
    """
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def paths(value: Any) -> Iterator[str]:
    """Every `path` in a JSON value, as Gradio names files."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("path"), str):
                yield each["path"]
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def whole(path: str) -> str:
    """The file that a path leads to; empty where there can be none (NUL, half a character, longer than a path is)."""
    try:
        return os.path.realpath(path) if len(path) <= _LONGEST_PATH else ""
    except ValueError:
        return ""


def cache() -> str:
    """The folder where Gradio keeps uploads and downloads."""
    return os.path.realpath(get_upload_folder()) + os.sep


def is_answerable(functions: Mapping[int, BlockFunction], sent: Mapping[str, Any], api_name: str | None) -> bool:
    """Whether a question names a function of the page and brings at least what that takes.

    A question through `/call/{api_name}` may leave out the states, which the page alone has.
    """
    number, data = sent.get("fn_index"), sent.get("data")
    if api_name:
        asked = next((one for one in functions.values() if one.api_name == api_name), None)
    else:
        asked = functions.get(number) if type(number) is int else None
    if asked is None or not isinstance(data, list):
        return False
    spoken = sum(not block.skip_api for block in asked.inputs)
    return len(data) >= len(asked.inputs) or (api_name is not None and len(data) == spoken)

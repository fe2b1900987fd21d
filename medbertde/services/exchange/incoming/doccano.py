"""What doccano exports as JSONL: spans as ``[start, end, name]`` or as `entities`, classes as a list of names.

doccano counts positions in code points, as this project does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medbertde.services.exchange.incoming.table import fault
from medbertde.types import Notice

_LABELS = ("label", "labels")
NO_ENTITIES = fault(
    "Das Feld „entities“ ist keine Liste von Textstellen, wie doccano sie schreibt.",
    "The field “entities” is no list of spans as doccano writes it.",
)


def is_doccano(raw: Mapping[str, Any]) -> bool:
    """Whether a row looks like doccano's: a list of labels, or entities with offsets.

    >>> is_doccano({"text": "Kein Erguss.", "label": [[5, 11, "Erguss"]]}), is_doccano({"text": "x", "labels": {}})
    (True, False)
    """
    if isinstance(raw.get("entities"), list):
        return all(isinstance(item, dict) and "start_offset" in item for item in raw["entities"])
    return any(_is_spans(raw.get(name)) or _is_names(raw.get(name)) for name in _LABELS if raw.get(name))


def from_doccano(raw: Mapping[str, Any]) -> dict[str, Any] | Notice:
    """The row with `labels` (a list of names) and `rationales`, as the other formats have them, or what is wrong."""
    row = dict(raw)
    entities = row.pop("entities", None) or []
    if not isinstance(entities, list) or not all(isinstance(item, dict) for item in entities):
        return NO_ENTITIES
    spans, names = [], []
    for field in _LABELS:
        if not isinstance(row.get(field), list):
            continue
        for item in row.pop(field):
            if _is_span(item):
                spans.append({"label": item[2], "start": item[0], "end": item[1]})
            else:
                names.append(item)
    for item in entities:
        spans.append({"label": item.get("label"), "start": item.get("start_offset"), "end": item.get("end_offset")})
    row.pop("relations", None)
    comments = row.pop("Comments", None) or row.pop("comments", None)
    if isinstance(comments, list) and comments:
        row["comments"] = " / ".join(map(str, comments))
    if spans:
        row["rationales"] = spans
    if names:
        row["labels"] = names
    return row


def _is_span(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 3 and all(isinstance(one, int) for one in item[:2])


def _is_spans(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_span, value))


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)

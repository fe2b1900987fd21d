"""What Label Studio exports: JSON (tasks with annotations) and JSON-MIN (one flat object per annotation).

Choices become findings, label regions become rationales. Of several annotations of one task the last one that was not
cancelled counts. A choice that is itself a word for a state (“present”) belongs to the control's name; any other choice
is the name of a finding that is present.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medbertde.services.exchange.incoming.table import SCANNED_ROWS, NumberedRow, Table, fault
from medbertde.services.exchange.incoming.value_words import is_word
from medbertde.types import Notice

_OF_LABEL_STUDIO = frozenset({"annotation_id", "lead_time", "annotations", "completions"})
_NOT_DATA = frozenset({"created_at", "updated_at", "lead_time", "annotation_id"})
_REGIONS = ("labels", "hypertextlabels")
NO_TASK = fault(
    "Die Aufgabe hat nicht den Aufbau eines Exports aus Label Studio (es fehlt „data“).",
    "The task is not built like an export of Label Studio (“data” is missing).",
)
NO_ANNOTATIONS = fault(
    "Die Aufgabe hat nicht den Aufbau eines Exports aus Label Studio („annotations“ oder „result“ ist keine Liste).",
    "The task is not built like an export of Label Studio (“annotations” or “result” is no list).",
)


def read_label_studio(items: Sequence[Any]) -> Table | None:
    """The table of an export of Label Studio; None when the list is something else."""
    objects = [item for item in items[:SCANNED_ROWS] if isinstance(item, dict)]
    if not any(_OF_LABEL_STUDIO & item.keys() for item in objects):
        return None
    of_tasks = any(isinstance(item.get("data"), dict) for item in objects)
    read = _from_task if of_tasks else _from_flat

    def rows() -> Iterator[NumberedRow]:
        for number, item in enumerate(items, start=1):
            usable = isinstance(item, dict) and (not of_tasks or isinstance(item.get("data"), dict))
            yield number, read(item) if usable else NO_TASK

    columns = dict.fromkeys(name for _, row in zip(range(SCANNED_ROWS), rows(), strict=False) for name in _names(row))
    return Table("label_studio" if of_tasks else "label_studio_min", tuple(columns), rows, len(items))


def _names(row: tuple[int, Any]) -> Sequence[str]:
    return tuple(row[1]) if isinstance(row[1], dict) else ()


def _from_task(task: Mapping[str, Any]) -> dict[str, Any] | Notice:
    row = dict(task["data"])
    if "id" not in row and task.get("id") is not None:
        row["task"] = str(task["id"])
    annotations = task.get("annotations") or task.get("completions") or []
    annotation = _last(annotations) if isinstance(annotations, list) else None
    regions = None if annotation is None else annotation.get("result") or []
    if annotation is None or not isinstance(regions, list):
        return NO_ANNOTATIONS
    labels: dict[str, str] = {}
    spans: list[dict[str, Any]] = []
    for region in regions:
        value = region.get("value") if isinstance(region, dict) else None
        if not isinstance(value, dict):
            continue
        labels |= _choices(str(region.get("from_name", "")), value.get("choices"))
        spans += [{**span, "source": _source(region)} for span in _spans(value)]
    return row | _found(labels, spans) | _who(annotation)


def _last(annotations: list[Any]) -> Mapping[str, Any]:
    valid = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
    return max(valid, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""), default={})


def _from_flat(item: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    labels: dict[str, str] = {}
    spans: list[dict[str, Any]] = []
    for name, value in item.items():
        if name in _NOT_DATA:
            continue
        if isinstance(value, dict) and "choices" in value:
            labels |= _choices(name, value["choices"])
        elif isinstance(value, list) and value and all(map(_is_region, value)):
            spans += [span for one in value for span in _spans(one)]
        else:
            row[name] = value
    return row | _found(labels, spans) | _who(item)


def _is_region(item: Any) -> bool:
    return isinstance(item, dict) and "start" in item and any(kind in item for kind in _REGIONS)


def _choices(control: str, choices: Any) -> dict[str, str]:
    """What was chosen, as {finding: state}.

    >>> _choices("Erguss", ["absent"]), _choices("findings", ["Erguss", "Stauung"])
    ({'Erguss': 'absent'}, {'Erguss': 'present', 'Stauung': 'present'})
    """
    given = [choices] if isinstance(choices, str) else choices if isinstance(choices, list) else []
    return {control if is_word(one) else str(one): str(one) if is_word(one) else "present" for one in given}


def _spans(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One rationale per label of a region; `text` lets the offsets be checked against the report."""
    names: list[Any] = next((value[kind] for kind in _REGIONS if isinstance(value.get(kind), list)), [])
    return [
        {"label": str(name), "start": value.get("start"), "end": value.get("end"), "quote": value.get("text")}
        for name in names
    ]


def _source(region: Mapping[str, Any]) -> Any:
    """How the mark came about, where the file is our own export: Label Studio hands on what stands in `meta`."""
    meta = region.get("meta")
    return meta.get("source") if isinstance(meta, dict) else None


def _found(labels: dict[str, str], spans: list[dict[str, Any]]) -> dict[str, Any]:
    return ({"labels": labels} if labels else {}) | ({"rationales": spans} if spans else {})


def _who(annotation: Mapping[str, Any]) -> dict[str, str]:
    """Who annotated, where the file says so: a number, an address or an object with one."""
    who = annotation.get("completed_by", annotation.get("annotator"))
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return {"annotator": str(who)} if isinstance(who, str | int) and who != "" else {}

"""Label Studio: tasks with annotations as JSON, and the labelling interface that belongs to them as XML.

Each finding is a choice of its own with the three states; rationales are label regions. Both can be imported here
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from medbertde.schema import Kind, Schema
from medbertde.services.exchange.outgoing.rows import provenance_of
from medbertde.store.exports import ExportedReport
from medbertde.terms import RESEARCH_ONLY
from medbertde.types import Rationale, Source, State

TEXT, REGIONS = "text", "rationales"
# Label Studio's own words for how a region came about; it keeps what stands in `meta` besides.
_ORIGINS = {
    Source.HUMAN: "manual",
    Source.SUGGESTION_ACCEPTED: "prediction",
    Source.SUGGESTION_CHANGED: "prediction-changed",
}


def task_lines(reports: Iterable[ExportedReport], schema: Schema) -> Iterator[str]:
    """One task per line, all together a JSON list."""
    before = "[\n"
    for report in reports:
        yield before + json.dumps(_task(report, schema), ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def interface(schema: Schema) -> str:
    """The labelling interface for a project in Label Studio that takes these tasks in."""
    regions = "\n".join(f'    <Label value="{label.id}" background="{label.colour}"/>' for label in schema.labels)
    choices = "".join(_choice(label.id, label.name["de"]) for label in schema.labels)
    return (
        f"<!-- {RESEARCH_ONLY} -->\n<View>\n"
        f'  <Labels name="{REGIONS}" toName="{TEXT}">\n{regions}\n  </Labels>\n'
        f'  <Text name="{TEXT}" value="$text"/>\n{choices if schema.kind is Kind.FINDINGS else ""}</View>\n'
    )


def _choice(label: str, name: str) -> str:
    states = "".join(f'<Choice value="{state.value}"/>' for state in State)
    return (
        f"  <Header value={quoteattr(name)}/>\n"
        f'  <Choices name="{label}" toName="{TEXT}" choice="single-radio" showInline="true">{states}</Choices>\n'
    )


def _task(report: ExportedReport, schema: Schema) -> dict[str, Any]:
    regions = [
        *(_region(label, "choices", {"choices": [state.value]}) for label, state in report.labels.items()),
        *(_marked(report.text, span) for span in report.rationales),
    ]
    data = {"text": report.text, "id": report.key, "modality": report.modality, "meta": dict(report.meta)}
    return {
        "data": data | provenance_of(report, schema) | {"use": RESEARCH_ONLY},
        "annotations": [{"result": [{**region, "id": f"r{number}"} for number, region in enumerate(regions)]}],
    }


def _marked(text: str, span: Rationale) -> dict[str, Any]:
    place = {"start": span.start, "end": span.end, "text": text[span.start : span.end]}
    region = _region(REGIONS, "labels", {**place, "labels": [span.label]})
    if span.source in _ORIGINS:
        region["origin"] = _ORIGINS[span.source]
    return region | ({"meta": {"source": span.source.value}} if span.source else {})


def _region(control: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": control, "to_name": TEXT, "type": kind, "value": value}

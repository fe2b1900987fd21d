"""An explanation as a file: a web page that stands alone, a table, or JSON. Pure functions from answers to text.

The page holds no script and asks no other host; all text of the report is escaped.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any

from medbertde.report_file import is_formula
from medbertde.terms import RESEARCH_ONLY
from medbertde.types import Attribution, NotFound
from medbertde.ui.evidence_view import evidence_value
from medbertde.ui.findings import Shown
from medbertde.ui.sentences import sentences_of

COLUMNS: tuple[str, ...] = (
    *("finding", "state", "unit", "start", "end", "text", "score", "share", "own_score", "method", "baseline", "steps"),
    *("convergence_delta", "relative_delta", "probability", "model", "use"),
)
STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; color: #1e293b; background: #fff; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.2rem; } h2 { font-size: 1rem; } .note { border-left: 3px solid #a16207; padding-left: 12px; }
.report { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #cbd5e1; border-radius: 8px; padding: 12px 14px; }
.value { font-size: 0.75rem; color: #56657a; margin-left: 4px; } .scale { padding: 1px 6px; border-radius: 3px; }
table { border-collapse: collapse; font-size: 0.9rem; } td, th { padding: 3px 12px 3px 0; text-align: left; vertical-align: top; }
td:first-child { font-variant-numeric: tabular-nums; white-space: nowrap; } dl { font-size: 0.85rem; } dt { color: #56657a; } dd { margin: 0; }
"""  # noqa: E501
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class File:
    """What the browser saves."""

    name: str
    type: str
    content: str


def explanation_file(language: str, shown: Shown | None, kind: str) -> File:
    """The explanation on the screen as a file of this kind: html, csv or json."""
    if shown is None or (attribution := shown.attribution) is None or kind not in _KINDS:
        raise NotFound(
            "Es gibt noch keine Erklärung zum Speichern. Bitte zuerst einen Befund wählen.",
            "There is no explanation to save yet. Please choose a finding first.",
        )
    media, write = _KINDS[kind]
    return File(f"medbertde_{attribution.label}.{kind}", media, write(language, shown, attribution))


def _json(_language: str, _shown: Shown, attribution: Attribution) -> str:
    known = asdict(attribution)
    known["warnings"] = [notice.code for notice in attribution.warnings]
    return json.dumps({"use": RESEARCH_ONLY, **known}, ensure_ascii=False, indent=1)


def _csv(_language: str, _shown: Shown, attribution: Attribution) -> str:
    buffer = io.StringIO("\ufeff")  # without a byte-order mark Excel misreads the umlauts of a table
    buffer.seek(1)
    table = csv.writer(buffer)
    table.writerow(COLUMNS)
    for unit, start, end, score, share, own in _rows(attribution):
        text = attribution.text[start:end]
        table.writerow(
            [
                *(attribution.label, attribution.target, unit, start, end),
                f"'{text}" if is_formula(text) else text,
                *(f"{score:.6g}", _number(share), _number(own)),
                *(attribution.method, attribution.baseline, attribution.steps, f"{attribution.delta:.6g}"),
                *(f"{attribution.relative_delta:.6g}", f"{attribution.probability:.6g}", attribution.model_version),
                RESEARCH_ONLY,
            ]
        )
    return buffer.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _rows(attribution: Attribution) -> Iterator[tuple[str, int, int, float, float | None, float | None]]:
    """Each sentence followed by its words: unit, span, score, share of the report's score, score by itself."""
    for each in sentences_of(attribution):
        yield "sentence", each.start, each.end, each.score, each.share, each.own
        yield from (("word", word.start, word.end, word.score, None, None) for word in each.words or ())


# ---------------------------------------------------------------------------------------------- the page


def _html(language: str, shown: Shown, attribution: Attribution) -> str:
    value = evidence_value(language, shown)
    title, legend = escape(value["title"]), value["legend"]
    made = f"{datetime.now().astimezone():%d.%m.%Y %H:%M}" if language == "de" else f"{datetime.now():%d %b %Y %H:%M}"
    said = [*value["facts"], {"name": "medbertde", "value": made}]
    body = [
        f"<h1>{title}</h1>",
        f'<p class="note">{escape(RESEARCH_ONLY)}</p>',
        f"<div class='report' lang='de'>{''.join(map(_part, value['parts']))}</div>",
        f"<p>{_scale(legend['against'], -1)} {_scale(legend['for'], 1)}</p><p>{escape(legend['about'])}</p>",
        *(_side(side) for side in value["strongest"]),
        "".join(f'<p class="note">{escape(notice)}</p>' for notice in value["notices"]),
        f"<dl>{''.join(map(_fact, said))}</dl>",
    ]
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head = f'<meta charset="utf-8">{policy}<title>{title}</title><style>{STYLE}</style>'
    lines = "\n".join(body)
    return f'<!doctype html>\n<html lang="{language}"><head>{head}</head>\n<body>\n{lines}\n</body></html>\n'


def _part(part: Any) -> str:
    """A stretch of the report; in a sentence every word has its colour, and its value to point at."""
    if isinstance(part, str):
        return escape(part)
    value = f"<span class='value'>{escape(part['shown'])}</span>" if part["shown"] else ""
    return f"<span title='{escape(part['said'])}'>{''.join(map(_piece, part['pieces']))}</span>{value}"


def _piece(piece: Mapping[str, Any]) -> str:
    text = escape(piece["text"])
    if "tint" not in piece:
        return text
    return f"<span style='{_colour(piece['tint'])}' title='{escape(piece['shown'])}'>{text}</span>"


def _colour(tint: float) -> str:
    """The colours of the page, as they are on white."""
    rgb = "194,65,12" if tint > 0 else "37,99,171"
    return f"background:rgba({rgb},{0.55 * min(1.0, abs(tint)):.2f})"


def _scale(text: str, tint: int) -> str:
    return f'<span class="scale" style="{_colour(tint)}">{escape(text)}</span>'


def _fact(fact: Mapping[str, str]) -> str:
    return f"<dt>{escape(fact['name'])}</dt><dd>{escape(fact['value'])}</dd>"


def _side(side: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each['shown'])}</td><td>{escape(each['text'])}</td></tr>"
        for each in (*side["sentences"], *side["words"])
    )
    return f"<h2>{escape(side['title'])}</h2><table>{rows}</table>"


_KINDS: Mapping[str, tuple[str, Callable[[str, Shown, Attribution], str]]] = {
    "html": ("text/html;charset=utf-8", _html),
    "csv": ("text/csv;charset=utf-8", _csv),
    "json": ("application/json;charset=utf-8", _json),
}

"""The tab "Klassifikation": a report in, its findings by state, and the words that speak for or against one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from medbertde.schema import Label, Schema, load_schema
from medbertde.services import Services
from medbertde.text import decode
from medbertde.types import Attribution, InvalidFile, LabelScore, Prediction, State
from medbertde.ui.card import Card
from medbertde.ui.view import caller, refusals
from medbertde.ui.words import Text, Words

STATES = {
    State.PRESENT: Text("vorhanden", "present"),
    State.UNCERTAIN: Text("unsicher", "uncertain"),
    State.ABSENT: Text("verneint", "absent"),
    None: Text("nicht erwähnt", "not mentioned"),
}
EMPTY = Text("Die Befunde erscheinen hier.", "The findings appear here.")
NO_EVIDENCE = Text(
    "Wählen Sie einen Befund, um zu sehen, auf welche Wörter sich die Einschätzung stützt.",
    "Choose a finding to see which words the score rests on.",
)
METHODS = {"layer_integrated_gradients": "Layer Integrated Gradients"}


@dataclass(frozen=True)
class Shown:
    """The report that the findings on the screen belong to."""

    schema_id: str
    text: str
    prediction: Prediction
    chosen: str = ""


def findings_value(
    language: str, shown: Shown | None, thresholds: Mapping[str, float], schema: Schema | None
) -> dict[str, Any]:
    """What the findings card shows: groups by state, likeliest first."""
    if shown is None or schema is None:
        return {"empty": EMPTY.say(language)}
    groups: dict[State | None, list[dict[str, Any]]] = {state: [] for state in STATES}
    for label in schema.labels:
        score = shown.prediction.scores[label.id]
        state = score.state(thresholds[label.id])
        groups[state].append(_finding(language, label, score, state))
    return {
        "words": {state.value: STATES[state].say(language) for state in State},
        "chosen": shown.chosen,
        "groups": [
            {
                "title": name.say(language).capitalize(),
                "state": state.value if state else "none",
                "items": sorted(groups[state], key=lambda item: -item["shown"]),
            }
            for state, name in STATES.items()
        ],
    }


def _finding(language: str, label: Label, score: LabelScore, state: State | None) -> dict[str, Any]:
    """One row; a finding that is not mentioned shows its probability of being present."""
    return {
        "label": label.id,
        "name": label.name[language],
        "definition": label.definition[language],
        "state": state.value if state else "none",
        "present": score.present,
        "uncertain": score.uncertain,
        "absent": score.absent,
        "shown": getattr(score, state.value) if state else score.present,
    }


def evidence_value(language: str, attribution: Attribution | None, name: str = "", state: str = "") -> dict[str, Any]:
    """What the evidence card shows: the text in pieces, the strongest words, and how the numbers came about."""
    if attribution is None:
        return {"empty": NO_EVIDENCE.say(language)}
    largest = max((abs(word.score) for word in attribution.words), default=0.0) or 1.0
    strongest = sorted(attribution.words, key=lambda word: -abs(word.score))[:6]
    return {
        "title": Text(f"{name} – was für „{state}“ spricht", f"{name} – what speaks for “{state}”").say(language),
        "pieces": _pieces(attribution, largest),
        "legend": {
            "against": Text("spricht dagegen", "speaks against").say(language),
            "for": Text("spricht dafür", "speaks for").say(language),
        },
        "top": [{"text": word.text, "score": word.score} for word in strongest if abs(word.score) > 0.04 * largest],
        "facts": _facts(language, attribution),
        "notices": [notice.sentence(language) for notice in attribution.warnings],
    }


def _pieces(attribution: Attribution, largest: float) -> list[dict[str, Any]]:
    """The whole text as consecutive pieces; what lies between words has the score 0."""
    pieces, after = [], 0
    for word in attribution.words:
        if word.start > after:
            pieces.append({"text": attribution.text[after : word.start], "score": 0.0, "share": 0.0})
        shown = attribution.text[word.start : word.end]
        pieces.append({"text": shown, "score": word.score, "share": word.score / largest})
        after = word.end
    return [*pieces, {"text": attribution.text[after:], "score": 0.0, "share": 0.0}]


def _facts(language: str, attribution: Attribution) -> list[dict[str, str]]:
    number = f"{attribution.delta:+.3f} ({100 * attribution.relative_delta:.1f} %)"
    facts = {
        Text("Verfahren", "Method"): METHODS.get(attribution.method, attribution.method),
        Text("Ausgangspunkt", "Baseline"): attribution.baseline,
        Text("Rechenschritte", "Steps"): str(attribution.steps),
        Text("Konvergenzabweichung", "Convergence delta"): number.replace(".", ",") if language == "de" else number,
        Text("Modell", "Model"): attribution.model_version,
    }
    return [{"name": name.say(language), "value": value} for name, value in facts.items()]


def read_upload(path: str) -> str:
    """The text of an uploaded `.txt` file."""
    if Path(path).suffix.lower() != ".txt":
        raise InvalidFile("Bitte eine Textdatei (.txt) wählen.", "Please choose a text file (.txt).")
    return decode(Path(path).read_bytes())


def build(services: Services, words: Words, language: gr.Radio) -> None:
    """Layout, handlers, wiring."""
    schemas = services.reading.schemas()
    titles = [(Text(schema.title["de"], schema.title["en"]), schema.id) for schema in schemas]
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            schema = words(
                gr.Radio, titles, value=schemas[0].id, label=Text("Untersuchung", "Examination"), elem_id="read-schema"
            )
            text = words(
                gr.Textbox, label=Text("Befundtext", "Report"), lines=12, max_lines=24, elem_id="read-text",
                placeholder=Text("Befund hier einfügen …", "Paste a German report here …"),
            )  # fmt: skip
            example = words(
                gr.Dropdown, _examples(services, schemas[0].id), value=None, elem_id="read-example",
                label=Text("Fiktiven Beispielbefund wählen", "Choose a fictional example"),
            )  # fmt: skip
            with gr.Row():
                upload = words(
                    gr.UploadButton,
                    Text("Textdatei laden", "Load a text file"),
                    file_types=[".txt"],
                    min_width=120,
                    elem_id="read-upload",
                )
                run = words(
                    gr.Button, Text("Klassifizieren", "Classify"), variant="primary", min_width=160, elem_id="read-run"
                )
        with gr.Column(scale=4, min_width=320):
            note = gr.Markdown(visible=False, elem_id="read-note")
            findings = Card("findings", findings_value(words.language, None, {}, None), elem_id="read-findings")
    evidence = Card("evidence", evidence_value(words.language, None), elem_id="read-evidence")
    shown = gr.State(None)

    def draw(language: str, state: Shown | None) -> dict[str, Any]:
        if state is None:
            return findings_value(language, None, {}, None)
        return findings_value(
            language, state, services.reading.thresholds(state.schema_id), load_schema(state.schema_id)
        )

    @refusals
    def classify(language: str, schema_id: str, report: str, request: gr.Request) -> tuple[Any, ...]:
        user = services.access.identify(caller(request))
        prediction = services.reading.classify(user, schema_id, report)
        state = Shown(schema_id, report, prediction)
        remarks = "\n\n".join(notice.sentence(language) for notice in prediction.warnings)
        note = gr.update(value=remarks, visible=bool(remarks))
        return state, draw(language, state), evidence_value(language, None), note

    @refusals
    def explain(language: str, state: Shown | None, request: gr.Request, event: gr.EventData) -> tuple[Any, ...]:
        asked = event._data if isinstance(event._data, dict) else {}
        if state is None or asked.get("label") not in state.prediction.scores:
            return gr.skip(), gr.skip(), gr.skip()
        user = services.access.identify(caller(request))
        target = State(asked["state"]) if asked.get("state") in set(State) else State.PRESENT
        attribution = services.reading.explain(
            user,
            state.schema_id,
            state.text,
            asked["label"],
            state=target,
            model_version=state.prediction.model_version,
        )
        name = load_schema(state.schema_id).label(asked["label"]).name[language]
        chosen = Shown(state.schema_id, state.text, state.prediction, asked["label"])
        return chosen, draw(language, chosen), evidence_value(language, attribution, name, STATES[target].say(language))

    @refusals
    def load(language: str, path: str) -> str:
        return read_upload(path)

    def pick(schema_id: str, index: str | None) -> Any:
        return services.reading.example_reports(schema_id)[int(index)].text if index else gr.skip()

    def choices(language: str, schema_id: str) -> Any:
        named = [(title.say(language), value) for title, value in _examples(services, schema_id)]
        return gr.update(choices=named, value=None)

    def reset(language: str) -> tuple[Any, ...]:
        return None, findings_value(language, None, {}, None), evidence_value(language, None), gr.update(visible=False)

    answer = [shown, findings, evidence, note]
    private = {"api_visibility": "private", "show_progress": "hidden"}
    model = {"api_visibility": "private", "concurrency_id": "model", "show_progress": "minimal"}
    run.click(classify, [language, schema, text], answer, **model)
    findings.choose(explain, [language, shown], [shown, findings, evidence], **model)
    upload.upload(load, [language, upload], text, **private)
    schema.change(choices, [language, schema], example, **private).then(reset, language, answer, **private)
    example.input(pick, [schema, example], text, **private).then(classify, [language, schema, text], answer, **model)
    language.change(choices, [language, schema], example, **private).then(reset, language, answer, **private)


def _examples(services: Services, schema_id: str) -> list[tuple[Text, str]]:
    found = services.reading.example_reports(schema_id)
    return [(Text(example.title["de"], example.title["en"]), str(index)) for index, example in enumerate(found)]

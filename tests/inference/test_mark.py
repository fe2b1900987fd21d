"""Spans in texts: places in the NFC text, windows, confidence, the checkpoint's contract, and the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch

import medbertde
from medbertde.__main__ import main
from medbertde.inference import mark as marks
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.classify import classify
from medbertde.inference.explain import explain
from medbertde.inference.mark import mark
from medbertde.inference.rows import Cancelled
from medbertde.inference.runtime import Runtime
from medbertde.types import CheckpointRefused, InvalidText, ModelUnavailable, Task
from tests import tiny

TEXT = "V. a. Infiltrat rechts basal, kleiner Erguss links. ZVK 5 mm, Tubus in der Trachea."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger whose tags depend on the words: its random weights find many spans."""
    return tiny.tagger_folder(tmp_path_factory.mktemp("models") / "tiny-medication", seed=3)


class TestMark:
    def test_spans_are_places_of_whole_words_in_the_order_of_the_text(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        (marking,) = mark(model, [TEXT])
        assert len(marking.spans) > 2
        assert [span.start for span in marking.spans] == sorted(span.start for span in marking.spans)
        for span in marking.spans:
            assert span.label in ("Medikament", "Dosis", "Darreichung", "Frequenz", "Dauer", "Diagnose")
            assert 0 < span.confidence <= 1
            assert TEXT[span.start : span.end] == TEXT[span.start : span.end].strip()
            for inside, outside in ((span.start, span.start - 1), (span.end - 1, span.end)):
                assert not (TEXT[inside].isalpha() and TEXT[outside : outside + 1].isalpha()), "no word is cut"

    def test_places_count_code_points_of_the_nfc_text(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        composed, decomposed = "Größe normal, kein Erguss.", "  Gro\u0308\u00dfe normal, kein Erguss.\r\n"
        assert mark(model, [composed])[0].spans == mark(model, [decomposed])[0].spans

    def test_a_text_is_marked_alike_alone_and_among_others(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        texts = [TEXT, "Kein Erguss.", TEXT * 3]
        together = mark(model, texts)
        for text, one in zip(texts, together, strict=True):
            (alone,) = mark(model, [text])
            assert [(s.label, s.start, s.end) for s in one.spans] == [(s.label, s.start, s.end) for s in alone.spans]
            assert [s.confidence for s in one.spans] == pytest.approx([s.confidence for s in alone.spans], abs=1e-5)

    def test_a_long_text_is_marked_to_its_end_and_says_that_it_was_read_in_windows(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        long = " ".join([TEXT] * 8)
        (marking,) = mark(model, [long])
        assert "long_text" in [notice.code for notice in marking.warnings]
        assert marking.spans[-1].start > len(long) - len(TEXT)
        assert len({(span.start, span.end) for span in marking.spans}) == len(marking.spans), "no span twice"

    def test_no_text_no_answer_and_an_empty_text_is_refused(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        assert mark(model, []) == []
        with pytest.raises(InvalidText):
            mark(model, [" "])

    def test_it_stops_between_batches(self, folder: Path) -> None:
        with pytest.raises(Cancelled):
            mark(load_checkpoint(folder), [TEXT], stop=lambda: True)

    def test_without_memory_the_halves_are_computed_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = load_checkpoint(folder)
        texts = [TEXT, "Kein Erguss.", TEXT[:40]]
        expected = [[(s.label, s.start, s.end) for s in one.spans] for one in mark(model, texts)]
        plain, computed, most = marks._logits, [], 2

        def logits(model: LoadedModel, rows: Sequence[Sequence[int]]) -> torch.Tensor:
            computed.append(len(rows))
            if len(rows) > most:
                raise torch.OutOfMemoryError("no memory left")
            return plain(model, rows)

        monkeypatch.setattr(marks, "_logits", logits)
        assert [[(s.label, s.start, s.end) for s in one.spans] for one in mark(model, texts)] == expected
        assert computed == [3, 1, 2]
        most = 0
        with pytest.raises(ModelUnavailable, match="not even for half as many texts"):
            mark(model, texts)

    def test_models_of_other_tasks_are_refused_on_both_sides(self, folder: Path, tiny_classifier_folder: Path) -> None:
        tagger, classifier = load_checkpoint(folder), load_checkpoint(tiny_classifier_folder)
        with pytest.raises(ModelUnavailable, match="cannot mark spans"):
            mark(classifier, [TEXT])
        with pytest.raises(ModelUnavailable, match="cannot classify findings"):
            classify(tagger, [TEXT])
        with pytest.raises(ModelUnavailable, match="cannot classify findings"):
            explain(tagger, TEXT, "Dosis")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_architecture_marks(tmp_path: Path, family: tiny.Family) -> None:
    model = medbertde.load(str(tiny.tagger_folder(tmp_path / family, family=family)), device="cpu")
    (marking,) = model.mark([TEXT])
    assert marking.model_version == model.version
    assert all(TEXT[span.start : span.end] for span in marking.spans)


def test_the_running_app_can_exchange_it(folder: Path) -> None:
    runtime = Runtime("cpu")
    assert runtime.swap("medication", folder).version == runtime.versions()["medication"]
    with pytest.raises(CheckpointRefused, match="is made for “medication”"):
        runtime.swap("chest_xray", folder)


class TestContract:
    def test_a_checkpoint_names_its_task_schema_and_tags(self, folder: Path) -> None:
        model = load_checkpoint(folder)
        assert model.task is Task.NER
        assert model.schema is not None
        assert model.schema.id == "medication"
        assert model.outputs[:3] == ("O", "B-Medikament", "I-Medikament")
        assert model.span_temperature == 1.5

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (
                {"schema_id": "chest_xray", "schema_version": 1},
                "it marks spans, but the schema chest_xray has findings",
            ),
            ({"schema_version": 7}, "version 7 of the schema medication"),
            ({"schema_id": "gibt_es_nicht"}, "There is no schema"),
            ({"task": "classify"}, "names the task classify, the weights are for ner"),
            ({"temperatures": {"Dosis": 0}}, "no positive temperature for Dosis"),
        ],
    )
    def test_facts_that_do_not_fit_are_refused(self, tmp_path: Path, change: dict[str, Any], reason: str) -> None:
        changed = tiny.tagger_folder(tmp_path / "changed")
        rewrite(changed / "medbertde.json", lambda facts: {**facts, **change})
        with pytest.raises(CheckpointRefused, match=reason):
            load_checkpoint(changed)

    def test_tags_in_another_order_are_refused(self, tmp_path: Path) -> None:
        changed = tiny.tagger_folder(tmp_path / "changed")

        def turned(config: dict[str, Any]) -> dict[str, Any]:
            names = list(reversed(config["id2label"].values()))
            return {**config, "id2label": {str(at): name for at, name in enumerate(names)}}

        rewrite(changed / "config.json", turned)
        with pytest.raises(CheckpointRefused, match="are not O and B and I of each of the 6 labels"):
            load_checkpoint(changed)


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


class TestPredict:
    @pytest.fixture(autouse=True)
    def accepted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDBERTDE_VAR", str(tmp_path / "var"))
        monkeypatch.setenv("LANG", "en_US.UTF-8")
        assert main(["terms", "--accept"]) == 0

    @pytest.fixture
    def reports(self, tmp_path: Path) -> Path:
        path = tmp_path / "briefe.jsonl"
        lines = [json.dumps({"id": name, "text": text}) for name, text in (("a", TEXT), ("b", "Kein Erguss."))]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    def predict(self, reports: Path, folder: Path, name: str) -> Path:
        out = reports.with_name(name)
        assert main(["predict", str(reports), "--model", str(folder), "--out", str(out)]) == 0
        return out

    def test_spans_are_written_as_lines(self, reports: Path, folder: Path) -> None:
        out = self.predict(reports, folder, "out.jsonl")
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        (expected,) = mark(load_checkpoint(folder), [TEXT])
        assert [(row["row"], row["id"]) for row in rows] == [(1, "a"), (2, "b")]
        assert [(s["label"], s["start"], s["end"], s["confidence"]) for s in rows[0]["spans"]] == [
            (s.label, s.start, s.end, pytest.approx(s.confidence, abs=1e-5)) for s in expected.spans
        ]
        assert rows[0]["model_version"] == expected.model_version
        assert "Infiltrat" not in out.read_text(encoding="utf-8"), "texts are not repeated"

    def test_tables_have_the_same_spans_in_one_column(self, reports: Path, folder: Path) -> None:
        lines = self.predict(reports, folder, "out.jsonl").read_text(encoding="utf-8").splitlines()
        spans = [json.loads(line)["spans"] for line in lines]
        with self.predict(reports, folder, "out.csv").open(encoding="utf-8-sig", newline="") as file:
            assert [json.loads(row["spans"]) for row in csv.DictReader(file)] == spans
        table = pyarrow.parquet.read_table(self.predict(reports, folder, "out.parquet")).to_pylist()
        assert [json.loads(row["spans"]) for row in table] == spans


def test_marking_leaves_the_weights_alone(folder: Path) -> None:
    model = load_checkpoint(folder)
    before = model.model.classifier.weight.clone()
    mark(model, [TEXT])
    assert torch.equal(model.model.classifier.weight, before)

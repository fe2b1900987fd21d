"""A fine-tuning run on spans through its folder: the same contract, loop and resuming as for findings."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.mark import mark
from medbertde.schema import load_schema
from medbertde.types import Rationale, Reading, ReportRecord, Task, TrainingRefused
from tests import tiny
from tests.processes import run
from tests.train.conftest import WriteRun, as_a_job, write_folder, write_reports
from train import finetune
from train import fit as loop
from train.finetune import split
from train.run_folder import read_config
from train.span_figures import spans_of
from train.spans import NO_TARGET, SpanObjective, build_span_model

SCHEMA = load_schema("medication")
LEARNABLE = {"epochs": 20, "patience": 20, "learning_rate": 1e-2, "batch_tokens": 128}


def letter(number: int, *, filler: int = 0) -> ReportRecord:
    """A device and a measure, in words that the tiny vocabulary has; `filler` sentences before them make it long."""
    rng = random.Random(number)
    drug = rng.choice(("Tubus", "ZVK", "Magensonde", "Fraktur"))
    before = "Herz normal. " * filler + rng.choice(("Kein ", "Kleiner ", "Keine ", "")) + "." * (number % 7)
    text = f"{before}{drug} 5 mm links, kein Erguss{'.' * (number // 7)}"
    start = len(before)
    dose = start + len(drug) + 1
    return ReportRecord(
        text,
        id=f"brief-{number}",
        rationales=(Rationale("Medikament", start, start + len(drug)), Rationale("Dosis", dose, dose + 4)),
    )


@pytest.fixture(scope="module")
def letters() -> list[ReportRecord]:
    """Letters that are easy to learn; some name no drug."""
    return [*map(letter, range(32)), *(ReportRecord(f"Kein Erguss{'.' * n}", id=f"ohne-{n}") for n in range(8))]


@pytest.fixture
def write_spans(write_run: WriteRun, tiny_mlm_folder: Path) -> WriteRun:
    """Write a run folder for the span schema over a tiny language model."""

    def write(records: list[ReportRecord], name: str = "run", **config: object) -> Path:
        given = {"schema_id": "medication", "base_model": str(tiny_mlm_folder), **config}
        return write_run(records, name, **given)

    return write


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory, letters: list[ReportRecord], tiny_mlm_folder: Path) -> Path:
    """The folder of a run that has learnt the letters; the model to compare with has learnt nothing."""
    place = tmp_path_factory.mktemp("learnt")
    models = {"base_model": str(tiny_mlm_folder), "compare_with": str(tiny.tagger_folder(place / "old"))}
    folder = write_folder(place / "run", letters, schema_id="medication", run_id="r1", **models, **LEARNABLE)
    with as_a_job():
        finetune.train(folder)
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestRunFolder:
    def test_a_run_learns_the_spans_and_its_checkpoint_marks_them(self, learnt: Path) -> None:
        metrics = json.loads((learnt / "metrics.json").read_text(encoding="utf-8"))
        model = load_checkpoint(learnt / "checkpoint")
        text = "Keine Magensonde 5 mm links, kein Erguss."
        (marking,) = mark(model, [text])
        assert metrics["new"]["f1_micro"] > 0.9
        assert [(one.label, text[one.start : one.end]) for one in marking.spans] == [
            ("Medikament", "Magensonde"),
            ("Dosis", "5 mm"),
        ]
        assert all(0.5 < one.confidence <= 1 for one in marking.spans)
        assert marking.model_version == model.version
        assert (model.task, model.facts.schema_id, model.facts.reads) == (Task.NER, "medication", Reading.WINDOWS)
        assert model.facts.lineage.run_id == "r1"
        card = (learnt / "checkpoint" / "README.md").read_text(encoding="utf-8")
        assert "F1 Dosis, 95 % interval from" in card
        assert "only where both ends and its label are right" in card

    def test_its_figures_come_with_intervals_for_each_label_beside_the_old_model(self, learnt: Path) -> None:
        written = json.loads((learnt / "metrics.json").read_text(encoding="utf-8"))
        low, high = written["intervals"]["new"]["f1_micro"]
        assert 0 < low <= written["new"]["f1_micro"] <= high <= 1
        assert written["old"]["f1_micro"] < written["new"]["f1_micro"]
        assert written["paired"]["f1_micro"]["low"] > 0
        of_labels = written["label_intervals"]
        assert of_labels["new"]["Dosis"]["f1"][1] == 1.0
        assert of_labels["old"]["Dosis"]["f1"][1] < of_labels["new"]["Dosis"]["f1"][0]
        assert of_labels["new"]["Diagnose"]["f1"] is None, "no diagnosis is annotated"
        assert written["new"]["per_label"]["Diagnose"]["positives"] == 0
        table = (learnt / "figures.md").read_text(encoding="utf-8").splitlines()
        assert [row.split("|")[1].strip() for row in table[2:]] == [*SCHEMA.label_ids, "macro", "micro"]
        assert "–" in next(row for row in table if "Diagnose" in row)

    def test_the_list_of_held_out_reports_tells_places_and_no_words(self, learnt: Path) -> None:
        rows, parts = lines(learnt / "held_out.jsonl"), split(learnt, read_config(learnt), SCHEMA)
        by_id = {record.id: record for record in parts.test}
        assert [row["report"] for row in rows] == list(by_id)
        for row in rows:
            truth = {(one["label"], one["start"], one["end"]) for one in row["truth"]}
            assert truth == spans_of(by_id[row["report"]].rationales)
        assert any(row["differ"] for row in rows)
        for name in ("held_out.jsonl", "metrics.json", "progress.jsonl", "figures.md"):
            assert "sonde" not in (learnt / name).read_text(encoding="utf-8")

    def test_the_best_epoch_by_strict_f1_is_kept(self, write_spans: WriteRun, letters: list[ReportRecord]) -> None:
        folder = write_spans(letters, **{**LEARNABLE, "epochs": 12, "learning_rate": 2e-2})
        finetune.train(folder)
        ends = [line for line in lines(folder / "progress.jsonl") if "validation_f1" in line]
        best = max((line["validation_f1"], -line["validation_loss"]) for line in ends)
        model = load_checkpoint(folder / "checkpoint")
        objective = SpanObjective(SCHEMA, model)
        pool = objective.examples(split(folder, read_config(folder), SCHEMA).validation)
        quality = objective.quality(objective.predict(model.model, pool), pool)
        assert (quality.f1, -quality.loss) == pytest.approx(best, abs=1e-3)
        assert best[0] > ends[0]["validation_f1"]

    def test_a_run_with_adapters_gives_a_plain_checkpoint(
        self, write_spans: WriteRun, letters: list[ReportRecord]
    ) -> None:
        folder = write_spans(letters, lora_rank=4, **{**LEARNABLE, "epochs": 40, "patience": 40, "learning_rate": 2e-2})
        assert finetune.train(folder).f1_micro > 0.8
        assert not any("lora" in name for name in load_checkpoint(folder / "checkpoint").model.state_dict())


class TestBase:
    def test_a_tagger_of_the_same_schema_keeps_its_head(self, tmp_path: Path) -> None:
        base = load_checkpoint(tiny.tagger_folder(tmp_path / "base"))
        model = build_span_model(base, SCHEMA)
        assert torch.equal(model.classifier.weight, base.model.classifier.weight)
        assert all(weight.requires_grad for weight in model.parameters())

    @pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2"])
    def test_a_language_model_gives_its_encoder(self, tmp_path: Path, family: tiny.Family) -> None:
        base = load_checkpoint(tiny.mlm_folder(tmp_path / family, family=family))
        model = build_span_model(base, SCHEMA)
        old, new = (item.base_model.embeddings.word_embeddings.weight for item in (base.model, model))
        assert torch.equal(old, new)
        assert model.config.num_labels == 1 + 2 * len(SCHEMA.labels)

    def test_a_base_that_reads_sentences_reads_windows_here(
        self,
        write_spans: WriteRun,
        letters: list[ReportRecord],
        write_run: WriteRun,
        reports: list[ReportRecord],
        tiny_classifier_folder: Path,
    ) -> None:
        sentences = write_run(reports, "findings", reads="sentences", epochs=1)
        finetune.train(sentences)
        folder = write_spans(letters, base_model=str(sentences / "checkpoint"), epochs=1)
        finetune.train(folder)
        model = load_checkpoint(folder / "checkpoint")
        assert model.facts.reads is Reading.WINDOWS
        tiny_base, classifier = (
            load_checkpoint(path).version for path in (tiny_classifier_folder, sentences / "checkpoint")
        )
        assert model.facts.lineage.ancestors == ("tiny", tiny_base, classifier)


class TestExamples:
    def test_each_word_has_one_target_at_its_first_piece(self, tiny_mlm_folder: Path) -> None:
        base = load_checkpoint(tiny_mlm_folder)
        (example,) = SpanObjective(SCHEMA, base).examples(
            [next(one for one in map(letter, range(99)) if "Magensonde" in one.text)]
        )
        targets = [tag for row in example.targets for tag in row if tag != NO_TARGET]
        assert targets == list(example.tags)
        assert len(example.windows[0]) > len(targets) + 2, "the tiny vocabulary cuts long words"
        assert example.tags.count(1) == 1  # B-Medikament
        assert example.tags.count(3) == 1  # B-Dosis
        assert example.tags.count(4) == 1  # I-Dosis

    def test_in_two_windows_every_word_is_learnt_from_and_read_once(self, tiny_mlm_folder: Path) -> None:
        base = load_checkpoint(tiny_mlm_folder)
        objective = SpanObjective(SCHEMA, base)
        pool = objective.examples([letter(number, filler=filler) for number in range(4) for filler in (0, 12, 45)])
        assert max(len(example.windows) for example in pool) > 2
        for example in pool:
            assert sum(tag != NO_TARGET for row in example.targets for tag in row) == len(example.words)
        scores = objective.predict(build_span_model(base, SCHEMA), pool)
        assert [found.shape for found in scores] == [(len(example.words), 13) for example in pool]

    def test_spans_in_the_last_window_are_learnt(self, write_spans: WriteRun, letters: list[ReportRecord]) -> None:
        folder = write_spans([letter(number, filler=14) for number in range(32)], **{**LEARNABLE, "epochs": 6})
        metrics = finetune.train(folder)
        assert metrics.f1_micro > 0.8


class TestRefusals:
    def test_settings_for_findings_are_refused_by_name(
        self, write_spans: WriteRun, letters: list[ReportRecord]
    ) -> None:
        folder = write_spans(letters, cues=3, class_weights=True, reads="sentences")
        with pytest.raises(TrainingRefused, match="for findings only: cues, class_weights, reads") as refused:
            finetune.train(folder)
        assert "gelten nur für Befunde" in refused.value.de

    def test_letters_without_any_span_are_refused(self, write_spans: WriteRun) -> None:
        folder = write_spans([ReportRecord(f"Kein Erguss. {number}") for number in range(40)])
        with pytest.raises(TrainingRefused, match="Not one span is marked in the training part"):
            finetune.train(folder)

    def test_a_test_part_without_any_span_is_refused(
        self, write_spans: WriteRun, letters: list[ReportRecord], tmp_path: Path
    ) -> None:
        test = write_reports(tmp_path / "test.jsonl", [ReportRecord(f"Kein Erguss. {n}") for n in range(5)])
        with pytest.raises(TrainingRefused, match="Not one span is marked in the test part"):
            finetune.train(write_spans(letters, test_file=str(test)))


def end_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """End a run in the middle of the step after `steps` of its steps."""
    take, done = loop.Fitting.step, iter(range(steps))

    def step(self: loop.Fitting, batch: Sequence[Any], share: float) -> float:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return take(self, batch, share)

    patch.setattr(loop.Fitting, "step", step)


class TestResume:
    def test_a_run_that_ended_in_the_middle_of_an_epoch_goes_on_to_the_same_model_and_log(
        self, write_spans: WriteRun, letters: list[ReportRecord], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = {"epochs": 12, "patience": 12, "checkpoint_minutes": 0, "learning_rate": 5e-3}
        whole, killed = write_spans(letters, "whole", **config), write_spans(letters, "killed", **config)
        with monkeypatch.context() as patch:
            end_after(patch, 5)
            with pytest.raises(KeyboardInterrupt):
                finetune.train(killed)
        last = lines(killed / "progress.jsonl")[-1]
        assert ("loss" in last, last["epoch"]) == (True, 3)
        assert not (killed / "metrics.json").exists()
        for folder in (killed, whole):
            finetune.train(folder)
        assert weights_hash(killed / "checkpoint") == weights_hash(whole / "checkpoint")
        logs = [[{**line, "elapsed_s": 0} for line in lines(folder / "progress.jsonl")] for folder in (whole, killed)]
        assert logs[0] == logs[1]
        assert not (killed / "state").exists()


def test_two_processes_give_the_figures_of_one(
    write_spans: WriteRun, letters: list[ReportRecord], tmp_path: Path
) -> None:
    base = tiny.mlm_folder(tmp_path / "base")
    config = load_checkpoint(base).model.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0  # each process draws its own
    config.save_pretrained(base)
    given = {"epochs": 4, "patience": 4, "learning_rate": 2e-3, "base_model": str(base)}
    one, two = write_spans(letters, "one", **given), write_spans(letters, "two", **given)
    finetune.train(one)
    run("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "train.finetune", str(two))
    logs = [lines(folder / "progress.jsonl") for folder in (one, two)]
    for name in ("loss", "validation_loss"):
        before, after = ([line[name] for line in log if name in line] for log in logs)
        assert before == pytest.approx(after, abs=2e-3)

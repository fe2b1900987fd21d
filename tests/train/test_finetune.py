"""A fine-tuning run through its folder: what goes in, what comes out, and why a run is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medbertde.inference.catalogue import CATALOGUE
from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.classify import classify
from medbertde.schema import load_schema
from medbertde.types import CheckpointRefused, InvalidFile, Reading, ReportRecord, State, TrainingRefused
from tests import tiny
from tests.train.conftest import WriteRun, as_a_job, write_folder, write_reports
from train import finetune
from train import fit as loop
from train.classifier import batch_loss, build_model, predict_logits, report_logits
from train.dataset import Batch, Example, collate, examples
from train.epochs import Epochs
from train.finetune import split
from train.fit import Best
from train.run_folder import read_config

SCHEMA = load_schema("chest_xray")
LEARNABLE = {"epochs": 40, "learning_rate": 5e-3, "patience": 40, "batch_tokens": 48}


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, reports: list[ReportRecord], tiny_classifier_folder: Path
) -> Path:
    """The folder of a run of three epochs that has ended."""
    config = {"base_model": str(tiny_classifier_folder), "run_id": "r1", "seed": 7, "epochs": 3, "patience": 3}
    folder = write_folder(tmp_path_factory.mktemp("trained") / "run", reports, **config)
    with as_a_job():
        finetune.train(folder)
    return folder


def progress(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()]


class TestRunFolder:
    def test_it_holds_progress_figures_and_a_checkpoint_that_answers(
        self, write_run: WriteRun, reports: list[ReportRecord], tiny_classifier_folder: Path
    ) -> None:
        folder = write_run(reports, compare_with=str(tiny_classifier_folder), run_id="r1", **LEARNABLE)
        returned = finetune.train(folder)
        loaded = load_checkpoint(folder / "checkpoint")
        present, absent = (
            prediction.scores["Erguss"].state(loaded.thresholds["Erguss"])
            for prediction in classify(loaded, ["Kleiner Erguss links", "Kein Erguss"])
        )
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        assert (present, absent) == (State.PRESENT, State.ABSENT)
        assert metrics["new"]["f1_micro"] == returned.f1_micro == 1.0
        assert metrics["old"]["f1_micro"] < 1.0
        assert metrics["old"]["n_reports"] == metrics["new"]["n_reports"] == metrics["reports"]["test"]
        assert sum(metrics["reports"].values()) == len(reports)

    def test_the_checkpoint_tells_where_it_comes_from(self, trained: Path, tiny_classifier_folder: Path) -> None:
        facts = load_checkpoint(trained / "checkpoint").facts
        assert (facts.name, facts.schema_id, facts.schema_version) == ("neu", "chest_xray", SCHEMA.version)
        assert facts.lineage.base_model == load_checkpoint(tiny_classifier_folder).version
        assert (facts.lineage.seed, facts.lineage.run_id) == (7, "r1")
        assert facts.metrics is not None
        assert str(trained.parent) not in (trained / "checkpoint" / "config.json").read_text(encoding="utf-8")

    def test_the_checkpoint_tells_how_often_its_probabilities_came_true_in_the_validation_reports(
        self, trained: Path
    ) -> None:
        loaded = load_checkpoint(trained / "checkpoint")
        validation = split(trained, read_config(trained), SCHEMA).validation
        answers = classify(loaded, [record.text for record in validation])
        said = [
            (answer.scores[label].present, record.labels.get(label) is State.PRESENT)
            for answer, record in zip(answers, validation, strict=True)
            for label in SCHEMA.label_ids
        ]
        assert sum(row.n for row in loaded.facts.reliability) == len(said)
        for row in loaded.facts.reliability:
            tenth = [(score, there) for score, there in said if int(10 * score) == int(10 * row.probability)]
            assert row.n == len(tenth)
            assert row.probability == pytest.approx(np.mean([score for score, _ in tenth]), abs=1e-3)
            assert row.observed == pytest.approx(np.mean([there for _, there in tenth]), abs=1e-3)

    def test_the_checkpoint_reads_as_it_was_trained_to(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        folder = write_run(reports, reads="sentences")
        finetune.train(folder)
        loaded = load_checkpoint(folder / "checkpoint")
        prediction = classify(loaded, ["Kein Erguss links. " * 40])[0]
        assert loaded.facts.reads is Reading.SENTENCES
        assert "long_text" not in [notice.code for notice in prediction.warnings]

    def test_an_unknown_way_to_read_is_refused(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        with pytest.raises(TrainingRefused, match="reads = words"):
            finetune.train(write_run(reports, reads="words"))

    def test_progress_counts_steps_up_to_the_total_and_closes_each_epoch(self, trained: Path) -> None:
        lines = progress(trained)
        steps = [line["step"] for line in lines if "loss" in line]
        assert steps == list(range(1, len(steps) + 1))
        assert 0.9 * lines[-1]["total"] <= steps[-1] <= lines[-1]["total"]  # varied texts fill other batches
        assert [line["epoch"] for line in lines if "validation_f1" in line] == [1, 2, 3]
        assert all(line["epochs"] == 3 for line in lines)

    def test_without_a_model_to_compare_with_there_are_only_new_figures(
        self, write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
    ) -> None:
        other = tiny.classifier_folder(tmp_path / "ct", schema_id="chest_ct")
        for name, compare_with in (("none", None), ("other-schema", str(other))):
            folder = write_run(reports, name, compare_with=compare_with, epochs=1)
            finetune.train(folder)
            assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["old"] is None

    def test_weights_can_be_stored_in_16_bits(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        sizes = {}
        for half in (False, True):
            folder = write_run(reports, f"half-{half}", half_weights=half, epochs=1)
            finetune.train(folder)
            sizes[half] = (folder / "checkpoint" / "model.safetensors").stat().st_size
            load_checkpoint(folder / "checkpoint")
        assert sizes[True] < 0.6 * sizes[False]

    def test_the_same_seed_gives_the_same_model(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        hashes = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            folder = write_run(reports, name, seed=seed, run_together=5, cues=5)
            finetune.train(folder)
            hashes.append(weights_hash(folder / "checkpoint"))
        assert hashes[0] == hashes[1] != hashes[2]


class TestBestEpoch:
    def test_the_checkpoint_is_the_best_epoch_of_the_log(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        folder = write_run(reports, epochs=8, learning_rate=3e-2, patience=8)
        finetune.train(folder)
        ends = [line for line in progress(folder) if "validation_f1" in line]
        best = min((line["validation_loss"], -line["validation_f1"]) for line in ends)
        loaded = load_checkpoint(folder / "checkpoint")
        pool = examples(split(folder, read_config(folder), SCHEMA).validation, SCHEMA, loaded)
        gold = np.array([example.targets for example in pool])
        decided = predict_logits(loaded.model, pool, loaded.encoder.pad_id) > 0
        f1 = 2 * (decided & (gold == 1)).sum() / max(1, decided.sum() + gold.sum())
        assert f1 == pytest.approx(-best[1], abs=1e-3)

    def test_a_worse_epoch_does_not_replace_the_best_weights(self, tiny_classifier_folder: Path) -> None:
        model, best = load_checkpoint(tiny_classifier_folder).model, Best()
        before = model.classifier.bias.clone()
        model.requires_grad_(True)
        best.offer(model, (0.8, -0.3), epoch=1)
        torch.nn.init.zeros_(model.classifier.bias)
        best.offer(model, (0.8, -0.4), epoch=2)
        assert best.epoch == 1
        assert torch.equal(best.weights["classifier.bias"], before)

    def test_it_stops_when_nothing_gets_better(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        folder = write_run(reports, epochs=30, learning_rate=1e-9, patience=2)
        finetune.train(folder)
        assert progress(folder)[-1]["epoch"] < 30


class TestReports:
    def test_held_out_reports_are_never_learnt_from_even_when_they_are_replayed(
        self, write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
    ) -> None:
        extra = [ReportRecord(f"Tubus {number}.", labels={"Tubus": State.PRESENT}) for number in range(20)]
        replay = write_reports(tmp_path / "replay.jsonl", [*reports, *extra])
        folder = write_run(reports, replay=[str(replay)])
        parts = split(folder, read_config(folder), SCHEMA)
        held_out = {record.text for record in parts.test}
        assert held_out
        assert held_out.isdisjoint(record.text for record in [*parts.train, *parts.validation])
        assert {record.text for record in parts.replay} < {record.text for record in extra}

    def test_reports_without_labels_take_part_everywhere(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        parts = split(folder := write_run(reports), read_config(folder), SCHEMA)
        for part in (parts.train, parts.validation, parts.test):
            assert any(not record.labels for record in part)

    def test_own_reports_count_as_often_as_configured(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        folder = write_run(reports, own_copies=3, sentences=False)
        config = read_config(folder)
        parts = split(folder, config, SCHEMA)
        drawn = Epochs(config, parts, SCHEMA).draw(0)
        assert sorted(record.text for record in drawn) == sorted(record.text for record in parts.own * 3)

    def test_the_first_epoch_is_as_written_and_later_ones_are_varied_by_the_seed(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        folder = write_run(reports, cues=10)
        config = read_config(folder)
        epochs = Epochs(config, split(folder, config, SCHEMA), SCHEMA)
        assert {record.text for record in reports} >= {record.text for record in epochs.draw(0)[:-10]}
        assert epochs.draw(1) == epochs.draw(1) != epochs.draw(2)


class TestRefusals:
    def test_too_few_reports(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        with pytest.raises(TrainingRefused) as refusal:
            finetune.train(write_run(reports[:5]))
        assert refusal.value.de.startswith("Für ein Training sind zu wenige Befunde annotiert: 5, davon ")
        assert refusal.value.de.endswith("mindestens 8 zum Lernen und 2 zum Prüfen. Bitte weiter annotieren.")

    def test_no_positive_in_the_test_part(self, write_run: WriteRun) -> None:
        negated = [ReportRecord(f"Kein Erguss {number}.", labels={"Erguss": State.ABSENT}) for number in range(40)]
        with pytest.raises(TrainingRefused) as refusal:
            finetune.train(write_run(negated))
        assert refusal.value.de == (
            "Im Testteil ist kein einziger Befund „vorhanden“; daran lässt sich nichts messen. Bitte weiter annotieren."
        )

    @pytest.mark.parametrize(
        ("config", "sentence"),
        [
            ({"epochen": 3}, "config.json enthält Unbekanntes: epochen."),
            ({"schema_id": None}, "config.json nennt nicht: schema_id."),
            ({"epochs": 0}, "config.json enthält einen unmöglichen Wert: epochs = 0."),
            ({"weight_decay": -1}, "config.json enthält einen unmöglichen Wert: weight_decay = -1."),
            ({"seed": -1}, "config.json enthält einen unmöglichen Wert: seed = -1."),
            ({"test_share": 0.9}, "config.json enthält einen unmöglichen Wert: validation_share = 0.15."),
            ({"precision": "int8"}, "config.json enthält einen unmöglichen Wert: precision = int8."),
        ],
    )
    def test_a_broken_configuration(
        self, write_run: WriteRun, reports: list[ReportRecord], config: dict[str, object], sentence: str
    ) -> None:
        with pytest.raises(TrainingRefused) as refusal:
            read_config(write_run(reports, **config))
        assert refusal.value.de == sentence

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            *[({"epochs": value}, "eine ganze Zahl") for value in ("8", 2.5, True, None)],
            *[({"cues": "10"}, "eine ganze Zahl"), ({"seed": "abc"}, "eine ganze Zahl")],
            *[({"replay_texts": 1.5}, "eine ganze Zahl oder null"), ({"learning_rate": "1e-4"}, "eine Zahl")],
            *[({"learning_rate": float("nan")}, "eine Zahl"), ({"weight_decay": False}, "eine Zahl")],
            *[
                ({name: value}, "eine Liste von Texten")
                for name in ("replay", "statements")
                for value in (5, "a.jsonl")
            ],
            *[({"replay": [5]}, "eine Liste von Texten"), ({"half_weights": "false"}, "true oder false")],
            *[({"compare_with": 5}, "Text oder null"), ({"reads": 5}, "Text oder null"), ({"precision": 16}, "Text")],
        ],
    )
    def test_a_value_of_the_wrong_kind_is_named_with_what_is_expected(
        self, write_run: WriteRun, reports: list[ReportRecord], config: dict[str, object], expected: str
    ) -> None:
        ((name, value),) = config.items()
        with pytest.raises(TrainingRefused) as refusal:
            read_config(write_run(reports, **config))
        assert refusal.value.de == (
            f"config.json enthält einen unmöglichen Wert: {name} = {json.dumps(value)}; erwartet wird {expected}."
        )

    def test_a_whole_number_stands_for_a_number_and_null_for_what_may_be_left_out(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        left_out = dict.fromkeys(("compare_with", "test_file", "reads", "replay_texts", "run_id"))
        config = read_config(write_run(reports, positive_weight=2, checkpoint_minutes=0, replay=["a"], **left_out))
        assert (config.positive_weight, config.checkpoint_minutes, config.replay) == (2, 0, ("a",))

    @pytest.mark.parametrize("content", ["", "{", "[1]"])
    def test_a_configuration_that_is_no_json_object(
        self, write_run: WriteRun, reports: list[ReportRecord], content: str
    ) -> None:
        folder = write_run(reports)
        (folder / "config.json").write_text(content, encoding="utf-8")
        with pytest.raises(TrainingRefused, match=r"config\.json is (missing or not JSON|not a JSON object)"):
            read_config(folder)

    def test_missing_or_foreign_reports(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        with pytest.raises(TrainingRefused, match=r"replay\.jsonl with the reports is missing"):
            finetune.train(write_run(reports, "a", replay=["/nowhere/replay.jsonl"]))
        foreign = [ReportRecord("Schiene liegt.", labels={"Schiene": State.PRESENT})]
        with pytest.raises(InvalidFile, match=r"labels\.jsonl, row 1: The finding “Schiene” is not in the schema"):
            finetune.train(write_run(foreign, "b"))

    def test_a_base_model_that_is_not_there(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        with pytest.raises(CheckpointRefused, match="there is no such folder"):
            finetune.train(write_run(reports, base_model="/nowhere/model"))

    def test_a_base_model_of_the_catalogue_is_named_by_its_id(
        self,
        write_run: WriteRun,
        reports: list[ReportRecord],
        tiny_classifier_folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        entry = replace(CATALOGUE[0], id="mini-test", folder=tiny_classifier_folder)
        monkeypatch.setattr("medbertde.inference.catalogue.CATALOGUE", (entry,))
        folder = write_run(reports, base_model="mini-test", compare_with="mini-test", epochs=1)
        finetune.train(folder)
        made = load_checkpoint(folder / "checkpoint").facts.lineage
        assert made.base_model == load_checkpoint(tiny_classifier_folder).version
        assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["old"]

    def test_a_run_that_diverges_leaves_no_checkpoint(self, write_run: WriteRun, reports: list[ReportRecord]) -> None:
        folder = write_run(reports, learning_rate=1e30, warmup_share=0.0, epochs=3)
        with pytest.raises(TrainingRefused, match="diverged"):
            finetune.train(folder)
        assert not (folder / "checkpoint").exists()
        assert not (folder / "metrics.json").exists()

    def test_the_command_writes_its_refusal_for_the_page(
        self, write_run: WriteRun, reports: list[ReportRecord], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_run(reports[:3])
        monkeypatch.setattr(sys, "argv", ["train.finetune", str(folder)])
        with pytest.raises(SystemExit, match="Too few reports are labelled for a training run: 3"):
            finetune.main()
        said = json.loads((folder / "refused.json").read_text(encoding="utf-8"))
        assert said["de"].startswith("Für ein Training sind zu wenige Befunde annotiert: 3")

    def test_the_command_says_that_a_folder_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["train.finetune", str(tmp_path / "fehlt")])
        with pytest.raises(SystemExit, match=r"config\.json is missing or not JSON"):
            finetune.main()
        assert not (tmp_path / "fehlt").exists()


class TestModel:
    def test_a_model_of_the_same_schema_keeps_its_head(self, tiny_classifier_folder: Path) -> None:
        base = load_checkpoint(tiny_classifier_folder)
        model = build_model(base, SCHEMA)
        assert torch.equal(model.classifier.bias, load_checkpoint(tiny_classifier_folder).model.classifier.bias)
        assert all(weight.requires_grad for weight in model.parameters())

    @pytest.mark.parametrize("family", ["bert", "roberta"])
    def test_a_language_model_gives_its_encoder_and_gets_a_new_head(self, tmp_path: Path, family: tiny.Family) -> None:
        base = load_checkpoint(tiny.mlm_folder(tmp_path / family, family=family))
        model = build_model(base, SCHEMA)
        old, new = (item.base_model.embeddings.word_embeddings.weight for item in (base.model, model))
        assert torch.equal(old, new)
        assert model.config.id2label[0] == SCHEMA.label_ids[0]
        assert model.config.num_labels == 3 * len(SCHEMA.labels)

    def test_a_model_that_names_its_outputs_otherwise_does_not_lend_its_head(self, tmp_path: Path) -> None:
        folder = tiny.classifier_folder(tmp_path / "other")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = list(reversed([config["id2label"][str(column)] for column in range(len(config["id2label"]))]))
        config["id2label"] = {str(column): name for column, name in enumerate(names)}
        config["label2id"] = {name: column for column, name in enumerate(names)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        base = load_checkpoint(folder)
        model = build_model(base, SCHEMA)
        assert torch.equal(
            model.bert.encoder.layer[1].output.dense.weight, base.model.bert.encoder.layer[1].output.dense.weight
        )
        assert not torch.equal(model.classifier.weight, base.model.classifier.weight)

    def test_a_16_bit_base_is_trained_in_32_bits(
        self, write_run: WriteRun, reports: list[ReportRecord], tmp_path: Path
    ) -> None:
        base = load_checkpoint(tiny.mlm_folder(tmp_path / "half"))
        base.model.half().save_pretrained(base.folder)
        assert build_model(load_checkpoint(base.folder), SCHEMA).dtype is torch.float32
        finetune.train(write_run(reports, base_model=str(base.folder), epochs=1))

    def test_training_in_mixed_precision_is_measured_in_the_precision_it_is_served_in(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        folder = write_run(reports, precision="bf16")
        config = read_config(folder)
        parts, base = split(folder, config, SCHEMA), load_checkpoint(Path(config.base_model))
        trained = finetune.fit(build_model(base, SCHEMA), base, parts, config, SCHEMA, folder)
        trained.save_pretrained(base_copy := folder / "copy")
        served = type(trained).from_pretrained(base_copy, dtype=torch.float32)
        pool = examples(parts.test, SCHEMA, base)
        assert np.array_equal(*(predict_logits(model, pool, base.encoder.pad_id) for model in (trained, served)))

    def test_a_long_report_is_judged_by_its_clearest_window(self, tiny_classifier_folder: Path) -> None:
        model = load_checkpoint(tiny_classifier_folder).model
        ids = torch.tensor([[2, 9, 3], [2, 30, 3], [2, 40, 3]])
        batch = Batch(ids, torch.ones_like(ids), torch.tensor([0, 0, 1]), torch.zeros(2, model.config.num_labels))
        single = model(input_ids=ids, attention_mask=batch.attention).logits
        assert torch.allclose(report_logits(model, batch), torch.stack([single[:2].amax(0), single[2]]), atol=1e-6)

    def test_positive_targets_weigh_more_in_the_first_half_and_one_in_the_last_quarter(
        self, tiny_classifier_folder: Path, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        config = read_config(write_run(reports, positive_weight=9.0))
        weights = [loop._positive_weight(config, step / 100) for step in range(100)]
        assert (weights[0], weights[50], weights[62], weights[75], weights[99]) == pytest.approx((9, 9, 5.16, 1, 1))
        model = load_checkpoint(tiny_classifier_folder).model
        batch = collate([Example(((2, 9, 3),), (1.0,) * model.config.num_labels)], pad_id=0)
        assert batch_loss(model, batch, torch.tensor(9.0)).item() == pytest.approx(
            9 * batch_loss(model, batch, torch.tensor(1.0)).item(), rel=1e-5
        )

    def test_the_learning_rate_warms_up_and_falls_to_a_twentieth(
        self, write_run: WriteRun, reports: list[ReportRecord]
    ) -> None:
        config = replace(read_config(write_run(reports)), learning_rate=1.0)
        rates = [loop._learning_rate(config, step / 100) for step in range(105)]
        assert rates[0] == pytest.approx(0.05)
        assert rates[:11] == sorted(rates[:11])
        assert max(rates) == rates[10] == pytest.approx(1.0)
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert rates[99:] == [pytest.approx(0.05)] * 6

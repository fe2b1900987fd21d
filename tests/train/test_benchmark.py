"""The model card's comparison from one command, with tiny checkpoints standing in, which every table says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from medbertde.types import ModelUnavailable, ReportRecord, TrainingRefused
from tests import tiny
from tests.train.conftest import write_reports
from train import benchmark as job
from train.benchmark import CARD_MODELS, Benchmark, BenchmarkTask, benchmark, final_run, parse, search
from train.benchmark_table import COLUMNS

MODELS = ("GerMedBERT/medbert-512", "uklfr/gottbert-base")


@pytest.fixture
def plan(tmp_path: Path, reports: list[ReportRecord]) -> Benchmark:
    """Two of the card's models as tiny random checkpoints of their architecture, on 60 short reports."""
    file = write_reports(tmp_path / "reports.jsonl", reports)
    stand_ins = {
        model: str(tiny.mlm_folder(tmp_path / family, family=family))
        for model, family in zip(MODELS, ("bert", "roberta"), strict=True)
    }
    return Benchmark(
        out=tmp_path / "out",
        models=MODELS,
        tasks=[BenchmarkTask("chest_xray", "chest_xray", file)],
        storage=f"sqlite:///{tmp_path / 'studies.sqlite'}",
        trials=2,
        seeds=(1, 2),
        epochs=2,
        stand_ins=stand_ins,
    )


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_every_model_is_searched_and_trained_with_each_seed_and_stands_beside_the_card(plan: Benchmark) -> None:
    found = benchmark(plan)
    assert [row["model"] for row in found["rows"]] == list(MODELS)
    for row in found["rows"]:
        assert row["seeds"] == 2
        assert row["stand_in"] == plan.stand_ins[row["model"]]
        for figure in row["figures"].values():
            assert figure is None or 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 100
    table = (plan.out / "benchmark.md").read_text(encoding="utf-8")
    assert f"| model | {' | '.join(COLUMNS.values())} | seeds |" in table
    assert "| GerMedBERT/medbert-512 (stand-in: bert) | " in table
    assert "| GerMedBERT/medbert-512 | 84.65 | 67.06 | 76.20 | 60.44 | 83.08 |" in table
    assert "stand-in: roberta" in (plan.out / "benchmark.svg").read_text(encoding="utf-8").replace("<!-- ", "")
    assert json.loads((plan.out / "benchmark.json").read_text(encoding="utf-8")) == found


def test_a_second_worker_does_only_what_is_left(plan: Benchmark) -> None:
    (task,) = plan.tasks
    settings = search(plan, task, MODELS[0])
    assert search(plan, task, MODELS[0]) == settings
    study = optuna.load_study(study_name=job._study(plan, task, MODELS[0]), storage=plan.storage)
    assert len(study.trials) == 2
    final_run(plan, task, MODELS[0], settings, seed=1)
    metrics = job._folder(plan, task, MODELS[0]) / "seed-1" / "metrics.json"
    written = metrics.stat().st_mtime_ns
    final_run(plan, task, MODELS[0], settings, seed=1)
    assert metrics.stat().st_mtime_ns == written


def test_two_workers_never_try_the_same_settings_and_one_alone_always_does(plan: Benchmark, tmp_path: Path) -> None:
    (task,) = plan.tasks
    search(replace(plan, trials=1), task, MODELS[0])
    search(plan, task, MODELS[0])  # another worker, which begins later
    alone = replace(plan, storage=f"sqlite:///{tmp_path / 'alone.sqlite'}", out=tmp_path / "alone")
    search(alone, task, MODELS[0])
    name = job._study(plan, task, MODELS[0])
    shared, own = (
        [trial.params for trial in optuna.load_study(study_name=name, storage=each.storage).trials]
        for each in (plan, alone)
    )
    assert shared[0] != shared[1]
    assert shared == own


def test_all_seeds_have_the_settings_that_were_chosen_first(plan: Benchmark) -> None:
    (task,) = plan.tasks
    chosen = search(plan, task, MODELS[0])
    study = optuna.load_study(study_name=job._study(plan, task, MODELS[0]), storage=plan.storage)
    (first, *_) = study.trials
    late = {**first.params, "learning_rate": 5e-5}
    study.add_trial(optuna.trial.create_trial(params=late, distributions=first.distributions, value=-1.0))
    assert search(plan, task, MODELS[0]) == chosen != late


def test_figures_of_a_stand_in_never_pass_for_those_of_the_model(
    plan: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[1]
    stand_in, real = plan.stand_ins[MODELS[0]], plan.stand_ins[model]
    monkeypatch.setattr(job, "resolve", lambda name: Path(real if name == model else name))
    small = replace(plan, models=[model], trials=1, seeds=(1,), epochs=1, stand_ins={model: stand_in})
    (replaced,) = benchmark(small)["rows"]
    (own,) = benchmark(replace(small, stand_ins={}))["rows"]
    assert (replaced["stand_in"], own["stand_in"]) == (stand_in, None)
    assert replaced["figures"]["auroc_macro"] != own["figures"]["auroc_macro"]
    assert f"| {model} | " in (plan.out / "benchmark.md").read_text(encoding="utf-8")


def test_runs_with_other_reports_or_settings_lie_elsewhere(plan: Benchmark, reports: list[ReportRecord]) -> None:
    (task,) = plan.tasks
    fewer = write_reports(plan.tasks[0].reports.with_name("fewer.jsonl"), reports[:-1])
    others = [
        (replace(plan, epochs=3), task),
        (replace(plan, patience=1), task),
        (replace(plan, precision="bf16"), task),
        (plan, replace(task, reports=fewer)),
        (plan, replace(task, test=fewer)),
    ]
    places = {job._folder(each, of, MODELS[0]) for each, of in [(plan, task), (plan, task), *others]}
    assert len(places) == len({job._study(each, of, MODELS[0]) for each, of in [(plan, task), *others]}) == 6


def test_the_search_stays_in_the_papers_space_and_sees_validation_only(
    plan: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task,) = plan.tasks
    runs = []
    train = job.finetune.train

    def spy(folder: Path, *rest: object) -> object:
        runs.append(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        return train(folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(job.finetune, "train", spy)
    search(plan, task, MODELS[0])
    study = optuna.load_study(study_name=job._study(plan, task, MODELS[0]), storage=plan.storage)
    for trial, run in zip(study.trials, runs, strict=True):
        assert 1e-5 <= run["learning_rate"] <= 1e-4
        assert 8 <= trial.params["batch_reports"] <= 128
        assert trial.value == pytest.approx(min(trial.intermediate_values.values()))
    assert not list((plan.out / "chest_xray").rglob("metrics.json"))


def test_a_run_that_fails_leaves_its_seed_to_the_next_worker(plan: Benchmark) -> None:
    (task,) = plan.tasks
    broken = replace(plan, stand_ins={MODELS[0]: "/nowhere/model"})
    settings = {"learning_rate": 1e-4, "batch_reports": 8, "warmup_share": 0.1}
    with pytest.raises(ModelUnavailable):
        final_run(broken, task, MODELS[0], settings, seed=1)
    final_run(plan, task, MODELS[0], settings, seed=1)
    assert (job._folder(plan, task, MODELS[0]) / "seed-1" / "metrics.json").exists()


def test_what_a_killed_worker_left_is_done_anew_and_not_while_another_one_is_at_it(plan: Benchmark) -> None:
    (task,) = plan.tasks
    settings = {"learning_rate": 1e-4, "batch_reports": 8, "warmup_share": 0.1}
    left = job._folder(plan, task, MODELS[0]) / "seed-1"
    (left / "state").mkdir(parents=True)
    (left / "config.json").write_text("{", encoding="utf-8")
    with job._claim(left):
        final_run(plan, task, MODELS[0], settings, seed=1)
    assert not (left / "metrics.json").exists()
    final_run(plan, task, MODELS[0], settings, seed=1)
    assert (left / "metrics.json").exists()


def test_the_command_line_compares_the_six_models_of_the_card_on_the_shipped_reports(tmp_path: Path) -> None:
    plan = parse(["--out", str(tmp_path / "b")])
    assert tuple(plan.models) == CARD_MODELS
    assert len(plan.models) == 6
    assert [task.name for task in plan.tasks] == ["chest_xray", "chest_ct"]
    assert all(task.reports.is_file() for task in plan.tasks)
    assert all(task.test and task.test.is_file() for task in plan.tasks)
    assert len(plan.seeds) >= 3
    assert plan.stand_ins == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--stand-in", "tiny"], "--stand-in expects MODEL=FOLDER, found: tiny."),
        (["--stand-in", "other=folder"], "--stand-in replaces models that are not compared: other."),
        (["--reports", "r.jsonl"], "--reports needs --schema."),
    ],
)
def test_a_command_line_that_cannot_work_is_refused(tmp_path: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(TrainingRefused) as refused:
        parse(["--out", str(tmp_path), *words])
    assert refused.value.en == sentence

"""Rerun the model card's comparison: every model on every task, searched alike, three seeds, one table.

    python -m train.benchmark --out build/benchmark                       # six models × chest X-ray and CT
    python -m train.benchmark --out build/b --models GerMedBERT/medbert-512 --trials 30 --storage postgresql://…/optuna
    python -m train.benchmark --out build/b --reports my.jsonl --schema chest_xray      # any report file as the task

Start the same command on as many machines as there are: workers share the studies (Optuna) through `--storage` and the
final runs through `--out`; each does what is left and then writes the table of what is complete. What a run is made
from (weights, reports, epochs, …) names its study and its folder: other reports or a stand-in never pass for it.

The search space is the paper's: learning rate 1e-5…1e-4 (log), batches of 8…128 reports (as a budget of tokens of the
same size), at most 100 epochs, patience 5, AdamW with weight decay 0.01. Other than there, the objective is the
validation loss, never a test figure; the best epoch is scored, not the last one; the warm-up is a share of the run
(10,000 steps would never end on a few thousand reports); every figure has an interval. `--stand-in MODEL=FOLDER`
replaces a model that cannot be had, and every table says so.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import read_folder, weights_hash
from medbertde.report_file import read_records
from medbertde.schema import load_schema
from medbertde.settings import ROOT
from medbertde.types import InvalidFile, TrainingRefused, UserError
from train import finetune
from train.benchmark_table import CHOSEN_FILE, write_tables
from train.run_folder import CONFIG_FILE, LABELS_FILE, FinetuneConfig

CARD_MODELS = (
    "GerMedBERT/medbert-512",
    "GerMedBERT/medbert-512-no-duplicates",
    "uklfr/gottbert-base",
    "SCAI-BIO/bio-gottbert-base",
    "bert-base-multilingual-cased",
    "smanjil/German-MedBERT",
)
REPORTS = ROOT / "data" / "reports"
TOKENS_PER_WORD = 1.6  # of a word-piece tokenizer on German clinical text, control tokens included
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class BenchmarkTask:
    """Labelled reports of one schema; without a test file a quarter of them is held out by family."""

    name: str
    schema_id: str
    reports: Path
    test: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """What is compared and how long is searched. `stand_ins` maps a model to the folder that is trained instead."""

    out: Path
    models: Sequence[str]
    tasks: Sequence[BenchmarkTask]
    storage: str
    trials: int = 20
    seeds: Sequence[int] = (1, 2, 3)
    epochs: int = 100
    patience: int = 5
    precision: str = "no"
    stand_ins: Mapping[str, str] = field(default_factory=dict)


def shipped_task(schema_id: str) -> BenchmarkTask:
    """The shipped reports of a schema, tested on the project's own test reports."""
    return BenchmarkTask(schema_id, schema_id, REPORTS / f"{schema_id}.jsonl", REPORTS / f"test_{schema_id}.jsonl")


def benchmark(plan: Benchmark) -> dict[str, Any]:
    """Do what is left of the comparison and write its tables; returns the content of `benchmark.json`."""
    plan.out.mkdir(parents=True, exist_ok=True)
    for task in plan.tasks:
        for model in plan.models:
            settings = search(plan, task, model)
            for seed in plan.seeds:
                final_run(plan, task, model, settings, seed)
    folders = {(task.name, model): _folder(plan, task, model) for task in plan.tasks for model in plan.models}
    return write_tables(plan.out, folders, plan.seeds)


def search(plan: Benchmark, task: BenchmarkTask, model: str) -> dict[str, Any]:
    """The settings with the lowest validation loss; trials that are no better than the median so far end early.

    They are written once, by the worker that is done first: all seeds of all workers are trained with the same ones.
    """
    chosen = _folder(plan, task, model) / CHOSEN_FILE
    if not chosen.exists():
        best = _best(plan, task, model)
        with _claim(chosen, wait=True):
            if not chosen.exists():
                _write_chosen(chosen, {"stand_in": plan.stand_ins.get(model), "settings": best})
    return dict(json.loads(chosen.read_text(encoding="utf-8"))["settings"])


def _write_chosen(path: Path, chosen: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(chosen, ensure_ascii=False, indent=2), encoding="utf-8")
    partial.replace(path)


def _best(plan: Benchmark, task: BenchmarkTask, model: str) -> dict[str, Any]:
    """The best settings of the study, once it has as many trials as were asked for."""
    study = optuna.create_study(
        study_name=_study(plan, task, model),
        storage=plan.storage,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2),
    )
    limit = optuna.study.MaxTrialsCallback(plan.trials, states=DONE)
    if len(study.get_trials(deepcopy=False, states=DONE)) < plan.trials:
        study.optimize(lambda trial: _try(plan, task, model, trial), callbacks=[limit])
    return dict(study.best_params)


def _try(plan: Benchmark, task: BenchmarkTask, model: str, trial: optuna.Trial) -> float:
    """The lowest validation loss under a trial's settings."""
    # Workers share the numbers of their trials: no two of them try the same, and one alone tries the same every time.
    trial.study.sampler = optuna.samplers.TPESampler(seed=trial.number)
    settings = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-4, log=True),
        "batch_reports": trial.suggest_int("batch_reports", 8, 128, log=True),
        "warmup_share": trial.suggest_float("warmup_share", 0.0, 0.3),
    }
    losses: list[float] = []

    def watch(epoch: int, loss: float) -> None:
        losses.append(loss)
        trial.report(loss, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    folder = _folder(plan, task, model) / f"trial-{trial.number}"
    _write_run(plan, task, model, settings, seed=0, folder=folder)
    try:
        finetune.train(folder, watch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a study needs the loss only
    return min(losses)


def final_run(plan: Benchmark, task: BenchmarkTask, model: str, settings: Mapping[str, Any], seed: int) -> None:
    """Train with the settings found and one seed, unless a worker did or does so."""
    folder = _folder(plan, task, model) / f"seed-{seed}"
    with _claim(folder) as is_free:
        if not is_free or (folder / "metrics.json").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)  # a worker was killed or failed: this try starts anew
        _write_run(plan, task, model, settings, seed, folder)
        finetune.train(folder)
        shutil.rmtree(folder / "checkpoint")


@contextmanager
def _claim(place: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether no other worker is at this run or file; the claim ends with its process, however that ends."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free


def _folder(plan: Benchmark, task: BenchmarkTask, model: str) -> Path:
    """Where the runs of a model on a task lie; a longer search may choose other settings, so it has its own folder."""
    made_from = f"{_made_from(plan, task, model)}-{plan.trials}-trials"
    return plan.out / task.name / model.replace("/", "--") / made_from


def _study(plan: Benchmark, task: BenchmarkTask, model: str) -> str:
    """The name of a model's study on a task; a longer search goes on with it."""
    return f"{task.name} {model} {_made_from(plan, task, model)}"


def _made_from(plan: Benchmark, task: BenchmarkTask, model: str) -> str:
    """A hash of all that decides a model's figures on a task beside the settings that are searched."""
    schema, base = load_schema(task.schema_id), _base(plan, model)
    read_folder(base, name=model)  # refuses what is no model, with a sentence
    facts = [
        weights_hash(base),
        schema.id,
        schema.version,
        _file_hash(task.reports),
        _file_hash(task.test) if task.test else None,
        plan.epochs,
        plan.patience,
        plan.precision,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _base(plan: Benchmark, model: str) -> Path:
    return resolve(plan.stand_ins.get(model, model)).resolve()


def _file_hash(path: Path) -> str:
    if not path.is_file():
        raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_run(
    plan: Benchmark, task: BenchmarkTask, model: str, settings: Mapping[str, Any], seed: int, folder: Path
) -> None:
    """A run folder for `train.finetune`: whole reports as they are, read in windows, nothing mixed in."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = load_schema(task.schema_id)
    words = [len(record.text.split()) for record in read_records(task.reports, schema)]
    per_report = TOKENS_PER_WORD * sum(words) / max(1, len(words))
    found = dict(settings)
    config = FinetuneConfig(
        schema_id=task.schema_id,
        base_model=str(_base(plan, model)),
        name=f"benchmark-{task.name}",
        test_file=str(task.test.resolve()) if task.test else None,
        batch_tokens=max(1, round(found.pop("batch_reports") * per_report)),
        epochs=plan.epochs,
        patience=plan.patience,
        reads=None,
        sentences=False,
        seed=seed,
        precision=plan.precision,
        **found,
    )
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config)), encoding="utf-8")
    shutil.copyfile(task.reports, folder / LABELS_FILE)


def parse(words: Sequence[str] | None = None) -> Benchmark:
    """The comparison that a command line asks for; `TrainingRefused` for one that cannot be."""
    args = _parser().parse_args(words)
    if args.reports and not args.schema:
        raise TrainingRefused("Zu --reports gehört --schema.", "--reports needs --schema.")
    stand_ins = dict(_stand_in(each) for each in args.stand_in)
    if unknown := ", ".join(sorted(stand_ins.keys() - set(args.models))):
        raise TrainingRefused(
            f"--stand-in ersetzt Modelle, die nicht verglichen werden: {unknown}.",
            f"--stand-in replaces models that are not compared: {unknown}.",
        )
    own = [BenchmarkTask(args.reports.stem, args.schema, args.reports, args.test)] if args.reports else None
    return Benchmark(
        out=args.out,
        models=args.models,
        tasks=own or [shipped_task(schema_id) for schema_id in args.tasks],
        storage=args.storage or f"sqlite:///{args.out / 'studies.sqlite'}",
        trials=args.trials,
        seeds=range(1, args.seeds + 1),
        epochs=args.epochs,
        patience=args.patience,
        precision=args.precision,
        stand_ins=stand_ins,
    )


def _stand_in(text: str) -> tuple[str, str]:
    model, sign, folder = text.partition("=")
    if not sign or not folder:
        raise TrainingRefused(
            f"--stand-in erwartet MODELL=ORDNER, gefunden: {text}.", f"--stand-in expects MODEL=FOLDER, found: {text}."
        )
    return model, folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for runs, studies, tables and plot; all workers share it")
    add("--models", nargs="+", default=list(CARD_MODELS), help="catalogue ids, Hub ids or folders")
    add("--tasks", nargs="+", default=["chest_xray", "chest_ct"], help="schemas with shipped reports")
    add("--reports", type=Path, help="a report file as the only task")
    add("--schema", help="its schema")
    add("--test", type=Path, help="its test reports; without, a quarter is held out")
    add("--storage", help="Optuna storage that workers share: sqlite:///… or postgresql://…")
    add("--trials", type=int, default=20, help="searched settings per model and task")
    add("--seeds", type=int, default=3, help="final runs per model and task")
    add("--epochs", type=int, default=100, help="most epochs of a run")
    add("--patience", type=int, default=5, help="epochs without a better validation loss that end a run")
    add("--precision", choices=("no", "bf16", "fp16"), default="no", help="mixed precision")
    add("--stand-in", action="append", default=[], metavar="MODEL=FOLDER", help="train this folder instead, and say so")
    return parser


def main() -> None:
    """Command line."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        plan = parse()
        benchmark(plan)
    except UserError as error:
        raise SystemExit(str(error)) from None
    print((plan.out / "benchmark.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

"""How much each way of choosing reports saves: annotation simulated on labelled reports.

    python -m train.learning_curve --schema chest_xray --learner tfidf --out docs/learning-chest_xray.md
    python -m train.learning_curve --schema chest_ct --learner bert --seeds 3 --budgets 50 100 200 400 --out build/lc.md

The labels of the training reports are hidden. Each simulation begins with the first budget at random, learns, lets a
strategy of `medbertde.work_order` choose what is "annotated" next from what the model then says about the rest, and so
on; after each budget the model is measured on the test reports (macro F1 of "present"). `bert` fine-tunes the embedded
language model, `tfidf` is the classical baseline: faster by far, and the order of the strategies can be compared.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import torch
from scipy.stats import t

from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.report_file import read_records, to_json
from medbertde.schema import Schema, load_schema
from medbertde.settings import ROOT
from medbertde.types import InvalidFile, ReportRecord, Rules, State, TrainingRefused, UserError, WorkOrder
from medbertde.work_order import AtRandom, Candidates, Strategy, strategy
from train import finetune, tfidf
from train.dataset import examples
from train.evaluate import Floats, measure
from train.markdown import table
from train.output import make_room
from train.run_folder import CONFIG_FILE, LABELS_FILE, FinetuneConfig

REPORTS = ROOT / "data" / "reports"
LANGUAGE_MODEL = "medbertde-mini"
STRATEGIES: Mapping[str, Strategy] = {
    "random": AtRandom(),
    "uncertainty": strategy(Rules(order=WorkOrder.UNCERTAINTY)),
    "diversity": strategy(Rules(order=WorkOrder.DIVERSITY)),
    "rare": strategy(Rules(order=WorkOrder.RARE)),
    "mixed": strategy(Rules(order=WorkOrder.MIXED)),
}
BUDGETS = (50, 100, 200, 400, 800)


@dataclass(frozen=True)
class Learnt:
    """A model after learning: macro F1 on the test reports, and its "present" for the pool `(reports, labels)`."""

    f1_macro: float
    pool: Floats


Learner = Callable[[Sequence[ReportRecord], Sequence[ReportRecord], Sequence[ReportRecord], Schema, int], Learnt]


@dataclass(frozen=True)
class Point:
    """Macro F1 of a strategy after `labelled` reports: the mean over the seeds with its 95 % t-interval."""

    strategy: str
    labelled: int
    mean: float
    low: float
    high: float


def simulate(
    pool: Sequence[ReportRecord],
    test: Sequence[ReportRecord],
    schema: Schema,
    how: Strategy,
    learner: Learner,
    budgets: Sequence[int],
    seed: int,
) -> list[float]:
    """The macro F1 after each budget. Equal seeds begin with the same reports, whatever the strategy."""
    rng = np.random.default_rng(seed)
    chance = rng.random(len(pool))
    chosen = np.argsort(chance)[: budgets[0]]
    learnt = learner([pool[index] for index in chosen], pool, test, schema, seed)
    found = [learnt.f1_macro]
    for budget in budgets[1:]:
        rest = np.setdiff1d(np.arange(len(pool)), chosen)
        order = how.order(Candidates(learnt.pool[rest], chance[rest]))
        chosen = np.concatenate([chosen, rest[order[: budget - len(chosen)]]])
        learnt = learner([pool[index] for index in chosen], pool, test, schema, seed)
        found.append(learnt.f1_macro)
    return found


def learn_tfidf(
    labelled: Sequence[ReportRecord],
    pool: Sequence[ReportRecord],
    test: Sequence[ReportRecord],
    schema: Schema,
    seed: int,
) -> Learnt:
    """TF-IDF and logistic regression; it has no seed."""
    model = tfidf.fit(labelled, schema)
    scores = [model.probabilities([record.text for record in part])[:, 0] for part in (pool, test)]
    metrics = measure(_truth(test, schema), scores[1], list(model.thresholds[0]), schema.label_ids)
    return Learnt(metrics.f1_macro, scores[0])


def learn_bert(
    labelled: Sequence[ReportRecord],
    pool: Sequence[ReportRecord],
    test: Sequence[ReportRecord],
    schema: Schema,
    seed: int,
    *,
    epochs: int = 20,
) -> Learnt:
    """The embedded language model with a new head, fine-tuned as `train.finetune` does."""
    config = FinetuneConfig(
        schema_id=schema.id,
        base_model=str(resolve(LANGUAGE_MODEL)),
        name="simulated",
        test_file="test.jsonl",
        epochs=epochs,
        patience=epochs,
        learning_rate=5e-4,
        positive_weight=4.0,
        batch_tokens=1024,
        sentences=False,
        seed=seed,
    )
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, records in ((LABELS_FILE, labelled), ("test.jsonl", test)):
            (folder / name).write_text("".join(to_json(record) + "\n" for record in records), encoding="utf-8")
        settings = asdict(replace(config, test_file=str(folder / "test.jsonl")))
        (folder / CONFIG_FILE).write_text(json.dumps(settings), encoding="utf-8")
        metrics = finetune.train(folder)
        model = load_checkpoint(folder / "checkpoint")
    said = finetune.judge(model.model, examples(pool, schema, model), schema, model.facts, model.encoder.pad_id)
    return Learnt(metrics.f1_macro, said.scores)


LEARNERS: Mapping[str, Learner] = {"tfidf": learn_tfidf, "bert": learn_bert}


def curves(
    pool: Sequence[ReportRecord],
    test: Sequence[ReportRecord],
    schema: Schema,
    learner: Learner,
    names: Sequence[str],
    budgets: Sequence[int],
    seeds: Sequence[int],
) -> list[Point]:
    """The learning curve of each strategy."""
    if budgets[-1] > len(pool):
        raise TrainingRefused(
            f"Es gibt {len(pool)} Befunde, simuliert werden sollen {budgets[-1]}. Bitte --budgets verkleinern.",
            f"There are {len(pool)} reports, {budgets[-1]} are to be simulated. Please lower --budgets.",
        )
    points = []
    for name in names:
        runs = [simulate(pool, test, schema, STRATEGIES[name], learner, budgets, seed) for seed in seeds]
        points += [_point(name, budget, values) for budget, values in zip(budgets, np.array(runs).T, strict=True)]
    return points


def _point(name: str, budget: int, values: Floats) -> Point:
    count = len(values)
    reach = float(t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
    mean = float(values.mean())
    return Point(name, budget, mean, mean - reach, mean + reach)


def _truth(records: Sequence[ReportRecord], schema: Schema) -> np.ndarray:
    present = [[record.labels.get(label) is State.PRESENT for label in schema.label_ids] for record in records]
    return np.array(present).astype(np.int64)


# ------------------------------------------------------------------------------------------------ table and plot


def to_markdown(points: Sequence[Point], title: str, command: str, plot: str, *, pool: int, test: int, day: str) -> str:
    """A table with a row per strategy and a column per budget; `pool` and `test` are numbers of reports."""
    budgets = sorted({point.labelled for point in points})
    found = {(point.strategy, point.labelled): point for point in points}
    names = list(dict.fromkeys(point.strategy for point in points))
    cell = "{0.mean:.3f} ({0.low:.3f}–{0.high:.3f})".format
    rows = [[name, *(cell(found[name, budget]) for budget in budgets)] for name in names]
    measured = f"Macro F1 on {test:,} test reports, mean over seeds (95 % t-interval)"
    lines = [f"# {title}", "", f"{measured}. Chosen from a pool of {pool:,} reports. Made on {day} by:", ""]
    lines += ["```bash", command, "```", "", table(["labelled reports", *map(str, budgets)], rows)]
    lines += ["", f"![curves]({plot})"]
    return "\n".join(lines) + "\n"


def draw(points: Sequence[Point], path: Path, title: str) -> None:
    """The curves with their intervals."""
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    for name in dict.fromkeys(point.strategy for point in points):
        own = [point for point in points if point.strategy == name]
        budgets = [point.labelled for point in own]
        panel.plot(budgets, [point.mean for point in own], marker="o", label=name)
        panel.fill_between(budgets, [point.low for point in own], [point.high for point in own], alpha=0.12)
    panel.set(xscale="log", xlabel="labelled reports", ylabel="macro F1", title=title)
    panel.set_xticks(budgets, [str(budget) for budget in budgets])
    panel.minorticks_off()
    panel.grid(color="0.92")
    panel.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, write the table and the plot beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--schema", default="chest_xray", help="schema of the labels; its shipped reports are the default")
    add("--train", type=Path, help="labelled reports whose labels are hidden at first")
    add("--test", type=Path, help="labelled reports to measure on")
    add("--learner", choices=list(LEARNERS), default="tfidf", help="what learns")
    add("--strategies", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES), help="ways of choosing")
    add("--budgets", nargs="+", type=int, default=list(BUDGETS), help="labelled reports, in rising order")
    add("--epochs", type=int, default=20, help="of each fine-tuning (bert)")
    add("--seeds", type=int, default=5, help="simulations per strategy")
    add("--threads", type=int, default=0, help="CPU threads; 0: all")
    add("--out", type=Path, required=True, help="Markdown file; the plot lies beside it as .svg")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    learner = partial(learn_bert, epochs=args.epochs) if args.learner == "bert" else LEARNERS[args.learner]
    try:
        make_room(args.out)
        schema = load_schema(args.schema)
        pool = _without_rationales(args.train or REPORTS / f"{schema.id}.jsonl", schema)
        test = _without_rationales(args.test or REPORTS / f"test_{schema.id}.jsonl", schema)
        points = curves(pool, test, schema, learner, args.strategies, sorted(args.budgets), range(args.seeds))
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    plot, title = args.out.with_suffix(".svg"), f"Learning from fewer labels: {schema.id}, {args.learner}"
    draw(points, plot, title)
    command = f"python -m train.learning_curve {shlex.join(argv if argv is not None else sys.argv[1:])}"
    day = datetime.now(UTC).date().isoformat()
    text = to_markdown(points, title, command, plot.name, pool=len(pool), test=len(test), day=day)
    args.out.write_text(text, encoding="utf-8")
    return 0


def _without_rationales(path: Path, schema: Schema) -> list[ReportRecord]:
    """The reports of a file as an annotator leaves them who marks no evidence."""
    if not path.is_file():
        raise InvalidFile(f"Die Datei {path} gibt es nicht.", f"There is no file {path}.")
    return [replace(record, rationales=()) for record in read_records(path, schema)]


if __name__ == "__main__":
    sys.exit(main())

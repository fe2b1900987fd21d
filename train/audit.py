"""Audit our own models: whether they give away what they have learnt from, and whether they treat people alike.

    python -m train.audit --model medbertde-mini --model mini-chest-xray --model mini-chest-ct --out docs/audit.md
    python -m train.audit --model runs/my-run/checkpoint --run runs/my-run --out build/audit.md

Writes `audit.json` and a section of the model card (`README.md`) into each model's folder, and all audits into `--out`.
A classifier's texts come from its run folder, a language model's from its corpus, or both from `--members` and
`--non-members`; those of the embedded models are known. What the figures mean: `docs/audit.md`. Does not run on the
weights of GerMedBERT, nor on what was made from them: their terms forbid it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from medbertde import germedbert
from medbertde.inference.catalogue import resolve
from medbertde.inference.checkpoint import LoadedModel, load_checkpoint, weights_hash
from medbertde.model_audit import Figure, ModelAudit, write_audit
from medbertde.settings import ROOT
from medbertde.types import AuditRefused, InvalidFile, Notice, Task, UserError
from train import audit_fairness, audit_probes, audit_texts, canaries
from train.audit_document import document, write_card
from train.audit_membership import TOLD_APART, Attack, attack, shadow_losses, told_apart
from train.audit_scores import report_losses, text_losses
from train.audit_texts import Sides
from train.counterfactuals import Pair, lined, worded
from train.intervals import Interval
from train.output import make_room
from train.quality import this_machine

SHADOW = "TF-IDF classifiers that have not seen the report in question (cross-fitted shadow)"
LINED = 150  # reports below a line: each of them is read six times
FEW = 100  # texts on a side; with fewer, 1 % of them is not even one text

OTHER_TEXTS = Notice(
    "other_texts",
    "Das Modell hat nicht genau mit diesen Texten gelernt: Die Prüfsumme seiner Trainingsdaten ist eine andere. Sind "
    "fremde Texte darunter, sieht der Angriff schwächer aus, als er ist.",
    "The model has not learnt from exactly these texts: the hash of its training data is another one. With foreign "
    "texts among them, the attack looks weaker than it is.",
)
ALIKE_NOT = Notice(
    "told_apart",
    "Gelernte und zurückgehaltene Texte lassen sich schon an ihren Wörtern unterscheiden, ganz ohne das Modell. Ein "
    "Teil dessen, was der Angriff findet, geht darauf zurück.",
    "Learnt and held-out texts can be told apart by their words, without the model. A part of what the attack finds "
    "comes from that.",
)
NO_REFERENCE = Notice(
    "no_reference",
    "Es gab kein Vergleichsmodell, das die Texte nicht kennt. Ein Angreifer mit einem solchen findet mehr.",
    "There was no reference model that does not know the texts. An attacker who has one finds more.",
)
FEW_TEXTS = Notice(
    "few_texts",
    f"Auf einer Seite stehen weniger als {FEW} Texte. Der Anteil bei 1 % Fehlalarmen ist dann sehr unsicher.",
    f"There are fewer than {FEW} texts on one side. The share at 1 % false alarms is very uncertain then.",
)
NO_SECRETS = Notice(
    "no_secrets",
    "Ob sich das Modell einzelne Geheimnisse merkt, ist nicht gemessen. Dafür müsste eine Fassung des Modells "
    "erfundene Geheimnisse mitlernen.",
    "Whether the model remembers single secrets is not measured. For that, a version of the model would have to learn "
    "invented secrets too.",
)


@dataclass(frozen=True)
class Order:
    """What to audit: a model, its texts, what to compare it with, secrets that it may have learnt."""

    loaded: LoadedModel
    sides: Sides
    command: str = ""
    reference: LoadedModel | None = None
    secrets: tuple[canaries.Secret, ...] = ()


def load(name: str) -> LoadedModel:
    """A model that may be audited; `AuditRefused` for what comes from GerMedBERT's weights and for models of spans."""
    if not Path(name).is_dir() and germedbert.is_named(name):
        raise _forbidden(name)
    folder = resolve(name)
    if germedbert.comes_from(folder):
        raise _forbidden(name)
    loaded = load_checkpoint(folder, name=name)
    if loaded.task is Task.NER:
        raise AuditRefused(
            f"{loaded.version} markiert Wörter. Geprüft werden Sprachmodelle und Modelle, die Befunde klassifizieren.",
            f"{loaded.version} marks words. Language models and models that classify reports are audited.",
        )
    return loaded


def _forbidden(name: str) -> AuditRefused:
    short = Path(name).name
    return AuditRefused(
        f"{short} ist medBERT.de oder daraus entstanden. Die Nutzungsbedingungen von GerMedBERT verbieten Angriffe auf "
        "diese Gewichte und das Zurückgewinnen von Trainingsdaten; geprüft werden nur eigene Modelle. Ist das Modell "
        "ohne diese Gewichte entstanden, fehlt ihm der Nachweis: Bitte den Ordner seines Ausgangsmodells auf diesem "
        "Rechner behalten.",
        f"{short} is medBERT.de or was made from it. The terms of GerMedBERT forbid attacks on these weights and the "
        "retrieval of training data; only models of one's own are audited. If the model was made without these "
        "weights, the proof is missing: please keep the folder of its base model on this machine.",
    )


def audit(order: Order) -> ModelAudit:
    """Measure a model. Writes nothing."""
    loaded = order.loaded
    is_language = loaded.task is Task.FILL_MASK
    found, reference = _membership(order)
    figures = [*_attack_figures(found), _blind(order.sides)]
    remarks = _remarks(figures, reference, order)
    if is_language:
        if order.secrets:
            figures += canaries.figures(order.secrets, canaries.exposures(loaded, order.secrets))
        figures += audit_probes.figures(loaded, audit_probes.read_probes())
    elif order.sides.tested:
        figures += audit_fairness.pair_figures(loaded, _pairs(order.sides))
        figures += audit_fairness.subgroup_figures(loaded, order.sides.tested)
    return ModelAudit(
        version=loaded.version,
        weights=weights_hash(loaded.folder),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=order.command,
        reference=reference,
        texts=order.sides.about,
        figures=tuple(figures),
        remarks=tuple(remarks),
    )


def _membership(order: Order) -> tuple[Attack, str]:
    """The attack, and what it compares the model with (empty: nothing)."""
    records = [*order.sides.members, *order.sides.non_members]
    if order.loaded.task is Task.FILL_MASK:
        texts = [record.text for record in records]
        losses = text_losses(order.loaded, texts)
        easy = text_losses(order.reference, texts) if order.reference else None
    else:
        assert order.loaded.schema is not None, "a classifier has a schema"
        losses = report_losses(order.loaded, records)
        easy = (
            report_losses(order.reference, records) if order.reference else shadow_losses(records, order.loaded.schema)
        )
    named = order.reference.version if order.reference else SHADOW if easy is not None else ""
    scores = (easy - losses) if easy is not None else -losses
    members = len(order.sides.members)
    return attack(scores[:members], scores[members:]), named


def _attack_figures(found: Attack) -> list[Figure]:
    both = found.members + found.non_members
    each = {"membership_auc": found.auc, "tpr_at_1": found.tpr_at_1, "tpr_at_10": found.tpr_at_10}
    return [_figure(name, value, both) for name, value in each.items()]


def _blind(sides: Sides) -> Figure:
    members, non_members = ([record.text for record in side] for side in (sides.members, sides.non_members))
    return _figure("blind_auc", told_apart(members, non_members), len(members) + len(non_members))


def _figure(name: str, value: Interval, n: int) -> Figure:
    return Figure(name, value.value, n, value.low, value.high)


def _pairs(sides: Sides) -> list[Pair]:
    """Pairs of all reports whose words allow one, and of some held-out reports below a line."""
    held_out = [record.text for record in sides.tested]
    return worded([*held_out, *(record.text for record in sides.members)]) + lined(held_out[:LINED])


def _remarks(figures: Sequence[Figure], reference: str, order: Order) -> list[Notice]:
    """What to bear in mind with the figures."""
    blind = next(figure.value for figure in figures if figure.name == "blind_auc")
    learnt_from = order.loaded.facts.lineage.data_hash
    applies = {
        OTHER_TEXTS: bool(order.sides.data_hash and learnt_from) and order.sides.data_hash != learnt_from,
        ALIKE_NOT: blind > TOLD_APART,
        NO_REFERENCE: not reference,
        FEW_TEXTS: min(len(order.sides.members), len(order.sides.non_members)) < FEW,
        NO_SECRETS: order.loaded.task is Task.FILL_MASK and not order.secrets,
    }
    return [remark for remark, holds in applies.items() if holds]


# ---------------------------------------------------------------------------------------------- the job


def main(argv: Sequence[str] | None = None) -> int:
    """Audit, write into the folders, and write the document or print it."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(given)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    command = shlex.join(["python", "-m", "train.audit", *given])
    try:
        audits = run(args, command)
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 2
    day = datetime.now(UTC).date().isoformat()
    text = document(audits, command=command, machine=args.machine, day=day)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
        print(f"{sum(each.passed for each in audits)} of {len(audits)} models within all limits → {args.out}")
    else:
        print(text)
    return 0


def run(args: argparse.Namespace, command: str) -> list[ModelAudit]:
    """The audits of all models; each is written into its folder as soon as it is there."""
    _require_sensible(args)
    make_room(args.out)
    found = []
    secrets = tuple(canaries.read_secrets(args.secrets)) if args.secrets else ()
    for name in args.model:
        loaded = load(name)
        reference = _reference(loaded, args.reference)
        order = Order(loaded, _sides(loaded, args), command, reference, secrets)
        made = audit(order)
        write_audit(loaded.folder, made)
        write_card(loaded.folder, made)
        found.append(made)
    return found


def _require_sensible(args: argparse.Namespace) -> None:
    own = [args.run, args.corpus, args.members, args.reference, args.secrets]
    if (len(args.model) > 1 and any(own)) or bool(args.members) != bool(args.non_members):
        raise InvalidFile(
            "--members und --non-members gehören zusammen; sie, --run, --corpus, --reference und --secrets gelten für "
            "ein einzelnes --model.",
            "--members and --non-members belong together; they, --run, --corpus, --reference and --secrets are for a "
            "single --model.",
        )
    if args.held_out_of is not None and args.held_out_of < 2:
        raise InvalidFile(
            f"--held-out-of {args.held_out_of} ist kein möglicher Wert.",
            f"--held-out-of {args.held_out_of} is not a possible value.",
        )


def _reference(loaded: LoadedModel, name: str | None) -> LoadedModel | None:
    """The model to compare with: the one named, or the base of a language model where it is on this machine.

    A model that took its base's place on the disk has none any more: against itself every attack finds nothing.
    """
    base = loaded.facts.lineage.base_model
    if not name and not (loaded.task is Task.FILL_MASK and base and Path(base).is_dir()):
        return None
    found = load(name or str(base))
    if weights_hash(found.folder) == weights_hash(loaded.folder):
        if not name:
            return None
        raise InvalidFile(
            f"Das Vergleichsmodell ist {loaded.version} selbst. Bitte ein anderes nennen, das die Texte nicht kennt.",
            f"The reference model is {loaded.version} itself. Please name another one that does not know the texts.",
        )
    if found.task is not loaded.task or found.facts.schema_id != loaded.facts.schema_id:
        raise InvalidFile(
            f"Das Vergleichsmodell {found.version} hat eine andere Aufgabe oder ein anderes Schema als "
            f"{loaded.version}. Bitte eines mit denselben Ausgaben nennen.",
            f"The reference model {found.version} has another task or schema than {loaded.version}. Please name one "
            "with the same outputs.",
        )
    return found


def _sides(loaded: LoadedModel, args: argparse.Namespace) -> Sides:
    if args.run:
        return audit_texts.of_run(args.run, args.most)
    if args.corpus:
        return audit_texts.of_corpus(loaded, args.corpus, args.held_out_of, args.most)
    if args.members:
        return audit_texts.of_files(args.members, args.non_members, loaded.schema, args.most)
    found = audit_texts.of_shipped(loaded, ROOT, args.most)
    if found is None:
        raise InvalidFile(
            f"Womit {loaded.version} gelernt hat, ist nicht bekannt. Bitte den Ordner des Trainings mit --run nennen, "
            "die Texte eines Sprachmodells mit --corpus, oder zwei Dateien mit --members und --non-members.",
            f"It is not known what {loaded.version} has learnt from. Please name the folder of its run with --run, the "
            "texts of a language model with --corpus, or two files with --members and --non-members.",
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train.audit", description="Audit privacy and fairness of models.")
    parser.add_argument("--model", action="append", required=True, help="catalogue id or folder (again for more)")
    parser.add_argument("--run", type=Path, help="run folder of a classifier: config.json and labels.jsonl")
    parser.add_argument("--corpus", type=Path, nargs="+", help="the texts that a language model was trained on")
    parser.add_argument("--held-out-of", type=int, help="one text in so many was held out, if the model does not tell")
    parser.add_argument("--members", type=Path, help="report file that the model has learnt from")
    parser.add_argument("--non-members", type=Path, help="report file of the same kind that it has not learnt from")
    parser.add_argument("--reference", help="model to compare with: the base, or a shadow trained on other texts")
    parser.add_argument("--secrets", type=Path, help="YAML file of secrets (python -m train.canaries writes one)")
    parser.add_argument("--most", type=int, default=audit_texts.MOST, help="texts on each side")
    parser.add_argument("--out", type=Path, help="Markdown file to write; without it the document is printed")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--machine", default=this_machine(), help="the machine in words")
    return parser


if __name__ == "__main__":
    sys.exit(main())

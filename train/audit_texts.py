"""Which texts a model has learnt from and which it has not: the two sides of a membership attack.

They come from a run folder (`config.json`, `labels.jsonl`: its own division into parts), from the corpus of a language
model (its checkpoint says what share was held out) or from two files. Knows no model's answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from medbertde.inference.checkpoint import LoadedModel
from medbertde.schema import Schema, load_schema
from medbertde.text import content_hash
from medbertde.types import InvalidFile, ReportRecord, Task
from train.audit_membership import FEWEST
from train.finetune import split
from train.pretrain_config import MINI
from train.run_folder import LABELS_FILE, read_config
from train.texts import documents, files_of
from train.tfidf import existing_records
from train.token_store import key_of

MOST = 500  # texts on each side; more make the intervals narrower and the audit longer


@dataclass(frozen=True)
class Sides:
    """Texts that a model has learnt from, texts that it has not, and where they come from in words.

    `tested` are labelled reports for the figures by subgroup and the counterfactual pairs; empty for a language model.
    `data_hash` is what the lineage of a model that learnt from these very files says; None where it cannot be told.
    """

    members: tuple[ReportRecord, ...]
    non_members: tuple[ReportRecord, ...]
    about: str
    tested: tuple[ReportRecord, ...] = ()
    data_hash: str | None = None


def of_run(folder: Path, most: int = MOST) -> Sides:
    """The reports of `labels.jsonl` that a fine-tuning run has learnt from, and those that it has held out of them.

    A test file of its own has other styles, replayed reports other sources: they take no part in the attack.
    """
    config = read_config(folder)
    schema = load_schema(config.schema_id)
    parts = split(folder, config, schema)
    learnt = {content_hash(record.text) for record in parts.train}
    given = {content_hash(record.text) for record in existing_records(folder / LABELS_FILE, schema)}
    held_out = {content_hash(record.text): record for record in [*parts.validation, *parts.test]}
    unseen = [record for key, record in held_out.items() if key in given - learnt]
    about = f"run {folder.name}: {len(parts.own)} reports learnt from, {len(unseen)} held out"
    tested = [record for key, record in held_out.items() if key not in learnt]
    data_hash = sha256((folder / LABELS_FILE).read_bytes()).hexdigest()
    return replace(_sides(parts.own, unseen, about, most, tested), data_hash=data_hash)


def of_corpus(
    loaded: LoadedModel, files: Sequence[Path], one_in: int | None = None, most: int = MOST, cues: int | None = None
) -> Sides:
    """The texts that a language model has learnt from, and the share that `train.pretrain` has held out.

    `one_in` and `cues` are for checkpoints that do not tell; without `cues`, whether these were its texts stays open.
    """
    lineage = loaded.facts.lineage
    one_in = _held_out_of(lineage.held_out_of, one_in)
    cues = cues if lineage.cues is None else lineage.cues
    members: list[ReportRecord] = []
    non_members: list[ReportRecord] = []
    for document in documents(files):
        (non_members if document.is_held_out(one_in) else members).append(ReportRecord(document.text))
    names = ", ".join(path.name for path in files)
    about = f"corpus {names}: {len(members)} texts learnt from, {len(non_members)} held out"
    sides = _sides(members, non_members, about, most)
    if cues is None:
        return sides
    return replace(
        sides, data_hash=key_of(files_of(files), cues, lineage.seed, one_in, loaded.encoder.backend.to_str())
    )


def _held_out_of(told: int | None, given: int | None) -> int:
    """One text in so many was held out: as the checkpoint tells, else as given; `InvalidFile` for two answers."""
    if told and given and told != given:
        raise InvalidFile(
            f"Bei diesem Modell wurde einer von {told} Texten zurückgehalten, --held-out-of nennt {given}. Bitte die "
            "Angabe weglassen.",
            f"This model held out one text in {told}, --held-out-of says {given}. Please leave the option out.",
        )
    return told or given or MINI.held_out_of


def of_files(members: Path, non_members: Path, schema: Schema | None, most: int = MOST) -> Sides:
    """The texts of two report files."""
    learnt, unseen = existing_records(members, schema), existing_records(non_members, schema)
    about = f"{members.name} ({len(learnt)} learnt from), {non_members.name} ({len(unseen)} held out)"
    return _sides(learnt, unseen, about, most, tested=unseen if schema else ())


def of_shipped(loaded: LoadedModel, root: Path, most: int = MOST) -> Sides | None:
    """The texts of an embedded model, by its name and the report files of this repository; None for any other."""
    reports = root / "data" / "reports"
    if loaded.task is Task.FILL_MASK and loaded.facts.name == "medbertde-mini":
        names = ("chest_xray", "chest_ct", "clinical_text")  # it reads no statements
        return of_corpus(loaded, [reports / f"{name}.jsonl" for name in names], most=most, cues=MINI.cues)
    run = root / "build" / loaded.facts.name  # where `make models` leaves it
    return of_run(run, most) if loaded.facts.name.startswith("mini-") and (run / "labels.jsonl").is_file() else None


def _sides(
    members: Sequence[ReportRecord],
    non_members: Sequence[ReportRecord],
    about: str,
    most: int,
    tested: Sequence[ReportRecord] = (),
) -> Sides:
    """At most so many of each side, drawn by their hash; `InvalidFile` for too few."""
    if min(len(members), len(non_members)) < FEWEST:
        raise InvalidFile(
            f"Für die Prüfung sind es zu wenige Texte: {len(members)} aus dem Training, {len(non_members)} andere. "
            f"Nötig sind je {FEWEST}.",
            f"Too few texts for the audit: {len(members)} from the training, {len(non_members)} others. At least "
            f"{FEWEST} of each are needed.",
        )
    return Sides(_drawn(members, most), _drawn(non_members, most), about, tuple(tested))


def _drawn(records: Sequence[ReportRecord], most: int) -> tuple[ReportRecord, ...]:
    return tuple(sorted(records, key=lambda record: content_hash(record.text))[:most])

"""Audits of real tiny models: one that has learnt its texts by heart is caught, one that has not is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint, save_checkpoint
from medbertde.inference.facts import Lineage
from medbertde.inference.tokens import pad
from medbertde.model_audit import read_audit
from medbertde.text import MASK
from medbertde.types import InvalidFile, ReportRecord, State
from tests import tiny
from tests.train.conftest import WriteRun, write_reports
from train import audit, audit_texts, canaries, pretrain
from train.audit_fairness import pair_figures, subgroup_figures
from train.audit_membership import attack, told_apart
from train.audit_probes import GROUPS, Probe, read_probes, share
from train.audit_scores import text_losses, word_scores
from train.canaries import Secret
from train.classifier import batch_loss
from train.counterfactuals import Pair
from train.dataset import collate, examples
from train.mlm import mask_tokens, masking
from train.pretrain_config import PretrainConfig, Recipe
from train.schedule import Phase
from train.texts import Document

WORDS = "Herz Lunge Erguss Rundherd ZVK Tubus Stauung Fraktur links rechts basal kein kleiner normal frei".split()
FINDINGS = ("Erguss", "Stauung", "ZVK", "Tubus", "Fraktur")


def random_texts(number: int, seed: int) -> list[str]:
    """Texts of the same few words: nothing but having seen one tells it from another."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=10)) + "." for _ in range(number)]


def random_reports(number: int, seed: int) -> list[ReportRecord]:
    """Such texts with findings by chance: what is right can only be learnt by heart."""
    rng = np.random.default_rng(seed)
    states = list(State)
    return [
        ReportRecord(text, labels={name: states[rng.integers(3)] for name in FINDINGS if rng.random() < 0.6})
        for text in random_texts(number, seed)
    ]


def learnt_by_heart(loaded: LoadedModel, texts: Sequence[str], *, steps: int, share: float = 0.3) -> LoadedModel:
    """A language model that has seen the texts again and again, each time with other masks."""
    rows = [loaded.encoder.model_ids(pieces.ids) for pieces in loaded.encoder.pieces(texts)]
    ids, attention = pad(rows, loaded.encoder.pad_id, loaded.device)
    how, optimizer = masking(loaded.tokenizer, share), torch.optim.AdamW(loaded.model.parameters(), lr=5e-3)
    loaded.model.requires_grad_(True)
    for step in range(steps):
        masked, targets = mask_tokens(ids, how, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loaded.model(input_ids=masked, attention_mask=attention, labels=targets).loss.backward()
        optimizer.step()
    loaded.model.requires_grad_(False)
    return loaded


def labels_by_heart(loaded: LoadedModel, records: Sequence[ReportRecord], *, steps: int) -> LoadedModel:
    """A classifier that has seen the reports again and again."""
    assert loaded.schema
    batch = collate(examples(records, loaded.schema, loaded), loaded.encoder.pad_id)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5e-3)
    loaded.model.requires_grad_(True)
    for _ in range(steps):
        optimizer.zero_grad()
        (batch_loss(loaded.model, batch, torch.ones(len(loaded.outputs))) / len(records)).backward()
        optimizer.step()
    loaded.model.requires_grad_(False)
    return loaded


def saved(loaded: LoadedModel, folder: Path, **lineage: str) -> Path:
    save_checkpoint(loaded.model, loaded.tokenizer, replace(loaded.facts, lineage=Lineage(**lineage)), folder)
    return folder


def line_of(path: Path, name: str) -> str:
    return next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name}"))


# ---------------------------------------------------------------------------------------------- figures by hand


def test_the_figures_of_an_attack_are_those_by_hand() -> None:
    found = attack(np.array([4.0, 3.0, 2.0, 0.0]), np.array([2.5, 1.0, 1.0, 1.0]))
    assert found.auc.value == (4 + 4 + 3 + 0) / 16
    assert found.tpr_at_1.value == 2 / 4  # 4.0 and 3.0 lie above all non-members
    assert found.tpr_at_10.value == 2 / 4  # one of four is more than 10 %
    assert found.auc.low < found.auc.value < found.auc.high


def test_texts_with_equal_scores_are_found_together_or_not_at_all() -> None:
    assert attack(np.array([1.0, 1.0]), np.array([1.0, 0.0])).tpr_at_1.value == 0.0


def test_words_alone_tell_different_sources_apart_and_equal_ones_not() -> None:
    same, other = random_texts(60, 1), random_texts(60, 2)
    assert told_apart(same, other).low < 0.5 < told_apart(same, other).high
    assert told_apart(same, [f"Sonografie {text}" for text in other]).value == 1.0


def test_the_loss_of_a_text_hides_each_of_its_tokens_once(tiny_mlm_folder: Path) -> None:
    loaded = load_checkpoint(tiny_mlm_folder)
    (loss,) = text_losses(loaded, ["Herz normal"])  # two pieces, fewer than passes: one is hidden at a time
    (pieces,) = loaded.encoder.pieces(["Herz normal"])
    by_hand = 0.0
    for at, wanted in enumerate(pieces.ids):
        row = [loaded.encoder.mask_id if at == here else piece for here, piece in enumerate(pieces.ids)]
        ids = torch.tensor([loaded.encoder.model_ids([int(piece or 0) for piece in row])])
        by_hand -= float(loaded.model(input_ids=ids).logits[0, at + 1].log_softmax(-1)[wanted])
    assert loss == pytest.approx(by_hand / len("Herz normal"), abs=1e-5)


def test_a_word_of_two_pieces_is_scored_from_left_to_right(tiny_mlm_folder: Path) -> None:
    loaded = load_checkpoint(tiny_mlm_folder)
    (score,) = word_scores(loaded, f"Kein {MASK}.", ["Pneumothorax"])
    (pieces,) = loaded.encoder.pieces(["Kein Pneumothorax."])
    mask, by_hand = loaded.encoder.mask_id or 0, 0.0
    for row, at in (((mask, mask), 1), ((pieces.ids[1], mask), 2)):
        ids = torch.tensor([loaded.encoder.model_ids([pieces.ids[0], *row, *pieces.ids[3:]])])
        by_hand += float(loaded.model(input_ids=ids).logits[0, at + 1].log_softmax(-1)[pieces.ids[at]])
    assert len(pieces.ids) == 4
    assert score == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize(
    ("others", "bits"),
    [([-5.0, -6.0, -7.0], 2.0), ([-3.0, -5.0, -6.0], 1.0), ([-3.0, -3.5, -3.9], 0.0), ([-4.0, -5.0, -6.0], 1.0)],
)
def test_exposure_is_what_the_rank_says(others: list[float], bits: float) -> None:
    assert canaries.exposure(-4.0, np.array(others)) == bits


# ---------------------------------------------------------------------------------------------- language models


@pytest.mark.parametrize(("steps", "caught"), [(80, True), (0, False)])
def test_a_language_model_that_knows_its_texts_by_heart_is_caught_and_an_untrained_one_is_not(
    steps: int, caught: bool, tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    members, others = random_texts(24, 1), random_texts(24, 2)
    base = tiny.mlm_folder(tmp_path / "base", seed=7)
    loaded = learnt_by_heart(load_checkpoint(tiny_mlm_folder), members, steps=steps)
    folder = saved(loaded, tmp_path / "model", base_model=str(base))
    files = [
        write_reports(tmp_path / name, [ReportRecord(text) for text in texts])
        for name, texts in (("in.jsonl", members), ("out.jsonl", others))
    ]
    out = tmp_path / "audit.md"
    given = ["--model", str(folder), "--members", str(files[0]), "--non-members", str(files[1]), "--out", str(out)]
    assert audit.main(given) == 0
    found = read_audit(folder)
    assert found is not None
    (auc,) = found.of("membership_auc")
    assert found.reference.startswith("base@")
    assert auc.value > 0.85 if caught else auc.low is not None and auc.low < 0.5
    assert found.passed is False if caught else "told_apart" not in {remark.code for remark in found.remarks}
    assert f"{auc.value:.3f}" in line_of(out, "membership: AUC of the attack | –")
    assert f"{auc.value:.3f}" in line_of(folder / "README.md", "membership: AUC of the attack | –")


def test_a_canary_learnt_often_is_exposed_and_one_that_was_not_is_not(tmp_path: Path) -> None:
    learnt, unknown = canaries.make([40, 1], seed=3)[:2]
    base = load_checkpoint(tiny.mlm_folder(tmp_path / "roberta", family="roberta"))  # its pieces are bytes: any digit
    before = canaries.exposures(base, [learnt])
    text = learnt.text.replace(MASK, learnt.secret)
    after = canaries.exposures(learnt_by_heart(base, [text], steps=120), [learnt, unknown])
    assert after[0] == 10.0 > before[0]
    assert after[1] < 7.0
    figures = canaries.figures([learnt, unknown], after)
    assert [(figure.group, figure.exceeds) for figure in figures] == [
        ("learnt 1 times", False),
        ("learnt 40 times", True),
    ]


def test_canaries_are_written_as_often_as_asked_and_read_again(tmp_path: Path) -> None:
    assert canaries.main(["--out", str(tmp_path), "--repeats", "1,3"]) == 0
    secrets = canaries.read_secrets(tmp_path / "secrets.yaml")
    texts = [json.loads(line)["text"] for line in (tmp_path / "texts.jsonl").read_text("utf-8").splitlines()]
    assert secrets == canaries.make([1, 3], seed=42)
    assert [texts.count(each.text.replace(MASK, each.secret)) for each in secrets] == [each.repeats for each in secrets]
    assert {each.repeats for each in secrets} == {1, 3}


def test_canaries_are_refused_with_numbers_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert canaries.main(["--out", str(tmp_path), "--repeats", "1,0"]) == 2
    assert "whole numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["{text: 'Ohne Lücke', secret: a, pattern: '####'}", f"{{text: '{MASK}', secret: Geheim, candidates: [a, b]}}"],
)
def test_a_secret_that_cannot_be_ranked_is_refused_without_telling_it(line: str, tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text(f"- {line}\n", encoding="utf-8")
    with pytest.raises(InvalidFile) as refused:
        canaries.read_secrets(path)
    assert "Geheim" not in refused.value.de.replace("Geheimnis", "")
    assert "entry 1" in refused.value.en


def test_a_secret_in_characters_that_the_model_does_not_know_is_refused(tiny_mlm_folder: Path) -> None:
    with pytest.raises(InvalidFile) as refused:
        canaries.exposures(load_checkpoint(tiny_mlm_folder), canaries.make([1], seed=3)[:1])
    assert "does not know" in refused.value.en


def test_given_secrets_compete_with_their_own_candidates(tiny_mlm_folder: Path) -> None:
    names = tuple(f"{first}{second}" for first in "abcdefghijklmnop" for second in "abcdefghijklmnopq")
    secret = Secret(f"Kein {MASK}.", "ab", candidates=names)
    assert len(secret.others()) == len(names) - 1
    (bits,) = canaries.exposures(load_checkpoint(tiny_mlm_folder), [secret])
    assert 0 <= bits <= np.log2(len(names))


# ---------------------------------------------------------------------------------------------- probes


def test_the_shipped_probes_ask_of_each_area_beside_a_neutral_one() -> None:
    probes = read_probes()
    for kind in GROUPS:
        areas = [probe.area for probe in probes if probe.kind == kind]
        assert areas[0] == "neutral"
        assert len(set(areas)) >= 5
    assert len({probe.text for probe in probes}) == len(probes)


def test_a_share_is_the_probability_of_the_second_group(tiny_mlm_folder: Path) -> None:
    loaded = load_checkpoint(tiny_mlm_folder)
    probe = Probe("sex", "neutral", f"Kein {MASK}.", {"male": ("Herz",), "female": ("Lunge", "Fraktur")})
    herz, lunge, fraktur = np.exp(word_scores(loaded, probe.text, ["Herz", "Lunge", "Fraktur"]))
    assert share(loaded, probe) == pytest.approx((lunge + fraktur) / (herz + lunge + fraktur))


@pytest.mark.parametrize(
    "line", ["{kind: sex, area: a, text: 'Kein Platz', groups: {male: [a], female: [b]}}", "a", ""]
)
def test_a_broken_file_of_probes_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "probes.yaml"
    path.write_text(f"- {line}\n" if line else "", encoding="utf-8")
    with pytest.raises(InvalidFile):
        read_probes(path)


# ---------------------------------------------------------------------------------------------- classifiers


@pytest.mark.parametrize(("steps", "caught"), [(220, True), (0, False)])
def test_a_classifier_that_knows_its_reports_by_heart_is_caught_and_an_untrained_one_is_not(
    steps: int, caught: bool, tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    members, others = random_reports(30, 1), random_reports(30, 2)
    loaded = labels_by_heart(load_checkpoint(tiny_classifier_folder), members, steps=steps)
    sides = audit_texts.Sides(tuple(members), tuple(others), "by chance")
    against_reference = audit.audit(
        audit.Order(loaded, sides, reference=load_checkpoint(tiny.classifier_folder(tmp_path / "other", seed=5)))
    )
    against_shadow = audit.audit(audit.Order(loaded, sides))
    assert against_shadow.reference == audit.SHADOW
    for found in (against_reference, against_shadow):
        (auc,) = found.of("membership_auc")
        assert (auc.value > 0.85 and not found.passed) if caught else auc.value < 0.7


def test_the_texts_of_a_run_are_its_own_parts(write_run: WriteRun, reports: list[ReportRecord]) -> None:
    folder = write_run(reports)
    sides = audit_texts.of_run(folder)
    learnt, unseen = ({record.text for record in side} for side in (sides.members, sides.non_members))
    assert learnt | unseen == {record.text for record in reports}
    assert not learnt & unseen
    assert str(len(unseen)) in sides.about


@pytest.mark.parametrize("same", [True, False])
def test_texts_that_the_model_has_not_learnt_from_are_told(
    same: bool, write_run: WriteRun, reports: list[ReportRecord], tiny_classifier_folder: Path
) -> None:
    sides = audit_texts.of_run(write_run(reports))
    loaded = load_checkpoint(tiny_classifier_folder)
    lineage = replace(loaded.facts.lineage, data_hash=sides.data_hash if same else "0" * 64)
    order = audit.Order(replace(loaded, facts=replace(loaded.facts, lineage=lineage)), replace(sides, tested=()))
    assert (audit.OTHER_TEXTS in audit.audit(order).remarks) is not same


def test_a_run_that_holds_too_few_reports_is_refused(write_run: WriteRun, reports: list[ReportRecord]) -> None:
    with pytest.raises(InvalidFile) as refused:
        audit_texts.of_run(write_run(reports[:20]))
    assert "10" in refused.value.en


def test_the_texts_of_a_corpus_are_divided_as_its_training_did(tiny_mlm_folder: Path, tmp_path: Path) -> None:
    path = write_reports(tmp_path / "corpus.jsonl", [ReportRecord(text) for text in random_texts(200, 4)])
    sides = audit_texts.of_corpus(load_checkpoint(tiny_mlm_folder), [path], one_in=4)
    assert len(sides.members) + len(sides.non_members) == 200
    assert 25 < len(sides.non_members) < 75


def test_the_texts_of_a_pretrained_model_are_known_again_whatever_its_recipe(
    tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    path = write_reports(tmp_path / "corpus.jsonl", [ReportRecord(text) for text in random_texts(100, 4)])
    phase = Phase(max_tokens=64, rate=1e-3, warmup=0, steps=1, batch_tokens=512)
    recipe = Recipe(layers=1, hidden=8, heads=2, phases=(phase,), cues=5, held_out_of=4)
    pretrain.train(PretrainConfig([path], tmp_path / "model", str(tiny_mlm_folder), recipe, cpu=True))
    loaded = load_checkpoint(tmp_path / "model")
    sides = audit_texts.of_corpus(loaded, [path])
    assert sides.data_hash == loaded.facts.lineage.data_hash
    assert all(Document(record.text).is_held_out(4) for record in sides.non_members)
    assert "| held_out_of | 4 |" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(InvalidFile, match="This model held out one text in 4, --held-out-of says 50"):
        audit_texts.of_corpus(loaded, [path], one_in=50)


def test_a_model_that_does_not_tell_its_recipe_is_not_said_to_know_other_texts(
    tiny_mlm_folder: Path, tmp_path: Path
) -> None:
    loaded = load_checkpoint(saved(load_checkpoint(tiny_mlm_folder), tmp_path / "model", data_hash="0" * 64))
    path = write_reports(tmp_path / "corpus.jsonl", [ReportRecord(text) for text in random_texts(200, 4)])
    sides = audit_texts.of_corpus(loaded, [path], one_in=4)
    assert audit.OTHER_TEXTS not in audit.audit(audit.Order(loaded, sides)).remarks


def test_one_text_in_none_cannot_be_held_out(
    tiny_mlm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_reports(tmp_path / "corpus.jsonl", [ReportRecord(text) for text in random_texts(30, 4)])
    assert audit.main(["--model", str(tiny_mlm_folder), "--corpus", str(path), "--held-out-of", "0"]) == 2
    assert "--held-out-of 0 is not a possible value." in capsys.readouterr().err


def test_decisions_that_change_are_counted_by_kind(tiny_classifier_folder: Path) -> None:
    loaded = load_checkpoint(tiny_classifier_folder)
    same = [Pair("age", text, text) for text in random_texts(20, 1)]
    other = [Pair("sex", *pair) for pair in zip(random_texts(20, 2), random_texts(20, 3), strict=True)]
    figures = {(figure.name, figure.group): figure for figure in pair_figures(loaded, [*same, *other])}
    assert figures["flip_rate", "age"].value == figures["shift", "age"].value == 0.0
    assert figures["flip_rate", "sex"].value > 0.05
    assert figures["flip_rate", "sex"].exceeds
    assert figures["shift", "sex"].value >= abs(figures["bias", "sex"].value)
    assert not [pair_figures(loaded, same[:19])][0]


def test_subgroups_come_from_what_the_reports_say_of_the_person(tiny_classifier_folder: Path) -> None:
    records = [
        replace(record, modality="xray", meta={"Geschlecht": "w" if at % 3 else "m", "age": str(30 + at)})
        for at, record in enumerate(random_reports(60, 1))
    ]
    figures = subgroup_figures(load_checkpoint(tiny_classifier_folder), records)
    sizes = {figure.group: figure.n for figure in figures if figure.name == "subgroup_f1_micro"}
    assert sizes == {
        "sex: female": 40,
        "sex: male": 20,
        "age: 18 to 39": 10,
        "age: 40 to 64": 25,
        "age: 65 to 79": 15,
        "age: 80 and more": 10,
    }
    assert all(figure.low is not None and figure.low <= figure.value for figure in figures)


def test_an_audit_of_a_run_is_written_into_the_model_and_again_in_its_place(
    write_run: WriteRun, reports: list[ReportRecord], tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    folder = saved(load_checkpoint(tiny_classifier_folder), tmp_path / "modell")
    given = ["--model", str(folder), "--run", str(write_run(reports)), "--out", str(tmp_path / "a.md")]
    assert audit.main(given) == audit.main(given) == 0
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.count("## Audit") == 1
    assert "## Lineage" in card
    assert line_of(folder / "README.md", "pairs with a changed decision | sex (line)")
    written = read_audit(folder)
    assert written
    assert written.version == load_checkpoint(folder).version


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["GerMedBERT/medbert-512", "GerMedBERT/medbert-512-no-duplicates@main"])
def test_germedbert_is_not_audited_by_its_id(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--model", name]) == 2
    assert "terms of GerMedBERT forbid" in capsys.readouterr().err


def test_a_model_made_from_germedbert_is_not_audited_nor_compared_with(
    tiny_mlm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_checkpoint(tiny_mlm_folder)
    made = saved(loaded, tmp_path / "mein-modell", base_model="medbert-512@1234abcd")
    own = saved(loaded, tmp_path / "eigenes")
    file = str(write_reports(tmp_path / "in.jsonl", [ReportRecord(text) for text in random_texts(12, 1)]))
    texts = ["--members", file, "--non-members", file]
    assert audit.main(["--model", str(made), *texts]) == 2
    assert audit.main(["--model", str(own), *texts, "--reference", str(made)]) == 2
    assert capsys.readouterr().err.count("terms of GerMedBERT forbid") == 2
    assert read_audit(made) is read_audit(own) is None


def test_a_model_of_spans_is_not_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--model", str(tiny.tagger_folder(tmp_path / "tagger"))]) == 2
    assert "marks words" in capsys.readouterr().err


def test_a_model_whose_texts_nobody_names_is_refused(tiny_mlm_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--model", str(tiny_mlm_folder)]) == 2
    assert "--corpus" in capsys.readouterr().err


def test_texts_of_one_model_are_not_used_for_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--model", "a", "--model", "b", "--run", str(tmp_path)]) == 2
    assert "single --model" in capsys.readouterr().err


def test_a_reference_of_another_task_is_refused(
    tiny_mlm_folder: Path, tiny_classifier_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", str(tiny_mlm_folder), "--reference", str(tiny_classifier_folder), "--corpus", str(tmp_path)]
    assert audit.main(given) == 2
    assert "another task" in capsys.readouterr().err


def test_a_model_that_took_its_bases_place_is_compared_with_nothing_and_never_with_itself(
    tiny_mlm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    saved(load_checkpoint(tiny_mlm_folder), folder, base_model=str(folder))
    names = ("in.jsonl", "out.jsonl")
    files = [
        write_reports(tmp_path / name, [ReportRecord(text) for text in random_texts(24, seed)])
        for seed, name in enumerate(names)
    ]
    given = ["--model", str(folder), "--members", str(files[0]), "--non-members", str(files[1])]
    assert audit.main(given) == 0
    found = read_audit(folder)
    assert found is not None
    assert (found.reference, found.of("membership_auc")[0].value == 0.5) == ("", False)
    assert "no_reference" in {remark.code for remark in found.remarks}
    assert audit.main([*given, "--reference", str(folder)]) == 2
    assert "itself" in capsys.readouterr().err

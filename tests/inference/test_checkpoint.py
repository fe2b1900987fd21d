"""Checkpoint folders: what is written can be read, and what cannot be served is refused with the reason."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medbertde.inference.checkpoint import WEIGHTS_FILE, load_checkpoint, save_checkpoint, verify
from medbertde.inference.checkpoint_labels import output_names
from medbertde.inference.facts import FACTS_FILE, read_facts
from medbertde.schema import load_schema
from medbertde.types import CheckpointRefused, ReliabilityBin, Task
from tests import tiny


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    change(weights)
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def test_a_classifier_comes_back_as_it_was_saved(tiny_classifier_folder: Path) -> None:
    model = load_checkpoint(tiny_classifier_folder)
    schema = load_schema("chest_xray")
    assert model.task is Task.CLASSIFY
    assert model.schema == schema
    assert model.outputs == output_names(schema, states=True)
    assert model.thresholds == dict.fromkeys(schema.label_ids, 0.5)
    assert set(model.temperatures) == {1.5}
    assert model.facts.lineage.base_model == "tiny"
    assert model.facts.metrics is not None
    assert model.facts.metrics.n_reports == 100
    assert verify(tiny_classifier_folder) == model.facts


def test_a_loaded_model_is_frozen_and_in_eval_mode(tiny_classifier_folder: Path) -> None:
    model = load_checkpoint(tiny_classifier_folder).model
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_the_version_names_the_content_of_the_weights(tmp_path: Path) -> None:
    first = load_checkpoint(tiny.mlm_folder(tmp_path / "a" / "tiny", seed=1)).version
    second = load_checkpoint(tiny.mlm_folder(tmp_path / "b" / "tiny", seed=2)).version
    copied = load_checkpoint(Path(shutil.copytree(tmp_path / "a", tmp_path / "c")) / "tiny").version
    assert first.startswith("tiny@")
    assert len(first) == len("tiny@") + 8
    assert first != second
    assert first == copied


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_longest_input_leaves_out_the_positions_of_the_padding(tmp_path: Path, family: tiny.Family) -> None:
    model = load_checkpoint(tiny.mlm_folder(tmp_path / "m", family=family, max_tokens=48))
    assert model.max_tokens == 48
    ids = torch.full((1, 48), 9)
    assert model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape[1] == 48


def test_half_precision_weights_are_served_in_float32(tmp_path: Path) -> None:
    folder = tiny.mlm_folder(tmp_path / "m")
    whole = load_checkpoint(folder)
    save_checkpoint(whole.model.half(), whole.tokenizer, whole.facts, folder)
    assert load_checkpoint(folder).model.dtype == torch.float32


def test_saving_replaces_a_checkpoint_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tiny.classifier_folder(tmp_path / "m", seed=1)
    before = load_checkpoint(folder).version
    tiny.classifier_folder(folder, seed=2)
    assert load_checkpoint(folder).version != before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_old_checkpoint_stays_when_the_new_one_cannot_be_put_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.classifier_folder(tmp_path / "m", seed=1)
    before = load_checkpoint(folder).version
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if ".partial-" in path.name:
            raise OSError(errno.ENOSPC, "no space left")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space left"):
        tiny.classifier_folder(folder, seed=2)
    assert load_checkpoint(folder).version == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_model_card_names_metrics_lineage_and_limits(tiny_classifier_folder: Path) -> None:
    card = (tiny_classifier_folder / "README.md").read_text()
    assert "For research only" in card
    assert "| f1_macro | 0.8 |" in card
    assert "| base_model | tiny |" in card
    assert "held_out_of" not in card  # of a pretraining
    assert "schema `chest_xray` version 1" in card


def test_a_language_model_needs_no_facts_and_takes_the_name_it_is_known_by(tmp_path: Path) -> None:
    folder = tiny.mlm_folder(tmp_path / "snapshot")
    (folder / FACTS_FILE).unlink()
    assert load_checkpoint(folder).version.startswith("snapshot@")
    assert load_checkpoint(folder, name="owner/model@main").version.startswith("model@")


def without_head(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if name.startswith("classifier")]:
        del weights[name]


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def rename_output(config: dict[str, Any]) -> None:
    config["id2label"]["0"] = "LABEL_0"


def lose_output(config: dict[str, Any]) -> None:
    del config["id2label"][str(len(config["id2label"]) - 1)]


REFUSALS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "die Datei config.json fehlt"),
    "any other folder": (
        lambda f: [path.unlink() if path.name != "x.py" else None for path in f.iterdir()] and (f / "x.py").touch(),
        "die Datei config.json fehlt",
    ),
    "no weights": (lambda f: (f / WEIGHTS_FILE).unlink(), "die Datei model.safetensors fehlt"),
    "no facts": (lambda f: (f / FACTS_FILE).unlink(), "die Datei medbertde.json fehlt"),
    "no folder": (lambda f: shutil.rmtree(f), "den Ordner gibt es nicht"),
    "pickle": (lambda f: (f / "pytorch_model.bin").touch(), "Programmcode ausführen können (pytorch_model.bin)"),
    "hidden code": (lambda f: (f / "modeling_x.py").touch(), "Programmcode ausführen können (modeling_x.py)"),
    "auto_map": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(auto_map={"AutoModel": "x.Y"})),
        "fremden Programmcode (auto_map)",
    ),
    "tokenizer auto_map": (
        lambda f: edit_json(f / "tokenizer_config.json", lambda c: c.update(auto_map={"AutoTokenizer": "x.Y"})),
        "fremden Programmcode (auto_map)",
    ),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "config.json ist nicht lesbar"),
    "cut weights": (
        lambda f: (f / WEIGHTS_FILE).write_bytes((f / WEIGHTS_FILE).read_bytes()[:-100]),
        "model.safetensors ist beschädigt oder unvollständig",
    ),
    "pointer": (
        lambda f: (f / WEIGHTS_FILE).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "model.safetensors ist beschädigt oder unvollständig",
    ),
    "empty weights": (lambda f: (f / WEIGHTS_FILE).write_bytes(b""), "model.safetensors ist beschädigt"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "der Tokenizer ist nicht lesbar"),
    "no tokenizer": (without_tokenizer, "der Tokenizer"),
    "foreign tokenizer": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(vocab_size=50)),
        "der Tokenizer passt nicht zu den Gewichten",
    ),
    "no task": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(architectures=["BertModel"])),
        "die Architektur BertModel ist nicht verwendbar",
    ),
    "unknown model": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(model_type="medbert9")),
        "config.json nennt kein bekanntes Modell",
    ),
    "untrained head": (lambda f: edit_weights(f, without_head), "diese Gewichte fehlen: classifier.bias"),
    "other size": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(intermediate_size=32)),
        "die Gewichte passen nicht zur config.json",
    ),
    "NaN": (
        lambda f: edit_weights(f, lambda w: w["classifier.weight"].fill_(float("nan"))),
        "Gewichte sind keine Zahlen (NaN oder unendlich): classifier.weight",
    ),
    "label names": (
        lambda f: edit_json(f / "config.json", rename_output),
        "passen nicht zum Schema chest_xray mit 13 Befunden (fehlend: Stauung; unbekannt: LABEL_0)",
    ),
    "label count": (lambda f: edit_json(f / "config.json", lose_output), "seine 38 Ausgaben passen nicht"),
    "softmax": (
        lambda f: edit_json(f / "config.json", lambda c: c.update(problem_type="single_label_classification")),
        "erwartet wird multi_label_classification",
    ),
    "thresholds": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c["thresholds"].pop("Erguss")),
        "keine Schwelle zwischen 0 und 1 für Erguss",
    ),
    "temperature": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c["temperatures"].update(Erguss=0)),
        "keine positive Temperatur für Erguss",
    ),
    "unknown schema": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(schema_id="knie")),
        "Das Schema „knie“ gibt es nicht",
    ),
    "schema version": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(schema_version=7)),
        "es gehört zu Version 7 des Schemas chest_xray, gültig ist 1",
    ),
    "wrong task": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(task="fill_mask")),
        "nennt die Aufgabe fill_mask, die Gewichte sind für classify",
    ),
    "facts format": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(format=99)),
        "hat das Format 99, erwartet wird 1",
    ),
    "impossible reliability": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(reliability=[dict(probability=0.7, observed=1.2, n=4)])),
        "medbertde.json ist fehlerhaft (reliability: 0.7, 1.2, 4)",
    ),
    "malformed facts": (
        lambda f: edit_json(f / FACTS_FILE, lambda c: c.update(thresholds=3)),
        "medbertde.json ist fehlerhaft",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_folder_that_cannot_be_served_is_refused_with_the_reason(
    tiny_classifier_folder: Path, tmp_path: Path, case: str
) -> None:
    damage, sentence = REFUSALS[case]
    folder = Path(shutil.copytree(tiny_classifier_folder, tmp_path / "model"))
    damage(folder)
    with pytest.raises(CheckpointRefused) as refused:
        verify(folder)
    assert sentence in refused.value.de
    assert refused.value.de.endswith(".")


def test_facts_survive_the_file(tiny_mlm_folder: Path) -> None:
    assert read_facts(tiny_mlm_folder).lineage.seed == 0


def test_reliability_survives_the_file_and_may_be_missing_from_one_written_before(
    tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    whole = load_checkpoint(tiny_classifier_folder)
    rows = (ReliabilityBin(0.04, 0.02, 412), ReliabilityBin(0.71, 0.66, 41))
    save_checkpoint(whole.model, whole.tokenizer, replace(whole.facts, reliability=rows), tmp_path / "model")
    assert load_checkpoint(tmp_path / "model").facts.reliability == rows
    edit_json(tmp_path / "model" / FACTS_FILE, lambda facts: facts.pop("reliability"))
    assert load_checkpoint(tmp_path / "model").facts.reliability == ()

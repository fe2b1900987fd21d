"""Every architecture with its kind of tokenizer fills gaps, reads findings, shows its pieces and explains itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from sentencepiece import sentencepiece_model_pb2 as sentencepiece
from transformers import PreTrainedModel

import medbertde
from medbertde.inference.checkpoint import load_checkpoint
from medbertde.inference.forward import prepare
from medbertde.inference.model import Model
from medbertde.inference.pieces import tokenise
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.text import MASK
from tests import tiny

SENTENCE = "Kein Nachweis eines Pneumothorax, kein Erguss."
LONG = "Kein Erguss links. " * 20
OWN_MASK = {"bert": "[MASK]", "electra": "[MASK]", "deberta-v2": "[MASK]"}  # the others have <mask>
CONTROL, UNKNOWN = 3, 2  # kinds of pieces in a SentencePiece model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tiny.Family, str], Model]:
    """A loaded model of a family, made on first use."""
    folder = tmp_path_factory.mktemp("families")
    make = {"lm": tiny.mlm_folder, "classifier": tiny.classifier_folder}

    @cache
    def made(family: tiny.Family, kind: str) -> Model:
        return medbertde.load(str(make[kind](folder / f"{family}-{kind}", family=family)), device="cpu")

    return made


Models = Callable[[tiny.Family, str], Model]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_mask_of_the_page_is_the_models_own_mask(models: Models, family: tiny.Family) -> None:
    loaded = models(family, "lm").loaded
    assert loaded.tokenizer.mask_token == OWN_MASK.get(family, "<mask>")
    found = models(family, "lm").fill_mask(f"Kein Nachweis eines {MASK}, kein Erguss.", top_k=5)
    assert len(found) == 5
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    for each in found:
        assert each.text == f"Kein Nachweis eines {each.word}, kein Erguss." or each.word in ".,;:"
        assert not set(each.word) & set("Ġ▁# "), "marks of the tokenizer are not part of a word"


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_piece_belongs_to_a_sentence(models: Models, family: tiny.Family) -> None:
    """SentencePiece counts the space before a word as the word's: "Keine" must not fall between two sentences."""
    encoder, text = models(family, "classifier").loaded.encoder, "Kein Erguss. Pneumothorax rechts. Keine Stauung."
    pieces = encoder.pieces([text])[0]
    windows = encoder.sentence_windows(text, pieces)
    visible = [index for index, (start, end) in enumerate(pieces.offsets) if text[start:end].strip()]
    assert len(windows) == 3
    assert [index for window in windows for index in window if index in visible] == visible


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_several_gaps_are_filled_and_a_literal_mask_token_is_only_text(models: Models, family: tiny.Family) -> None:
    model = models(family, "lm")
    [best, *_] = model.fill_mask(f"{MASK} Erguss {MASK}.", top_k=3)
    assert len(best.word.split(" … ")) == 2
    own = model.loaded.tokenizer.mask_token
    if own != MASK:
        [candidate, *_] = model.fill_mask(f"Kein {MASK} und {own}.", top_k=1)
        assert own in candidate.text


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_classifier_reads_long_texts_and_scores_as_its_own_forward_pass(models: Models, family: tiny.Family) -> None:
    model = models(family, "classifier")
    prepare(model.loaded, "fp32")
    short, long = model.classify([SENTENCE, LONG * 3])
    assert "long_text" in [notice.code for notice in long.warnings]
    encoder, network = model.loaded.encoder, model.loaded.model
    ids = torch.tensor([encoder.model_ids(encoder.pieces([SENTENCE])[0].ids)])
    with torch.inference_mode():
        logits = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    expected = torch.sigmoid(logits / torch.tensor(model.loaded.temperatures))
    column = model.loaded.outputs.index("Erguss")
    assert short.scores["Erguss"].present == pytest.approx(float(expected[column]), abs=1e-5)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_longest_input_is_what_the_positions_allow(models: Models, family: tiny.Family) -> None:
    loaded = models(family, "lm").loaded
    assert loaded.max_tokens == 64
    ids = torch.full((1, loaded.max_tokens), 9)
    with torch.inference_mode():
        assert loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape[1] == 64


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_view_of_the_pieces_gives_back_the_text(models: Models, family: tiny.Family) -> None:
    view = tokenise(models(family, "lm").loaded, f"Größenprogrediente Verschattung, {MASK} ZVK.")
    assert [word.text for word in view.words] == ["Größenprogrediente", "Verschattung", ",", MASK, "ZVK", "."]
    for word in view.counted:
        assert "".join(piece.text for piece in word.pieces) == word.text
    assert view.unknown == 0
    assert view.fertility >= 1


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_explanation_covers_the_words_of_the_text(models: Models, family: tiny.Family) -> None:
    text = "V. a. Infiltrat, kein Erguss links."
    found = models(family, "classifier").explain(text, "Erguss")
    assert [text[word.start : word.end] for word in found.words] == [word.text for word in found.words]
    assert "".join(word.text for word in found.words) == text.replace(" ", "")
    assert any(word.score for word in found.words)


def test_families_without_token_types_and_without_a_pooler_are_asked_for_none(models: Models) -> None:
    tables = {family: _token_types(models(family, "lm").loaded.model) for family in tiny.FAMILIES}
    assert tables["deberta-v2"] == 0
    assert tables["roberta"] == tables["xlm-roberta"] == 1
    assert not any("pooler" in name for name, _ in models("bert", "lm").loaded.model.named_parameters())


def _token_types(model: PreTrainedModel) -> int:
    table = getattr(model.base_model.embeddings, "token_type_embeddings", None)
    return table.num_embeddings if table is not None else 0


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_running_app_changes_from_one_architecture_to_another(family: tiny.Family, tmp_path: Path) -> None:
    runtime = Runtime("cpu")
    runtime.swap(FILL_MASK_SLOT, tiny.mlm_folder(tmp_path / "before"))
    after = runtime.swap(FILL_MASK_SLOT, tiny.mlm_folder(tmp_path / family, family=family))
    assert runtime.versions() == {FILL_MASK_SLOT: after.version}
    [best] = runtime.fill_mask(f"Kein {MASK}.", top_k=1)
    assert best.text.startswith("Kein")
    assert best.word in best.text


# ------------------------------------------------------------------------------------------------ old tokenizer files


def only_vocabulary(folder: Path, **config: bool) -> None:
    """As BERT models were published: one piece per line."""
    known = load_checkpoint(folder).tokenizer.get_vocab()
    _without_new_files(folder)
    (folder / "vocab.txt").write_text("\n".join(sorted(known, key=known.__getitem__)) + "\n", encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def only_merges(folder: Path) -> None:
    """As RoBERTa models were published."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    _without_new_files(folder)
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")


def only_sentencepiece(folder: Path, file: str, special: Mapping[str, int]) -> None:
    """As XLM-R and DeBERTa-v2 models were published: a SentencePiece model; the mask is added behind it."""
    _without_new_files(folder)
    model = sentencepiece.ModelProto()
    for piece, kind in special.items():
        model.pieces.add(piece=piece, score=0.0, type=kind)
    for piece, score in tiny.unigram_pieces({}):
        model.pieces.add(piece=piece, score=score)
    model.trainer_spec.model_type = 1  # unigram
    model.trainer_spec.unk_id = list(special.values()).index(UNKNOWN)
    (folder / file).write_bytes(model.SerializeToString())


def _without_new_files(folder: Path) -> None:
    for path in (folder / "tokenizer.json", folder / "tokenizer_config.json"):
        path.unlink()


OLD_FILES: Mapping[str, tuple[tiny.Family, Callable[[Path], None]]] = {
    "vocab.txt": ("bert", lambda folder: only_vocabulary(folder, do_lower_case=False)),
    "merges.txt": ("roberta", only_merges),
    "sentencepiece.bpe.model": (
        "xlm-roberta",
        lambda folder: only_sentencepiece(
            folder, "sentencepiece.bpe.model", {"<unk>": UNKNOWN, "<s>": CONTROL, "</s>": CONTROL}
        ),
    ),
    "spm.model": (
        "deberta-v2",
        lambda folder: only_sentencepiece(
            folder, "spm.model", {"[PAD]": CONTROL, "[CLS]": CONTROL, "[SEP]": CONTROL, "[UNK]": UNKNOWN}
        ),
    ),
}


@pytest.mark.parametrize("file", OLD_FILES)
def test_tokenizers_that_came_before_tokenizer_json_are_read(file: str, tmp_path: Path) -> None:
    family, rewrite = OLD_FILES[file]
    folder = tiny.mlm_folder(tmp_path / "old", family=family)
    rewrite(folder)
    model = medbertde.load(str(folder), device="cpu")
    pieces = model.loaded.encoder.pieces(["Kein Erguss."])[0]
    assert ["Kein Erguss."[start:end].strip() for start, end in pieces.offsets if start < end] == [
        "Kein",
        "Erguss",
        ".",
    ]
    assert len(model.fill_mask(f"Kein {MASK}.", top_k=3)) == 3


def test_a_cased_vocabulary_is_not_read_in_lower_case_because_a_setting_is_missing(tmp_path: Path) -> None:
    folder = tiny.mlm_folder(tmp_path / "old")
    only_vocabulary(folder)
    assert load_checkpoint(folder).tokenizer.tokenize("Kein Erguss.") == ["Kein", "Erguss", "."]


def test_a_lower_case_vocabulary_stays_one(tmp_path: Path) -> None:
    folder = tiny.mlm_folder(tmp_path / "old")
    only_vocabulary(folder)
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    lowered = [piece if piece.startswith("[") else f"{piece.lower()}{'~' * n}" for n, piece in enumerate(pieces)]
    lowered[pieces.index("Erguss")] = "erguss"
    (folder / "vocab.txt").write_text("\n".join(lowered) + "\n", encoding="utf-8")
    assert load_checkpoint(folder).tokenizer.tokenize("Erguss") == ["erguss"]

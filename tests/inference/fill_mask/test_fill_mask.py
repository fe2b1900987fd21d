"""Fill-mask: whole words, the model's own probabilities, right spacing, several masks."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import pre_tokenizers

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.fill_mask import fill_mask, fillings, whole
from medbertde.inference.fill_mask.gaps import read_gaps
from medbertde.inference.fill_mask.whole import beginning_odds, togetherness
from medbertde.inference.tokens import visible_start
from medbertde.settings import ROOT
from medbertde.types import InvalidText, ModelUnavailable, UserError
from tests import tiny

CLOSING = ".,;:!?)]%“”"
TEXT = "Kein Nachweis eines [MASK] rechts."
LONG_WORDS = ("Pneumothorax", "Verschattungen")  # for one of the tokenizers two pieces each
STARTS = ("Kein Nachweis eines", "Kleiner", "V. a.", "Kein", "-")
ENDS = (".", " rechts.", " links.", ", kein Tubus.")
STEPS = 200


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_checkpoint(tiny.mlm_folder(tmp_path_factory.mktemp("m") / "tiny", family=request.param))


@dataclass(frozen=True)
class Taught:
    """A model that has learned sentences with `word`, of which its tokenizer knows the `beginning` and the rest."""

    model: LoadedModel
    word: str
    beginning: str


@pytest.fixture(scope="module")
def taught(model: LoadedModel) -> Taught:
    cut = {word: model.tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in LONG_WORDS}
    word = next(word for word, pieces in cut.items() if len(pieces) == 2)
    beginning = model.tokenizer.convert_tokens_to_string(model.tokenizer.convert_ids_to_tokens(cut[word][:1])).strip()
    network = copy.deepcopy(model.model).requires_grad_(True).train()
    texts = [f"{start} {each}{end}" for start in STARTS for each in (word, "Erguss") for end in ENDS]
    batch = model.tokenizer(texts, return_tensors="pt", padding=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    chance = torch.Generator().manual_seed(0)
    ordinary = ~torch.isin(batch["input_ids"], torch.tensor(model.tokenizer.all_special_ids))
    for _ in range(STEPS):
        hidden = ordinary & (torch.rand(ordinary.shape, generator=chance) < 0.4)
        inputs = batch["input_ids"].masked_fill(hidden, model.tokenizer.mask_token_id)
        labels = batch["input_ids"].masked_fill(~hidden, -100)
        network(input_ids=inputs, attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return Taught(replace(model, model=network.eval().requires_grad_(False)), word, beginning)


def probabilities(model: LoadedModel, text: str) -> dict[str, float]:
    """Softmax at the first mask the plain way: the tokenizer's own mask token, the whole model."""
    batch = model.tokenizer(text.replace("[MASK]", str(model.tokenizer.mask_token)), return_tensors="pt")
    position = batch["input_ids"][0].tolist().index(model.tokenizer.mask_token_id)
    logits = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0, position]
    tokens = model.tokenizer.convert_ids_to_tokens(list(range(len(model.tokenizer))))
    return dict(zip(tokens, logits.softmax(-1).tolist(), strict=True))


def probability(expected: dict[str, float], word: str) -> float:
    """Of the token that writes this word after a space; byte-level vocabularies mark the space with Ġ."""
    spaced, bare = expected.get(f"Ġ{_byte_level(word)}", 0.0), expected.get(word, 0.0)
    return max(spaced, bare) if word in CLOSING or not spaced else spaced


def _byte_level(word: str) -> str:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(word)[0][0]


def test_the_best_words_come_first_with_the_models_own_probability(model: LoadedModel) -> None:
    candidates = fill_mask(model, TEXT, top_k=5)
    expected = probabilities(model, TEXT)
    assert len(candidates) == 5
    assert [item.probability for item in candidates] == sorted((item.probability for item in candidates), reverse=True)
    for item in candidates:
        assert item.probability == pytest.approx(probability(expected, item.word), rel=1e-4)


def test_candidates_are_whole_words(model: LoadedModel) -> None:
    words = [item.word for item in fill_mask(model, TEXT, top_k=100)]
    assert len(words) == len(set(words))
    assert all(word.strip() == word and word.isprintable() and word for word in words)
    assert not any(word.startswith("##") or word in model.tokenizer.all_special_tokens for word in words)


def test_words_of_several_pieces_are_offered_when_the_model_knows_them(taught: Taught) -> None:
    found = {item.word: item for item in fill_mask(taught.model, TEXT, top_k=10)}
    assert found[taught.word].text == f"Kein Nachweis eines {taught.word} rechts."
    assert 0 < found[taught.word].probability <= 1


def test_a_gap_inside_a_word_is_filled_with_what_is_missing_of_it(taught: Taught) -> None:
    end = taught.word.removeprefix(taught.beginning)
    whole = {item.word: item.probability for item in fill_mask(taught.model, TEXT, top_k=10)}[taught.word]
    for gap, missing in ((f"{taught.beginning}[MASK]", end), (f"[MASK]{end}", taught.beginning)):
        best = fill_mask(taught.model, TEXT.replace("[MASK]", gap))[0]
        assert (best.word, best.text) == (missing, f"Kein Nachweis eines {taught.word} rechts.")
        assert best.probability == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Kein Nachweis eines Pneumo[MASK].", {"thorax"}),
        ("Pleura[MASK] links.", {"erguss", "empyem", "drainage"}),
        ("Keine Rippen[MASK] abgrenzbar.", {"fraktur"}),
        ("Kein [MASK]erguss.", {"Pleura", "Perikard"}),
        ("Kein Pneumothorax[MASK] kein Erguss.", {","}),
        ("Größe 3[MASK]5 mm.", {","}),
    ],
)
def test_the_shipped_model_knows_the_compounds_of_reports(shipped: LoadedModel, text: str, words: set[str]) -> None:
    first = fill_mask(shipped, text, top_k=3)
    assert words <= {item.word for item in first}
    assert all(item.text == text.replace("[MASK]", item.word) for item in first)


@pytest.mark.parametrize("text", ["Lungen[MASK] rechts basal.", "Pleura[MASK] links.", "Lungen[MASK]entzündung"])
def test_behind_a_letter_no_new_word_begins(shipped: LoadedModel, text: str) -> None:
    assert [item.word for item in fill_mask(shipped, text, top_k=20) if item.word[0].isupper()] == []


@pytest.fixture(scope="module")
def words_of_reports() -> frozenset[str]:
    reports = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "data" / "reports").glob("*.jsonl"))
    return frozenset(word.casefold() for word in re.findall(r"\w+", reports))


@pytest.fixture(scope="module")
def shipped() -> LoadedModel:
    return load_checkpoint(ROOT / "data" / "models" / "medbertde-mini")


@pytest.mark.parametrize("example", yaml.safe_load((ROOT / "data" / "fill_mask_examples.yaml").read_text()), ids=str)
def test_the_shipped_model_offers_no_invented_words_for_the_examples(
    shipped: LoadedModel, words_of_reports: frozenset[str], example: dict[str, str]
) -> None:
    """Every word stands in a report of this project or is made of two that do."""

    def is_known(word: str) -> bool:
        parts = [(word[:end], word[end:]) for end in range(3, len(word) - 2)]
        return word in words_of_reports or any(words_of_reports.issuperset(pair) for pair in parts)

    words = {word for item in fill_mask(shipped, example["text"]) for word in item.word.casefold().split(" … ")}
    assert [word for word in words if word.isalpha() and not is_known(word)] == []


def test_the_shipped_model_tells_words_from_pieces_put_together(shipped: LoadedModel) -> None:
    words = [f" {word}" for word in ("Metastasennachweis", "Sauerstoffbedarf", "Sputumitor", "Blutungembolie")]
    word, other, *inventions = togetherness(shipped, [cut.ids for cut in shipped.encoder.pieces(words)])
    assert min(word, other) > max(inventions)


def test_what_failed_once_is_asked_again(tiny_mlm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_checkpoint(tiny_mlm_folder)
    pieces = [model.encoder.pieces([word])[0].ids[:1] for word in ("Erguss", "Pneumothorax")]
    beginning_odds(model, [])  # what holds for all pieces is known from here on

    def fail(*_: object) -> list[float]:
        raise RuntimeError("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(whole, "_continuation_odds", fail)
        with pytest.raises(RuntimeError, match="no answer"):
            beginning_odds(model, pieces)
    assert all(map(math.isfinite, beginning_odds(model, pieces)))


def test_a_piece_that_continues_a_word_is_written_right_behind_it(model: LoadedModel) -> None:
    for item in fillings(model, TEXT, top_k=100, whole=False).candidates:
        gap = "" if item.word in CLOSING or item.word.startswith("##") else " "
        assert item.text == f"Kein Nachweis eines{gap}{item.word.removeprefix('##')} rechts."


def test_the_word_stands_where_the_mask_stood(model: LoadedModel) -> None:
    for item in fill_mask(model, TEXT, top_k=20):
        gap = "" if item.word in CLOSING else " "
        assert item.text == f"Kein Nachweis eines{gap}{item.word} rechts."


def test_the_rest_of_the_text_is_kept_as_it_was_typed(model: LoadedModel) -> None:
    text = "Größe  <5 mm 🫁\n([MASK]) </s> [SEP]"
    for item in fill_mask(model, text):
        assert item.text == text.replace("[MASK]", item.word)


def test_several_masks_are_filled_together(model: LoadedModel) -> None:
    candidates = fill_mask(model, "Kein [MASK] rechts, [MASK] Erguss links.", top_k=5)
    best = candidates[0]
    first, second = best.word.split(" … ")
    filled = best.text.replace(f" {second} Erguss", " [MASK] Erguss").replace(f"{second} Erguss", "[MASK] Erguss")
    assert len(candidates) == 5
    assert len({item.text for item in candidates}) == 5
    assert "[MASK]" not in best.text
    start = probability(probabilities(model, "Kein [MASK] rechts, [MASK] Erguss links."), first)
    if second not in CLOSING:
        assert best.probability == pytest.approx(start * probability(probabilities(model, filled), second), rel=1e-3)


@pytest.mark.parametrize("text", ["[MASK] Erguss links.", "Kein [MASK]", "[MASK]"])
def test_masks_at_the_ends_are_filled(model: LoadedModel, text: str) -> None:
    assert all(item.text for item in fill_mask(model, text, top_k=3))


def test_around_a_mask_in_a_long_text_the_nearest_words_are_read(model: LoadedModel) -> None:
    filler = "Herz normal groß. " * 60
    candidates = fill_mask(model, f"{filler}Kein Nachweis eines [MASK] rechts. {filler}")
    assert len(candidates) == 10
    assert candidates[0].text.startswith("Herz normal")
    (notice,) = [each for each in fillings(model, f"{filler}Kein Nachweis eines [MASK] rechts. {filler}").warnings]
    assert notice.code == "partly_read"
    assert fillings(model, TEXT).warnings == ()
    other = fill_mask(model, f"{filler}Kleiner [MASK] links. {filler}")
    assert [item.probability for item in other] != [item.probability for item in candidates]


@pytest.mark.parametrize("word", ["Herz", "Größenprogrediente", "Thoraxdrainage"])
def test_a_long_text_is_cut_between_words(model: LoadedModel, word: str) -> None:
    """Whatever stands around: one word more or less shifts the place of the cut."""
    for count in range(8):
        filler = "Größenprogrediente Magensonde, Thoraxdrainage. " * 40 + f"{word} " * count
        text = f"{filler}Kein [MASK] rechts. {filler.strip()}"
        before, after = read_gaps(model, text, 4).parts
        texts = [part.rstrip() for part in text.split("[MASK]")]
        front, back = model.encoder.pieces(texts)
        for around, piece in ((texts[0], front.offsets[-len(before)]), (texts[1], back.offsets[len(after)])):
            start = visible_start(around, *piece)
            assert not around[start - 1 : start + 1].isalnum()
        assert len(before) + len(after) > (model.encoder.room - 4) / 2


def test_a_text_without_a_mask_is_refused_with_a_hint(model: LoadedModel) -> None:
    with pytest.raises(InvalidText) as refused:
        fill_mask(model, "Kein Erguss.")
    assert "enthält 0 Lücken" in refused.value.de
    assert "[MASK]" in refused.value.de


def test_too_many_or_too_distant_masks_are_refused(model: LoadedModel) -> None:
    with pytest.raises(InvalidText, match="contains 9 gaps"):
        fill_mask(model, "[MASK] " * 9)
    with pytest.raises(InvalidText, match="further apart"):
        fill_mask(model, "[MASK] " + "Herz normal groß. " * 40 + "[MASK]")


def test_a_senseless_number_of_candidates_is_refused(model: LoadedModel) -> None:
    with pytest.raises(UserError) as refused:
        fill_mask(model, TEXT, top_k=0)
    assert "1 bis 100" in refused.value.de


def test_a_classifier_fills_no_masks(tiny_classifier_folder: Path) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        fill_mask(load_checkpoint(tiny_classifier_folder), TEXT)
    assert "kann keine Lücken füllen" in refused.value.de

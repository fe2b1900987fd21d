"""Tiny random checkpoints in real folders, one per architecture, with tokenizers made from a few sentences.

BERT and ELECTRA cut words by WordPiece, RoBERTa by byte-level BPE, XLM-R, CamemBERT and DeBERTa-v2 by SentencePiece.

They answer instantly and mean nothing. `classifier_folder` gives every output its own bias, so that scores differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    CamembertConfig,
    CamembertForMaskedLM,
    CamembertForSequenceClassification,
    CamembertForTokenClassification,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
)

from medbertde.inference.checkpoint import save_checkpoint
from medbertde.inference.checkpoint_labels import output_names
from medbertde.inference.facts import CheckpointFacts, Lineage
from medbertde.schema import load_schema
from medbertde.span_tags import tag_names
from medbertde.types import Metrics, Reading, Task

Family = Literal["bert", "roberta", "xlm-roberta", "camembert", "deberta-v2", "electra"]
FAMILIES: tuple[Family, ...] = ("bert", "roberta", "xlm-roberta", "camembert", "deberta-v2", "electra")
SENTENCES = (
    "Kein Nachweis eines Pneumothorax, kein Erguss. Herz normal groß. Lunge frei belüftet.",
    "V. a. Infiltrat rechts basal, kleiner Erguss links. ZVK regelrecht. Keine Stauung, Tubus in der Trachea.",
    "Zustand nach Magensonde und Thoraxdrainage beidseits. Rundherd <5 mm im linken Oberlappen. Fraktur der Rippe.",
    "Größenprogrediente Verschattung, vereinbar mit Pneumonie; Kardiomegalie. Übrige Abschnitte unauffällig.",
)
_BERT_SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_CLASSES: Mapping[Family, tuple[Any, Any, Any, Any]] = {
    "bert": (BertConfig, BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification),
    "roberta": (RobertaConfig, RobertaForMaskedLM, RobertaForSequenceClassification, RobertaForTokenClassification),
    "xlm-roberta": (
        XLMRobertaConfig,
        XLMRobertaForMaskedLM,
        XLMRobertaForSequenceClassification,
        XLMRobertaForTokenClassification,
    ),
    "camembert": (
        CamembertConfig,
        CamembertForMaskedLM,
        CamembertForSequenceClassification,
        CamembertForTokenClassification,
    ),
    "deberta-v2": (
        DebertaV2Config,
        DebertaV2ForMaskedLM,
        DebertaV2ForSequenceClassification,
        DebertaV2ForTokenClassification,
    ),
    "electra": (ElectraConfig, ElectraForMaskedLM, ElectraForSequenceClassification, ElectraForTokenClassification),
}
_COUNTS_FROM_PADDING = {"roberta", "xlm-roberta", "camembert"}  # positions begin after the padding id
_OWN: Mapping[Family, Mapping[str, Any]] = {  # as the published models of the family have it
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
    "camembert": {"type_vocab_size": 1},
    "deberta-v2": {
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "electra": {"embedding_size": 16},
}
_ROBERTA_SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}


def mlm_folder(folder: Path, *, family: Family = "bert", max_tokens: int = 64, seed: int = 0) -> Path:
    """A masked language model in `folder`."""
    tokenizer = _tokenizer(family)
    model = _model(family, Task.FILL_MASK, tokenizer, max_tokens, seed)
    facts = CheckpointFacts(name=folder.name, task=Task.FILL_MASK, lineage=Lineage(seed=seed))
    save_checkpoint(model, tokenizer, facts, folder)
    return folder


def classifier_folder(
    folder: Path,
    *,
    schema_id: str = "chest_xray",
    states: bool = True,
    family: Family = "bert",
    max_tokens: int = 64,
    seed: int = 0,
    reads: Reading = Reading.WINDOWS,
) -> Path:
    """A classifier for a shipped schema in `folder`, with thresholds, temperatures and metrics."""
    tokenizer, schema = _tokenizer(family), load_schema(schema_id)
    names = output_names(schema, states=states)
    model = _model(family, Task.CLASSIFY, tokenizer, max_tokens, seed, names)
    facts = CheckpointFacts(
        name=folder.name,
        task=Task.CLASSIFY,
        schema_id=schema.id,
        schema_version=schema.version,
        thresholds=dict.fromkeys(schema.label_ids, 0.5),
        temperatures=dict.fromkeys(schema.label_ids, 1.5),
        metrics=Metrics(0.9, 0.8, 0.85, 0.8, 0.8, n_reports=100),
        reads=reads,
        lineage=Lineage(base_model="tiny", data_hash="0" * 64, git_commit="0" * 40, seed=seed),
    )
    save_checkpoint(model, tokenizer, facts, folder)
    return folder


def tagger_folder(
    folder: Path,
    *,
    schema_id: str = "medication",
    family: Family = "bert",
    max_tokens: int = 64,
    seed: int = 0,
) -> Path:
    """A model that marks the spans of a shipped schema in `folder`."""
    tokenizer, schema = _tokenizer(family), load_schema(schema_id)
    model = _model(family, Task.NER, tokenizer, max_tokens, seed, tag_names(schema.label_ids))
    facts = CheckpointFacts(
        name=folder.name,
        task=Task.NER,
        schema_id=schema.id,
        schema_version=schema.version,
        temperatures=dict.fromkeys(schema.label_ids, 1.5),
    )
    save_checkpoint(model, tokenizer, facts, folder)
    return folder


def _model(
    family: Family,
    task: Task,
    tokenizer: PreTrainedTokenizerFast,
    max_tokens: int,
    seed: int,
    names: tuple[str, ...] = (),
) -> PreTrainedModel:
    """Random weights, wide enough that outputs differ between texts by more than rounding."""
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.2,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if names:
        sizes |= {
            "id2label": dict(enumerate(names)),
            "label2id": {name: column for column, name in enumerate(names)},
            "problem_type": "multi_label_classification" if task is Task.CLASSIFY else None,
        }
    offset = int(tokenizer.pad_token_id) + 1 if family in _COUNTS_FROM_PADDING else 0
    config, *classes = _CLASSES[family]
    torch.manual_seed(seed)
    made = config(**sizes, max_position_embeddings=max_tokens + offset, **_OWN.get(family, {}))
    model: PreTrainedModel = classes[[Task.FILL_MASK, Task.CLASSIFY, Task.NER].index(task)](made)
    for name, weight in model.named_parameters():
        if name.startswith("classifier") and name.endswith("bias"):
            torch.nn.init.normal_(weight)
    return model.eval()


def _tokenizer(family: Family) -> PreTrainedTokenizerFast:
    if family in ("bert", "electra"):
        return _wordpiece()
    return (
        _byte_bpe() if family == "roberta" else _unigram(_BERT_SPECIAL if family == "deberta-v2" else _ROBERTA_SPECIAL)
    )


def _wordpiece() -> PreTrainedTokenizerFast:
    """Words of up to seven letters are one piece, longer ones two; other words fall apart into letters."""
    words = dict.fromkeys(re.findall(r"\w+|[^\w\s]", " ".join(SENTENCES)))
    letters = dict.fromkeys(char for word in words for char in word)
    pieces = [word[:7] for word in words] + [f"##{word[7:]}" for word in words if len(word) > 7]
    special = list(_BERT_SPECIAL.values())
    vocabulary = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *pieces])
    ids = {piece: row for row, piece in enumerate(vocabulary)}  # trained WordPiece differs from run to run
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return _wrapped(backend, _BERT_SPECIAL)


def _byte_bpe() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = list(_ROBERTA_SPECIAL.values())
    mask = AddedToken("<mask>", lstrip=True, special=True)  # as in RoBERTa: the mask takes the space before it
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[*special[:-1], mask],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", special.index("</s>")), ("<s>", special.index("<s>")), add_prefix_space=False
    )
    return _wrapped(backend, _ROBERTA_SPECIAL)


def unigram_pieces(special: Mapping[str, str]) -> list[tuple[str, float]]:
    """A SentencePiece vocabulary with log-probabilities: whole words are likelier than their halves and letters."""
    words = dict.fromkeys(re.findall(r"\w+", " ".join(SENTENCES)))
    letters = dict.fromkeys("".join("".join(SENTENCES).split()))
    pieces = {token: 0.0 for token in special.values()} | {"▁": -4.0} | dict.fromkeys(letters, -8.0)
    for word in words:
        pieces[f"▁{word[:7]}"] = -3.0
        if len(word) > 7:
            pieces[word[7:]] = -3.5
    return list(pieces.items())


def _unigram(special: dict[str, str]) -> PreTrainedTokenizerFast:
    """As XLM-R, CamemBERT and DeBERTa-v2 have it: ``▁`` stands for the space before a word."""
    pieces = unigram_pieces(special)
    ids = {piece: row for row, (piece, _) in enumerate(pieces)}
    backend = Tokenizer(models.Unigram(pieces, unk_id=ids[special["unk"]], byte_fallback=False))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    cls, sep = special["cls"], special["sep"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, ids[cls]), (sep, ids[sep])]
    )
    mask = AddedToken(special["mask"], lstrip=True, special=True)
    backend.add_special_tokens(
        [*(AddedToken(token, special=True) for token in special.values() if token != str(mask)), mask]
    )
    return _wrapped(backend, special)


def _wrapped(backend: Tokenizer, special: dict[str, str]) -> PreTrainedTokenizerFast:
    names = {f"{kind}_token": token for kind, token in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)

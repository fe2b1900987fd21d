"""Train a cased WordPiece tokenizer on NFC text.

    python -m train.tokenizer --out build/tokenizer --vocabulary 8000 data/reports/*.jsonl

Special tokens stand where medBERT.de has them: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import WordPiece
from transformers import BertTokenizer, PreTrainedTokenizerBase

from medbertde.report_file import read_records

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_tokens: int = 512) -> PreTrainedTokenizerBase:
    """A BERT tokenizer with at most `vocabulary` entries; every letter of the text is kept as a piece."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(lowercase=False, strip_accents=False)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=list(SPECIAL_TOKENS), continuing_subword_prefix="##"
    )
    tokenizer.train_from_iterator(texts, trainer)
    return BertTokenizer(
        vocab=tokenizer.get_vocab(), do_lower_case=False, strip_accents=False, model_max_length=max_tokens
    )


def fertility(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> float:
    """Word pieces per white-space word."""
    pieces = words = 0
    for text in texts:
        pieces += len(tokenizer.tokenize(text))
        words += len(text.split())
    return pieces / max(1, words)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="report files (.jsonl, .csv)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tokenizer")
    parser.add_argument("--vocabulary", type=int, default=8_000, help="largest number of entries")
    args = parser.parse_args()
    texts = [record.text for path in args.files for record in read_records(path)]
    tokenizer = train_tokenizer(texts, args.vocabulary)
    tokenizer.save_pretrained(args.out)
    print(f"{len(tokenizer)} entries, {fertility(tokenizer, texts):.2f} pieces per word on its own text")


if __name__ == "__main__":
    main()

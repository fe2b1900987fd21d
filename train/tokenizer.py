"""Train a cased WordPiece tokenizer on NFC text, and measure it beside others.

    python -m train.tokenizer --out build/tokenizer --vocabulary 8000 data/reports/*.jsonl
    python -m train.tokenizer --out build/tok30k --vocabulary 30000 corpus/ --measure letters.jsonl \
        --compare GerMedBERT/medbert-512 uklfr/gottbert-base

Special tokens stand where medBERT.de has them: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4. The same text gives the
same vocabulary, entry by entry (`train/merges.py`). The measures are those of medBERT.de's own faults: a sixth of its
entries are single characters, and words with umlauts are there in a spelling that ordinary text never has.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase

from medbertde.types import TrainingRefused, UserError
from train.merges import INSIDE, learn_pieces
from train.texts import documents

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MOST_LETTERS = 1000  # further characters, the rarest, become [UNK] instead of entries
LONGEST_WORD = 100  # characters; BERT reads longer words as [UNK], so nothing is learnt from them
_MARKS = (INSIDE, "Ġ", "▁")  # how the families mark the inside or the start of a word
_AT_ONCE = 1024


@dataclass(frozen=True)
class TokenizerFacts:
    """How a tokenizer reads some texts. Words are those between white space; shares are 0…1."""

    entries: int
    pieces_per_word: float
    single_characters: float  # share of the entries, control tokens left out
    unknown: float  # share of the pieces


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_tokens: int = 512) -> PreTrainedTokenizerBase:
    """A BERT tokenizer with at most `vocabulary` entries; every letter of the text is kept as a piece."""
    pieces = learn_pieces(count_words(texts), vocabulary - len(SPECIAL_TOKENS))
    entries = {piece: number for number, piece in enumerate([*SPECIAL_TOKENS, *pieces])}
    return BertTokenizer(vocab=entries, do_lower_case=False, strip_accents=False, model_max_length=max_tokens)


def count_words(texts: Iterable[str]) -> dict[str, int]:
    """How often BERT's words (cut at white space and punctuation) occur in NFC text.

    >>> count_words(["Herz, Lunge.", "Herz"])
    {'Herz': 2, ',': 1, 'Lunge': 1, '.': 1}
    """
    normalise = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(lowercase=False, strip_accents=False)]
    )
    split = pre_tokenizers.BertPreTokenizer()
    between_spaces: Counter[str] = Counter()
    for text in texts:
        between_spaces.update(text.split())
    words: Counter[str] = Counter()
    for part, count in between_spaces.items():
        for word, _ in split.pre_tokenize_str(normalise.normalize_str(part)):
            words[word] += count
    letters = _letters(words)
    return {word: count for word, count in words.items() if len(word) <= LONGEST_WORD and letters.issuperset(word)}


def _letters(words: Counter[str]) -> set[str]:
    """The most frequent characters; of equally frequent ones the first in the order of code points."""
    found: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            found[letter] += count
    return set(sorted(found, key=lambda letter: (-found[letter], letter))[:MOST_LETTERS])


def fertility(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> float:
    """Word pieces per white-space word."""
    return measure(tokenizer, texts).pieces_per_word


def measure(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> TokenizerFacts:
    """The figures of a tokenizer on these texts."""
    pieces = unknown = words = 0
    for some in _groups(texts):
        for ids in tokenizer(some, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]:
            pieces += len(ids)
            unknown += ids.count(tokenizer.unk_token_id)
        words += sum(len(text.split()) for text in some)
    return TokenizerFacts(
        entries=len(tokenizer),
        pieces_per_word=pieces / max(1, words),
        single_characters=_single_characters(tokenizer),
        unknown=unknown / max(1, pieces),
    )


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for text in texts:
        group.append(text)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _single_characters(tokenizer: PreTrainedTokenizerBase) -> float:
    entries = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    return sum(len(_without_mark(entry)) <= 1 for entry in entries) / max(1, len(entries))


def _without_mark(entry: str) -> str:
    for mark in _MARKS:
        entry = entry.removeprefix(mark) if entry != mark else entry
    return entry


def table(measured: Sequence[tuple[str, TokenizerFacts]]) -> str:
    """The figures of several tokenizers as a Markdown table."""
    lines = ["| tokenizer | entries | pieces per word | single characters | [UNK] |", "|---|---|---|---|---|"]
    for name, facts in measured:
        lines.append(
            f"| {name} | {facts.entries:,} | {facts.pieces_per_word:.3f} | {facts.single_characters:.1%} | "
            f"{facts.unknown:.3%} |"
        )
    return "\n".join(lines)


def load(name: str) -> PreTrainedTokenizerBase:
    """A tokenizer by folder or Hub id; `TrainingRefused` where there is none."""
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise TrainingRefused(
            f"Der Tokenizer {name} ist nicht zu laden. Erwartet wird ein Ordner oder die Id eines Modells auf dem Hub.",
            f"The tokenizer {name} cannot be loaded. Expected is a folder or the id of a model on the Hub.",
        ) from error


def run(args: argparse.Namespace) -> str:
    """Train, save and measure; the table of figures."""
    others = [(name, load(name)) for name in args.compare]  # first: a wrong name should not cost a training
    tokenizer = train_tokenizer((document.text for document in documents(args.files)), args.vocabulary)
    tokenizer.save_pretrained(args.out)
    measured_on = args.measure or args.files
    every = [(args.out.name, tokenizer), *others]
    return table([(name, measure(one, (document.text for document in documents(measured_on)))) for name, one in every])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="report files, .txt, .parquet or folders of these")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tokenizer")
    parser.add_argument("--vocabulary", type=int, default=8_000, help="largest number of entries")
    parser.add_argument("--measure", nargs="+", type=Path, help="files to measure on; default: those trained on")
    parser.add_argument("--compare", nargs="+", default=[], help="tokenizers to measure beside: folders or Hub ids")
    try:
        print(run(parser.parse_args()))
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

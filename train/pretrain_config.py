"""What a pretraining does: the recipes `medbert` and `mini`, and the command line that changes them.

`medbert` is the published recipe of medBERT.de (docs/pretraining.md) for a BERT of 109 million parameters, `mini` that
of the embedded model. Values of phases (`--max-tokens`, `--rate`, …) are given once for all, or one for each with
commas between them (`--steps 7038,1563`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from medbertde.types import TrainingRefused
from train.schedule import Phase


@dataclass(frozen=True)
class Recipe:
    """The model's size and how it learns; the feed-forward size is four times the hidden size."""

    layers: int
    hidden: int
    heads: int
    phases: tuple[Phase, ...]
    start: Literal["random", "local"] = "random"
    optimizer: Literal["adamw", "lamb"] = "adamw"
    precision: Literal["no", "bf16"] = "no"
    weight_decay: float = 0.01
    dropout: float = 0.1
    share: float = 0.15
    whole_words: bool = False
    cues: int = 0
    held_out_of: int = 50
    evaluate_every: int | None = None  # steps; None: at the end of each pass over the texts


MINI = Recipe(
    layers=4,
    hidden=256,
    heads=4,
    phases=(Phase(max_tokens=128, rate=2e-3, warmup=200, decay="cosine", epochs=16, batch_tokens=2048),),
    start="local",
    precision="bf16",
    dropout=0.05,
    cues=3000,
)
MEDBERT = Recipe(
    layers=12,
    hidden=768,
    heads=8,
    phases=(
        Phase(max_tokens=128, rate=6e-3, warmup=2_000, steps=7_038, sequences=65_536),
        Phase(max_tokens=512, rate=4e-3, warmup=200, steps=1_563, sequences=32_768),
    ),
    optimizer="lamb",
    precision="bf16",
    held_out_of=2_000,
    evaluate_every=100,
)
PRESETS = {"mini": MINI, "medbert": MEDBERT}


@dataclass(frozen=True)
class PretrainConfig:
    """One run: the texts, where the model goes, and the recipe.

    `tokenizer` may be left out with `base`; with `transfer` it takes the place of the base's own. `micro_tokens` are
    the tokens one process computes at once.
    """

    files: Sequence[Path]
    out: Path
    tokenizer: str | None = None
    recipe: Recipe = MINI
    name: str | None = None
    base: str | None = None
    transfer: bool = False
    micro_tokens: int | None = None
    half: bool = False
    seed: int = 42
    cpu: bool = False
    resume: bool = False

    def micro_tokens_of(self, phase: Phase, processes: int) -> int:
        """Tokens that one process computes at once: as many as it takes for one part of a step, 16,384 at most.

        >>> PretrainConfig([], Path("m")).micro_tokens_of(MINI.phases[0], processes=2)
        1024
        """
        if self.micro_tokens:
            return self.micro_tokens
        return 16_384 if phase.sequences else min(16_384, max(phase.max_tokens, phase.batch_tokens // processes))


def parse(words: Sequence[str] | None = None, description: str | None = None) -> PretrainConfig:
    """The run that a command line asks for; `TrainingRefused` where its values cannot work together."""
    given = vars(_parser(description).parse_args(words))
    recipe = PRESETS[given.pop("preset")]
    phases = _phases(recipe.phases, {name: given.pop(name) for name in _PHASE_OPTIONS if name in given})
    changes = {name: given.pop(name) for name in [item.name for item in fields(Recipe)] if name in given}
    return PretrainConfig(recipe=replace(recipe, phases=phases, **changes), **given)


def require_possible(config: PretrainConfig) -> None:
    """`TrainingRefused` for numbers that cannot work, of which the first one is named."""
    recipe = config.recipe
    works = {
        "layers": recipe.layers >= 1,
        "hidden": recipe.hidden >= 1,
        "heads": recipe.heads >= 1,
        "weight_decay": 0 <= recipe.weight_decay < math.inf,
        "dropout": 0 <= recipe.dropout < 1,
        "share": 0 < recipe.share <= 1,
        "cues": recipe.cues >= 0,
        "held_out_of": recipe.held_out_of >= 2,
        "evaluate_every": recipe.evaluate_every is None or recipe.evaluate_every >= 1,
    }
    own = {
        "micro_tokens": config.micro_tokens is None or config.micro_tokens >= 1,
        "seed": 0 <= config.seed < 2**32,
    }
    _require(recipe, works)
    _require(config, own)
    for phase in recipe.phases:
        _require(phase, _phase_works(phase))


def _phase_works(phase: Phase) -> dict[str, bool]:
    return {
        "max_tokens": phase.max_tokens >= 3,  # two control tokens and one of the text
        "rate": 0 < phase.rate < math.inf,
        "warmup": phase.warmup >= 0,
        "steps": phase.steps is None or phase.steps >= 1,
        "epochs": phase.epochs >= 1,
        "sequences": phase.sequences is None or phase.sequences >= 1,
        "batch_tokens": phase.batch_tokens >= 1,
    }


def _require(values: object, works: Mapping[str, bool]) -> None:
    for name, fine in works.items():
        if not fine:
            wrong = f"{_option(name)} {getattr(values, name)}"
            _refuse(f"{wrong} ist kein möglicher Wert.", f"{wrong} is not a possible value.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _refuse(de: str, en: str) -> NoReturn:
    raise TrainingRefused(de, en)


_PHASE_OPTIONS = ("max_tokens", "rate", "warmup", "steps", "epochs", "sequences", "batch_tokens")


def _phases(phases: tuple[Phase, ...], given: dict[str, list[int | float]]) -> tuple[Phase, ...]:
    """The phases with the values given for them; a length in epochs replaces one in steps, and so on."""
    for one, other in (("steps", "epochs"), ("sequences", "batch_tokens")):
        if one in given and other in given:
            _refuse(
                f"{_option(one)} und {_option(other)} schließen einander aus. Bitte nur eines davon angeben.",
                f"{_option(one)} and {_option(other)} exclude each other. Please give only one of them.",
            )
    for name, values in given.items():
        if len(values) not in (1, len(phases)):
            _refuse(
                f"{_option(name)} braucht einen Wert oder einen für jede der {len(phases)} Phasen, gefunden: "
                f"{len(values)}.",
                f"{_option(name)} needs one value, or one for each of the {len(phases)} phases; found: {len(values)}.",
            )
        replaced: dict[str, Any] = {"epochs": {"steps": None}, "batch_tokens": {"sequences": None}}.get(name, {})
        each = values * len(phases) if len(values) == 1 else values
        phases = tuple(replace(phase, **{**replaced, name: value}) for phase, value in zip(phases, each, strict=True))
    return phases


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, help="report files (.jsonl, .csv), .txt, .parquet or folders of these")
    add("--out", type=Path, required=True, help="folder for the model; its state lies beside it while it runs")
    add("--tokenizer", help="tokenizer folder; with --base, the base's own is used")
    add("--preset", choices=list(PRESETS), default="mini", help="recipe that the other options change (mini)")
    add("--name", help="name of the model; default: the folder's")
    add("--base", help="language model to go on from: Hub id or folder")
    add("--transfer", action="store_true", help="give the base the vocabulary of --tokenizer")
    add("--resume", action="store_true", help="go on with a run that was interrupted")
    add("--start", choices=("random", "local"), help="weights of a new model")
    add("--layers", type=int, help="transformer layers")
    add("--hidden", type=int, help="hidden size; the feed-forward size is four times it")
    add("--heads", type=int, help="attention heads")
    _add_phase_options(parser)
    add("--optimizer", choices=("adamw", "lamb"), help="LAMB for batches of thousands of sequences")
    add("--weight-decay", type=float, help="weight decay; biases and LayerNorm have none")
    add("--micro-tokens", type=int, help="tokens a process computes at once; the rest of a step is accumulated")
    add("--share", type=float, help="share of tokens chosen for the loss")
    add("--whole-words", action="store_true", help="choose all pieces of a word together")
    add("--dropout", type=float, help="dropout of a new model")
    add("--cues", type=int, help="short lexicon statements added to the text")
    add("--held-out-of", type=int, help="one document in this many is held out")
    add("--evaluate-every", type=int, help="steps between held-out losses and saved states; default: one pass")
    add("--precision", choices=("no", "bf16"), help="mixed precision")
    add("--half", action="store_true", help="store the weights in 16 bits")
    add("--seed", type=int, help="seed of masks, order and weights")
    add("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    return parser


def _add_phase_options(parser: argparse.ArgumentParser) -> None:
    """Options with a value for all phases or one for each."""
    for name, kind, text in (
        ("--max-tokens", int, "longest window in tokens"),
        ("--rate", float, "peak learning rate"),
        ("--warmup", int, "warm-up steps"),
        ("--steps", int, "steps of the phase"),
        ("--epochs", int, "passes over the text, instead of steps"),
        ("--sequences", int, "sequences per step over all processes"),
        ("--batch-tokens", int, "tokens per step over all processes, padding included, instead of sequences"),
    ):
        parser.add_argument(name, type=_list_of(kind), help=text)


def _list_of(kind: type[int] | type[float]) -> Callable[[str], list[int | float]]:
    def numbers(text: str) -> list[int | float]:
        return [kind(part) for part in text.split(",")]

    return numbers

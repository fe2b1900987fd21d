"""What comes before the first step of a pretraining: tokenizer, texts, model, and a state to go on from.

Every process of a run does this; the first one tokenises, the others wait for it and read the same files.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from torch import nn
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from medbertde.inference.tokens import TextEncoder, text_encoder
from medbertde.types import TrainingRefused, UserError
from train import token_store
from train.local_start import start_locally
from train.mlm import MaskedModel, Masking, masking, require_same_logits
from train.pretrain_config import PretrainConfig, require_possible
from train.resume import Progress, load_weights, read_progress
from train.steps import accelerator
from train.texts import cue_texts, documents, files_of
from train.token_store import Pieces, Windows, cut
from train.vocabulary_transfer import transfer

POSITIONS = 512  # of a new model, whatever it is trained with
LONGEST_WAIT = timedelta(hours=12)  # of the other processes, while the first one tokenises


@dataclass(eq=False)
class Run:
    """What every step of a run needs; `module` is the plain model, `model` the one divided over processes."""

    config: PretrainConfig
    accelerator: Accelerator
    tokenizer: PreTrainedTokenizerBase
    encoder: TextEncoder
    how: Masking
    train: Pieces
    held_out: Windows
    module: MaskedModel
    model: nn.Module
    folder: Path
    data_hash: str | None
    progress: Progress

    @property
    def key(self) -> str:
        """What a state of this run is known by."""
        return key_of(self.config, self.accelerator.num_processes, self.data_hash)


def load_tokenizer(config: PretrainConfig) -> PreTrainedTokenizerBase:
    """The tokenizer that is given, else the base's; `TrainingRefused` for two that differ without a transfer."""
    if not config.tokenizer and not config.base:
        raise TrainingRefused(
            "Bitte mit --tokenizer einen Tokenizer nennen oder mit --base ein Modell.",
            "Please name a tokenizer with --tokenizer or a model with --base.",
        )
    tokenizer = _tokenizer(config.tokenizer or config.base)
    if config.base and config.tokenizer and not config.transfer:
        own = _tokenizer(config.base)
        if own.get_vocab() != tokenizer.get_vocab():
            raise TrainingRefused(
                f"Der Tokenizer passt nicht zum Modell {config.base}: Er hat {len(tokenizer)} Wortteile, der des "
                f"Modells {len(own)}, und die Nummern stimmen nicht überein. Bitte --tokenizer weglassen "
                "oder mit --transfer das Vokabular austauschen.",
                f"The tokenizer does not fit the model {config.base}: it has {len(tokenizer)} pieces, the model's own "
                f"{len(own)}, and their numbers differ. Please leave out --tokenizer or "
                "exchange the vocabulary with --transfer.",
            )
    return tokenizer


def _tokenizer(name: str | None) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise _not_loadable(name) from error


def _not_loadable(name: str | None) -> TrainingRefused:
    return TrainingRefused(
        f"{name} ist nicht zu laden. Erwartet wird ein Ordner mit Tokenizer und safetensors-Gewichten oder die Id "
        "eines solchen Modells auf dem Hub (bei geschützten Modellen mit HF_TOKEN).",
        f"{name} cannot be loaded. Expected is a folder with a tokenizer and safetensors weights, or the Hub id of "
        "such a model (with HF_TOKEN where it is gated).",
    )


def prepare_texts(config: PretrainConfig, encoder: TextEncoder, folder: Path) -> None:
    """Tokenise training and held-out texts into `folder`, unless they are there; `TrainingRefused` for too few."""
    recipe, found = config.recipe, Counter[str]()

    def parts() -> Iterator[tuple[str, str]]:
        for document in documents(config.files):
            name = "held_out" if document.is_held_out(recipe.held_out_of) else "train"
            found[name] += 1
            yield name, document.text
        for text in cue_texts(recipe.cues, config.seed):
            yield "train", text

    facts = (recipe.cues, config.seed, recipe.held_out_of, encoder.backend.to_str())
    key = token_store.key_of(files_of(config.files), *facts)
    if token_store.key_in(folder) != key:
        token_store.write(parts(), encoder, folder, ("train", "held_out"))
        _require_both(found["train"], found["held_out"], one_in=recipe.held_out_of)
        token_store.complete(folder, key)


def _require_both(train: int, held_out: int, *, one_in: int) -> None:
    if not train or not held_out:
        raise TrainingRefused(
            f"Die {train + held_out} Texte reichen nicht: Etwa jeder {one_in}. wird zum Prüfen zurückgehalten, hier "
            f"sind es {held_out}. Bitte mehr Texte angeben.",
            f"The {train + held_out} texts are too few: about one in {one_in} is held out for testing, here it is "
            f"{held_out}. Please give more texts.",
        )


def build_model(
    config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]
) -> PreTrainedModel:
    """The base model, else a new BERT of the configured size, which always has 512 positions.

    `rows`, the token ids of the training text, are what `--start local` counts.
    """
    if config.base:
        try:
            base = AutoModelForMaskedLM.from_pretrained(config.base, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise _not_loadable(config.base) from error
        return transfer(base, _tokenizer(config.base), tokenizer) if config.transfer else base
    recipe = config.recipe
    if recipe.hidden % recipe.heads or (recipe.start == "local" and recipe.heads < 2):
        raise TrainingRefused(
            f"{recipe.heads} Köpfe passen nicht zur Breite {recipe.hidden}: Sie muss ein Vielfaches davon sein, und "
            "--start local braucht mindestens zwei.",
            f"{recipe.heads} heads do not fit the hidden size {recipe.hidden}: it must be a multiple of them, and "
            "--start local needs at least two.",
        )
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=4 * recipe.hidden,
            max_position_embeddings=POSITIONS,
            hidden_dropout_prob=recipe.dropout,
            attention_probs_dropout_prob=recipe.dropout,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return start_locally(model, rows, config.seed) if recipe.start == "local" else model


def positions(model: PreTrainedModel) -> int:
    """The longest input in tokens; the RoBERTa family counts its positions from the padding id + 1."""
    found = int(model.config.max_position_embeddings)
    offset = hasattr(model.base_model.embeddings, "create_position_ids_from_input_ids")
    return found - int(model.config.pad_token_id) - 1 if offset else found


def prepare(config: PretrainConfig) -> Run:
    """Everything up to the first step; `TrainingRefused` for what cannot work."""
    require_possible(config)
    recipe = config.recipe
    timeout = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    launched = accelerator(recipe.precision, cpu=config.cpu, kwargs_handlers=[timeout])
    set_seed(config.seed)
    tokenizer = load_tokenizer(config)
    how = masking(tokenizer, recipe.share, whole_words=recipe.whole_words)
    encoder = text_encoder(tokenizer, POSITIONS)
    folder = config.out.with_name(f"{config.out.name}.state")
    if launched.is_main_process:
        _open_folder(config, encoder, folder)
    launched.wait_for_everyone()
    train = token_store.read(folder, "train", encoder)
    module = MaskedModel(build_model(config, tokenizer, cut(train, encoder, recipe.phases[0].max_tokens)))
    longest = max(phase.max_tokens for phase in recipe.phases)
    _require_positions(module.model, longest)
    require_same_logits(module.model, how)
    if not config.base:
        tokenizer.model_max_length = longest
    held_out = cut(token_store.read(folder, "held_out", encoder), encoder, longest)
    data_hash = token_store.key_in(folder)
    progress = read_progress(folder, key_of(config, launched.num_processes, data_hash))
    if progress.step:
        load_weights(folder, module)
    model = launched.prepare(module)
    return Run(config, launched, tokenizer, encoder, how, train, held_out, module, model, folder, data_hash, progress)


def key_of(config: PretrainConfig, processes: int, data_hash: str | None) -> str:
    """What must be the same for a run to be gone on with."""
    micro = [config.micro_tokens_of(phase, processes) for phase in config.recipe.phases]
    return sha256(repr((data_hash, config.recipe, config.base, config.seed, micro)).encode()).hexdigest()


def _open_folder(config: PretrainConfig, encoder: TextEncoder, folder: Path) -> None:
    """The folder of the run with its texts; nothing is left of it where they are refused."""
    if not config.resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        prepare_texts(config, encoder, folder)
    except UserError:
        if not config.resume:
            shutil.rmtree(folder)
        raise


def _require_positions(model: PreTrainedModel, longest: int) -> None:
    if longest > positions(model):
        raise TrainingRefused(
            f"Das Modell liest höchstens {positions(model)} Wortteile auf einmal, verlangt sind {longest}. Bitte "
            "--max-tokens verkleinern.",
            f"The model reads at most {positions(model)} tokens at once, {longest} are asked for. Please lower "
            "--max-tokens.",
        )

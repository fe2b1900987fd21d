"""One classifier from several: the mean of their weights, calibrated and measured like the result of a fine-tuning.

    python -m train.soup build/mini-chest-ct build/first/checkpoint build/second/checkpoint

The run folder is that of `train.finetune`: `config.json` and `labels.jsonl` in, `checkpoint/` and the figures out.
Models that went on from one and the same model lie in one basin of the loss, and their mean reads foreign reports
better than each of them, at the price of one (Wortsman et al. 2022, arXiv:2203.05482; with the model they began from
among them: Wortsman et al. 2022, arXiv:2109.01903).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel, load_checkpoint
from medbertde.inference.checkpoint_labels import output_names
from medbertde.schema import load_schema
from medbertde.types import Metrics, TrainingRefused, UserError
from train.finetune import conclude, reading, split
from train.run_folder import read_config


def soup(folder: Path, checkpoints: Sequence[Path]) -> Metrics:
    """Write the mean of the checkpoints into the run folder; returns its held-out figures.

    `TrainingRefused` for models that cannot be averaged: another vocabulary, other outputs or another size, or outputs
    that are not those of the run's schema.
    """
    config = read_config(folder)
    schema = load_schema(config.schema_id)
    parts = split(folder, config, schema)
    loaded = [load_checkpoint(checkpoint) for checkpoint in checkpoints]
    _require_alike(loaded, output_names(schema, states=True))
    return conclude(folder, config, schema, parts, reading(loaded[0], config.reads), mean(loaded))


@torch.no_grad()
def mean(loaded: Sequence[LoadedModel]) -> PreTrainedModel:
    """The first model with the mean of all weights in the place of its own."""
    others = [dict(each.model.named_parameters()) for each in loaded]
    for name, weight in loaded[0].model.named_parameters():
        weight.copy_(torch.stack([other[name] for other in others]).mean(0))
    return loaded[0].model


def _require_alike(loaded: Sequence[LoadedModel], outputs: Sequence[str]) -> None:
    vocabulary, sizes = loaded[0].encoder.backend.to_str(), _sizes(loaded[0])
    wanted = (vocabulary, tuple(outputs), sizes)
    if any((each.encoder.backend.to_str(), tuple(each.outputs), _sizes(each)) != wanted for each in loaded):
        raise TrainingRefused(
            "Gemittelt werden nur Modelle mit gleichem Wortschatz, den Ausgaben des Schemas und gleicher Größe.",
            "Only models with the same vocabulary, the outputs of the schema and the same size are averaged.",
        )


def _sizes(loaded: LoadedModel) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in loaded.model.named_parameters()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="run folder with config.json and labels.jsonl")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="folders of the models to average")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        metrics = soup(args.folder, args.checkpoints)
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(f"macro F1 {metrics.f1_macro:.3f}, micro F1 {metrics.f1_micro:.3f} on {metrics.n_reports} held-out reports")


if __name__ == "__main__":
    main()

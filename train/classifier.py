"""The classifier of a fine-tuning: made from a base model, reading a report, and what of it learns how fast.

Shapes: `(rows, tokens)` for ids, `(reports, outputs)` for logits. A report longer than the model's input has several
rows; it is judged by the largest logit over them, for each output by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from medbertde.inference.checkpoint import LoadedModel
from medbertde.inference.checkpoint_labels import output_names
from medbertde.schema import Schema
from medbertde.types import Task
from train.dataset import Batch, Example, collate
from train.run_folder import FinetuneConfig

_IN_ENCODER = r".*\.encoder\..*\.(query|key|value|query_proj|key_proj|value_proj|dense)"
_LAYER = re.compile(r"\.(?:encoder\.)?layer\.(\d+)\.")
MOST_CLASS_WEIGHT = 10.0
PREDICTED_AT_ONCE = 16  # reports


def build_model(base: LoadedModel, schema: Schema) -> PreTrainedModel:
    """A classifier on the base's encoder; a base that already answers this schema keeps its head.

    Any other head starts untrained: one that names its outputs otherwise would begin with another finding's weights.
    """
    outputs = output_names(schema, states=True)
    if base.task is Task.CLASSIFY and base.outputs == outputs:
        return base.model.requires_grad_(True)
    config = AutoConfig.from_pretrained(
        base.folder,
        id2label=dict(enumerate(outputs)),
        label2id={output: index for index, output in enumerate(outputs)},
        problem_type="multi_label_classification",
        local_files_only=True,
    )
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    model.base_model.load_state_dict(base.model.base_model.state_dict(), strict=False)  # a language model has no pooler
    return model


def adapt(model: PreTrainedModel, config: FinetuneConfig) -> nn.Module:
    """The model with what the configuration asks of it: adapters, and activations recomputed instead of kept.

    Low-rank adapters (Hu et al. 2022, arXiv:2106.09685) sit on all matrices of the encoder; the head learns in full.
    """
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if not config.lora_rank:
        return model
    if config.gradient_checkpointing:
        model.enable_input_require_grads()
    marks = type(model).__name__.endswith("ForTokenClassification")
    adapters = LoraConfig(
        task_type=TaskType.TOKEN_CLS if marks else TaskType.SEQ_CLS,
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules=_IN_ENCODER,
        modules_to_save=["classifier", *(() if marks else ("pooler",))],
    )
    return get_peft_model(model, adapters)


def merged(model: nn.Module) -> PreTrainedModel:
    """The plain classifier, with its adapters, if it has any, added to the weights."""
    plain = model.merge_and_unload() if isinstance(model, PeftModel) else model
    assert isinstance(plain, PreTrainedModel)
    plain.activation_checkpointing_disable()
    return plain


def learning_groups(model: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, object]]:
    """Parameter groups; `scale` is a group's share of the learning rate.

    It is `layer_decay` to the power of the distance from the head (Howard & Ruder 2018, arXiv:1801.06146). Matrices
    have weight decay; biases and LayerNorm do not.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    top = 1 + max((_depth(name, 0) for name, _ in named), default=0)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        groups.setdefault((_depth(name, top), parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": found, "weight_decay": weight_decay * matrix, "scale": layer_decay ** (top - depth)}
        for (depth, matrix), found in groups.items()
    ]


def _depth(name: str, head: int) -> int:
    """0 for the embeddings, 1 for the first layer, … and `head` for what comes after the last one.

    >>> [_depth(f"bert.{name}.weight", 5) for name in ("embeddings.LayerNorm", "encoder.layer.0.output", "pooler")]
    [0, 1, 5]
    """
    layer = _LAYER.search(name)
    if layer:
        return int(layer[1]) + 1
    return 0 if ".embeddings." in name or ".rel_embeddings" in name else head


def report_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits `(reports, outputs)`: the largest over a report's rows."""
    logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits.float()
    start = torch.full((len(batch.targets), logits.shape[1]), -torch.inf, device=logits.device)
    return start.scatter_reduce(0, batch.report[:, None].expand_as(logits), logits, reduce="amax")


def batch_loss(model: nn.Module, batch: Batch, weight: Tensor) -> Tensor:
    """Sum of the binary cross-entropy over reports and outputs.

    Positive targets weigh `weight` times (one value per output), unknown targets (-1) nothing.
    """
    logits, known = report_logits(model, batch), batch.targets >= 0
    losses = binary_cross_entropy_with_logits(logits, batch.targets.clamp(min=0), pos_weight=weight, reduction="none")
    return (losses * known).sum()


def class_weights(pool: Sequence[Example]) -> Tensor:
    """For each output the square root of negatives per positive, 1 to 10: rare outputs learn faster.

    The root keeps a finding with three positives from drowning the others.
    """
    gold = torch.tensor([example.targets for example in pool])
    positive, negative = (gold == 1).sum(0), (gold == 0).sum(0)
    return (negative / positive.clamp(min=1)).sqrt().clamp(1.0, MOST_CLASS_WEIGHT)


@torch.no_grad()
def predict_logits(model: PreTrainedModel, pool: Sequence[Example], pad_id: int) -> np.ndarray:
    """Logits `(reports, outputs)` in the order of `pool`, computed in the order of length."""
    model.eval()
    order = sorted(range(len(pool)), key=lambda index: pool[index].tokens)
    found = np.empty((len(pool), int(model.config.num_labels or 0)))
    for start in range(0, len(order), PREDICTED_AT_ONCE):
        chosen = order[start : start + PREDICTED_AT_ONCE]
        batch = collate([pool[index] for index in chosen], pad_id).to(model.device)
        found[chosen] = report_logits(model, batch).cpu().numpy()
    return found

"""Attributions: how much each word and sentence of a text moved one logit.

Public are the names below. The modules behind them: `report` (findings), `gap` (a word in a gap), `methods` with
`paths` and `removal`, `work`, `row`, `network` and `packed_network` (the passes), `asked`, `reading`, `merging`,
`words`, `shares`, `nodes`, `notices`, and `faithfulness`.
"""

from medbertde.inference.explain.faithfulness import against_chance, faithfulness
from medbertde.inference.explain.gap import explain_word
from medbertde.inference.explain.methods import DEFAULT, METHODS, Baseline
from medbertde.inference.explain.report import MAX_STEPS, explain, explain_all, with_words

__all__ = [
    "DEFAULT",
    "MAX_STEPS",
    "METHODS",
    "Baseline",
    "against_chance",
    "explain",
    "explain_all",
    "explain_word",
    "faithfulness",
    "with_words",
]

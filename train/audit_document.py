"""Audits as Markdown: the section of a model card, and the document over several models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medbertde.model_audit import LIMITS, REASONS, Figure, ModelAudit
from train.markdown import table

CARD = "README.md"
BEGIN, END = "<!-- audit: begin -->", "<!-- audit: end -->"
TITLES = {
    "membership_auc": "membership: AUC of the attack",
    "tpr_at_1": "membership: members found at 1 % false alarms",
    "tpr_at_10": "membership: members found at 10 % false alarms",
    "blind_auc": "membership: AUC without the model, by words alone",
    "exposure_bits": "exposure of secrets, in bits (largest)",
    "flip_rate": "pairs with a changed decision",
    "shift": "mean change of a probability",
    "bias": "the same with its sign",
    "subgroup_f1_micro": "micro F1 of a subgroup",
    "subgroup_auroc_macro": "macro AUROC of a subgroup",
    "probe_sex": "share of female words in gaps (lowest–highest)",
    "probe_age": "share of high ages in gaps (lowest–highest)",
}
_OLD = re.compile(rf"\n*{re.escape(BEGIN)}.*?{re.escape(END)}\n*", re.DOTALL)
HOW = (
    "**Membership**: an attacker asks of a text whether the model has learnt from it, by how much better the model "
    "knows it than the reference does (likelihood ratio, Mireshghallah et al. 2022); AUC 0.5 is guessing. The row “by "
    "words alone” tries the same without the model: where it is high, learnt and held-out texts differ anyway and the "
    "attack looks stronger than it is. **Exposure**: how much easier a secret is to guess with the model than without, "
    "by its rank among possible ones (Carlini et al. 2019; `python -m train.canaries` makes some to learn). **Pairs**: "
    "reports that differ in sex, age or name only, "
    "either as the report words it or by a line put before it (“line”); a decision that changes is wrong in one of the "
    "two. **Gaps**: what a language model expects where a finding is named, beside a neutral sentence."
)


def section(audit: ModelAudit, *, heading: str = "## Audit") -> str:
    """The verdict, the figures with their limits, and what to bear in mind."""
    rows = [
        [TITLES.get(figure.name, figure.name), figure.group or "–", _value(figure), _limit(figure), str(figure.n)]
        for figure in audit.figures
    ]
    parts = [
        heading,
        f"**{verdict(audit)}** `{audit.version}`, {audit.made_at[:10]}.",
        f"Texts: {audit.texts}. Reference of the attack: {audit.reference or 'none'}.",
        table(["figure", "of", "value (95 % interval)", "limit", "n"], rows),
        *(f"- {remark.en}" for remark in audit.remarks),
    ]
    return "\n\n".join(parts)


def verdict(audit: ModelAudit) -> str:
    """The outcome in a sentence."""
    if audit.missing:
        return "Not complete: membership was not measured."
    if audit.exceeded:
        names = list(dict.fromkeys(TITLES[figure.name] for figure in audit.exceeded))
        return f"Above the limits: {'; '.join(names)}."
    return "Within all limits."


def document(audits: Sequence[ModelAudit], *, command: str, machine: str, day: str) -> str:
    """All audits with the limits and their reasons."""
    limits = [
        [TITLES[name], f"{getattr(LIMITS, name):g}", reason["en"]] for name, reason in REASONS.items() if name in TITLES
    ]
    parts = [
        "# Audits of the models",
        f"Made on {day} ({machine}) by:",
        f"```bash\n{command}\n```",
        HOW,
        "Export and upload of a model above a limit are refused, unless an administrator gives a reason, which goes "
        "into the audit trail. The weights of GerMedBERT and what is made from them are not audited: their terms "
        "forbid it.",
        "## Limits",
        table(["figure", "limit", "reason"], limits),
        *(section(audit, heading=f"## {audit.version.partition('@')[0]}") for audit in audits),
    ]
    return "\n\n".join(parts) + "\n"


def write_card(folder: Path, audit: ModelAudit) -> None:
    """Put the section into the model card, in the place of an older one."""
    path = folder / CARD
    card = path.read_text(encoding="utf-8") if path.is_file() else f"# {audit.version.partition('@')[0]}\n"
    kept = _OLD.sub("\n", card).rstrip("\n")
    path.write_text(f"{kept}\n\n{BEGIN}\n{section(audit)}\n{END}\n", encoding="utf-8")


def _value(figure: Figure) -> str:
    said = f"{figure.value:.1f}" if figure.name == "exposure_bits" else f"{figure.value:.3f}"
    if figure.low is not None and figure.high is not None:
        said += f" ({figure.low:.3f}–{figure.high:.3f})"
    return f"**{said}**" if figure.exceeds else said


def _limit(figure: Figure) -> str:
    return "–" if figure.limit is None else f"≤ {figure.limit:g}"

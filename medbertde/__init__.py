"""medbertde: German radiology reports read, explained, labelled and learned from. Research use only.

>>> import medbertde
>>> model = medbertde.load("mini-chest-xray")  # doctest: +SKIP
>>> model.classify(["Kein Erguss."])[0].scores["Erguss"].absent  # doctest: +SKIP
0.97
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from medbertde.inference.model import Model
    from medbertde.privacy.kinds import Dates, Deidentified, Replace

__all__ = ["deidentify", "load"]


def load(name: str, device: str = "auto") -> Model:
    """The model with this catalogue id (``"mini-chest-xray"``), checkpoint folder or Hub id, ready to answer.

    Raises `ModelUnavailable` or `CheckpointRefused` with a sentence that says what to do. torch is imported here, not
    with the package, so that `import medbertde` stays fast.
    """
    from medbertde.inference.model import load as load_model

    return load_model(name, device)


def deidentify(
    text: str,
    *,
    dates: Dates | str = "all",
    replace: Replace | str = "placeholder",
    seed: int | None = None,
    by: Literal["both", "rules"] = "both",
) -> Deidentified:
    """The text without names, dates, places and numbers of persons, and the spans that were replaced.

    `dates`: ``birth``, ``all`` or ``shift``; `replace`: ``placeholder`` or ``surrogate``; `by`: ``both`` asks a small
    model beside the rules, ``rules`` does without it (and without torch). Raises `DeidentificationRefused` when it
    cannot be done. No guarantee: `docs/deidentification.md` says what is missed.
    """
    from medbertde.privacy.deidentify import deidentify as run

    if by == "rules":
        return run(text, dates=dates, replace=replace, seed=seed)
    from medbertde.inference.identify import Identifier

    return run(text, dates=dates, replace=replace, seed=seed, classifier=Identifier())

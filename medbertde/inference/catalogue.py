"""The models that are known by name, and the way from a name to a checkpoint folder on this machine.

Owns the list of embedded and Hub models with what a user must know of them. Knows nothing of loading; `hub` downloads,
`checkpoint` checks the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medbertde.inference import hub
from medbertde.inference.hub import OnBytes
from medbertde.types import ModelUnavailable, Task

EMBEDDED_FOLDER = Path(__file__).parents[2] / "data" / "models"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")

_OPEN_TERMS = {
    "de": "Frei verfügbar. Nur anonymisierte Texte, nur für die Forschung.",
    "en": "Openly available. Anonymised texts only, for research only.",
}
_GATED_TERMS = {
    "de": "Nutzungsbedingungen auf dem Hub annehmen, Token nötig. Verboten sind Angriffe auf das Modell und das "
    "Zurückgewinnen von Trainingsdaten; Texte müssen anonymisiert sein; nur für die Forschung.",
    "en": "Accept the terms on the Hub; a token is needed. Attacks on the model and retrieval of training data are "
    "forbidden; texts must be anonymised; for research only.",
}
_FICTIONAL_TERMS = {
    "de": "Aus frei erfundenen Befunden dieses Projekts trainiert. Nur für die Forschung.",
    "en": "Trained on this project's fictional reports. For research only.",
}
_SEE_CARD = {"de": "siehe Modellkarte", "en": "see model card"}
_APACHE = {"de": "Apache-2.0", "en": "Apache-2.0"}


@dataclass(frozen=True)
class Entry:
    """A model known by name: where it lies (`folder` here or `hub_id`), what it is and what it is good for.

    `parameters` is in millions, None where it is read from the folder only.
    """

    id: str
    title: Mapping[str, str]
    task: Task
    tokenizer: str
    licence: Mapping[str, str]
    terms: Mapping[str, str]
    good_for: Mapping[str, str]
    folder: Path | None = None
    hub_id: str | None = None
    schema_id: str | None = None
    parameters: float | None = None
    gated: bool = False

    @property
    def embedded(self) -> bool:
        """Whether the model is shipped with the app."""
        return self.folder is not None


def _embedded(model_id: str, title: Mapping[str, str], good_for: Mapping[str, str], schema_id: str | None) -> Entry:
    return Entry(
        id=model_id,
        title=title,
        task=Task.CLASSIFY if schema_id else Task.FILL_MASK,
        tokenizer="WordPiece",
        licence={"de": "wie dieses Projekt (MIT)", "en": "as this project (MIT)"},
        terms=_FICTIONAL_TERMS,
        good_for=good_for,
        folder=EMBEDDED_FOLDER / model_id,
        schema_id=schema_id,
    )


def _hub(
    hub_id: str,
    title: str,
    tokenizer: str,
    parameters: float,
    good_for: Mapping[str, str],
    *,
    licence: Mapping[str, str] = _SEE_CARD,
    gated: bool = False,
) -> Entry:
    return Entry(
        id=hub_id,
        title={"de": title, "en": title},
        task=Task.FILL_MASK,
        tokenizer=tokenizer,
        licence=licence,
        terms=_GATED_TERMS if gated else _OPEN_TERMS,
        good_for=good_for,
        hub_id=hub_id,
        parameters=parameters,
        gated=gated,
    )


CATALOGUE: tuple[Entry, ...] = (
    _embedded(
        "medbertde-mini",
        {"de": "medbertde mini (eingebaut)", "en": "medbertde mini (embedded)"},
        {
            "de": "Lücken in radiologischen Befunden füllen, sofort und ohne Internet",
            "en": "filling gaps in radiology reports, at once and offline",
        },
        None,
    ),
    _embedded(
        "mini-chest-xray",
        {"de": "Röntgen-Thorax mini (eingebaut)", "en": "Chest X-ray mini (embedded)"},
        {"de": "Befunde in Röntgen-Thorax-Berichten erkennen", "en": "finding labels in chest X-ray reports"},
        "chest_xray",
    ),
    _embedded(
        "mini-chest-ct",
        {"de": "CT-Thorax mini (eingebaut)", "en": "Chest CT mini (embedded)"},
        {"de": "Befunde in CT-Thorax-Berichten erkennen", "en": "finding labels in chest CT reports"},
        "chest_ct",
    ),
    _hub(
        "GerMedBERT/medbert-512",
        "medBERT.de",
        "WordPiece 30k",
        109.1,
        {
            "de": "deutsche klinische Texte; bester Ausgangspunkt fürs Training",
            "en": "German clinical text; the best start for fine-tuning",
        },
        gated=True,
    ),
    _hub(
        "GerMedBERT/medbert-512-no-duplicates",
        "medBERT.de no-duplicates",
        "WordPiece 30k",
        109.1,
        {"de": "wie medBERT.de, ohne Token erhältlich", "en": "as medBERT.de, available without a token"},
        licence=_APACHE,
    ),
    _hub(
        "uklfr/gottbert-base",
        "GottBERT",
        "Byte-BPE 52k",
        126.0,
        {"de": "allgemeines Deutsch", "en": "general German"},
    ),
    _hub(
        "SCAI-BIO/bio-gottbert-base",
        "BioGottBERT",
        "Byte-BPE 52k",
        126.0,
        {"de": "deutsche biomedizinische Texte", "en": "German biomedical text"},
    ),
    _hub(
        "bert-base-multilingual-cased",
        "Multilingual BERT",
        "WordPiece 119k",
        178.0,
        {"de": "Vergleich mit einem mehrsprachigen Modell", "en": "comparison with a multilingual model"},
        licence=_APACHE,
    ),
    _hub(
        "smanjil/German-MedBERT",
        "German-MedBERT",
        "WordPiece 30k",
        109.1,
        {"de": "deutsche medizinische Artikel", "en": "German medical articles"},
    ),
)


def find(name: str) -> Entry | None:
    """The catalogue entry with this id, if there is one."""
    return next((entry for entry in CATALOGUE if entry.id == name), None)


def hub_id_of(folder: Path) -> str | None:
    """The Hub id of a folder that was downloaded from there, None for any other folder."""
    return hub.repository_of(folder.absolute())


def resolve(name: str, cache: Path | None = None, *, on_bytes: OnBytes | None = None) -> Path:
    """The checkpoint folder of a catalogue id, a folder or a Hub id (``owner/name``, optionally ``@revision``).

    A Hub model is downloaded once into `cache` (default: the Hub's own cache) and found there offline; `on_bytes` hears
    how far that is. `ModelUnavailable` says why there is none and what to do.
    """
    entry = find(name)
    if entry and entry.folder:
        if not entry.folder.is_dir():
            raise ModelUnavailable(
                f"Das eingebaute Modell {name} fehlt in data/models/. Bitte das Repository vollständig auschecken.",
                f"The embedded model {name} is missing in data/models/. Please check out the whole repository.",
            )
        return entry.folder
    folder = os.path.expanduser(name)  # unlike Path, these two answer any typed text without an error
    if os.path.isdir(folder):
        return Path(folder)
    if not _HUB_ID.fullmatch(name) or (entry is None and "/" not in name):
        known = ", ".join(entry.id for entry in CATALOGUE)
        raise ModelUnavailable(
            f"Das Modell „{name}“ gibt es nicht. Möglich sind ein Ordner, eine Hub-Kennung oder: {known}.",
            f"There is no model “{name}”. Possible are a folder, a Hub id or: {known}.",
        )
    repo, _, revision = name.partition("@")
    return hub.download(repo, revision or None, cache, on_bytes=on_bytes)

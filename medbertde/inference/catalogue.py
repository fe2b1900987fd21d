"""The models that are known by name, and the way from a name to a checkpoint folder on this machine.

Owns the list of embedded and Hub models with what a user must know of them, and the download: safetensors only, token
from the environment (`HF_TOKEN`) only, never in a message. Knows nothing of loading; `checkpoint` checks the folder.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.torch import save_file

from medbertde.inference.checkpoint import REFUSED_SUFFIXES, WEIGHTS_FILE
from medbertde.types import CheckpointRefused, ModelUnavailable, Task

EMBEDDED_FOLDER = Path(__file__).parents[2] / "data" / "models"
TOKEN_VARIABLE = "HF_TOKEN"
PICKLED_WEIGHTS = "pytorch_model.bin"
_WANTED = [
    *("config.json", WEIGHTS_FILE, "medbertde.json", "README.md"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
]
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
_SEE_CARD = "siehe Modellkarte / see model card"


@dataclass(frozen=True)
class Entry:
    """A model known by name: where it lies (`folder` here or `hub_id`), what it is and what it is good for.

    `parameters` is in millions, None where it is read from the folder only.
    """

    id: str
    title: Mapping[str, str]
    task: Task
    tokenizer: str
    licence: str
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
        licence="wie dieses Projekt / as this project",
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
    licence: str = _SEE_CARD,
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
        "medBERT.de (dedupliziert)",
        "WordPiece 30k",
        109.1,
        {"de": "wie medBERT.de, ohne Token erhältlich", "en": "as medBERT.de, available without a token"},
        licence="Apache-2.0",
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
        licence="Apache-2.0",
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


def resolve(name: str, cache: Path | None = None) -> Path:
    """The checkpoint folder of a catalogue id, a folder or a Hub id (``owner/name``, optionally ``@revision``).

    A Hub model is downloaded once into `cache` (default: the Hub's own cache) and found there offline.
    `ModelUnavailable` says why there is none and what to do.
    """
    entry = find(name)
    if entry and entry.folder:
        if not entry.folder.is_dir():
            raise ModelUnavailable(
                f"Das eingebaute Modell {name} fehlt in data/models/. Bitte das Repository vollständig auschecken.",
                f"The embedded model {name} is missing in data/models/. Please check out the whole repository.",
            )
        return entry.folder
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(name) or (entry is None and "/" not in name):
        known = ", ".join(entry.id for entry in CATALOGUE)
        raise ModelUnavailable(
            f"Das Modell „{name}“ gibt es nicht. Möglich sind ein Ordner, eine Hub-Kennung oder: {known}.",
            f"There is no model “{name}”. Possible are a folder, a Hub id or: {known}.",
        )
    repo, _, revision = name.partition("@")
    return _from_hub(repo, revision or None, cache or Path(constants.HF_HUB_CACHE))


def _from_hub(repo: str, revision: str | None, cache: Path) -> Path:
    """The snapshot of a Hub repository with safetensors and nothing that could run code."""
    snapshot = _download(repo, revision, cache, _WANTED)
    if not (snapshot / WEIGHTS_FILE).exists():
        snapshot = _download(repo, revision, cache, [*_WANTED, PICKLED_WEIGHTS])
    if not any(path.suffix in REFUSED_SUFFIXES for path in snapshot.rglob("*")):
        return snapshot
    clean = cache / "medbertde" / f"{repo.replace('/', '--')}-{snapshot.name[:12]}"
    if not clean.is_dir():
        _write_clean(snapshot, clean)
    return clean


def _download(repo: str, revision: str | None, cache: Path, patterns: list[str]) -> Path:
    token = os.environ.get(TOKEN_VARIABLE) or False  # False: not the token someone once stored on this machine either
    try:
        return Path(snapshot_download(repo, revision=revision, cache_dir=cache, allow_patterns=patterns, token=token))
    except GatedRepoError:
        raise ModelUnavailable(
            f"Das Modell {repo} ist zugangsbeschränkt. Bitte auf huggingface.co/{repo} die Bedingungen annehmen und "
            f"ein Zugriffstoken in der Umgebungsvariable {TOKEN_VARIABLE} setzen.",
            f"The model {repo} is gated. Please accept its terms on huggingface.co/{repo} and set an access token in "
            f"the environment variable {TOKEN_VARIABLE}.",
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise ModelUnavailable(
            f"Das Modell {repo} gibt es auf dem Hub nicht (oder nur nicht öffentlich). Bitte die Schreibweise prüfen.",
            f"The model {repo} is not on the Hub (or is not public). Please check the spelling.",
        ) from None
    except (OSError, HTTPError):
        raise ModelUnavailable(
            f"Das Modell {repo} liegt nicht auf diesem Rechner, und der Hugging Face Hub ist nicht erreichbar. Bitte "
            "einmal mit Internetzugang laden oder einen Modellordner angeben.",
            f"The model {repo} is not on this machine and the Hugging Face Hub cannot be reached. Please load it once "
            "with internet access or give a model folder.",
        ) from None


def _write_clean(snapshot: Path, clean: Path) -> None:
    """A folder with the snapshot's harmless files; pickled weights become safetensors. Written beside, then renamed."""
    partial = clean.with_name(f".{clean.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        for path in snapshot.iterdir():
            if path.is_file() and path.suffix not in REFUSED_SUFFIXES:
                (partial / path.name).symlink_to(path.resolve())
        if not (partial / WEIGHTS_FILE).exists():
            _convert_weights(snapshot / PICKLED_WEIGHTS, partial / WEIGHTS_FILE)
        partial.rename(clean)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert_weights(pickled: Path, target: Path) -> None:
    """Rewrite pickled weights as safetensors with torch's restricted reader, which builds tensors and runs no code."""
    try:
        weights = torch.load(pickled, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointRefused(
            f"Die Datei {pickled.name} enthält anderes als Gewichte oder ist beschädigt und wird nicht geladen.",
            f"The file {pickled.name} holds other things than weights or is damaged, and is not loaded.",
        ) from error
    tensors = {name: weight.clone().contiguous() for name, weight in weights.items()}
    save_file(tensors, target, metadata={"format": "pt"})

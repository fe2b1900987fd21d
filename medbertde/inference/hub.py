"""The Hugging Face Hub: from the id of a repository to a folder on this machine, and what stands in the way.

Owns the download: safetensors only (pickled weights are rewritten), no code, and the token, which comes from the
environment variable `HF_TOKEN` only, is checked for its form and appears in no message. Knows no catalogue.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm
from safetensors.torch import save_file

from medbertde.inference.checkpoint_files import REFUSED_SUFFIXES
from medbertde.inference.weights_file import WEIGHTS_FILE
from medbertde.types import CheckpointRefused, ModelUnavailable

TOKEN_VARIABLE = "HF_TOKEN"
PICKLED_WEIGHTS = "pytorch_model.bin"
OnBytes = Callable[[int, int], None]  # bytes that are here, bytes in all
_WANTED = [
    *("config.json", WEIGHTS_FILE, "medbertde.json", "README.md"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
]
_CLEAN = "medbertde"  # the folder in the cache for snapshots without their pickles
_CLEAN_NAME = re.compile(r".+--.+-[0-9a-f]{12}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_PROBE_S = 2.0  # how long the Hub may take to take a connection
_PROBE_KEPT_S = 30.0


def download(repo: str, revision: str | None, cache: Path | None = None, *, on_bytes: OnBytes | None = None) -> Path:
    """The snapshot of a repository with safetensors and nothing that could run code; `ModelUnavailable` says why not.

    What is in the cache already is not loaded again.
    """
    cache = cache or Path(constants.HF_HUB_CACHE)
    snapshot = _snapshot(repo, revision, cache, _WANTED, on_bytes)
    if not (snapshot / WEIGHTS_FILE).exists():
        snapshot = _snapshot(repo, revision, cache, [*_WANTED, PICKLED_WEIGHTS], on_bytes)
    if not any(path.suffix in REFUSED_SUFFIXES for path in snapshot.rglob("*")):
        return snapshot
    clean = _clean_folder(repo, snapshot, cache)
    if not clean.is_dir():
        _write_clean(snapshot, clean)
    return clean


def cached_folder(repo: str, cache: Path | None = None) -> Path | None:
    """Where the newest downloaded snapshot of a repository lies, None where its weights are not on this machine."""
    cache = cache or Path(constants.HF_HUB_CACHE)
    for file in (WEIGHTS_FILE, PICKLED_WEIGHTS):
        path = try_to_load_from_cache(repo, file, cache_dir=cache)
        if isinstance(path, str):
            clean = _clean_folder(repo, Path(path).parent, cache)
            return clean if clean.is_dir() else Path(path).parent
    return None


def repository_of(folder: Path) -> str | None:
    """The repository a folder of the cache was downloaded from, None for any other folder."""
    for part, above in zip(folder.parts, ("", *folder.parts), strict=False):
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
        if above == _CLEAN and _CLEAN_NAME.fullmatch(part):
            return part.rpartition("-")[0].replace("--", "/", 1)
    return None


def has_token() -> bool:
    """Whether a token is set."""
    return bool(os.environ.get(TOKEN_VARIABLE, "").strip())


class HubProbe:
    """Whether the Hub can be reached at all, asked at most every `_PROBE_KEPT_S` seconds. Safe for any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._heard: tuple[float, str, bool] | None = None

    def reachable(self) -> bool:
        """Ask now, or remember; False where the Hub client is set to stay offline."""
        if constants.HF_HUB_OFFLINE:
            return False
        with self._guard:
            heard = self._heard
            if heard is None or heard[1] != constants.ENDPOINT or time.monotonic() - heard[0] > _PROBE_KEPT_S:
                heard = self._heard = (time.monotonic(), constants.ENDPOINT, _connects(constants.ENDPOINT))
        return heard[2]


def _connects(endpoint: str) -> bool:
    """Whether somebody listens there; behind a proxy only a download can tell, so then it counts as reachable."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    url = urlsplit(endpoint)
    try:
        with socket.create_connection(
            (url.hostname or "", url.port or (443 if url.scheme == "https" else 80)), _PROBE_S
        ):
            return True
    except OSError:
        return False


# ------------------------------------------------------------------------------------------------ download


def token() -> str | bool:
    """The token to send; False, not None: a token that someone once stored on this machine is not used either."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token and not _TOKEN.fullmatch(token):  # as a header it would be repeated in the client's own error
        raise ModelUnavailable(
            f"Der Wert der Umgebungsvariable {TOKEN_VARIABLE} ist kein Zugriffstoken: Er enthält Leerzeichen, Umlaute "
            "oder Zeilenumbrüche. Bitte das Token neu kopieren.",
            f"The value of the environment variable {TOKEN_VARIABLE} is no access token: it contains spaces, umlauts "
            "or line breaks. Please copy the token again.",
        )
    return token or False


def _snapshot(repo: str, revision: str | None, cache: Path, patterns: list[str], on_bytes: OnBytes | None) -> Path:
    own = token()
    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                cache_dir=cache,
                allow_patterns=patterns,
                token=own,
                tqdm_class=_listening(on_bytes) if on_bytes else None,
            )
        )
    except (HTTPError, OSError, HFValidationError) as error:
        raise _refusal(repo, error) from None  # the client's errors quote headers and addresses


def _refusal(repo: str, error: Exception) -> ModelUnavailable:
    """What a failed download means, in a sentence."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError):
        return gated(repo)
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError | HFValidationError):
        return ModelUnavailable(
            f"Das Modell {repo} gibt es auf dem Hub nicht (oder nur nicht öffentlich). Bitte die Schreibweise prüfen.",
            f"The model {repo} is not on the Hub (or is not public). Please check the spelling.",
        )
    if isinstance(error, DisabledRepoError):
        return ModelUnavailable(
            f"Das Modell {repo} ist auf dem Hub gesperrt. Bitte ein anderes wählen.",
            f"The model {repo} is disabled on the Hub. Please choose another one.",
        )
    if status in (401, 403):
        return ModelUnavailable(
            f"Der Hub nimmt das Zugriffstoken in {TOKEN_VARIABLE} nicht an. Bitte ein gültiges Token mit Leserecht "
            "setzen und die App neu starten.",
            f"The Hub does not accept the access token in {TOKEN_VARIABLE}. Please set a valid token that may read and "
            "restart the app.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelUnavailable(
            f"Für das Modell {repo} reicht der Speicherplatz nicht. Bitte Platz schaffen und noch einmal versuchen.",
            f"There is not enough disk space for the model {repo}. Please free some and try again.",
        )
    if isinstance(error, PermissionError):
        return ModelUnavailable(
            "In den Zwischenspeicher des Hubs lässt sich nichts schreiben. Bitte Zugriffsrechte oder HF_HOME prüfen.",
            "The cache of the Hub cannot be written. Please check its access rights or HF_HOME.",
        )
    return unreachable(repo)


def unreachable(repo: str) -> ModelUnavailable:
    """The refusal of a model that is not here while the Hub does not answer."""
    return ModelUnavailable(
        f"Das Modell {repo} liegt nicht auf diesem Rechner, und der Hugging Face Hub ist nicht erreichbar. Bitte "
        "einmal mit Internetzugang laden oder einen Modellordner angeben.",
        f"The model {repo} is not on this machine and the Hugging Face Hub cannot be reached. Please load it once "
        "with internet access or give a model folder.",
    )


def gated(repo: str) -> ModelUnavailable:
    """The refusal of a gated repository. What opens the gate depends on whether a token was shown."""
    if has_token():
        return ModelUnavailable(
            f"Das Modell {repo} ist zugangsbeschränkt, und das Token in {TOKEN_VARIABLE} öffnet es nicht. Bitte auf "
            f"huggingface.co/{repo} mit dem Konto dieses Tokens die Bedingungen annehmen.",
            f"The model {repo} is gated and the token in {TOKEN_VARIABLE} does not open it. Please accept its terms on "
            f"huggingface.co/{repo} with the account of that token.",
        )
    return ModelUnavailable(
        f"Das Modell {repo} ist zugangsbeschränkt. Bitte auf huggingface.co/{repo} die Bedingungen annehmen, ein "
        f"Zugriffstoken in der Umgebungsvariable {TOKEN_VARIABLE} setzen und die App neu starten.",
        f"The model {repo} is gated. Please accept its terms on huggingface.co/{repo}, set an access token in the "
        f"environment variable {TOKEN_VARIABLE} and restart the app.",
    )


def _listening(on_bytes: OnBytes) -> type[tqdm]:
    """A progress bar that is not drawn but told to `on_bytes`; of the Hub's several bars, the one that counts bytes."""

    class Listening(tqdm):
        """Counts by itself: a bar that is not drawn does not."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("name") == "huggingface_hub.snapshot_download"
            self._done = 0
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            if self._counts and self.total:
                on_bytes(self._done, int(self.total))
            return None

    return Listening


# ------------------------------------------------------------------------------------------------ pickles


def _clean_folder(repo: str, snapshot: Path, cache: Path) -> Path:
    return cache / _CLEAN / f"{repo.replace('/', '--')}-{snapshot.name[:12]}"


def _write_clean(snapshot: Path, clean: Path) -> None:
    """A folder with the snapshot's harmless files; pickled weights become safetensors. Written beside, then renamed."""
    partial = clean.with_name(f".{clean.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        for path in snapshot.iterdir():
            if path.is_file() and path.suffix not in REFUSED_SUFFIXES:
                (partial / path.name).symlink_to(path.resolve())
        pickled = snapshot / PICKLED_WEIGHTS
        if pickled.exists() and not (partial / WEIGHTS_FILE).exists():
            _convert_weights(pickled, partial / WEIGHTS_FILE)
        partial.rename(clean)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert_weights(pickled: Path, target: Path) -> None:
    """Rewrite pickled weights as safetensors with torch's restricted reader, which builds tensors and runs no code."""
    try:
        weights = torch.load(pickled, map_location="cpu", weights_only=True)
        tensors = {name: weight.clone().contiguous() for name, weight in weights.items()}
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise CheckpointRefused(
            f"Die Datei {pickled.name} enthält anderes als Gewichte oder ist beschädigt und wird nicht geladen.",
            f"The file {pickled.name} holds other things than weights or is damaged, and is not loaded.",
        ) from error
    save_file(tensors, target, metadata={"format": "pt"})

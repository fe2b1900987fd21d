"""A checkpoint on the Hugging Face Hub: what may go there, and how it gets there.

Nothing is pushed unless somebody asks for it. A repository is made private, and one that is public already is refused
unless that is wanted. Weights that come from GerMedBERT never go: everyone who uses them accepts their terms first, and
an upload would pass them on without. The token comes from `HF_TOKEN` and appears in no message.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, RepositoryNotFoundError

from medbertde import germedbert
from medbertde.inference.checkpoint import load_checkpoint, weights_hash
from medbertde.inference.facts import FACTS_FILE, CheckpointFacts, model_card
from medbertde.inference.hub import TOKEN_VARIABLE, token
from medbertde.inference.onnx_export import ONNX_FILE
from medbertde.inference.weights_file import WEIGHTS_FILE
from medbertde.model_audit import AUDIT_FILE
from medbertde.types import CheckpointRefused, ModelUnavailable

CARD = "README.md"
_FILES = ("config.json", WEIGHTS_FILE, FACTS_FILE, AUDIT_FILE, ONNX_FILE)
_TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model")


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """Put a checkpoint with its card into the repository `owner/name`; returns its address.

    `CheckpointRefused` says why it may not go, `ModelUnavailable` why it cannot; its audit was asked for before.
    """
    facts = require_publishable(folder)
    api = HfApi(endpoint=constants.ENDPOINT, token=_required_token(repo))
    try:
        _open_repository(api, repo, public=public)
        api.create_commit(
            repo,
            [CommitOperationAdd(name, content) for name, content in sorted(_content(folder, facts).items())],
            commit_message=f"{facts.name}@{weights_hash(folder)[:8]}",
        )
    except (HTTPError, OSError, ValueError) as error:
        raise _refusal(repo, error) from None  # the client's errors quote headers and addresses
    return f"{constants.ENDPOINT}/{repo}"


def require_publishable(folder: Path) -> CheckpointFacts:
    """What the checkpoint says of itself; refused where its origin forbids passing it on, or is not known."""
    if germedbert.comes_from(folder):
        raise CheckpointRefused(
            f"Das Modell im Ordner {folder.name} ist GerMedBERT (medBERT.de) oder daraus entstanden. Wer es nutzt, "
            "muss dessen Nutzungsbedingungen zustimmen; hochgeladen stünde es ohne sie da. Es wird nicht hochgeladen.",
            f"The model in the folder {folder.name} is GerMedBERT (medBERT.de) or was made from it. Whoever uses it "
            "must accept its terms; an upload would pass it on without them. It is not uploaded.",
        )
    if not (folder / FACTS_FILE).is_file():
        raise CheckpointRefused(
            f"Dem Modell im Ordner {folder.name} fehlt {FACTS_FILE}; damit ist offen, woraus es entstanden ist und ob "
            "es weitergegeben werden darf. Es wird nicht hochgeladen.",
            f"The model in the folder {folder.name} has no {FACTS_FILE}, so nobody knows what it was made from and "
            "whether it may be passed on. It is not uploaded.",
        )
    return load_checkpoint(folder).facts


def _content(folder: Path, facts: CheckpointFacts) -> dict[str, bytes | Path]:
    """The files of a checkpoint by their name; nothing else that may lie beside them. A missing card is written."""
    tokenizer = [path for pattern in _TOKENIZER for path in folder.glob(pattern)]
    paths = [*tokenizer, *(folder / name for name in _FILES)]
    found: dict[str, bytes | Path] = {path.name: path for path in paths if path.is_file()}
    card = folder / CARD
    return found | {CARD: card if card.is_file() else model_card(facts).encode()}


def _required_token(repo: str) -> str:
    found = token()
    if not found:
        raise ModelUnavailable(
            f"Zum Hochladen nach {repo} fehlt ein Zugriffstoken mit Schreibrecht. Bitte die Umgebungsvariable "
            f"{TOKEN_VARIABLE} setzen.",
            f"To upload to {repo} an access token that may write is missing. Please set the environment variable "
            f"{TOKEN_VARIABLE}.",
        )
    return str(found)


def _open_repository(api: HfApi, repo: str, *, public: bool) -> None:
    """Make the repository, or see that the one there is shows itself to nobody who should not see it."""
    try:
        seen = api.model_info(repo)
    except RepositoryNotFoundError:
        api.create_repo(repo, private=not public)
        return
    if not seen.private and not public:
        raise CheckpointRefused(
            f"Das Repositorium {repo} ist öffentlich. Bitte ein privates angeben oder mit --public ausdrücklich "
            "veröffentlichen.",
            f"The repository {repo} is public. Please give a private one, or publish explicitly with --public.",
        )


def _refusal(repo: str, error: Exception) -> ModelUnavailable:
    """What a failed upload means, in a sentence."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status in (401, 403):
        return ModelUnavailable(
            f"Der Hub lässt mit dem Token in {TOKEN_VARIABLE} nicht nach {repo} schreiben. Bitte ein Token mit "
            "Schreibrecht für dieses Konto setzen.",
            f"The Hub does not let the token in {TOKEN_VARIABLE} write to {repo}. Please set a token that may write "
            "for this account.",
        )
    if isinstance(error, HFValidationError) or status == 400:
        return ModelUnavailable(
            f"{repo} ist keine gültige Kennung. Erwartet wird konto/name.",
            f"{repo} is no valid id. Expected is account/name.",
        )
    return ModelUnavailable(
        f"Das Modell konnte nicht nach {repo} hochgeladen werden; der Hub ist nicht erreichbar oder hat abgelehnt. "
        "Bitte später noch einmal versuchen.",
        f"The model could not be uploaded to {repo}; the Hub cannot be reached or refused. Please try again later.",
    )

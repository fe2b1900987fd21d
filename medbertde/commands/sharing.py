"""The command that gives a model to others: export-model."""

from __future__ import annotations

import argparse
from pathlib import Path

from medbertde.commands.console import DONE, opened, say, tell
from medbertde.commands.options import Command


def add(command: Command) -> None:
    """Declare the commands of this module."""
    share = command("export-model", export_model)
    share.add_argument("model", help="catalogue id or checkpoint folder")
    target = share.add_mutually_exclusive_group(required=True)
    target.add_argument("--onnx", type=Path, metavar="FOLDER", help="write it as ONNX to this new folder")
    target.add_argument("--push", metavar="ACCOUNT/NAME", help="upload it to this private repository of the Hub")
    share.add_argument(
        "--override-audit", metavar="REASON", help="although its audit is missing or above a limit; is recorded"
    )
    share.add_argument("--public", action="store_true", help="with --push: everyone may see the repository")


def export_model(args: argparse.Namespace) -> int:
    """Write a model as ONNX, compared with the original, or push it to the Hugging Face Hub (needs HF_TOKEN)."""
    from medbertde.services import sharing

    with opened() as (services, user):
        services.access.require_terms(user)
        services.model_audits.require_audit(user, sharing.folder_of(args.model), args.override_audit)
    if args.push:
        print(sharing.to_hub(args.model, args.push, public=args.public))
        return DONE
    parity = sharing.to_onnx(args.model, args.onnx)
    found = f"{parity.difference:.1e}"
    tell(
        f"Größte Abweichung gegenüber PyTorch: {found} in {parity.logits} Logits.",
        f"Largest difference to PyTorch: {found} in {parity.logits} logits.",
    )
    print(say(f"ONNX geschrieben: {args.onnx}", f"Written as ONNX: {args.onnx}"))
    return DONE

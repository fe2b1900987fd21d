"""The command line: `python -m medbertde COMMAND --help`.

Works as the local user over the services of the page. Exit codes: 0 done, 1 done but rows were left out, 2 refused,
130 interrupted, 141 whoever read the output has closed it. Knows no SQL, no tensors and no page. A command imports what
is slow to load only when it runs.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence

from medbertde.commands import exchange, keeping, people, sharing, texts
from medbertde.commands.console import CUT_OFF, DONE, INTERRUPTED, REFUSED, let_go, lose_nothing, tell
from medbertde.commands.options import Run
from medbertde.settings import ROOT
from medbertde.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what the user can change is said in a sentence, never a traceback."""
    lose_nothing()
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except BrokenPipeError:
        let_go()
        return CUT_OFF
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(args: argparse.Namespace) -> int:
    try:
        code = int(args.run(args))
        print(end="", flush=True)  # a closed pipe is noticed here and not when Python ends
    except UserError as error:
        tell(error.de, error.en)
    except BrokenPipeError:
        raise
    except OSError as error:
        found = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        tell(f"Das Betriebssystem meldet: {found}.", f"The operating system says: {found}.")
    else:
        return code
    return REFUSED


def serve(_args: argparse.Namespace) -> int:
    """Start the page, the same as `python app.py`."""
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    return DONE


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    whole = argparse.ArgumentParser(prog="python -m medbertde", description="German radiology reports. Research only.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run, doc: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=doc or run.__doc__, description=doc or run.__doc__)
        added.set_defaults(run=run)
        return added

    command("serve", serve)
    for module in (texts, exchange, keeping, people, sharing):
        module.add(command)
    return whole


if __name__ == "__main__":
    sys.exit(main())

"""Where files lie that a browser brought or is to fetch: in the var folder, for the owner of the app alone.

Left to itself Gradio keeps them in the system's temporary folder, where every user of the machine can read them.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

KEPT_S = 3600  # the page deletes its files after that
VARIABLE = "GRADIO_TEMP_DIR"


def keep_in(folder: Path) -> None:
    """From now on files lie in `folder`, unless the operator chose another; call it before the page is built.

    What a killed process left there an hour ago or earlier is deleted.
    """
    if os.environ.get(VARIABLE):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(folder.resolve())
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # another process deletes too
            newest = max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
            if newest < time.time() - KEPT_S:
                shutil.rmtree(entry)

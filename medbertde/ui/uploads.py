"""Where files lie that a browser brought or is to fetch: in the var folder, for the owner of the app alone.

Left to itself Gradio keeps them in the system's temporary folder, where every user of the machine can read them.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from medbertde.types import StorageError

KEPT_S = 3600  # the page deletes its files after that
VARIABLE = "GRADIO_TEMP_DIR"


def keep_in(folder: Path) -> None:
    """From now on files lie in `folder`, unless the operator chose another; call it before the page is built.

    What a killed process left there an hour ago or earlier is deleted. `StorageError` where no folder can be made.
    """
    if os.environ.get(VARIABLE):
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Der Ordner {folder} lässt sich nicht anlegen ({error.strerror}). Bitte MEDBERTDE_VAR prüfen.",
            f"The folder {folder} cannot be made ({error.strerror}). Please check MEDBERTDE_VAR.",
        ) from error
    os.environ[VARIABLE] = str(folder.resolve())
    for entry in filter(Path.is_dir, folder.iterdir()):  # Gradio makes a folder for each file
        with suppress(FileNotFoundError):  # another process deletes too
            newest = max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
            if newest < time.time() - KEPT_S:
                shutil.rmtree(entry)

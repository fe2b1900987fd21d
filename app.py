"""Start the workbench: settings → services → page → launch. `make run` or `python app.py`."""

from __future__ import annotations

import sys

from medbertde.services import open_services
from medbertde.settings import load_settings
from medbertde.types import UserError
from medbertde.ui.layout import build_page, launch

try:
    settings = load_settings()
    demo = build_page(open_services(settings))
except UserError as error:
    sys.exit(f"{error.de}\n{error.en}")

if __name__ == "__main__":
    launch(demo, settings)

"""Start the workbench: settings → services → page → launch. `make run` or `python app.py`."""

from __future__ import annotations

import sys

from medbertde.services import open_services
from medbertde.settings import load_settings
from medbertde.types import UserError
from medbertde.ui import uploads
from medbertde.ui.layout import build_page
from medbertde.ui.server import launch

try:
    services = open_services(load_settings())
    uploads.keep_in(services.settings.uploads)
    demo = build_page(services)
except UserError as error:
    sys.exit(f"{error.de}\n{error.en}")

if __name__ == "__main__":
    launch(demo, services)

"""Reports in and labels out: every file format, one module each.

`incoming` reads files into records, `outgoing` writes labels to files. Both know neither users' rights nor the page,
nor who opens the transaction; that is `services.files`.
"""

from __future__ import annotations

from medbertde.services.exchange.examples import has_examples
from medbertde.services.exchange.outgoing.order import ExportFormat, ExportOrder
from medbertde.store.exports import Wanted
from medbertde.terms import RESEARCH_ONLY

__all__ = ["RESEARCH_ONLY", "ExportFormat", "ExportOrder", "Wanted", "has_examples"]

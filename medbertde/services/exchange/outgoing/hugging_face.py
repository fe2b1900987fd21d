"""A folder that `datasets.load_dataset` reads, zipped: the rows as Parquet and a data card."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from typing import BinaryIO, cast

from medbertde.report_file import LABEL_COLUMN
from medbertde.schema import Schema
from medbertde.services.exchange.outgoing.parquet import write_parquet
from medbertde.store.exports import ExportedReport
from medbertde.terms import RESEARCH_ONLY

ROWS = "data/train.parquet"


def write_hugging_face(reports: Iterable[ExportedReport], schema: Schema, out: BinaryIO) -> None:
    """Write the archive; unpacked, its folder is the data set. The rows are streamed into it."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("README.md", card(schema))
        with archive.open(ROWS, "w", force_zip64=True) as rows:
            write_parquet(reports, schema, cast("BinaryIO", rows))


def card(schema: Schema) -> str:
    """The data card: how to load the rows, what the columns mean, and what the data may be used for."""
    findings = "\n".join(
        f"| `{LABEL_COLUMN}{label.id}` | {_cell(label.name['en'])} / {_cell(label.name['de'])} | "
        f"{_cell(label.definition['en'])} |"
        for label in schema.labels
    )
    return _CARD.format(
        title=schema.title["en"],
        rows=ROWS,
        use=RESEARCH_ONLY,
        schema=schema.id,
        version=schema.version,
        findings=findings,
    )


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


_CARD = """---
language: [de]
task_categories: [text-classification, token-classification]
configs:
- config_name: default
  data_files:
  - split: train
    path: {rows}
---
# {title}: annotated reports

**{use}**

Reports in German with labels of the schema `{schema}` (version {version}), exported from medbertde. The texts are those
that were imported there: who passes this data on is responsible for their anonymity and licence.

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train")
```

## Columns

- `text`: the report (NFC); `id`, `modality`, `meta` (JSON) as imported.
- one column per finding: `present`, `uncertain`, `absent`, or null where the report does not mention it.
- `rationales`: marked spans (of a schema of findings: those that justify one), in code points of `text`, the end
  excluded; `source` says how the mark came about: `human`, `suggestion_accepted`, `suggestion_changed`, `import`,
  `adjudicated`, or null where that was not recorded.
- `provenance`: what the labels rest on (`single`, `unanimous`, `majority`, `adjudicated`, or `open` for a disagreement
  that nobody has decided); `annotator`, `annotators`, `annotated_at`, `sources` (by hand, suggestion accepted or
  changed, import), `model_version` (that made the suggestions), `schema_version`.
- `split`: `test` for reports that are kept from training; `flagged`: `true` where an annotator asked for clarification.

| column | finding | definition |
|---|---|---|
{findings}
"""

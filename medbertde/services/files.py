"""Files in and out, as a user asks for it: look at a file, import it, export labels.

Owns who may do it, what goes on record, and that an import or an export is there as a whole or not at all. Knows no
format (`exchange` does) and no page.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from medbertde.schema import Schema, load_schema
from medbertde.services.access import Access
from medbertde.services.exchange.examples import example_file
from medbertde.services.exchange.incoming.plan import Choices, make_plan
from medbertde.services.exchange.incoming.preview import Preview, preview
from medbertde.services.exchange.incoming.recognise import open_table
from medbertde.services.exchange.incoming.reports import ImportedFile, known_modalities, read_steps
from medbertde.services.exchange.incoming.screened import ScreenedFile, screen_steps
from medbertde.services.exchange.incoming.table import SCANNED_ROWS, Limits
from medbertde.services.exchange.outgoing.files import write_export
from medbertde.services.exchange.outgoing.order import ExportOrder
from medbertde.services.screened_records import Gatekeeper, Tally, Treatment, gatekeeper_for
from medbertde.services.screening import Screener, screener_of_files, told
from medbertde.settings import Settings
from medbertde.store import audit, exports, labels, reports
from medbertde.store.exports import Wanted
from medbertde.store.reports import AddedReports
from medbertde.store.session import Database, Session
from medbertde.text import shown
from medbertde.types import (
    ImportResult,
    InvalidFile,
    Notice,
    Progress,
    ReportRecord,
    Role,
    Screened,
    StorageError,
    User,
)

ID_TAKEN = "id_taken"
_ID_TAKEN = Notice(
    ID_TAKEN,
    "Die Kennung (id) gehört schon zu einem anderen Befundtext. Bitte eine andere Kennung vergeben oder die Spalte der "
    "Kennungen nicht übernehmen.",
    "The id already belongs to another report text. Please choose another id or leave out the column of ids.",
)
NO_CHOICES = Choices()
STORING = "storing"


@dataclass(frozen=True)
class Files:
    """What an annotator does with files. Every method first checks the role and that the terms are accepted."""

    database: Database
    access: Access
    settings: Settings

    def preview(self, user: User, schema_id: str, name: str, data: bytes, choices: Choices = NO_CHOICES) -> Preview:
        """What the file would bring; nothing is stored."""
        schema = self._allow(user, schema_id)
        seen = preview(open_table(name, data, self._limits, choices.sheet), schema, choices, self._limits)
        return replace(seen, notices=(*seen.notices, *self._identifying(seen)))

    def import_steps(
        self,
        user: User,
        schema_id: str,
        name: str,
        data: bytes,
        choices: Choices = NO_CHOICES,
        treatment: Treatment | None = None,
    ) -> Generator[Progress | Screened | ImportResult]:
        """Import step by step: the progress of reading and screening, one step noted `STORING`, then what it did.

        All is stored in one transaction after the step `STORING`; whoever stops there or before has stored nothing.
        Rows that are wrong are listed with the reason. Where something is found that could show who a person is, the
        policy demands a `treatment` and none is given, the last step is what was found, and nothing is stored.
        """
        schema = self._allow(user, schema_id)
        gatekeeper = self._gatekeeper(treatment)
        table = open_table(name, data, self._limits, choices.sheet)
        sample = [raw for _, raw in islice(table.rows(), SCANNED_ROWS) if not isinstance(raw, Notice)]
        plan = make_plan(table.columns, sample, schema, choices)
        for step in read_steps(name, table, plan, schema, self._limits):
            if isinstance(step, ImportedFile):
                yield from self._screen_and_store(user, schema, step, gatekeeper)
            else:
                yield step

    def import_file(
        self,
        user: User,
        schema_id: str,
        name: str,
        data: bytes,
        choices: Choices = NO_CHOICES,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        treatment: Treatment | None = None,
    ) -> ImportResult:
        """Import in one go; nobody can be asked, so where the policy demands a treatment rows are held back."""
        gatekeeper = self._gatekeeper(treatment)
        if gatekeeper and gatekeeper.treatment is None:
            treatment = Treatment.HOLD
        for step in self.import_steps(user, schema_id, name, data, choices, treatment):
            if isinstance(step, ImportResult):
                return step
            if isinstance(step, Progress) and not step.note:
                on_progress(step)
        raise AssertionError("an import ends with its result")

    def import_examples(self, user: User, schema_id: str) -> ImportResult:
        """Fill the queue with the shipped fictional reports, without their labels."""
        schema = self._allow(user, schema_id)
        return self._store(user, schema, example_file(schema))

    def export(self, user: User, order: ExportOrder, path: Path) -> int:
        """Write an export to `path`, beside it first and then renamed; returns how many reports or changes it holds.

        Readings are blind: below a curator it holds the user's own labels, whoever's are asked for.
        """
        schema, order = self._allow(user, order.schema_id), _blinded(order, user)
        _require_known(order.wanted, schema)
        with self.database.write() as session:
            facts: dict[str, audit.Fact] = {"schema": schema.id, "kind": order.format.value}
            audit.record(session, user_id=user.id, action="export", facts=facts)
        partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
        try:
            with partial.open("xb") as out, self.database.read() as session:
                count = write_export(session, order, schema, out)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return count

    def annotators(self, user: User, schema_id: str) -> list[str]:
        """The people whose labels an export can be narrowed to."""
        schema = self._allow(user, schema_id)
        if not _sees_all(user):
            return [user.name]
        with self.database.read() as session:
            return exports.annotators_of(session, schema_id=schema.id)

    @property
    def _limits(self) -> Limits:
        return Limits(self.settings.max_upload_mb, self.settings.max_import_rows, self.settings.max_chars)

    def _allow(self, user: User, schema_id: str) -> Schema:
        self.access.require(user, Role.ANNOTATOR)
        self.access.require_terms(user)
        return load_schema(schema_id)

    @cached_property
    def _screener(self) -> Screener:
        return screener_of_files(self.settings)

    def _gatekeeper(self, treatment: Treatment | None) -> Gatekeeper | None:
        return gatekeeper_for(self.settings.storing_policy, treatment, self._screener, self.settings.max_chars)

    def _identifying(self, seen: Preview) -> Iterator[Notice]:
        """What the rows of the preview hold that could show who a person is."""
        gatekeeper, tally = self._gatekeeper(None), Tally()
        if gatekeeper:
            for row in seen.rows:
                tally.add(gatekeeper.row(row)[1])
        if tally.rows:
            found = told(tally.kinds)
            yield Notice(
                found.code,
                f"Schon in den ersten Zeilen: {found.de}. Beim Importieren werden alle Zeilen geprüft.",
                f"In the first rows already: {found.en}. All rows are screened on import.",
            )

    def _screen_and_store(
        self, user: User, schema: Schema, file: ImportedFile, gatekeeper: Gatekeeper | None
    ) -> Iterator[Progress | Screened | ImportResult]:
        found = None
        for step in screen_steps(file, gatekeeper) if gatekeeper else ():
            if isinstance(step, ScreenedFile):
                file, found = step.file, step.found
            else:
                yield step
        if found and not found.treatment:
            yield found
            return
        rows = len(file.records) + len(file.rejected)
        yield Progress(rows, rows, STORING)
        yield replace(self._store(user, schema, file, found), screened=found)

    def _store(self, user: User, schema: Schema, file: ImportedFile, found: Screened | None = None) -> ImportResult:
        with self.database.write() as session:
            result = _store_file(session, file, schema, user)
            facts: dict[str, audit.Fact] = {
                "schema": schema.id,
                "added": result.added,
                "duplicates": result.duplicates,
                "labelled": result.labelled,
                "rejected": len(result.rejected),
            }
            if found:
                facts |= {"identifying": found.rows, "treatment": found.treatment}
            audit.record(session, user_id=user.id, action="import", facts=facts)
        with suppress(StorageError):  # everything is stored by now
            self.database.refresh_statistics()
        return result


def _sees_all(user: User) -> bool:
    """Whether this user may see what others say, as in the overview."""
    return user.role.includes(Role.CURATOR)


def _blinded(order: ExportOrder, user: User) -> ExportOrder:
    return order if _sees_all(user) else replace(order, wanted=replace(order.wanted, annotator=user.name))


def _require_known(wanted: Wanted, schema: Schema) -> None:
    """Refuse a filter by a finding or a modality that there is not, which no report could pass."""
    if wanted.finding:
        schema.label(wanted.finding)
    if wanted.modality and wanted.modality not in known_modalities():
        found, possible = shown(wanted.modality), ", ".join(sorted(known_modalities()))
        raise InvalidFile(
            f"Die Untersuchungsart „{found}“ gibt es nicht. Möglich sind: {possible}.",
            f"There is no modality “{found}”. Possible are: {possible}.",
        )


def _store_file(session: Session, file: ImportedFile, schema: Schema, user: User) -> ImportResult:
    """Store the good rows. Labels that come along count as this user's, unless someone annotated the report before."""
    records = list(file.records.values())
    added = reports.add_reports(session, records=records, imported_by=user.id, file_name=file.name)
    labelled = labels.save_imported(
        session,
        schema_id=schema.id,
        schema_version=schema.version,
        user_id=user.id,
        labelled=_labelled(records, added),
    )
    numbers = list(file.records)
    clashes = [(numbers[position], _ID_TAKEN) for position in added.clashes]
    rejected = sorted([*file.rejected, *clashes], key=lambda item: item[0])
    return ImportResult(len(added.added_ids), added.duplicates, labelled, tuple(rejected))


def _labelled(records: Iterable[ReportRecord], added: AddedReports) -> dict[int, ReportRecord]:
    """By report id the records that bring labels or spans; of several rows with the same text the first counts."""
    found: dict[int, ReportRecord] = {}
    for record, report_id in zip(records, added.report_ids, strict=True):
        if report_id is not None and (record.labels or record.rationales):
            found.setdefault(report_id, record)
    return found

"""Many reports at the gate: rows screened on import and before a model reads them, held back, replaced or kept."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from medbertde.inference.runtime import Runtime
from medbertde.report_file import Row, to_json
from medbertde.services.access import Access
from medbertde.services.bulk import Batch
from medbertde.services.exchange.incoming.screened import SCREENING
from medbertde.services.files import STORING, Files
from medbertde.services.screened_records import HELD_BACK, Gatekeeper, Treatment, became, summary
from medbertde.services.screening import Screener, ScreeningRefused
from medbertde.settings import Settings
from medbertde.store import audit, search
from medbertde.store.search import Filters
from medbertde.store.session import Database
from medbertde.types import Forbidden, ImportResult, Progress, Rationale, ReportRecord, Screened, State, User

XRAY = "chest_xray"
NAMED = "Frau Gerda Kasulke, geb. 3.4.1956. Kleiner Erguss links."
CLEAN = "Kein Erguss. Herz normal groß."


def keeper(treatment: Treatment | None, **options: Any) -> Gatekeeper:
    return Gatekeeper(Screener(**options), treatment, max_chars=2_000)


def jsonl(*records: ReportRecord) -> bytes:
    return "\n".join(map(to_json, records)).encode()


def files_with(policy: str, database: Database, access: Access, settings: Settings) -> Files:
    return Files(database, access, replace(settings, deidentification=policy))


def stored(database: Database) -> list[str]:
    """The text of every report."""
    with database.read() as session:
        page = search.search(session, wanted=(), filters=Filters(XRAY), limit=10_000)
    return [hit.report.text for hit in page.hits]


@pytest.fixture
def files(database: Database, access: Access, settings: Settings) -> Files:
    return Files(database, access, settings)


class TestRecords:
    def test_rationales_point_at_the_same_words_after_placeholders_came_before_and_between(self) -> None:
        text = "Frau Gerda Kasulke: Kleiner Erguss links, Dr. Wehmeier sah einen Tubus."
        spans = tuple(
            Rationale(label, text.index(words), text.index(words) + len(words), State.PRESENT)
            for label, words in (("Erguss", "Erguss links"), ("Tubus", "einen Tubus"))
        )
        row, found = keeper(Treatment.REPLACE).row(Row(1, ReportRecord(text, rationales=spans)))
        assert row.record
        changed = row.record
        assert changed.text == "Frau [PATIENT]: Kleiner Erguss links, [ARZT] sah einen Tubus."
        assert [changed.text[one.start : one.end] for one in changed.rationales] == ["Erguss links", "einen Tubus"]
        assert [(one.label, one.state) for one in changed.rationales] == [(one.label, one.state) for one in spans]
        assert found == {"patient": 1, "doctor": 1}

    @pytest.mark.parametrize("start", range(0, len(NAMED) - 4, 3))
    def test_every_rationale_stays_inside_the_new_text_and_keeps_its_words_outside_of_placeholders(
        self, start: int
    ) -> None:
        span = Rationale("Erguss", start, start + 4)
        row, _ = keeper(Treatment.REPLACE).row(Row(1, ReportRecord(NAMED, rationales=(span,))))
        assert row.record
        (moved,) = row.record.rationales
        assert 0 <= moved.start < moved.end <= len(row.record.text)
        inside = row.record.text[moved.start : moved.end]
        bare = re.sub(r"\[[A-Z]+\]", "", inside)
        assert bare in NAMED[span.start : span.end] or "[" in inside

    def test_what_other_columns_say_is_screened_by_their_names_and_replaced_too(self) -> None:
        meta = {"Patient": "Kasulke, Gerda", "Gerät": "DX 3", "Geburtsdatum": "03.04.1956"}
        record = ReportRecord("Kein Erguss. Mit Frau Kasulke besprochen.", meta=meta)
        row, found = keeper(Treatment.REPLACE).row(Row(1, record))
        assert row.record
        assert "Kasulke" not in row.record.text
        assert "1956" not in row.record.meta["Geburtsdatum"]
        assert "Kasulke" not in row.record.meta["Patient"]
        assert row.record.meta["Gerät"] == "DX 3"
        assert found["birth"] == 1
        held, _ = keeper(Treatment.HOLD).row(Row(1, replace(record, text=CLEAN)))
        assert held.fault
        assert held.fault.code == HELD_BACK

    def test_a_held_row_says_how_much_of_which_kind_and_nothing_of_the_text(self) -> None:
        row, _ = keeper(Treatment.HOLD).row(Row(7, ReportRecord(NAMED)))
        assert row.fault
        assert row.fault.de == (
            "Zurückgehalten: 2 Stellen, die eine Person erkennbar machen könnten: 1 Name, 1 Geburtsdatum."
        )
        assert "Kasulke" not in row.fault.de + row.fault.en

    def test_a_row_with_nothing_in_it_stays_the_very_same(self) -> None:
        row = Row(1, ReportRecord(CLEAN, meta={"date": "2024-03-01"}))
        assert keeper(Treatment.REPLACE).row(row) == (row, {})

    def test_a_row_that_cannot_be_screened_is_rejected(self) -> None:
        row, found = keeper(Treatment.KEEP, budget_s=0.0).row(Row(1, ReportRecord(NAMED * 20)))
        assert row.fault
        assert row.fault.code == ScreeningRefused.__name__
        assert not found

    def test_a_text_that_placeholders_make_too_long_is_rejected(self) -> None:
        text = f"Kind Ute *1956. {'Erguss. ' * 300}"[:1_999] + "."
        kept = Gatekeeper(Screener(), Treatment.REPLACE, max_chars=2_000)
        row, _ = kept.row(Row(1, ReportRecord("Dr. Ey, Dr. Uh: " + text[:1_984])))
        assert row.fault
        assert "erlaubt sind 2000" in row.fault.de

    def test_what_became_of_the_rows_is_said_in_both_languages(self) -> None:
        one, many = Screened(1, {"birth": 1}, "hold"), Screened(2, {"patient": 2, "birth": 1}, "replace")
        assert became(one).de == (
            "In 1 Befund steht 1 Stelle, die eine Person erkennbar machen könnte: 1 Geburtsdatum. Diese Zeilen sind "
            "zurückgehalten."
        )
        assert summary(many).en == (
            "In 2 reports there are 3 places that could show who a person is: 2 names, 1 date of birth."
        )
        assert all(became(replace(many, treatment=each.value)).en for each in Treatment)


class TestImport:
    DATA = jsonl(ReportRecord(CLEAN, id="a"), ReportRecord(NAMED, id="b", labels={"Erguss": State.PRESENT}))

    def test_step_by_step_it_asks_before_anything_is_stored(self, files: Files, anna: User, database: Database) -> None:
        steps = list(files.import_steps(anna, XRAY, "a.jsonl", self.DATA))
        assert steps == [Screened(1, {"patient": 1, "birth": 1})]
        assert stored(database) == []

    def test_in_one_go_such_rows_are_held_back_and_listed_without_their_text(
        self, files: Files, anna: User, database: Database
    ) -> None:
        result = files.import_file(anna, XRAY, "a.jsonl", self.DATA)
        assert (result.added, [(number, fault.code) for number, fault in result.rejected]) == (1, [(2, HELD_BACK)])
        assert result.screened == Screened(1, {"patient": 1, "birth": 1}, "hold")
        assert stored(database) == [CLEAN]
        with database.read() as session:
            entry = next(one for one in audit.entries(session) if one.action == "import")
        assert (entry.facts["identifying"], entry.facts["treatment"]) == (1, "hold")

    def test_replaced_rows_are_stored_with_their_labels(self, files: Files, anna: User, database: Database) -> None:
        result = files.import_file(anna, XRAY, "a.jsonl", self.DATA, treatment=Treatment.REPLACE)
        assert (result.added, result.labelled, result.rejected) == (2, 1, ())
        assert stored(database) == [
            CLEAN,
            "Frau [PATIENT], geb. [GEBURTSDATUM]. Kleiner Erguss links.",
        ]

    def test_rows_are_taken_as_they_are_only_when_somebody_says_so(
        self, files: Files, anna: User, database: Database
    ) -> None:
        result = files.import_file(anna, XRAY, "a.jsonl", self.DATA, treatment=Treatment.KEEP)
        assert result.screened == Screened(1, {"patient": 1, "birth": 1}, "keep")
        assert stored(database) == [CLEAN, NAMED]

    @pytest.mark.parametrize(("policy", "texts"), [("off", 2), ("warn", 2), ("confirm", 1), ("refuse", 1)])
    def test_what_happens_without_a_choice_is_the_policys_to_say(
        self, policy: str, texts: int, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        result = files_with(policy, database, access, settings).import_file(anna, XRAY, "a.jsonl", self.DATA)
        assert len(stored(database)) == texts
        assert (result.screened is None) == (policy == "off")

    def test_refuse_takes_no_row_as_it_is(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        strict = files_with("refuse", database, access, settings)
        with pytest.raises(Forbidden, match="are not taken as they are here"):
            strict.import_file(anna, XRAY, "a.jsonl", self.DATA, treatment=Treatment.KEEP)
        assert stored(database) == []
        assert strict.import_file(anna, XRAY, "a.jsonl", self.DATA, treatment=Treatment.REPLACE).added == 2

    def test_dates_count_by_the_setting(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        data = jsonl(ReportRecord("Kein Erguss. Voraufnahme vom 12.03.2024."))
        every = Files(database, access, replace(settings, deidentification_dates="all"))
        assert every.import_file(anna, XRAY, "a.jsonl", data).screened == Screened(1, {"date": 1}, "hold")
        assert Files(database, access, settings).import_file(anna, XRAY, "a.jsonl", data).added == 1

    def test_the_preview_says_what_is_in_the_first_rows_already(self, files: Files, anna: User) -> None:
        seen = files.preview(anna, XRAY, "a.jsonl", self.DATA)
        (notice,) = [one for one in seen.notices if one.code == "names"]
        assert notice.de.startswith("Schon in den ersten Zeilen: 2 Stellen, die eine Person")

    def test_screening_tells_its_progress_and_whoever_stops_there_has_stored_nothing(
        self, files: Files, anna: User, database: Database
    ) -> None:
        data = jsonl(*(ReportRecord(f"Befund {number}.") for number in range(450)))
        steps = files.import_steps(anna, XRAY, "a.jsonl", data)
        told = [next(steps) for _ in range(2)]
        assert told == [Progress(200, 450, SCREENING), Progress(400, 450, SCREENING)]
        steps.close()
        assert stored(database) == []

    def test_the_second_run_after_the_question_screens_only_what_was_found(
        self, files: Files, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        list(files.import_steps(anna, XRAY, "a.jsonl", self.DATA))
        asked: list[str] = []
        plain = Screener.replace

        def counting(self: Screener, text: str, *more: Any) -> Any:
            asked.append(text)
            return plain(self, text, *more)

        monkeypatch.setattr(Screener, "replace", counting)
        *_, result = files.import_steps(anna, XRAY, "a.jsonl", self.DATA, treatment=Treatment.HOLD)
        assert isinstance(result, ImportResult)
        assert len(asked) == 1

    def test_the_shipped_fictional_reports_are_not_asked_about(self, files: Files, anna: User) -> None:
        assert files.import_examples(anna, XRAY).added > 20

    def test_exported_labels_come_in_again_without_a_question(
        self, files: Files, anna: User, database: Database, tmp_path: Path
    ) -> None:
        from medbertde.services.exchange import ExportFormat, ExportOrder

        records = [ReportRecord(f"{CLEAN} Nr. {n}.", labels={"Erguss": State.ABSENT}) for n in range(3)]
        files.import_file(anna, XRAY, "a.jsonl", jsonl(*records))
        for form, name in ((ExportFormat.JSONL, "out.jsonl"), (ExportFormat.CSV, "out.csv")):
            files.export(anna, ExportOrder(XRAY, form), tmp_path / name)
            again = list(files.import_steps(anna, XRAY, name, (tmp_path / name).read_bytes()))
            assert again[0] == Progress(3, 3, STORING)
            assert isinstance(again[-1], ImportResult)
            assert again[-1].rejected == ()


class TestBatch:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "befunde.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([["text"], [CLEAN], [NAMED]])
        return path

    def read(
        self,
        runtime: Runtime,
        access: Access,
        settings: Settings,
        user: User,
        file: Path,
        *,
        policy: str,
        **more: Any,
    ) -> tuple[list[str], list[tuple[int, str]]]:
        """The texts that the model read, and the rows that were left out."""
        batch = Batch(runtime, access, replace(settings, deidentification=policy))
        steps = list(batch.classify(user, XRAY, [file], **more))
        texts = [row.record.text for step in steps for row in step.rows if row.record]
        return texts, [(number, fault.code) for step in steps for number, fault in step.faults]

    def test_rows_are_held_back_before_the_model_reads_them(
        self, runtime: Runtime, access: Access, settings: Settings, anna: User, file: Path
    ) -> None:
        read = partial(self.read, runtime, access, settings, anna, file)
        assert read(policy="confirm") == ([CLEAN], [(2, HELD_BACK)])
        assert read(policy="auto") == ([CLEAN, NAMED], [])
        assert read(policy="confirm", treatment=Treatment.KEEP) == ([CLEAN, NAMED], [])
        replaced = "Frau [PATIENT], geb. [GEBURTSDATUM]. Kleiner Erguss links."
        assert read(policy="refuse", treatment=Treatment.REPLACE) == ([CLEAN, replaced], [])
        with pytest.raises(Forbidden):
            read(policy="refuse", treatment=Treatment.KEEP)

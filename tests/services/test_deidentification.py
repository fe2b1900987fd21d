"""The gate before a model: what is found in a text, what each policy does, and that it refuses when it cannot tell."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.privacy import deidentify as rules
from medbertde.privacy.kinds import Dates, Kind, Replace
from medbertde.services import deidentification
from medbertde.services.access import Access
from medbertde.services.deidentification import Gate, IdentifyingText
from medbertde.services.reading import Reading
from medbertde.services.screening import BUDGET_S, Screener, ScreeningRefused, counted, told
from medbertde.settings import Policy, Settings
from medbertde.store import audit
from medbertde.store.session import Database
from medbertde.types import Forbidden, State, User

XRAY = "chest_xray"
TEXT = "Frau Gerda Kasulke, geb. 3.4.1956. Kein Erguss. Befund an Dr. Wehmeier, Voraufnahme vom 12.03.2024."


def gate_with(policy: str, database: Database, access: Access, settings: Settings, **options: Any) -> Gate:
    changed = replace(settings, deidentification=policy)
    return Gate(database, access, changed, Screener(**options))


@pytest.fixture
def confirming(database: Database, access: Access, settings: Settings) -> Gate:
    return gate_with("confirm", database, access, settings)


class TestScreener:
    def test_it_finds_kinds_and_places_in_the_nfc_form_of_the_text(self) -> None:
        decomposed = "Befund fu\u0308r Frau Gerda Kasulke, geb. 3.4.1956."
        found = Screener().screen(decomposed)
        assert [(found.text[one.start : one.end], one.kind) for one in found.spans] == [
            ("Gerda Kasulke", Kind.PATIENT),
            ("3.4.1956", Kind.BIRTH),
        ]
        assert found.identifies

    def test_dates_of_examinations_count_only_where_the_setting_says_so(self) -> None:
        text = "Kein Erguss. Voraufnahme vom 12.03.2024."
        assert Screener("birth").screen(text).kinds == {}
        assert Screener("all").screen(text).kinds == {Kind.DATE: 1}
        assert Screener("shift").replace(text).text != text
        assert "[DATUM]" not in Screener("shift").replace(text).text

    @pytest.mark.parametrize(
        "text",
        ["Kein Erguss. RR 120/80, SUVmax 6,4. Z. n. Billroth II.", "Frau K. auf Station 14.", "Bett 7, Erguss links."],
    )
    def test_findings_initials_and_wards_alone_say_nothing_about_a_person(self, text: str) -> None:
        assert not Screener().screen(text).identifies

    def test_a_second_look_at_a_text_with_nothing_in_it_says_the_same(self) -> None:
        screener = Screener()
        assert screener.screen("Kein Erguss.") == screener.screen("Kein Erguss.")
        assert screener.screen(TEXT) == screener.screen(TEXT)

    def test_what_was_found_is_counted_in_words_of_both_languages(self) -> None:
        kinds = {Kind.WARD: 1, Kind.DATE: 2, Kind.DOCTOR: 1, Kind.PATIENT: 1, Kind.CITY: 1, Kind.PHONE: 2}
        said = counted(kinds)
        assert said.de == "2 Namen, 2 Daten, 2 Kontaktangaben, 1 Ortsangabe, 1 Klinik oder Station"
        assert said.en == "2 names, 2 dates, 2 contact details, 1 place, 1 clinic or ward"
        assert told({Kind.ID: 1}).de == ("1 Stelle, die eine Person erkennbar machen könnte: 1 Nummer einer Person")

    def test_every_kind_has_its_word(self) -> None:
        assert all(counted({kind: 1}).de and counted({kind: 1}).en for kind in Kind)

    def test_a_text_that_takes_too_long_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(ScreeningRefused) as refused:
            Screener(budget_s=0.0).screen(TEXT * 50)
        assert "weder gelesen noch gespeichert" in refused.value.de
        assert "neither read nor stored" in refused.value.en
        assert "Kasulke" not in refused.value.de + refused.value.en
        assert refused.value.__suppress_context__

    def test_a_fault_in_a_rule_refuses_the_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise LookupError(TEXT)

        monkeypatch.setattr(rules, "find_dates", fail)
        with pytest.raises(ScreeningRefused):
            Screener().screen("Kein Erguss.")

    @pytest.mark.parametrize("piece", ["Dr. ", "1.", "A-", "geb. 3", "Frau Müller ", "\u200b x", "(", "Str. 1 "])
    def test_hostile_text_is_decided_about_within_its_budget_of_processor_time(self, piece: str) -> None:
        text = (piece * 100_000)[:100_000]
        begin = time.thread_time()
        with suppress(ScreeningRefused):
            Screener().screen(text)
        assert time.thread_time() - begin < 1.5 * BUDGET_S


class TestPolicies:
    def test_on_a_laptop_a_model_reads_with_a_remark_and_elsewhere_only_after_a_decision(self) -> None:
        assert (Settings().reading_policy, Settings().storing_policy) == (Policy.WARN, Policy.CONFIRM)
        server = Settings(host="0.0.0.0", profile="server")
        assert (server.reading_policy, server.storing_policy) == (Policy.CONFIRM, Policy.CONFIRM)
        strict = Settings(deidentification="refuse")
        assert (strict.reading_policy, strict.storing_policy) == (Policy.REFUSE, Policy.REFUSE)

    def test_off_looks_at_nothing(self, database: Database, access: Access, settings: Settings, anna: User) -> None:
        gate = gate_with("off", database, access, settings, budget_s=0.0)
        assert gate.admit(anna, TEXT) is None

    def test_warn_says_what_was_found_and_lets_the_text_through(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        question = gate_with("warn", database, access, settings).admit(anna, TEXT)
        assert question
        assert not question.must
        assert question.notice.code == "names"
        assert "3 Stellen, die eine Person erkennbar machen könnten: 2 Namen, 1 Geburtsdatum" in question.notice.de

    def test_confirm_holds_the_text_back_until_the_user_says_so_and_puts_that_on_record(
        self, confirming: Gate, anna: User, ben: User, database: Database
    ) -> None:
        with pytest.raises(IdentifyingText) as refused:
            confirming.admit(anna, TEXT)
        assert "ausdrücklich bestätigen" in refused.value.de
        assert "Kasulke" not in refused.value.de + refused.value.en
        confirming.confirm(anna, TEXT)
        assert confirming.admit(anna, TEXT) is None
        with pytest.raises(IdentifyingText):
            confirming.admit(ben, TEXT)
        with database.read() as session:
            entry = next(one for one in audit.entries(session) if one.action == "read_identifying")
        assert (entry.user, entry.facts) == ("anna", {"patient": 1, "doctor": 1, "birth": 1})

    def test_what_was_let_through_stays_so_in_other_wordings_and_a_new_name_does_not(
        self, confirming: Gate, anna: User
    ) -> None:
        confirming.confirm(anna, TEXT)
        assert confirming.admit(anna, TEXT.replace("Kein Erguss.", "Erguss rechts.")) is None
        with pytest.raises(IdentifyingText):
            confirming.admit(anna, TEXT + " Gesehen von Frau Dr. Tannhofer.")

    def test_what_was_let_through_is_forgotten_after_a_session(
        self, confirming: Gate, anna: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
    ) -> None:
        confirming.confirm(anna, TEXT)
        later = time.monotonic() + settings.session_hours * 3600 + 1
        monkeypatch.setattr(deidentification.time, "monotonic", lambda: later)
        with pytest.raises(IdentifyingText):
            confirming.admit(anna, TEXT)

    def test_only_so_many_places_are_remembered(
        self, confirming: Gate, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deidentification, "REMEMBERED", 3)
        confirming.confirm(anna, TEXT)
        confirming.confirm(anna, "Gesehen von Frau Dr. Tannhofer.")
        assert confirming.admit(anna, "Gesehen von Frau Dr. Tannhofer.") is None
        with pytest.raises(IdentifyingText):
            confirming.admit(anna, TEXT)

    def test_refuse_lets_nothing_through(
        self, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        gate = gate_with("refuse", database, access, settings)
        with pytest.raises(IdentifyingText) as refused:
            gate.admit(anna, TEXT)
        assert "bestätigen" not in refused.value.de
        with pytest.raises(Forbidden, match="are not read here"):
            gate.admit(anna, TEXT, confirmed=True)

    @pytest.mark.parametrize("policy", ["warn", "confirm", "refuse"])
    def test_a_text_that_cannot_be_screened_is_refused_by_every_policy(
        self, policy: str, database: Database, access: Access, settings: Settings, anna: User
    ) -> None:
        gate = gate_with(policy, database, access, settings, budget_s=0.0)
        for confirmed in (False, True):
            with pytest.raises(ScreeningRefused):
                gate.admit(anna, TEXT * 10, confirmed=confirmed)


class TestReplacing:
    def test_a_text_with_placeholders_passes(self, confirming: Gate, anna: User) -> None:
        changed = confirming.replace(anna, TEXT, Replace.PLACEHOLDER)
        assert changed == (
            "Frau [PATIENT], geb. [GEBURTSDATUM]. Kein Erguss. Befund an [ARZT], Voraufnahme vom 12.03.2024."
        )
        assert confirming.admit(anna, changed) is None

    def test_a_text_with_invented_details_passes_and_the_true_ones_still_do_not(
        self, confirming: Gate, anna: User
    ) -> None:
        changed = confirming.replace(anna, TEXT, Replace.SURROGATE)
        assert "Kasulke" not in changed
        assert "Wehmeier" not in changed
        assert confirming.admit(anna, changed) is None
        with pytest.raises(IdentifyingText):
            confirming.admit(anna, "Frau Kasulke hat keinen Erguss.")

    def test_the_public_way_replaces_all_dates_too(self, confirming: Gate, anna: User) -> None:
        done = confirming.deidentify(anna, TEXT, Dates.ALL, Replace.PLACEHOLDER)
        assert done.text.endswith("Voraufnahme vom [DATUM].")


class TestReading:
    @pytest.fixture
    def reading(self, runtime: Runtime, access: Access, confirming: Gate, tiny_mlm_folder: Path) -> Reading:
        runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
        return Reading(runtime, access, confirming)

    def test_no_model_reads_a_text_that_nobody_has_decided_about(self, reading: Reading, anna: User) -> None:
        version, gap = reading.model_version(XRAY), f"{TEXT} Kein [MASK]."
        asked = [
            lambda: reading.classify(anna, XRAY, TEXT),
            lambda: reading.explain(anna, XRAY, TEXT, "Erguss", state=State.PRESENT, model_version=version),
            lambda: reading.explain_all(anna, XRAY, TEXT, model_version=version),
            lambda: reading.explain_word(anna, gap, "Erguss", model_version=str(reading.fill_mask_version())),
            lambda: reading.fill_mask(anna, gap, 3),
            lambda: reading.suggest(anna, gap, 3),
            lambda: reading.rank_words(anna, gap, "Erguss"),
            lambda: reading.tokenise(anna, gap),
        ]
        for ask in asked:
            with pytest.raises(IdentifyingText):
                ask()
        reading.gate.confirm(anna, TEXT)
        for ask in asked:
            ask()

    def test_a_stored_report_is_explained_without_asking_again(self, reading: Reading, anna: User) -> None:
        version = reading.model_version(XRAY)
        found = reading.explain_stored(anna, XRAY, TEXT, "Erguss", state=State.PRESENT, model_version=version)
        assert found.model_version == version

    def test_the_remark_of_the_gate_takes_the_place_of_the_models_own(
        self, runtime: Runtime, access: Access, gate: Gate, anna: User
    ) -> None:
        prediction = Reading(runtime, access, gate).classify(anna, XRAY, TEXT)
        names = [notice for notice in prediction.warnings if notice.code == "names"]
        assert [notice.de for notice in names] == [
            "Der Text enthält 3 Stellen, die eine Person erkennbar machen könnten: 2 Namen, 1 Geburtsdatum. Bitte nur "
            "anonymisierte Texte eingeben."
        ]

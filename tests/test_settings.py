"""Settings: defaults, environment variables, and a sentence for each value that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbertde.settings import ROOT, Policy, Profile, Settings, load_settings
from medbertde.types import UserError


def refusal(**environ: str) -> UserError:
    """What `load_settings` says about these variables."""
    with pytest.raises(UserError) as refused:
        load_settings(environ)
    return refused.value


def test_nothing_has_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    settings = load_settings({})
    assert (settings.host, settings.port, settings.language) == ("127.0.0.1", 7860, "de")
    assert settings.var == ROOT / "var"
    assert settings.runs == ROOT / "var" / "runs"
    assert settings.database_url == f"sqlite:///{ROOT / 'var' / 'medbertde.sqlite'}"


def test_every_setting_has_an_explanation() -> None:
    assert all(item.metadata["help"] for item in Settings.__dataclass_fields__.values())


def test_variables_are_read_with_their_types(tmp_path: Path) -> None:
    environ = {"MEDBERTDE_PORT": "8000", "MEDBERTDE_VAR": str(tmp_path), "MEDBERTDE_ANNOTATOR": "anna"}
    settings = load_settings(environ)
    assert (settings.port, settings.var, settings.annotator) == (8000, tmp_path, "anna")
    assert settings.database_url == f"sqlite:///{tmp_path / 'medbertde.sqlite'}"


@pytest.mark.parametrize("name", ["a b", "x" * 100, "a", "gast-7", "hf-anna", "<b>"])
def test_the_local_user_is_named_as_accounts_are(name: str) -> None:
    error = refusal(MEDBERTDE_ANNOTATOR=name)
    assert error.de.startswith(f"Die Einstellung MEDBERTDE_ANNOTATOR ist „{name[:40]}")
    assert "Ein Benutzername hat 2 bis 40 Zeichen" in error.de
    assert "A user name has 2 to 40 characters" in error.en


def test_a_database_address_is_taken_as_it_is() -> None:
    assert load_settings({"MEDBERTDE_DATABASE_URL": "postgresql://db/labels"}).database_url == "postgresql://db/labels"


def test_an_empty_variable_means_the_default() -> None:
    assert load_settings({"MEDBERTDE_PORT": "", "MEDBERTDE_LANGUAGE": "", "PORT": ""}).port == 7860


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings({"MEDBERTDE_VAR": "~/daten"}).var == tmp_path / "daten"


def test_port_is_honoured_as_hosting_platforms_set_it_unless_our_own_is_set() -> None:
    assert load_settings({"PORT": "9000"}).port == 9000
    assert load_settings({"PORT": "9000", "MEDBERTDE_PORT": "9001"}).port == 9001


def test_other_peoples_variables_are_left_alone() -> None:
    assert load_settings({"MEDBERT_PORT": "1", "HF_TOKEN": "x", "LANGUAGE": "fr"}) == load_settings({})


def test_a_misspelt_variable_is_refused_with_the_known_ones() -> None:
    error = refusal(MEDBERTDE_PROT="8000")
    assert error.de.startswith("Unbekannte Einstellung MEDBERTDE_PROT. Bekannt sind: MEDBERTDE_HOST, MEDBERTDE_PORT,")
    assert error.en.startswith("Unknown setting MEDBERTDE_PROT. Known are: MEDBERTDE_HOST, MEDBERTDE_PORT,")


@pytest.mark.parametrize("name", ["MEDBERTDE_PORT", "PORT", "MEDBERTDE_MAX_CHARS"])
def test_a_number_must_be_a_whole_one(name: str) -> None:
    error = refusal(**{name: "acht"})
    assert error.de == f"Die Einstellung {name} muss eine ganze Zahl sein, gefunden: „acht“."
    assert error.en == f"The setting {name} must be a whole number, found: “acht”."


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LANGUAGE", "fr", "de, en"),
        ("DEVICE", "gpu", "auto, cpu, cuda, mps"),
        ("PRECISION", "fp8", "auto, fp32, bf16"),
        ("PORT", "70000", "0 … 65535"),
        ("THREADS", "-1", "≥ 0"),
        ("MAX_CHARS", "0", "> 0"),
        ("MAX_UPLOAD_MB", "-5", "> 0"),
        ("MAX_IMPORT_ROWS", "0", "> 0"),
        ("LEASE_MINUTES", "0", "1 … 527040"),
        ("LEASE_MINUTES", "527041", "1 … 527040"),
        ("PROFILE", "klinik", "auto, local, server, space"),
        ("SESSION_IDLE_MINUTES", "0", "1 … 527040"),
        ("SESSION_IDLE_MINUTES", "1000000000000", "1 … 527040"),
        ("SESSION_HOURS", "-1", "1 … 8784"),
        ("SESSION_HOURS", "8785", "1 … 8784"),
        ("MAX_QUEUE", "0", "> 0"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    error = refusal(**{f"MEDBERTDE_{name}": value})
    assert error.de == f"Die Einstellung MEDBERTDE_{name} ist „{value}“, erlaubt ist: {allowed}."
    assert error.en == f"The setting MEDBERTDE_{name} is “{value}”, allowed: {allowed}."


@pytest.mark.parametrize(
    ("host", "profile", "served_as"),
    [
        ("127.0.0.1", "auto", Profile.LOCAL),
        ("127.8.8.8", "auto", Profile.LOCAL),
        ("localhost", "auto", Profile.LOCAL),
        ("::1", "auto", Profile.LOCAL),
        ("0.0.0.0", "auto", Profile.SERVER),
        ("::", "auto", Profile.SERVER),
        ("10.1.2.3", "auto", Profile.SERVER),
        ("localhost.example", "auto", Profile.SERVER),
        ("127.0.0.1", "server", Profile.SERVER),
    ],
)
def test_only_an_address_of_this_machine_alone_needs_no_accounts(host: str, profile: str, served_as: Profile) -> None:
    assert Settings(host=host, profile=profile).served_as is served_as


def test_a_space_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/medbertde")
    assert Settings().served_as is Profile.SPACE
    assert Settings(profile="server").served_as is Profile.SERVER


def test_a_space_keeps_its_data_on_the_persistent_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/medbertde")
    monkeypatch.setattr("os.access", lambda path, mode: path == "/data")
    assert Settings().var == Path("/data")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert Settings().var == ROOT / "var"


def test_how_texts_that_show_who_a_person_is_are_gated_depends_on_where_the_app_runs() -> None:
    laptop = load_settings({"MEDBERTDE_PROFILE": "local"})
    assert (laptop.reading_policy, laptop.storing_policy) == (Policy.WARN, Policy.CONFIRM)
    for profile in ("server", "space"):
        shared = load_settings({"MEDBERTDE_PROFILE": profile})
        assert (shared.reading_policy, shared.storing_policy) == (Policy.CONFIRM, Policy.CONFIRM)
    for policy in Policy:
        chosen = load_settings({"MEDBERTDE_DEIDENTIFICATION": policy.value})
        assert (chosen.reading_policy, chosen.storing_policy) == (policy, policy)
    assert "off, warn, confirm, refuse" in refusal(MEDBERTDE_DEIDENTIFICATION="vielleicht").de
    assert "birth, all, shift" in refusal(MEDBERTDE_DEIDENTIFICATION_DATES="keine").de

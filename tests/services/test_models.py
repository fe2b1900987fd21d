"""Choosing what answers: the list with its states, the change, its refusals, and what a restart finds."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import constants

from medbertde.inference.catalogue import CATALOGUE
from medbertde.inference.runtime import FILL_MASK_SLOT, Runtime
from medbertde.services import load_models
from medbertde.services import models as models_module
from medbertde.services.access import Access, Caller
from medbertde.services.models import Choice, Models, Stage, Switch, Where
from medbertde.store import audit, users
from medbertde.store.session import Database
from medbertde.types import Conflict, Forbidden, NotFound, Role, User, UserError
from tests import tiny
from tests.hub import TOKEN, Hub, hub_at

XRAY = "chest_xray"
OPEN = "uklfr/gottbert-base"
DEADLINE_S = 120.0


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def models(database: Database, runtime: Runtime, access: Access, tiny_mlm_folder: Path) -> Models:
    runtime.swap(FILL_MASK_SLOT, tiny_mlm_folder)
    return Models(database, runtime, access)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.mlm_folder(tmp_path_factory.mktemp("other") / "anderes", family="deberta-v2")


def ended(models: Models, switch: Switch) -> Switch:
    """The change once it has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while (now := models.status(switch.id)).going:
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
    return now


def by_name(models: Models, slot: str) -> dict[str, Choice]:
    return {choice.name: choice for choice in models.choices(slot)}


# ------------------------------------------------------------------------------------------------ the list


def test_the_language_models_are_those_of_the_catalogue_and_the_one_that_answers(
    models: Models, runtime: Runtime
) -> None:
    found = by_name(models, FILL_MASK_SLOT)
    active = runtime.fill_mask_model()
    assert set(found) == {entry.id for entry in CATALOGUE if not entry.schema_id} | {active.version}
    assert [name for name, choice in found.items() if choice.answers] == [active.version]
    assert found["medbertde-mini"].where is Where.EMBEDDED
    assert found[OPEN].where is Where.OFFLINE
    assert found[active.version].size
    assert found[active.version].tokenizer.startswith("WordPiece ")
    for choice in found.values():
        assert choice.size
        assert choice.tokenizer
        assert choice.licence["de"]
        assert choice.terms["de"]
        assert choice.good_for["en"]


def test_the_classifiers_of_a_schema_are_its_own(models: Models, runtime: Runtime) -> None:
    assert set(by_name(models, XRAY)) == {"mini-chest-xray", runtime.model_for(XRAY).version}
    assert set(by_name(models, "chest_ct")) == {"mini-chest-ct"}
    with pytest.raises(NotFound):
        models.choices("knie")


def test_a_version_whose_folder_is_gone_is_listed_with_the_reason(
    models: Models, anna: User, tmp_path: Path, runtime: Runtime
) -> None:
    first = models.switch(anna, XRAY, str(tiny.classifier_folder(tmp_path / "neu", seed=3))).version
    models.switch(anna, XRAY, str(tiny.classifier_folder(tmp_path / "neuer", seed=4)))
    shutil.rmtree(tmp_path / "neu")
    broken = by_name(models, XRAY)[first]
    assert broken.where is Where.BROKEN
    assert broken.reason
    assert "den Ordner gibt es nicht" in broken.reason.de
    assert runtime.model_for(XRAY).version.startswith("neuer@")


# ------------------------------------------------------------------------------------------------ the change


def test_a_folder_answers_from_the_next_call_on_and_after_a_restart(
    database: Database, models: Models, anna: User, runtime: Runtime, other: Path, tiny_mlm_folder: Path
) -> None:
    before = runtime.fill_mask_model().version
    done = ended(models, models.start(anna, FILL_MASK_SLOT, str(other)))
    assert (done.stage, done.version) == (Stage.DONE, runtime.fill_mask_model().version)
    assert str(done.version).startswith("anderes@")
    restarted = Runtime("cpu")
    assert load_models(restarted, database, {FILL_MASK_SLOT: str(tiny_mlm_folder)}) == ()
    assert restarted.fill_mask_model().version == done.version
    models.switch(anna, FILL_MASK_SLOT, before)
    assert runtime.fill_mask_model().version == before
    with database.read() as session:
        trail = [(each.user, each.facts["version"]) for each in audit.entries(session) if each.action == "choose_model"]
    assert trail == [("anna", before), ("anna", done.version)]


def test_a_model_without_facts_keeps_its_name_after_a_restart(
    database: Database, models: Models, anna: User, other: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(other, tmp_path / "hub" / "snapshot"))
    (folder / "medbertde.json").unlink()
    version = models.switch(anna, FILL_MASK_SLOT, str(folder)).version
    assert version.startswith("snapshot@")
    moved = folder.rename(tmp_path / "verschoben")
    assert models.switch(anna, FILL_MASK_SLOT, str(moved)).version.startswith("verschoben@")
    restarted = Runtime("cpu")
    assert load_models(restarted, database, {}) == ()
    assert restarted.versions()[FILL_MASK_SLOT].startswith("verschoben@")


def test_a_folder_that_is_gone_at_the_next_start_is_said_and_the_shipped_model_answers(
    database: Database, models: Models, anna: User, tmp_path: Path, tiny_mlm_folder: Path
) -> None:
    folder = tiny.mlm_folder(tmp_path / "weg", seed=7)
    models.switch(anna, FILL_MASK_SLOT, str(folder))
    shutil.rmtree(folder)
    restarted = Runtime("cpu")
    [notice] = load_models(restarted, database, {FILL_MASK_SLOT: str(tiny_mlm_folder)})
    assert "antwortet nicht mehr" in notice.de
    assert restarted.versions()[FILL_MASK_SLOT].startswith("tiny-mlm@")


def test_a_copied_model_is_found_in_its_new_place_but_not_with_other_thresholds(
    models: Models, anna: User, tmp_path: Path, runtime: Runtime
) -> None:
    folder = tiny.classifier_folder(tmp_path / "a" / "neu", seed=3)
    version = models.switch(anna, XRAY, str(folder)).version
    copy = Path(shutil.copytree(folder, tmp_path / "b"))
    assert models.switch(anna, XRAY, str(copy)).version == version
    assert runtime.model_for(XRAY).folder == copy
    facts = json.loads((folder / "medbertde.json").read_text(encoding="utf-8"))
    facts["thresholds"]["Erguss"] = 0.9
    (folder / "medbertde.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(Conflict, match="with other thresholds or facts"):
        models.switch(anna, XRAY, str(folder))
    assert runtime.model_for(XRAY).folder == copy


def test_two_changes_at_once_come_one_after_the_other(
    models: Models, anna: User, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    loading, most = threading.Semaphore(1), []
    load = runtime.load

    def watched(*args: object, **options: object) -> object:
        alone = loading.acquire(blocking=False)
        most.append(alone)
        try:
            return load(*args, **options)  # type: ignore[arg-type]
        finally:
            if alone:
                loading.release()

    monkeypatch.setattr(runtime, "load", watched)
    folders = [tiny.classifier_folder(tmp_path / f"m{seed}", seed=seed) for seed in range(3)]
    begun = [models.start(anna, XRAY, str(folder)) for folder in folders]
    assert [ended(models, each).stage for each in begun] == [Stage.DONE] * 3
    assert most == [True] * 3, "no two are loaded at the same time"
    restarted = Runtime("cpu")
    load_models(restarted, database, {})
    assert restarted.versions()[XRAY] == runtime.versions()[XRAY]


def test_while_a_model_is_loaded_the_old_one_answers_and_no_answer_is_of_two_models(
    models: Models, anna: User, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = runtime.model_for(XRAY).version
    loaded, go_on = threading.Event(), threading.Event()
    load = runtime.load

    def slow(*args: object, **options: object) -> object:
        model = load(*args, **options)  # type: ignore[arg-type]
        loaded.set()
        assert go_on.wait(DEADLINE_S)
        return model

    monkeypatch.setattr(runtime, "load", slow)
    begun = models.start(anna, XRAY, str(tiny.classifier_folder(tmp_path / "neu", seed=5)))
    assert loaded.wait(DEADLINE_S)
    assert models.status(begun.id).stage is Stage.LOADING
    with pytest.raises(Conflict, match="is being loaded already"):
        models.start(anna, XRAY, str(tmp_path / "neu"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: runtime.classify(XRAY, ["Kein Erguss."])[0].model_version, range(8)))
    assert set(answers) == {old}
    go_on.set()
    assert ended(models, begun).stage is Stage.DONE
    assert runtime.classify(XRAY, ["Kein Erguss."])[0].model_version == ended(models, begun).version != old


# ------------------------------------------------------------------------------------------------ refusals


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def foreign_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}), encoding="utf-8")


def fewer_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"].popitem()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


DAMAGES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no model": (lambda folder: [path.unlink() for path in folder.iterdir()], "die Datei config.json fehlt"),
    "cut weights": (cut, "model.safetensors ist beschädigt oder unvollständig"),
    "pickle": (only_pickle, "Programmcode ausführen können (pytorch_model.bin)"),
    "custom code": (lambda folder: (folder / "modeling.py").touch(), "Programmcode ausführen können (modeling.py)"),
    "auto_map": (foreign_code, "fremden Programmcode (auto_map)"),
    "labels": (fewer_labels, "seine 38 Ausgaben passen nicht zum Schema chest_xray"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_refused_and_the_old_model_answers_on(
    case: str, models: Models, anna: User, runtime: Runtime, tiny_classifier_folder: Path, tmp_path: Path
) -> None:
    damage, reason = DAMAGES[case]
    folder = Path(shutil.copytree(tiny_classifier_folder, tmp_path / "kaputt"))
    damage(folder)
    assert_refused(models, anna, runtime, XRAY, str(folder), reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/gibt/es/nicht", "gibt es nicht"),
        ("niemand/nichts", "nicht erreichbar"),
        ("GerMedBERT/medbert-512", "nicht erreichbar"),
        ("a\0b", "gibt es nicht"),
        ("~niemand-hier/x", "gibt es nicht"),
        ("x" * 5000, "gibt es nicht"),
        ("mini-chest-ct", "für „chest_ct“ gemacht und kann nicht für „chest_xray“ antworten"),
        ("medbertde-mini", "für „fill_mask“ gemacht und kann nicht für „chest_xray“ antworten"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(
    name: str, reason: str, models: Models, anna: User, runtime: Runtime
) -> None:
    assert_refused(models, anna, runtime, XRAY, name, reason)


def test_a_classifier_is_refused_for_gaps(
    models: Models, anna: User, runtime: Runtime, tiny_classifier_folder: Path
) -> None:
    reason = "für „chest_xray“ gemacht und kann nicht für „fill_mask“ antworten"
    assert_refused(models, anna, runtime, FILL_MASK_SLOT, str(tiny_classifier_folder), reason)


def assert_refused(models: Models, user: User, runtime: Runtime, slot: str, name: str, reason: str) -> None:
    before = runtime.models()[slot]
    refused = ended(models, models.start(user, slot, name))
    assert refused.stage is Stage.REFUSED
    assert refused.refusal
    assert reason in refused.refusal.de
    assert TOKEN not in refused.refusal.de + refused.refusal.en
    assert runtime.models()[slot] is before
    assert all(choice.name != name or not choice.answers for choice in models.choices(slot))


def test_only_an_admin_who_has_accepted_the_terms_changes_models(
    database: Database, models: Models, access: Access, runtime: Runtime, other: Path
) -> None:
    before = runtime.fill_mask_model()
    with database.write() as session:
        annotator = users.ensure_user(session, name="annotatorin", role=Role.ANNOTATOR)
    annotator = access.accept_terms(annotator)
    assert not models.may_switch(annotator)
    for attempt in (models.switch, models.start):
        for name in (str(other), "medbertde-mini", OPEN):
            with pytest.raises(Forbidden, match="needs the role “admin”"):
                attempt(annotator, FILL_MASK_SLOT, name)
        with pytest.raises(Forbidden, match="accept the terms"):
            attempt(access.identify(Caller("neu", None)), FILL_MASK_SLOT, str(other))
    assert runtime.fill_mask_model() is before
    assert models.choices(FILL_MASK_SLOT), "looking is for everybody"


@pytest.mark.parametrize("name", ["", "  \n"])
def test_nothing_typed_asks_for_something(name: str, models: Models, anna: User) -> None:
    with pytest.raises(UserError, match="enter a folder or a Hub id"):
        models.start(anna, FILL_MASK_SLOT, name)


def test_an_unexpected_failure_reaches_who_asks_and_the_old_model_answers(
    models: Models, anna: User, runtime: Runtime, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime.fill_mask_model()

    def broken(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(models_module, "activate", broken)
    begun = models.start(anna, FILL_MASK_SLOT, str(other))
    with pytest.raises(ZeroDivisionError):
        ended(models, begun)
    assert models.status(begun.id).stage is Stage.REFUSED
    assert runtime.fill_mask_model() is before
    with pytest.raises(NotFound, match="restarted meanwhile"):
        models.status("unknown")


# ------------------------------------------------------------------------------------------------ the Hub


@pytest.fixture
def hub(tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    bare = Path(shutil.copytree(other, tmp_path / "auf-dem-hub"))
    (bare / "medbertde.json").unlink()
    served = Hub({OPEN: bare, "jemand/modell": bare})
    with hub_at(served, tmp_path / "cache", monkeypatch):
        yield served


def test_a_hub_model_is_downloaded_chosen_and_found_again_offline(
    database: Database, models: Models, anna: User, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_name(models, FILL_MASK_SLOT)[OPEN].where is Where.DOWNLOAD
    done = ended(models, models.start(anna, FILL_MASK_SLOT, OPEN))
    assert done.stage is Stage.DONE
    assert str(done.version).startswith("gottbert-base@")
    assert done.here == done.total > 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    chosen = by_name(models, FILL_MASK_SLOT)[OPEN]
    assert (chosen.where, chosen.answers) == (Where.CACHED, True)
    assert str(done.version) not in by_name(models, FILL_MASK_SLOT), "it is listed once"
    restarted = Runtime("cpu")
    assert load_models(restarted, database, {}) == ()
    assert restarted.versions()[FILL_MASK_SLOT] == done.version


def test_a_hub_model_outside_the_catalogue_stays_in_the_list(models: Models, anna: User, hub: Hub) -> None:
    version = models.switch(anna, FILL_MASK_SLOT, "jemand/modell").version
    assert by_name(models, FILL_MASK_SLOT)[version].good_for["de"] == "vom Hugging Face Hub: jemand/modell"


def test_a_full_memory_refuses_and_the_old_model_answers_on(
    models: Models, anna: User, runtime: Runtime, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medbertde.inference.checkpoint.available_bytes", lambda device: 1000)
    assert_refused(models, anna, runtime, FILL_MASK_SLOT, str(other), "GB Speicher, frei sind 0,0 GB")

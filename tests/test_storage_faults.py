"""The whole server over a database that takes nothing for a while: what its users are told, and that nothing is lost.

The disk of a real PostgreSQL server is full, the server takes no changes, or it is gone; then all is well again.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from medbertde.services import Services
from medbertde.services.access import Caller
from medbertde.store import labels, sqlite
from medbertde.store.tables import SubmissionRow
from tests import postgres
from tests.launch import XRAY, launched, password_of

MB = 2**20
VALUES = {"Erguss": "present", "ZVK": "absent"}


@dataclass(frozen=True)
class Site:
    """The running server, its database server, and what lies behind it."""

    postgres: postgres.Server
    services: Services
    url: str

    def post(self, path: str, **sent: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=60, **sent)

    def sign_in(self, name: str = "anna") -> httpx.Response:
        return self.post("login", data={"username": name, "password": password_of(name)})


@dataclass(frozen=True)
class Annotator:
    """Someone signed in, at the annotation card."""

    client: httpx.Client
    card: int

    def ask(self, function: str, **sent: Any) -> Any:
        data = {"language": "de", "schema": XRAY, "count": 1, "exclude": [], **sent}
        body = {"session_hash": "anna", "component_id": self.card, "fn_name": function, "data": data}
        return self.client.post("gradio_api/component_server", json=body).json()

    def next_report(self) -> int:
        found: int = self.ask("fetch_reports")["work"]["items"][0]["id"]
        return found

    def save(self, report: int, name: str, *, language: str = "de", comment: str = "") -> Any:
        decision = {"report": report, "values": VALUES, "model_version": None, "schema_version": 1, "seen": 0,
                    "comment": comment, "flagged": False, "active_ms": 1000, "guideline_version": None,
                    "rationales": []}  # fmt: skip
        return self.ask("save_report", uuid=name, decision=decision, language=language)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_classifier_folder: Path) -> Iterator[Site]:
    folder, models = tmp_path_factory.mktemp("faults"), {XRAY: str(tiny_classifier_folder)}
    with ExitStack() as stack:
        server = stack.enter_context(postgres.running(durable=True, log_mb=1))
        options = {"users": ("anna",), "database_url": server.create("faults")}
        services, url = stack.enter_context(launched(folder, models, **options))
        anna = services.access.identify(Caller("anna", None))
        lines = "\n".join(f'{{"text": "Kein Erguss, Aufnahme {number}."}}' for number in range(40))
        services.annotate.import_reports(anna, XRAY, "befunde.jsonl", lines.encode())
        yield Site(server, services, url)


@pytest.fixture
def anna(site: Site) -> Iterator[Annotator]:
    with httpx.Client(base_url=site.url, timeout=60, cookies=site.sign_in().cookies) as client:
        parts = client.get("config").json()["components"]
        yield Annotator(client, next(part["id"] for part in parts if part["props"].get("elem_id") == "annotate-card"))


def saved(site: Site) -> list[str]:
    """The saves that are in the database."""
    with site.services.database.read() as session:
        return sorted(session.scalars(select(SubmissionRow.client_uuid)))


def fill_up_to_the_limit(site: Site) -> None:
    """A save with so long a remark that the next ones find no room within the limit."""
    anna = site.services.access.identify(Caller("anna", None))
    with site.services.database.write() as session:
        labels.save(
            session,
            report_id=40,
            schema_id=XRAY,
            schema_version=1,
            user_id=anna.id,
            changes=[],
            client_uuid=str(uuid.uuid4()),
            comment=secrets.token_urlsafe(2 * MB),
        )


def test_who_saves_on_a_full_disk_is_told_so_and_saves_the_same_again_when_there_is_room(
    site: Site, anna: Annotator
) -> None:
    fill_up_to_the_limit(site)
    told, before = list[str](), saved(site)
    site.postgres.limit_files(MB)
    answer: Any = {"ok": True}
    while answer["ok"]:
        report, name, comment = anna.next_report(), str(uuid.uuid4()), secrets.token_urlsafe(1_500)
        answer = anna.save(report, name, comment=comment)
        told += [name] if answer["ok"] else []
    assert answer["message"].startswith("Der Datenbankserver kann seine Dateien nicht lesen oder schreiben. Es wurde")
    assert anna.save(report, name, comment=comment, language="en")["message"].startswith(
        "The database server cannot read or write its files. Nothing was saved. Please check the free space"
    )
    site.postgres.limit_files(None)
    assert saved(site) == sorted([*before, *told])
    assert anna.save(report, name, comment=comment)["ok"]
    assert anna.save(report, name, comment=comment)["ok"], "an answer that got lost is asked for again"
    assert saved(site) == sorted([*before, *told, name])


def test_while_the_database_takes_no_changes_people_read_and_are_told_why_nothing_is_saved(
    site: Site, anna: Annotator
) -> None:
    report, name, before = anna.next_report(), str(uuid.uuid4()), saved(site)
    with site.services.database.write() as session:  # so long ago that the next request is worth noting
        session.execute(text("UPDATE sessions SET seen_at = seen_at - interval '5 minutes'"))
    site.postgres.set_read_only(True)
    assert anna.client.get("/").status_code == 200
    for language, said in zip(("de", "en"), sqlite.READ_ONLY, strict=True):
        assert anna.save(report, name, language=language) == {"ok": False, "kind": "retry", "message": said}
    refused = [site.sign_in(), anna.client.post("logout")]
    assert [answer.status_code for answer in refused] == [503, 503]
    assert {answer.json()["detail"] for answer in refused} == {" / ".join(sqlite.READ_ONLY)}
    site.postgres.set_read_only(False)
    assert saved(site) == before
    assert anna.save(report, name)["ok"]
    assert saved(site) == sorted([*before, name])


def test_while_the_database_is_gone_every_answer_says_so_and_the_same_session_goes_on_later(
    site: Site, anna: Annotator
) -> None:
    report, before = anna.next_report(), saved(site)
    site.postgres.crash()
    for answer in (anna.client.get("config"), site.sign_in(), anna.client.post("logout")):
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("Die Datenbank antwortet nicht oder lehnt die Verbindung ab.")
    assert httpx.get(site.url + "health").status_code == 200
    assert "database" in httpx.get(site.url + "ready").json()["missing"]
    site.postgres.restart()
    assert httpx.get(site.url + "ready").status_code == 200
    assert saved(site) == before
    assert anna.save(report, str(uuid.uuid4()))["ok"]

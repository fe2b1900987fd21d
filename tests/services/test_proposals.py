"""Words of an explanation proposed on the annotation card: what is proposed, who sees it, and that it is no mark."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from medbertde import services
from medbertde.report_file import to_json
from medbertde.schema import load_schema
from medbertde.services.access import Access
from medbertde.services.annotate import Annotate, Decision
from medbertde.services.files import Files
from medbertde.services.proposals import Proposals
from medbertde.settings import Settings
from medbertde.store import evidence, labelled, users
from medbertde.store.session import Database, open_database
from medbertde.strongest import strongest_spans
from medbertde.types import (
    AttributedWord,
    Attribution,
    Conflict,
    Forbidden,
    Rationale,
    ReportRecord,
    Role,
    State,
    User,
    UserError,
)

XRAY = "chest_xray"
TEXT = "Kein Pneumothorax. Kleiner Erguss links."
SCORES = (-1.0, 0.2, 0.9, 3.0, 0.1)


def explanation(text: str = TEXT, scores: tuple[float, ...] = SCORES, label: str = "Erguss") -> Attribution:
    words, after = [], 0
    for token, score in zip(text.split(), scores, strict=True):
        start = text.index(token, after)
        after = start + len(token)
        words.append(AttributedWord(token, start, after, score))
    return Attribution(
        text, label, tuple(words), "layer_integrated_gradients", "[CLS] [PAD] … [SEP]", 15, 0.0, 0.0, "m@1"
    )


def bring(annotate: Annotate, user: User, text: str = TEXT) -> int:
    line = to_json(ReportRecord(text, id="r1", modality="xray")).encode()
    annotate.import_reports(user, XRAY, "befunde.jsonl", line)
    return annotate.next_reports(user, XRAY, count=0).progress.total


@pytest.fixture
def proposals(database: Database, access: Access, settings: Settings) -> Proposals:
    return Proposals(database, access, Files(database, access, settings))


def test_the_strongest_words_stand_on_the_card_of_the_stored_report(
    proposals: Proposals, annotate: Annotate, anna: User
) -> None:
    bring(annotate, anna)
    sent = proposals.propose(anna, XRAY, explanation())
    assert sent is not None
    assert (sent.key, sent.quotes) == ("r1", ("Erguss",))
    item = annotate.next_reports(anna, XRAY).items[0]
    assert [(one.label, one.state, one.spans, one.model_version) for one in item.proposals] == [
        ("Erguss", State.PRESENT, ((27, 33),), "m@1")
    ]


def test_they_are_found_in_a_copy_with_other_white_space(proposals: Proposals, annotate: Annotate, anna: User) -> None:
    stored = "Kein Pneumothorax.\n\nKleiner  Erguss links."
    bring(annotate, anna, stored)
    proposals.propose(anna, XRAY, explanation())
    (proposal,) = annotate.next_reports(anna, XRAY).items[0].proposals
    assert [stored[start:end] for start, end in proposal.spans] == ["Erguss"]


def test_the_words_are_chosen_before_the_database_is_locked(
    proposals: Proposals, annotate: Annotate, anna: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(annotate, anna)
    others = open_database(settings.database_url, busy_timeout_s=0.1)

    def while_others_save(text: str, words: Sequence[AttributedWord]) -> tuple[tuple[int, int], ...]:
        with others.write() as session:
            users.ensure_user(session, name="ben", role=Role.ANNOTATOR)
        return strongest_spans(text, words)

    monkeypatch.setattr(services.proposals, "strongest_spans", while_others_save)
    assert proposals.propose(anna, XRAY, explanation()) is not None
    others.close()


def test_a_save_stores_no_proposal_as_a_mark(
    proposals: Proposals, annotate: Annotate, anna: User, database: Database
) -> None:
    bring(annotate, anna)
    proposals.propose(anna, XRAY, explanation())
    item = annotate.next_reports(anna, XRAY).items[0]
    decision = Decision(str(uuid.uuid4()), XRAY, item.report.id, {"Erguss": State.PRESENT})
    annotate.save(anna, decision)
    with database.read() as session:
        (record,) = labelled.records(session, schema_id=XRAY)
    assert record.rationales == ()
    assert annotate.reopen(anna, XRAY, item.report.id).proposals == item.proposals


def test_an_accepted_proposal_does_not_count_as_agreement_with_the_model(
    proposals: Proposals, annotate: Annotate, anna: User, database: Database
) -> None:
    bring(annotate, anna)
    item = annotate.next_reports(anna, XRAY).items[0]
    marks = {
        "Erguss": Rationale("Erguss", 27, 33),  # as proposed
        "Pneumothorax": Rationale("Pneumothorax", 0, 17),  # the annotator's own
    }
    proposals.propose(anna, XRAY, explanation())
    values = {"Erguss": State.PRESENT, "Pneumothorax": State.ABSENT}
    decision = Decision(str(uuid.uuid4()), XRAY, item.report.id, values, rationales=tuple(marks.values()))
    annotate.save(anna, decision)
    with database.read() as session:
        found = [one.label for one in evidence.marked_findings(session, schema_id=XRAY)]
    assert found == ["Pneumothorax"]


def test_the_newest_proposal_of_a_finding_counts_and_the_same_one_again_writes_nothing(
    proposals: Proposals, annotate: Annotate, anna: User
) -> None:
    bring(annotate, anna)
    sent = proposals.propose(anna, XRAY, explanation())
    assert sent is not None
    proposals.propose(anna, XRAY, explanation())
    proposals.propose(anna, XRAY, explanation(label="Stauung"))
    proposals.propose(anna, XRAY, explanation(scores=(-1.0, 0.2, 3.0, 0.9, 0.1)))
    (found,) = annotate.proposals(anna, XRAY, [sent.report_id]).values()
    assert [(one.label, one.spans) for one in found] == [("Stauung", ((27, 33),)), ("Erguss", ((19, 26),))]


def test_a_report_that_is_read_without_suggestions_has_no_proposals(
    proposals: Proposals, annotate: Annotate, anna: User
) -> None:
    texts = [f"Kleiner Erguss Nummer {number}." for number in range(60)]
    lines = "\n".join(to_json(ReportRecord(text, modality="xray")) for text in texts)
    annotate.import_reports(anna, XRAY, "befunde.jsonl", lines.encode())
    for text in texts:
        proposals.propose(anna, XRAY, explanation(text, (0.1, 3.0, 0.1, 0.1)))
    read, taken = [], []
    for _ in range(3):
        work = annotate.next_reports(anna, XRAY, count=20, exclude=taken).items
        read += work
        taken += [item.report.id for item in work]
    assert any(item.bare for item in read)
    assert all(bool(item.proposals) is not item.bare for item in read)
    bare = [item.report.id for item in read if item.bare]
    assert annotate.proposals(anna, XRAY, bare) == {}


def test_a_text_that_is_not_stored_can_be_taken_in_and_opened_on_the_card(
    proposals: Proposals, annotate: Annotate, anna: User, ben: User
) -> None:
    bring(annotate, anna, "Herz normal groß.")
    assert proposals.propose(anna, XRAY, explanation()) is None
    assert annotate.next_reports(anna, XRAY, count=0).progress.total == 1
    sent = proposals.add(anna, XRAY, explanation())
    item = annotate.open_report(anna, XRAY, sent.report_id)
    assert (item.report.text, item.report.modality) == (TEXT, load_schema(XRAY).modality)
    assert [one.label for one in item.proposals] == ["Erguss"]
    assert item.suggestion is not None
    with pytest.raises(Conflict, match="not free in your project"):
        annotate.open_report(ben, XRAY, sent.report_id)


def test_a_text_that_identifies_somebody_is_not_taken_in(proposals: Proposals, annotate: Annotate, anna: User) -> None:
    text = "Patientin Erika Beispielmann, geb. 03.04.1951: Kleiner Erguss links."
    with pytest.raises(UserError, match="Held back"):
        proposals.add(anna, XRAY, explanation(text, (0.0,) * 7 + (3.0, 0.1)[: len(text.split()) - 7]))
    assert annotate.next_reports(anna, XRAY, count=0).progress.total == 0


def test_where_nothing_speaks_for_the_finding_nothing_is_proposed(
    proposals: Proposals, annotate: Annotate, anna: User
) -> None:
    bring(annotate, anna)
    with pytest.raises(UserError, match="No word of this explanation speaks for the finding"):
        proposals.propose(anna, XRAY, explanation(scores=(-1.0, -0.2, 0.0, -3.0, -0.1)))


def test_a_visitor_may_neither_propose_nor_take_in(proposals: Proposals, access: Access, database: Database) -> None:
    with database.write() as session:
        visitor = users.ensure_user(session, name="gast", role=Role.VIEWER)
    visitor = access.accept_terms(visitor)
    for act in (proposals.propose, proposals.add):
        with pytest.raises(Forbidden):
            act(visitor, XRAY, explanation())

"""A team at work through the services: projects, blind second readings, order of work, figures, review, training."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from medbertde.inference.runtime import Runtime
from medbertde.report_file import to_json
from medbertde.services.access import Access, Caller
from medbertde.services.annotate import Annotate, Decision, WorkItem
from medbertde.services.ordering import Ordering
from medbertde.services.review import Review, Ruling, too_fast
from medbertde.services.team import MODEL, NewProject, Team
from medbertde.services.training import Training
from medbertde.settings import Settings
from medbertde.store import labelled
from medbertde.store.projects import Project
from medbertde.store.session import Database
from medbertde.types import (
    Conflict,
    Forbidden,
    InvalidFile,
    ModelUnavailable,
    ReportRecord,
    Role,
    Rules,
    Source,
    State,
    User,
    UserError,
    WorkOrder,
)

XRAY = "chest_xray"
PLAIN = Rules(bare_share=0.0)
BOTH = Rules(overlap_share=1.0, readers=2, bare_share=0.0)


@pytest.fixture
def ordering(database: Database, runtime: Runtime, access: Access) -> Ordering:
    return Ordering(database, runtime, access)


@pytest.fixture
def bring(annotate: Annotate, anna: User) -> Callable[..., None]:
    """Import reports r1, r2, … as anna."""

    def bring(count: int, first: int = 1) -> None:
        numbers = range(first, first + count)
        lines = [to_json(ReportRecord(f"Thorax {one}: kein Erguss.", id=f"r{one}", modality="xray")) for one in numbers]
        annotate.import_reports(anna, XRAY, f"ab_{first}.jsonl", "\n".join(lines).encode())

    return bring


def as_role(user: User, role: Role) -> User:
    """The same person with fewer rights; in these tests everyone signs in as admin."""
    return replace(user, role=role)


def made(team: Team, admin: User, rules: Rules = PLAIN, people: tuple[str, ...] = (), **given: object) -> Project:
    return team.create(admin, NewProject(XRAY, "Studie", "xray", rules, **given), people)  # type: ignore[arg-type]


def read(
    annotate: Annotate,
    user: User,
    item: WorkItem,
    *,
    comment: str = "",
    flagged: bool = False,
    **findings: State | None,
) -> None:
    """Save the findings and nothing else."""
    made = str(uuid.uuid4())
    decision = Decision(made, XRAY, item.report.id, findings, active_ms=20_000, comment=comment, flagged=flagged)
    annotate.save(user, decision)


def first(annotate: Annotate, user: User) -> WorkItem:
    return annotate.next_reports(user, XRAY).items[0]


def keys(annotate: Annotate, user: User, count: int = 20) -> list[str]:
    return [item.report.key for item in annotate.next_reports(user, XRAY, count=count).items]


class TestProjects:
    def test_nobody_has_to_make_one(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(2)
        (only,) = team.projects(anna, XRAY)
        assert only.project.is_default
        assert only.chosen
        assert keys(annotate, anna) == ["r1", "r2"]

    def test_a_project_holds_the_imports_it_was_made_for(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(2)
        bring(2, first=3)
        (newest, name, count), _ = team.imports(anna)
        assert (name, count) == ("ab_3.jsonl", 2)
        project = made(team, anna, imports=(newest,))
        team.choose(anna, project.id)
        assert keys(annotate, anna) == ["r3", "r4"]

    def test_a_list_of_ids_takes_these_and_refuses_unknown_ones(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(4)
        with pytest.raises(InvalidFile, match=r"No report has these 1 ids: r9\."):
            made(team, anna, keys=("r2", "r9"))
        project = made(team, anna, keys=("r2", "r4"))
        team.choose(anna, project.id)
        assert keys(annotate, anna) == ["r2", "r4"]

    def test_only_assigned_people_see_and_choose_a_project(
        self, team: Team, anna: User, ben: User, bring: Callable[..., None]
    ) -> None:
        bring(2)
        project = made(team, anna, people=("anna",))
        mere = as_role(ben, Role.ANNOTATOR)
        assert [view.project.is_default for view in team.projects(mere, XRAY)] == [True]
        with pytest.raises(Conflict, match="assigned to others"):
            team.choose(mere, project.id)
        team.assign(anna, project.id, ["anna", "ben"])
        assert team.choose(mere, project.id).name == "Studie"

    def test_a_closed_project_hands_out_nothing_more(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(2)
        project = made(team, anna, keys=("r2",))
        team.choose(anna, project.id)
        team.close(anna, project.id)
        assert keys(annotate, anna) == ["r1", "r2"], "back to the default project"

    def test_rules_that_cannot_work_are_refused(self, team: Team, anna: User, bring: Callable[..., None]) -> None:
        bring(1)
        with pytest.raises(UserError, match="needs at least as many assigned"):
            made(team, anna, BOTH, people=("anna",))
        with pytest.raises(UserError, match="give the project a name"):
            team.create(anna, NewProject(XRAY, " ", "xray", PLAIN))
        with pytest.raises(UserError, match="Shares lie between 0 and 100"):
            made(team, anna, Rules(random_share=1.5))
        assert team.create(anna, NewProject(XRAY, "  Studie ", "xray", PLAIN)).name == "Studie"
        with pytest.raises(Conflict, match="a project named “Studie” already"):
            made(team, anna)

    def test_only_an_admin_makes_projects_and_only_a_curator_sees_others(
        self, team: Team, review: Review, anna: User
    ) -> None:
        annotator, curator = as_role(anna, Role.ANNOTATOR), as_role(anna, Role.CURATOR)
        with pytest.raises(Forbidden, match="admin"):
            made(team, curator)
        with pytest.raises(Forbidden, match="curator"):
            team.agreement(annotator, 1)
        with pytest.raises(Forbidden, match="curator"):
            review.waiting(annotator, XRAY)


class TestBlindOverlap:
    @pytest.fixture
    def project(self, team: Team, anna: User, ben: User, bring: Callable[..., None]) -> Project:
        bring(3)
        project = made(team, anna, BOTH, people=("anna", "ben"))
        for user in (anna, ben):
            team.choose(user, project.id)
        return project

    def test_both_read_the_same_report_and_nobody_twice(
        self, annotate: Annotate, anna: User, ben: User, project: Project
    ) -> None:
        assert keys(annotate, anna) == keys(annotate, ben) == ["r1", "r2", "r3"]
        for user in (anna, ben):
            for _ in range(3):
                read(annotate, user, first(annotate, user), Erguss=State.ABSENT)
        assert keys(annotate, anna) == keys(annotate, ben) == []
        assert annotate.next_reports(ben, XRAY).progress.done == 6

    def test_the_second_reader_starts_without_the_values_of_the_first(
        self, annotate: Annotate, anna: User, ben: User, project: Project
    ) -> None:
        read(annotate, anna, first(annotate, anna), Erguss=State.PRESENT)
        item = first(annotate, ben)
        assert (item.report.key, item.saved) == ("r1", None)

    def test_a_third_person_gets_nothing(
        self, team: Team, annotate: Annotate, access: Access, project: Project
    ) -> None:
        cem = access.accept_terms(access.identify(Caller("cem", None)))
        with pytest.raises(Conflict):
            team.choose(cem, project.id)

    def test_disagreement_comes_to_the_curator_once_both_are_done(
        self, annotate: Annotate, review: Review, anna: User, ben: User, project: Project
    ) -> None:
        read(annotate, anna, first(annotate, anna), Erguss=State.PRESENT, ZVK=State.PRESENT)
        assert review.waiting(anna, XRAY) == []
        read(annotate, ben, first(annotate, ben), Erguss=State.UNCERTAIN, ZVK=State.PRESENT)
        (waiting,) = review.waiting(anna, XRAY, project.id)
        assert (waiting.key, waiting.disputed, waiting.readers) == ("r1", 1, 2)
        case = review.case(anna, XRAY, waiting.report_id)
        assert [(one.annotator, one.values["Erguss"]) for one in case.readers] == [
            ("anna", State.PRESENT),
            ("ben", State.UNCERTAIN),
        ]
        assert case.differing == ("Erguss",)
        assert not too_fast(case, case.readers[0])

    def test_a_decision_takes_it_off_the_list_and_goes_into_the_labels_with_its_provenance(
        self, annotate: Annotate, review: Review, anna: User, ben: User, project: Project, database: Database
    ) -> None:
        read(annotate, anna, first(annotate, anna), Erguss=State.PRESENT, ZVK=State.PRESENT)
        read(annotate, ben, first(annotate, ben), Erguss=State.UNCERTAIN, ZVK=State.PRESENT)
        (waiting,) = review.waiting(anna, XRAY)
        assert provenance(database) == ("open", {"Erguss": State.UNCERTAIN, "ZVK": State.PRESENT})
        with pytest.raises(Conflict, match="Not decided yet: Pleural effusion"):
            review.decide(anna, Ruling(str(uuid.uuid4()), XRAY, waiting.report_id, {}))
        ruling = Ruling(
            str(uuid.uuid4()), XRAY, waiting.report_id, {"Erguss": State.PRESENT}, {"Erguss": "Randwinkel verschattet"}
        )
        review.decide(anna, ruling)
        review.decide(anna, ruling)
        assert review.waiting(anna, XRAY) == []
        assert provenance(database) == ("adjudicated", {"Erguss": State.PRESENT, "ZVK": State.PRESENT})
        with database.read() as session:
            history = labelled.history(session, report_id=waiting.report_id)
        assert [(one.annotator, one.new_value) for one in history if one.source is Source.ADJUDICATED] == [
            ("anna", State.PRESENT)
        ], "once, beside the annotators' values"
        case = review.case(anna, XRAY, waiting.report_id)
        assert dict(case.reasons) == {"Erguss": "Randwinkel verschattet"}
        assert case.readers[0].values["Erguss"] is State.PRESENT, "what anna said before stays hers"

    def test_agreement_is_told_per_finding_with_n_and_why_a_figure_is_missing(
        self, team: Team, annotate: Annotate, anna: User, ben: User, project: Project
    ) -> None:
        for state in (State.PRESENT, State.ABSENT, State.PRESENT):
            read(annotate, anna, first(annotate, anna), Erguss=state)
        for state in (State.PRESENT, State.ABSENT, State.UNCERTAIN):
            read(annotate, ben, first(annotate, ben), Erguss=state)
        found = team.agreement(anna, project.id)
        assert found.readers == ("anna", "ben", MODEL)
        figures = {one.label: one for one in found.findings}
        effusion = figures["Erguss"]
        assert (effusion.n, effusion.mentioned) == (3, 6)
        assert effusion.raw is not None
        assert effusion.raw.value == pytest.approx(2 / 3)
        assert effusion.raw.low < effusion.raw.value < effusion.raw.high
        assert (figures["Tubus"].kappa, figures["Tubus"].why) == (None, "one_value")

    def test_a_decision_is_no_reading(
        self, team: Team, annotate: Annotate, review: Review, anna: User, ben: User, project: Project
    ) -> None:
        item = first(annotate, anna)
        read(annotate, anna, item, Erguss=State.PRESENT, flagged=True)
        review.decide(ben, Ruling(str(uuid.uuid4()), XRAY, item.report.id, {"Erguss": State.PRESENT}))
        found = team.agreement(anna, project.id)
        assert found.readers == ("anna", MODEL)
        assert {one.n for one in team.agreement(anna, project.id, ["anna", "ben"]).findings} == {0}
        progress = team.progress(anna, project.id)
        assert (progress.done, [(one.name, one.done) for one in progress.people]) == (2, [("anna", 1)])
        assert team.progress(as_role(ben, Role.ANNOTATOR), project.id).people == ()
        read(annotate, ben, item)
        found = team.agreement(anna, project.id)
        assert found.readers == ("anna", "ben", MODEL)
        assert {one.n for one in found.findings} == {1}, "without any finding it is a reading too"
        assert [one.done for one in team.progress(anna, project.id).people] == [1, 1]

    def test_annotator_against_model(self, team: Team, annotate: Annotate, anna: User, project: Project) -> None:
        item = first(annotate, anna)
        assert item.suggestion is not None
        read(annotate, anna, item, **item.suggestion.states)
        found = team.agreement(anna, project.id, ["anna", MODEL])
        assert {one.raw.value for one in found.findings if one.raw} == {1.0}


class TestOrder:
    @pytest.mark.parametrize("order", [order for order in WorkOrder if order.needs_model])
    def test_the_model_orders_the_queue_and_the_project_names_its_version(
        self,
        team: Team,
        ordering: Ordering,
        annotate: Annotate,
        runtime: Runtime,
        anna: User,
        bring: Callable[..., None],
        order: WorkOrder,
    ) -> None:
        bring(12)
        (view,) = team.projects(anna, XRAY)
        ordering.start(anna, view.project.id, order)
        ordering.wait(60)
        status = ordering.status()
        assert status is not None
        assert (status.done, status.total, status.running, status.refusal) == (12, 12, False, None)
        (view,) = team.projects(anna, XRAY)
        assert (view.project.rules.order, view.project.ranked_by) == (order, runtime.model_for(XRAY).version)
        handed = keys(annotate, anna)
        assert sorted(handed) == sorted(f"r{one}" for one in range(1, 13))
        assert handed != [f"r{one}" for one in range(1, 13)]

    def test_reports_of_the_test_part_keep_their_places_and_are_not_trained_on(
        self,
        team: Team,
        ordering: Ordering,
        annotate: Annotate,
        database: Database,
        runtime: Runtime,
        access: Access,
        settings: Settings,
        anna: User,
        bring: Callable[..., None],
    ) -> None:
        bring(12)
        project = made(team, anna, Rules(WorkOrder.MIXED, test_share=0.5, bare_share=0.0))
        team.choose(anna, project.id)
        ordering.start(anna, project.id, WorkOrder.UNCERTAINTY)
        ordering.wait(60)
        for _ in range(12):
            read(annotate, anna, first(annotate, anna), Erguss=State.PRESENT)
        with database.read() as session:
            split = [record.meta.get("split") for record in labelled.records(session, schema_id=XRAY)]
        assert 0 < split.count("test") < 12
        status = ordering.status()
        assert status is not None
        assert status.total == 12 - split.count("test")
        preview = Training(database, runtime, access, settings).preview(anna, XRAY)
        assert preview.fixed_test == split.count("test")
        assert preview.parts["train"] + preview.parts["validation"] <= 12 - split.count("test")

    def test_without_a_model_the_order_is_refused_and_stays(
        self, team: Team, database: Database, access: Access, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(2)
        (view,) = team.projects(anna, XRAY)
        with pytest.raises(ModelUnavailable):
            Ordering(database, Runtime("cpu"), access).start(anna, view.project.id, WorkOrder.MIXED)
        (view,) = team.projects(anna, XRAY)
        assert view.project.rules.order is WorkOrder.IMPORT

    def test_the_newest_can_come_first(
        self, team: Team, ordering: Ordering, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(3)
        (view,) = team.projects(anna, XRAY)
        ordering.start(anna, view.project.id, WorkOrder.NEWEST)
        ordering.wait(60)
        bring(1, first=4)
        assert keys(annotate, anna) == ["r4", "r3", "r2", "r1"]


class TestSuggestions:
    def test_a_share_comes_without_and_the_effect_is_measured(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(40)
        project = made(team, anna, Rules(bare_share=0.3))
        team.choose(anna, project.id)
        for _ in range(40):
            item = first(annotate, anna)
            assert (item.suggestion is None) is item.bare
            shown = item.suggestion
            decision = Decision(
                str(uuid.uuid4()),
                XRAY,
                item.report.id,
                dict(shown.states) if shown else {"Erguss": State.ABSENT},
                model_version=shown.model_version if shown else None,
                active_ms=10_000 if shown else 25_000,
            )
            annotate.save(anna, decision)
        effect = team.suggestion_effect(anna, project.id)
        assert effect.n_shown + effect.n_bare == 40
        assert 4 <= effect.n_bare <= 20
        assert (effect.median_shown_s, effect.median_bare_s) == (10, 25)
        assert effect.saved_s is not None
        assert (effect.saved_s.value, effect.saved_s.low) == (15, 15)
        assert effect.accepted == 1.0
        assert effect.agrees_shown is not None
        assert effect.agrees_bare is not None
        assert effect.agrees_bare.value < effect.agrees_shown.value == 1.0

    def test_a_handful_of_reports_measures_nothing_so_all_come_with_suggestions(
        self, team: Team, annotate: Annotate, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(8)
        team.choose(anna, made(team, anna, Rules(bare_share=1.0)).id)
        assert first(annotate, anna).suggestion is not None


class TestProgress:
    def test_an_annotator_sees_the_own_line_only(
        self, team: Team, annotate: Annotate, anna: User, ben: User, bring: Callable[..., None]
    ) -> None:
        bring(3)
        for user in (anna, ben):
            read(annotate, user, first(annotate, user), Erguss=State.PRESENT)
        (view, *_) = team.projects(anna, XRAY)
        everyone = team.progress(anna, view.project.id)
        assert [(one.name, one.done, one.median_s, one.too_fast) for one in everyone.people] == [
            ("anna", 1, 20.0, 0.0),
            ("ben", 1, 20.0, 0.0),
        ]
        assert (everyone.done, everyone.total) == (2, 3)
        effusion = next(one for one in everyone.findings if one.label == "Erguss")
        assert (effusion.counts[State.PRESENT], effusion.median_s) == (2, 20.0)
        own = team.progress(as_role(ben, Role.ANNOTATOR), view.project.id)
        assert [one.name for one in own.people] == ["ben"]

    def test_flags_come_to_the_curator_and_a_decision_answers_them(
        self, annotate: Annotate, review: Review, database: Database, anna: User, bring: Callable[..., None]
    ) -> None:
        bring(1)
        item = first(annotate, anna)
        read(annotate, anna, item, Erguss=State.PRESENT, flagged=True, comment="Seite unklar")
        (waiting,) = review.waiting(anna, XRAY)
        assert (waiting.flagged, waiting.disputed) == (True, 0)
        assert review.case(anna, XRAY, item.report.id).readers[0].comment == "Seite unklar"
        review.decide(anna, Ruling(str(uuid.uuid4()), XRAY, item.report.id, {"Erguss": None}))
        with database.read() as session:
            (record,) = labelled.records(session, schema_id=XRAY, include_flagged=False)
        assert (record.labels, record.meta["provenance"]) == ({}, "adjudicated")


def provenance(database: Database) -> tuple[str, dict[str, State]]:
    """Of the one labelled report: what its labels rest on, and what they are."""
    with database.read() as session:
        (record,) = labelled.records(session, schema_id=XRAY)
    return record.meta["provenance"], dict(record.labels)

"""The first tables, with triggers that keep the append-only ones append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("submissions", "label_events", "rationales", "skips", "activations", "audit")
WORK = ("reviews", "assignments", "project_people", "project_imports", "projects")
STATES = "('present', 'uncertain', 'absent')"


def upgrade() -> None:
    _people_and_reports()
    _sessions()
    _labels()
    _skips_and_attributions()
    _work()
    _models()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
        _search_sqlite()
    else:
        _guard_postgresql()
        _search_postgresql()


def downgrade() -> None:
    for table in (*reversed(APPEND_ONLY[:4]), "attributions", "suggestions", *WORK, "reports", "imports"):
        op.drop_table(table)
    for table in ("activations", "model_versions", "runs", "audit", "login_attempts", "sessions", "users"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION medbertde_append_only()")
        op.execute("DROP FUNCTION medbertde_fold(text)")
    else:
        op.execute("DROP TABLE report_search")
        op.execute("DROP TABLE report_words")


def _people_and_reports() -> None:
    op.create_table(
        "users",
        _id(),
        _text("name"),
        _text("role"),
        _text("password_hash", nullable=True),
        _text("terms_version", nullable=True),
        _time("terms_at", nullable=True),
        _time("disabled_at", nullable=True),
        _time("created_at"),
        sa.CheckConstraint("role IN ('viewer', 'annotator', 'curator', 'admin')", name=op.f("ck_users_role_known")),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "audit",
        _id(),
        sa.Column("user_id", sa.Integer()),
        _text("action"),
        sa.Column("facts", sa.JSON(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_audit_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "imports",
        _id(),
        _text("file_name"),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("clashes", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_imports_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
    )
    op.create_table(
        "reports",
        _id(),
        _text("key"),
        _text("text"),
        _text("content_hash"),
        _text("modality", nullable=True),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("import_id", sa.Integer()),
        _time("created_at"),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name="fk_reports_import_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.UniqueConstraint("content_hash", name="uq_reports_content_hash"),
        sa.UniqueConstraint("key", name="uq_reports_key"),
    )
    op.create_index("ix_reports_import_id", "reports", ["import_id"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        _text("token_hash"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("seen_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "login_attempts",
        _text("key"),
        sa.Column("count", sa.Integer(), nullable=False),
        _time("since"),
        sa.PrimaryKeyConstraint("key", name="pk_login_attempts"),
    )


def _labels() -> None:
    op.create_table(
        "submissions",
        _id(),
        _text("client_uuid"),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _text("model_version", nullable=True),
        _text("guideline_version", nullable=True),
        sa.Column("active_ms", sa.Integer(), nullable=False),
        _text("comment"),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        _text("purpose"),
        _time("created_at"),
        sa.CheckConstraint("purpose IN ('annotation', 'adjudication')", name=op.f("ck_submissions_purpose_known")),
        sa.CheckConstraint("active_ms >= 0", name=op.f("ck_submissions_active_ms_positive")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_submissions_report_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_submissions_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_submissions"),
        sa.UniqueConstraint("client_uuid", name="uq_submissions_client_uuid"),
    )
    for columns in (["report_id"], ["schema_id", "report_id"], ["user_id", "schema_id"]):
        op.create_index(f"ix_submissions_{'_'.join(columns)}", "submissions", columns)
    op.create_table(
        "label_events",
        _id(),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        _text("label"),
        _text("old_value", nullable=True),
        _text("new_value", nullable=True),
        _text("source"),
        _text("suggested", nullable=True),
        _text("reason", nullable=True),
        sa.CheckConstraint(f"old_value IN {STATES}", name=op.f("ck_label_events_old_value_known")),
        sa.CheckConstraint(f"new_value IN {STATES}", name=op.f("ck_label_events_new_value_known")),
        sa.CheckConstraint(f"suggested IN {STATES}", name=op.f("ck_label_events_suggested_known")),
        sa.CheckConstraint(
            "source IN ('human', 'suggestion_accepted', 'suggestion_changed', 'import', 'adjudicated')",
            name=op.f("ck_label_events_source_known"),
        ),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_label_events_submission_id"),
        sa.PrimaryKeyConstraint("id", name="pk_label_events"),
        sa.UniqueConstraint("submission_id", "label", name="uq_label_events_submission_id_label"),
    )
    op.create_table(
        "rationales",
        _id(),
        sa.Column("submission_id", sa.Integer(), nullable=False),
        _text("label"),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= start_char AND start_char < end_char", name=op.f("ck_rationales_span_not_empty")
        ),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name="fk_rationales_submission_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rationales"),
    )
    op.create_index("ix_rationales_submission_id", "rationales", ["submission_id"])
    op.create_table(
        "suggestions",
        _id(),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        _text("model_version"),
        sa.Column("states", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("doubt", sa.Double(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_suggestions_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_suggestions"),
        sa.UniqueConstraint(
            "report_id", "schema_id", "model_version", name="uq_suggestions_report_id_schema_id_model_version"
        ),
    )
    op.create_index("ix_suggestions_schema_id_doubt", "suggestions", ["schema_id", "doubt"])


def _work() -> None:
    shares = ("overlap_share", "bare_share", "test_share", "random_share")
    op.create_table(
        "projects",
        _id(),
        _text("schema_id"),
        _text("name"),
        _text("modality", nullable=True),
        sa.Column("chosen", sa.JSON(), nullable=False),
        _text("work_order"),
        sa.Column("overlap_share", sa.Double(), nullable=False),
        sa.Column("readers", sa.Integer(), nullable=False),
        sa.Column("bare_share", sa.Double(), nullable=False),
        sa.Column("test_share", sa.Double(), nullable=False),
        sa.Column("random_share", sa.Double(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        _text("ranked_by", nullable=True),
        _time("ranked_at", nullable=True),
        _time("closed_at", nullable=True),
        _time("created_at"),
        sa.CheckConstraint(
            "work_order IN ('import', 'newest', 'random', 'uncertainty', 'rare', 'diversity', 'mixed')",
            name=op.f("ck_projects_work_order_known"),
        ),
        sa.CheckConstraint("readers >= 1", name=op.f("ck_projects_readers_positive")),
        *(
            sa.CheckConstraint(f"{share} >= 0 AND {share} <= 1", name=op.f(f"ck_projects_{share}_is_share"))
            for share in shares
        ),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("schema_id", "name", name="uq_projects_schema_id_name"),
    )
    op.create_table(
        "project_imports",
        _reference("project_id", "projects", "project_imports"),
        _reference("import_id", "imports", "project_imports"),
        sa.PrimaryKeyConstraint("project_id", "import_id", name="pk_project_imports"),
    )
    op.create_table(
        "project_people",
        _reference("project_id", "projects", "project_people"),
        _reference("user_id", "users", "project_people"),
        sa.Column("assigned", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        _time("chosen_at", nullable=True),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_project_people"),
    )
    op.create_table(
        "assignments",
        _reference("report_id", "reports", "assignments"),
        _reference("project_id", "projects", "assignments"),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("place", sa.Double(), nullable=False),
        sa.Column("bare", sa.Boolean(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        _reference("user_id", "users", "assignments", nullable=True),
        _time("expires_at", nullable=True),
        _time("done_at", nullable=True),
        sa.PrimaryKeyConstraint("report_id", "project_id", "slot", name="pk_assignments"),
        sa.UniqueConstraint(
            "report_id", "project_id", "user_id", name="uq_assignments_report_id_project_id_user_id"
        ),
    )
    _partial_index("waiting_assignments", "assignments", "project_id, place, report_id, slot", "done_at IS NULL")
    _partial_index("held_assignments", "assignments", "user_id", "done_at IS NULL AND user_id IS NOT NULL")
    _partial_index("done_assignments", "assignments", "project_id, done_at", "done_at IS NOT NULL")
    op.create_table(
        "reviews",
        _reference("report_id", "reports", "reviews"),
        _text("schema_id"),
        sa.Column("disputed", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        _text("skip_reason"),
        sa.Column("asked", sa.Boolean(), nullable=False),
        _time("settled_at", nullable=True),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("report_id", "schema_id", name="pk_reviews"),
    )
    _partial_index("open_reviews", "reviews", "schema_id, disputed, report_id", "settled_at IS NULL")


def _partial_index(name: str, table: str, columns: str, condition: str) -> None:
    op.execute(f"CREATE INDEX {name} ON {table} ({columns}) WHERE {condition}")


def _reference(name: str, table: str, owner: str, *, nullable: bool = False) -> sa.Column:
    key = sa.ForeignKey(f"{table}.id", name=f"fk_{owner}_{name}")
    return sa.Column(name, sa.Integer(), key, nullable=nullable)


def _skips_and_attributions() -> None:
    op.create_table(
        "skips",
        _id(),
        _text("client_uuid"),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _text("reason"),
        _text("comment"),
        sa.Column("active_ms", sa.Integer(), nullable=False),
        _time("created_at"),
        sa.CheckConstraint("active_ms >= 0", name=op.f("ck_skips_active_ms_positive")),
        sa.CheckConstraint(
            "reason IN ('unreadable', 'wrong_kind', 'duplicate', 'identifying', 'not_my_field', 'other')",
            name=op.f("ck_skips_reason_known"),
        ),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_skips_report_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_skips_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_skips"),
        sa.UniqueConstraint("client_uuid", name="uq_skips_client_uuid"),
    )
    for columns in (["report_id"], ["user_id", "schema_id", "report_id"]):
        op.create_index(f"ix_skips_{'_'.join(columns)}", "skips", columns)
    op.create_table(
        "attributions",
        _id(),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        _text("label"),
        _text("state"),
        _text("model_version"),
        sa.Column("words", sa.JSON(), nullable=False),
        _time("created_at"),
        sa.CheckConstraint(f"state IN {STATES}", name=op.f("ck_attributions_state_known")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_attributions_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attributions"),
        sa.UniqueConstraint(
            *("report_id", "schema_id", "label", "state", "model_version"),
            name="uq_attributions_report_id_schema_id_label_state_model_version",
        ),
    )


def _models() -> None:
    op.create_table(
        "runs",
        _text("id"),
        _text("schema_id"),
        _text("base_model"),
        _text("state"),
        _text("folder"),
        sa.Column("pid", sa.Integer()),
        _text("message", nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("finished_at", nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'finished', 'failed', 'cancelled')", name=op.f("ck_runs_state_known")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_runs_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.execute("CREATE UNIQUE INDEX one_run_at_a_time ON runs (state) WHERE state IN ('queued', 'running')")
    op.create_table(
        "model_versions",
        _text("version"),
        _text("schema_id"),
        _text("folder"),
        _text("run_id", nullable=True),
        _time("created_at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_model_versions_run_id"),
        sa.PrimaryKeyConstraint("version", name="pk_model_versions"),
    )
    op.create_index("ix_model_versions_schema_id", "model_versions", ["schema_id"])
    op.create_table(
        "activations",
        _id(),
        _text("schema_id"),
        _text("version"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["version"], ["model_versions.version"], name="fk_activations_version"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_activations_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_activations"),
    )
    op.create_index("ix_activations_schema_id", "activations", ["schema_id"])
    op.create_index("ix_activations_version", "activations", ["version"])


def _guard_sqlite() -> None:
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION medbertde_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION medbertde_append_only()"
        )


def _search_sqlite() -> None:
    """The words of each report (contentless: the text stays in `reports`), and all words that there are."""
    op.execute(
        "CREATE VIRTUAL TABLE report_search USING fts5("
        "words, content='', detail=none, tokenize='unicode61 remove_diacritics 0')"
    )
    op.execute("CREATE TABLE report_words (word TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID")


def _search_postgresql() -> None:
    """The same folding as `medbertde.search_text`, and an index of letter triples where the server has pg_trgm."""
    accented = "äöüéèêëáàâãåçíìîïñóòôõúùû"
    accented += accented.upper()  # a server with the locale C leaves capital umlauts as they are
    op.execute(
        "CREATE FUNCTION medbertde_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ "
        f"SELECT regexp_replace(replace(translate(lower($1), '{accented}', 'aoueeeeaaaaaciiiinoooouuu' || "
        "'aoueeeeaaaaaciiiinoooouuu'), 'ß', 'ss'), '\\s+', ' ', 'g') $$"
    )
    op.execute(
        "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm; EXCEPTION WHEN OTHERS THEN "
        "RAISE NOTICE 'pg_trgm is not there: searches read every report'; END $$"
    )
    if op.get_bind().scalar(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")):
        op.execute("CREATE INDEX report_search ON reports USING gin (medbertde_fold(text) gin_trgm_ops)")


def _id() -> sa.Column:
    return sa.Column("id", sa.Integer(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)

"""The first tables, with triggers that keep the append-only ones append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("submissions", "label_events", "rationales", "activations", "audit")
STATES = "('present', 'uncertain', 'absent')"


def upgrade() -> None:
    _people_and_reports()
    _labels()
    _models()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    for table in (*reversed(APPEND_ONLY[:3]), "suggestions", "leases", "reports", "imports"):
        op.drop_table(table)
    for table in ("activations", "model_versions", "runs", "audit", "users"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION medbertde_append_only()")


def _people_and_reports() -> None:
    op.create_table(
        "users",
        _id(),
        _text("name"),
        _text("role"),
        _text("password_hash", nullable=True),
        _text("terms_version", nullable=True),
        _time("terms_at", nullable=True),
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
        _time("created_at"),
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
        sa.CheckConstraint(f"old_value IN {STATES}", name=op.f("ck_label_events_old_value_known")),
        sa.CheckConstraint(f"new_value IN {STATES}", name=op.f("ck_label_events_new_value_known")),
        sa.CheckConstraint(f"suggested IN {STATES}", name=op.f("ck_label_events_suggested_known")),
        sa.CheckConstraint(
            "source IN ('human', 'suggestion_accepted', 'suggestion_changed', 'import')",
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
        "leases",
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _time("expires_at"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_leases_report_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_leases_user_id"),
        sa.PrimaryKeyConstraint("report_id", "schema_id", name="pk_leases"),
    )
    op.create_index("ix_leases_user_id", "leases", ["user_id"])
    op.create_table(
        "suggestions",
        _id(),
        sa.Column("report_id", sa.Integer(), nullable=False),
        _text("schema_id"),
        _text("model_version"),
        sa.Column("states", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_suggestions_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_suggestions"),
        sa.UniqueConstraint(
            "report_id", "schema_id", "model_version", name="uq_suggestions_report_id_schema_id_model_version"
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
    op.execute("CREATE UNIQUE INDEX one_run_at_a_time ON runs ((1)) WHERE state IN ('queued', 'running')")
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


def _id() -> sa.Column:
    return sa.Column("id", sa.Integer(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)

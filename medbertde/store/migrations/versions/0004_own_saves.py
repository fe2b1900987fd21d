"""A person's saves are found by report: without it every save read all that the person had saved before."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The longer index answers what the shorter one did."""
    op.create_index("ix_submissions_user_id_schema_id_report_id", "submissions", ["user_id", "schema_id", "report_id"])
    op.drop_index("ix_submissions_user_id_schema_id", "submissions")


def downgrade() -> None:
    """The shorter index back."""
    op.create_index("ix_submissions_user_id_schema_id", "submissions", ["user_id", "schema_id"])
    op.drop_index("ix_submissions_user_id_schema_id_report_id", "submissions")

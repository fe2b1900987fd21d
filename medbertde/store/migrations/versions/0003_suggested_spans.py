"""Spans that a model suggests are kept as they were shown, and a mark says whether it was made, accepted or changed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SOURCES = "('human', 'suggestion_accepted', 'suggestion_changed', 'import', 'adjudicated')"


def upgrade() -> None:
    """Marks that are there stay without a source: it was not recorded, and they may not be changed."""
    op.add_column("suggestions", sa.Column("spans", sa.JSON(), nullable=True))
    op.execute(
        "ALTER TABLE rationales ADD COLUMN source TEXT "
        f"CONSTRAINT ck_rationales_source_known CHECK (source IN {SOURCES})"
    )


def downgrade() -> None:
    """Suggested spans go with their rows, which would say without them that nothing was suggested."""
    op.execute("DELETE FROM suggestions WHERE spans IS NOT NULL")
    op.drop_column("suggestions", "spans")
    op.drop_column("rationales", "source")

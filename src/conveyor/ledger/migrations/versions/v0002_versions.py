"""Versions are kept by alembic: the table `schema_version` goes."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop the table that nothing reads any more."""
    op.drop_table("schema_version")

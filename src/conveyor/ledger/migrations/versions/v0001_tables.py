"""The ledger as the first Conveyor made it, with a version of its own in `schema_version`."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Change nothing: this is where all other steps begin."""

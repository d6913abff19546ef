"""Runs the migrations by alembic: imported only where a ledger is older than this Conveyor."""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"

log = logging.getLogger(__name__)


def upgrade(connection: sa.Connection, found: str) -> None:
    """Bring the tables from a revision to the newest, in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    log.info("the ledger is at version %s and is brought to the newest", found)
    if not sa.inspect(connection).has_table("alembic_version"):
        command.stamp(config, found)
    command.upgrade(config, "head")

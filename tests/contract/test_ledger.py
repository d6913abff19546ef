"""What every ledger promises about its tables, in a file and on a server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from servers.postgres import ledger_url

from conveyor.errors import Rejected, Unavailable
from conveyor.ledger import schema
from conveyor.ledger.database import open_ledger
from conveyor.ledger.journal import Journal
from conveyor.ledger.upgrade import FOLDER

OLD = Path(__file__).parent / "ledgers"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return ledger_url(request, tmp_path)


@pytest.fixture
def execute(url):
    """Run SQL behind a closed ledger's back."""

    def run(*statements):
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    return run


@pytest.fixture
def old(url, execute):
    """Make the ledger of the first Conveyor, with a note in it."""
    script = (OLD / f"version1.{sa.make_url(url).get_backend_name()}.sql").read_text()
    execute(*filter(str.strip, script.split(";\n")))
    execute("INSERT INTO cursor (name, value) VALUES ('head', 'c1')")


def is_as_declared(ledger):
    """Whether the tables are what the schema says, and of the newest version."""

    def look(connection):
        found = schema.found_version(connection)
        return found, compare_metadata(MigrationContext.configure(connection), schema.metadata)

    return ledger.read(look) == (schema.VERSION, [])


def test_a_new_ledger_has_the_declared_tables(url):
    ledger = open_ledger(url)
    assert is_as_declared(ledger)
    ledger.close()


def test_an_old_ledger_becomes_what_a_new_one_is_and_keeps_what_it_had(url, old):
    ledger = open_ledger(url)
    assert is_as_declared(ledger)
    assert Journal(ledger).cursor("head") == "c1"
    ledger.close()


def test_a_ledger_of_a_newer_conveyor_is_refused_and_left_alone(url, execute):
    open_ledger(url).close()
    execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Rejected, match="has schema version 9999, this Conveyor knows"):
        open_ledger(url)


def test_the_newest_migration_is_the_version_of_the_tables():
    assert ScriptDirectory(str(FOLDER)).get_heads() == [schema.VERSION]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_replicas_that_open_a_new_ledger_at_once_all_open_it(url):
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(open_ledger, [url] * 4))
    assert is_as_declared(ledgers[0])
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_replicas_that_open_an_old_ledger_at_once_all_open_it(url, old):
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(open_ledger, [url] * 4))
    assert is_as_declared(ledgers[0])
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_tables_that_somebody_dropped_are_made_anew_while_it_is_open(url, execute):
    ledger = open_ledger(url)
    journal = Journal(ledger)
    journal.set_cursor("head", "c1")
    execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    with pytest.raises(Unavailable, match="tried again"):
        journal.set_cursor("head", "c2")
    journal.set_cursor("head", "c3")
    assert journal.cursor("head") == "c3"
    ledger.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_server_that_was_away_is_used_again_when_it_is_back(url, postgres):
    ledger = open_ledger(url)
    journal = Journal(ledger)
    journal.set_cursor("head", "c1")
    postgres.stop()
    with pytest.raises(Unavailable, match="tried again"):
        journal.set_cursor("head", "c2")
    with pytest.raises(Unavailable):
        open_ledger(url)
    postgres.start()
    journal.set_cursor("head", "c3")
    assert journal.cursor("head") == "c3"
    ledger.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_server_is_named_with_or_without_its_driver(url, scheme):
    open_ledger(f"{scheme}://{url.partition('://')[2]}").close()


def test_a_password_is_never_in_a_message(postgres):
    wrong = postgres.url.replace("/postgres", "/nowhere")
    with pytest.raises(Unavailable) as refused:
        open_ledger(wrong)
    assert sa.make_url(wrong).password not in str(refused.value)

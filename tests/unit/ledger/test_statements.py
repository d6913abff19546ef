from sqlalchemy.dialects import sqlite

from conveyor.ledger import statements


def plan(ledger, statement) -> str:
    """Return what SQLite intends to do."""
    text = str(statement.compile(dialect=sqlite.dialect()))
    query, given = f"EXPLAIN QUERY PLAN {text}", (1,) * text.count("?")
    return ledger.read(
        lambda c: " / ".join(row.detail for row in c.exec_driver_sql(query, given).all())
    )


def test_what_is_owed_is_read_in_order_from_the_index_of_what_is_open(ledger):
    """A backlog of 200,000 must not be sorted, nor what is done be looked at."""
    steps = plan(ledger, statements.OWED)
    assert "delivery_open" in steps
    assert "SCAN event" not in steps


def test_dead_letters_are_read_from_their_own_index(ledger):
    assert "delivery_dead" in plan(ledger, statements.DEAD)
    assert "delivery_dead" in plan(ledger, statements.INTERRUPTED)


def test_a_delivery_is_taken_by_its_key_alone(ledger):
    steps = plan(ledger, statements.TAKE)
    assert "delivery USING PRIMARY KEY (event=? AND station=?)" in steps
    assert "SCAN" not in steps

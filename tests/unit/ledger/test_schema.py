from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from conveyor.ledger import schema


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_survives_as_microseconds(moment):
    assert schema.moment(schema.micros(moment)) == moment


@given(st.datetimes(timezones=st.just(UTC)), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_microseconds_are_in_the_order_of_time(moment, later):
    aside = timezone(timedelta(hours=2))
    if moment.year < 9999:
        after = (moment + later).astimezone(aside) if moment.year > 1 else moment + later
        assert (schema.micros(after) > schema.micros(moment)) == (after > moment)


def test_the_states_have_names_in_their_order():
    numbers = (schema.OWED, schema.LEASED, schema.DONE, schema.DEAD)
    assert [schema.STATES[number] for number in numbers] == ["owed", "leased", "done", "dead"]
    assert datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) == schema.moment(1_000_000)

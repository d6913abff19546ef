import pytest

from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, Unavailable
from conveyor.serving.table import Place, Table, load, store

ONE, TWO = "1" * 64, "2" * 64
ALL_ONE, ALL_TWO = Traffic(((ONE, 100),)), Traffic(((TWO, 100),))


def test_a_stored_table_is_read_back_equal(tmp_path):
    split = Traffic(((ONE, 75), (TWO, 25)))
    table = Table().placed(ONE, Place(model="wine", cpu=2, idle=1.5))
    table = table.moved("wine", split, expected=Traffic())
    store(tmp_path / "traffic.json", table)
    assert load(tmp_path / "traffic.json") == table


def test_where_nothing_was_stored_the_table_is_empty(tmp_path):
    assert load(tmp_path / "traffic.json") == Table()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"traffic": {"m": [["a", 7]]}, "places": {}}', b"\xff"]
)
def test_a_broken_file_is_put_aside_and_the_table_is_empty(tmp_path, content):
    path = tmp_path / "traffic.json"
    path.write_bytes(content)
    assert load(path) == Table()
    assert path.with_suffix(".broken").read_bytes() == content


def test_a_table_that_cannot_be_written_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot be written"):
        store(tmp_path / "absent" / "traffic.json", Table())


def test_what_drops_out_loses_its_place_and_what_is_new_gets_one():
    table = Table().placed(ONE, Place(model="wine")).moved("wine", ALL_ONE, expected=Traffic())
    assert set(table.moved("wine", ALL_TWO, expected=ALL_ONE).places) == {TWO}


def test_a_release_that_never_had_traffic_keeps_its_place():
    table = Table().placed(TWO, Place(model="wine"))
    assert set(table.moved("wine", ALL_ONE, expected=Traffic()).places) == {ONE, TWO}


def test_traffic_that_was_moved_meanwhile_is_a_conflict():
    table = Table().moved("wine", ALL_ONE, expected=Traffic())
    with pytest.raises(Conflict, match="someone else moved it"):
        table.moved("wine", ALL_TWO, expected=Traffic())

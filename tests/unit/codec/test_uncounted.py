"""The mark of what is not counted: made by who holds the serve key, good for one request."""

import pytest

from conveyor.codec import LINE, SERVE, UNCOUNTED, Keyring, is_marked, mark

OLD, NEW = "old" * 8, "new" * 8
RELEASE, BODY = "a" * 64, b'{"inputs": []}'


def marked(*secrets, release=RELEASE, body=BODY):
    return mark(Keyring({SERVE: secrets}), release, body)[UNCOUNTED]


def is_taken(given, *secrets):
    return is_marked(Keyring({SERVE: secrets}), RELEASE, BODY, given)


def test_a_mark_by_the_serve_key_is_taken():
    assert is_taken(marked(NEW), NEW)


def test_a_key_may_be_replaced_while_either_side_has_the_old_one():
    assert is_taken(marked(OLD), NEW, OLD)
    assert is_taken(marked(NEW, OLD), OLD)
    assert is_taken(marked(NEW), NEW, OLD)


@pytest.mark.parametrize("given", ["", "1", "true", "0" * 64, "\udcff", marked(OLD)])
def test_nobody_else_can_make_one(given):
    assert not is_taken(given, NEW)


def test_a_mark_is_good_for_its_release_and_body_alone():
    assert not is_taken(marked(NEW, release="b" * 64), NEW)
    assert not is_taken(marked(NEW, body=b"{}"), NEW)


def test_without_the_key_nothing_is_marked_and_no_mark_is_taken():
    assert mark(Keyring({LINE: [NEW]}), RELEASE, BODY) == {}
    assert not is_marked(Keyring({}), RELEASE, BODY, marked(NEW))

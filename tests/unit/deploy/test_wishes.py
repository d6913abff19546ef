import pytest

from conveyor.deploy.wishes import Namespaces, Wish, check, images, settings_of
from conveyor.errors import Rejected


def test_a_line_takes_three_namespaces():
    assert Namespaces(line="demo").all == ("demo", "demo-jobs", "demo-models")


@pytest.mark.parametrize("name", ["", "Demo", "-demo", "de_mo", "demo-", "d" * 56, "a b", "a/b"])
def test_what_cannot_be_a_namespace_is_refused(name):
    with pytest.raises(Rejected, match="cannot be a namespace"):
        Namespaces(line=name)


def test_settings_are_what_was_given_and_pairs():
    assert settings_of({"A": "1", "B": None, "C": ""}, ("D=x=y", "A=2")) == {"A": "2", "D": "x=y"}


@pytest.mark.parametrize("pair", ["NAME", "name=1", "=1", "A B=1"])
def test_a_pair_that_is_none_is_refused(pair):
    with pytest.raises(Rejected, match="NAME=VALUE"):
        settings_of({}, (pair,))


def test_a_setting_of_two_lines_is_refused():
    with pytest.raises(Rejected, match="one line"):
        settings_of({"CONVEYOR_BUCKET": "data\nCONVEYOR_LINE=evil"})


def test_images_follow_registry_and_tag():
    made = images("registry.example/me/", "abc", {})
    assert made["CONVEYOR_IMAGE_SERVE"] == "registry.example/me/conveyor-serve:abc"
    assert len(made) == 4


def test_what_is_not_said_stays():
    before = {"CONVEYOR_IMAGE_LINE": "host:5000/x/conveyor-line:one"}
    assert images(None, "two", before)["CONVEYOR_IMAGE_LINE"] == "host:5000/x/conveyor-line:two"
    kept = images("registry.example/me", None, before)
    assert kept == {"CONVEYOR_IMAGE_LINE": "registry.example/me/conveyor-line:one"}


@pytest.mark.parametrize("tag", ["latest", "a b", "-x", "x/y"])
def test_a_tag_that_names_no_version_is_refused(tag):
    with pytest.raises(Rejected, match="no tag"):
        images(None, tag, {})


def test_all_that_is_missing_is_named_at_once():
    wish = Wish(namespaces=Namespaces(line="demo"), settings={"CONVEYOR_LINE": "shop"})
    with pytest.raises(Rejected) as refused:
        check(wish)
    for word in ("--git-remote", "--bucket", "--tag"):
        assert word in str(refused.value)


def test_an_overlay_of_ones_own_says_it_itself():
    check(Wish(namespaces=Namespaces(line="demo"), overlay="./mine"))

import pytest

from conveyor.deploy.credentials import mark, shared, values_of, wanted
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import Rejected

DEMO = Namespaces(line="demo")
LEDGER = "postgresql+psycopg://u:p@db/line"
GIVEN = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "CONVEYOR_LEDGER": LEDGER,
}


def asked(given=None, there=None):
    place = there or {}
    found = wanted(
        DEMO,
        GIVEN if given is None else given,
        lambda namespace, name: place.get((namespace, name), {}),
        make=lambda: "made",
    )
    return {(each.namespace, each.name): dict(each.values) for each in found}, found


def test_keys_are_made_once_and_kept():
    first, _ = asked()
    assert first[("demo", "line-keys")] == {
        "CONVEYOR_KEY_LINE": "made",
        "CONVEYOR_KEY_SERVE": "made",
        "CONVEYOR_TOKEN": "made",
    }
    old = dict.fromkeys(first[("demo", "line-keys")], "old")
    again, _ = asked(there={("demo", "line-keys"): old})
    assert again[("demo", "line-keys")] == old


def test_what_serves_gets_its_key_and_the_line_key_stays_where_it_is():
    found, _ = asked()
    assert set(found[("demo-models", "serve")]) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "CONVEYOR_KEY_SERVE",
    }
    assert "CONVEYOR_KEY_LINE" not in str(
        [values for (namespace, _), values in found.items() if namespace != "demo"]
    )


def test_what_is_there_need_not_be_given_again():
    _, first = asked()
    there = {(each.namespace, each.name): each.values for each in first}
    again, second = asked(given={}, there=there)
    assert again == {key: dict(values) for key, values in there.items()}
    assert second == first


def test_all_that_is_missing_is_named_at_once():
    with pytest.raises(Rejected) as refused:
        asked(given={"AWS_ACCESS_KEY_ID": "half"})
    assert "AWS_SECRET_ACCESS_KEY" in str(refused.value)
    assert "CONVEYOR_LEDGER" in str(refused.value)


def test_a_role_may_have_a_key_of_its_own():
    narrow = {
        "CONVEYOR_STORE_AWS_ACCESS_KEY_ID": "store",
        "CONVEYOR_STORE_AWS_SECRET_ACCESS_KEY": "s",
    }
    found, made = asked(given={**GIVEN, **narrow})
    assert found[("demo-jobs", "store")]["AWS_ACCESS_KEY_ID"] == "store"
    assert shared(made) == ("fetch", "serve")


def test_a_shared_key_is_changed_everywhere_and_an_own_one_is_kept():
    _, first = asked()
    there = {(each.namespace, each.name): each.values for each in first}
    there[("demo-jobs", "store")] = {
        "AWS_ACCESS_KEY_ID": "own",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    found, _ = asked(given={**GIVEN, "AWS_ACCESS_KEY_ID": "new"}, there=there)
    assert found[("demo-jobs", "fetch")]["AWS_ACCESS_KEY_ID"] == "new"
    assert found[("demo-models", "serve")]["AWS_ACCESS_KEY_ID"] == "new"
    assert found[("demo-jobs", "store")]["AWS_ACCESS_KEY_ID"] == "own"


def test_a_password_of_git_goes_to_functions_and_to_what_fetches():
    git = {"CONVEYOR_GIT_USERNAME": "me", "CONVEYOR_GIT_PASSWORD": "pw"}
    found, _ = asked(given={**GIVEN, **git})
    assert found[("demo", "line-git")] == git
    assert git.items() <= found[("demo-jobs", "fetch")].items()
    assert ("demo-jobs", "fetch-git") not in found


def test_an_ssh_key_goes_into_files():
    ssh = {"CONVEYOR_GIT_KEY": "PRIVATE", "CONVEYOR_GIT_KNOWN_HOSTS": "hosts"}
    found, _ = asked(given={**GIVEN, **ssh})
    assert found[("demo", "line-git")] == {"id": "PRIVATE", "known_hosts": "hosts"}
    assert found[("demo-jobs", "fetch-git")] == {"id": "PRIVATE", "known_hosts": "hosts"}
    assert "id" not in found[("demo-jobs", "fetch")]


def test_a_secret_comes_back_from_the_cluster_as_it_went():
    _, found = asked()
    for each in found:
        assert values_of(each.manifest()) == each.values


def test_the_mark_differs_when_a_secret_of_the_functions_does():
    _, first = asked()
    _, same = asked()
    _, other = asked(given={**GIVEN, "CONVEYOR_GIT_PASSWORD": "new"})
    assert mark(first) == mark(same)
    assert mark(first) != mark(other)


def test_a_changed_password_of_git_reaches_what_fetches_too():
    git = {"CONVEYOR_GIT_USERNAME": "me", "CONVEYOR_GIT_PASSWORD": "old"}
    _, first = asked(given={**GIVEN, **git})
    there = {(each.namespace, each.name): each.values for each in first}
    found, _ = asked(given={**git, "CONVEYOR_GIT_PASSWORD": "new"}, there=there)
    assert found[("demo-jobs", "fetch")]["CONVEYOR_GIT_PASSWORD"] == "new"  # noqa: S105
    own = {"CONVEYOR_FETCH_GIT_USERNAME": "reader", "CONVEYOR_FETCH_GIT_PASSWORD": "r"}
    found, made = asked(given=own, there=there)
    assert found[("demo-jobs", "fetch")]["CONVEYOR_GIT_USERNAME"] == "reader"
    there = {(each.namespace, each.name): each.values for each in made}
    found, _ = asked(given={"CONVEYOR_GIT_PASSWORD": "x", **git}, there=there)
    assert found[("demo-jobs", "fetch")]["CONVEYOR_GIT_USERNAME"] == "reader"

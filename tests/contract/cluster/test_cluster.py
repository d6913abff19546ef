"""What the adapters may expect of the Kubernetes API, and of its twin in memory."""

from datetime import timedelta

import pytest

from conveyor.errors import Conflict, NotFound
from conveyor.knative.resources import CONFIG_MAP, Selection
from conveyor.knative.waiting import Awaited, wait


def settings(name, **more):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **more},
        "data": {"a": "1"},
    }


def test_what_was_created_is_read_and_listed_with_its_kind(cluster, namespace):
    cluster.create(CONFIG_MAP, namespace, settings("one", labels={"of": "us"}))
    cluster.create(CONFIG_MAP, namespace, settings("two"))
    assert cluster.get(CONFIG_MAP, namespace, "one")["data"] == {"a": "1"}
    found = cluster.list(CONFIG_MAP, namespace, Selection(labels="of=us"))
    assert [(each["kind"], each["metadata"]["name"]) for each in found.items] == [
        ("ConfigMap", "one")
    ]


def test_a_name_that_is_taken_is_a_conflict(cluster, namespace):
    cluster.create(CONFIG_MAP, namespace, settings("one"))
    with pytest.raises(Conflict):
        cluster.create(CONFIG_MAP, namespace, settings("one"))


def test_what_is_absent_is_not_found_and_deleting_it_is_success(cluster, namespace):
    with pytest.raises(NotFound):
        cluster.get(CONFIG_MAP, namespace, "one")
    with pytest.raises(NotFound):
        cluster.patch(CONFIG_MAP, namespace, "one", {"data": {"a": "2"}})
    cluster.delete(CONFIG_MAP, namespace, "one")


def test_of_two_writers_who_read_the_same_the_second_conflicts(cluster, namespace):
    read = cluster.create(CONFIG_MAP, namespace, settings("one"))
    cluster.replace(CONFIG_MAP, namespace, {**read, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        cluster.replace(CONFIG_MAP, namespace, {**read, "data": {"a": "3"}})
    assert cluster.get(CONFIG_MAP, namespace, "one")["data"] == {"a": "2"}


def test_a_deletion_may_insist_on_a_version(cluster, namespace):
    read = cluster.create(CONFIG_MAP, namespace, settings("one"))
    newest = cluster.patch(CONFIG_MAP, namespace, "one", {"data": {"a": "2"}})
    with pytest.raises(Conflict):
        cluster.delete(CONFIG_MAP, namespace, "one", version=read["metadata"]["resourceVersion"])
    cluster.delete(CONFIG_MAP, namespace, "one", version=newest["metadata"]["resourceVersion"])
    with pytest.raises(NotFound):
        cluster.get(CONFIG_MAP, namespace, "one")


def test_a_patch_adds_and_removes_and_may_insist_on_a_version(cluster, namespace):
    read = cluster.create(CONFIG_MAP, namespace, settings("one"))
    cluster.patch(CONFIG_MAP, namespace, "one", {"data": {"a": None, "b": "2"}})
    assert cluster.get(CONFIG_MAP, namespace, "one")["data"] == {"b": "2"}
    stale = {"metadata": {"resourceVersion": read["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        cluster.patch(CONFIG_MAP, namespace, "one", {**stale, "data": {"a": "3"}})


def test_a_watch_tells_what_changed_after_a_listing(cluster, namespace):
    cluster.create(CONFIG_MAP, namespace, settings("one"))
    since = cluster.list(CONFIG_MAP, namespace).version
    cluster.create(CONFIG_MAP, namespace, settings("two"))
    cluster.patch(CONFIG_MAP, namespace, "two", {"data": {"a": "2"}})
    cluster.delete(CONFIG_MAP, namespace, "two")
    selection = Selection(fields="metadata.name=two")
    changes = cluster.watch(CONFIG_MAP, namespace, selection, since=since, seconds=1)
    verbs = [change.verb for change in changes if change.verb != "BOOKMARK"]
    assert verbs == ["ADDED", "MODIFIED", "DELETED"]


def test_waiting_returns_what_is_there_or_none_when_time_is_up(cluster, namespace):
    cluster.create(CONFIG_MAP, namespace, settings("one"))
    awaited = Awaited(kind=CONFIG_MAP, namespace=namespace, name="one")
    seen = wait(cluster, awaited, lambda found: found and found["data"], within=timedelta(0))
    assert seen == {"a": "1"}
    within = timedelta(seconds=0.3)
    assert wait(cluster, awaited, lambda _: None, within=within) is None

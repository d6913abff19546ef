"""Model services against the twin of the Kubernetes API, with Knative's controllers played."""

from datetime import timedelta

import pytest

from conveyor.domain.line import Line, Model, Serve
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import FIRST, Release
from conveyor.errors import Conflict, NotFound, Rejected, Unavailable
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.played import Controllers, condition
from conveyor.knative.resources import POD, REVISION, SERVICE
from conveyor.knative.services import KnativeServices
from conveyor.knative.settings import ServicesSettings

LINE = Line(name="shop")
NONE = Traffic()
SETTINGS = ServicesSettings(
    namespace="models", line="shop", image="serve:1", startup=timedelta(seconds=0.3)
)
CRASHED = [condition("ContainerHealthy", "False", "ExitCode1", "Container failed with: bad model")]


def release(letter):
    return Release(model="wine", version=FIRST, digest=letter * 64, onnx="o" * 64, commit="c")


FIRST_ONE, SECOND, THIRD = release("a"), release("b"), release("c")


def only(one):
    return Traffic(((one.digest, 100),))


def split(one, other, percent):
    return Traffic(((one.digest, 100 - percent), (other.digest, percent)))


def revisions(cluster):
    return {item["metadata"]["name"] for item in cluster.list(REVISION, "models").items}


def service(cluster):
    try:
        return cluster.get(SERVICE, "models", "wine")
    except NotFound:
        return None


@pytest.fixture
def controllers():
    return Controllers()


@pytest.fixture
def cluster(controllers):
    return MemoryCluster(controllers)


@pytest.fixture
def services(cluster):
    return KnativeServices(cluster, SETTINGS)


def tags(cluster):
    return {each.get("tag"): each["percent"] for each in service(cluster)["spec"]["traffic"]}


def test_a_models_first_release_holds_everything_and_yet_the_model_is_not_served(services, cluster):
    services.ensure(FIRST_ONE, LINE)
    assert tags(cluster) == {"r-aaaaaaaaaaaa": 100}
    assert services.traffic("wine") == NONE


def test_a_candidate_gets_its_url_and_moves_nobodys_traffic(services, cluster):
    services.ensure(FIRST_ONE, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    services.ensure(SECOND, LINE)
    assert tags(cluster) == {"stable": 100, "r-aaaaaaaaaaaa": 0, "r-bbbbbbbbbbbb": 0}
    assert services.traffic("wine") == only(FIRST_ONE)


def test_shares_are_tagged_and_what_drops_out_loses_all_its_targets(services, cluster):
    for each in (FIRST_ONE, SECOND):
        services.ensure(each, LINE)
    services.apply("wine", split(FIRST_ONE, SECOND, 10), expected=NONE)
    assert tags(cluster) == {
        "stable": 90,
        "candidate": 10,
        "r-aaaaaaaaaaaa": 0,
        "r-bbbbbbbbbbbb": 0,
    }
    services.apply("wine", only(FIRST_ONE), expected=split(FIRST_ONE, SECOND, 10))
    assert tags(cluster) == {"stable": 100, "r-aaaaaaaaaaaa": 0}


def test_a_first_release_that_is_rolled_back_leaves_no_service(services, cluster):
    services.ensure(FIRST_ONE, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    services.apply("wine", NONE, expected=only(FIRST_ONE))
    assert service(cluster) is None
    assert services.traffic("wine") == NONE


def test_a_release_that_cannot_start_is_rejected_in_its_own_words_and_taken_away(
    services, cluster, controllers
):
    services.ensure(FIRST_ONE, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    controllers.failing[SECOND.digest] = CRASHED
    with pytest.raises(Rejected, match=r"ended with status 1: bad model"):
        services.ensure(SECOND, LINE)
    assert tags(cluster) == {"stable": 100, "r-aaaaaaaaaaaa": 0}
    assert not [name for name in revisions(cluster) if "bbbb" in name]
    assert "aaaa" in service(cluster)["spec"]["template"]["metadata"]["name"]


def test_a_first_release_that_cannot_start_leaves_nothing(services, cluster, controllers):
    controllers.failing[FIRST_ONE.digest] = CRASHED
    with pytest.raises(Rejected):
        services.ensure(FIRST_ONE, LINE)
    assert service(cluster) is None


def test_a_release_that_failed_once_may_start_when_it_is_ensured_again(
    services, cluster, controllers
):
    services.ensure(FIRST_ONE, LINE)
    controllers.failing[SECOND.digest] = CRASHED
    with pytest.raises(Rejected):
        services.ensure(SECOND, LINE)
    controllers.failing.clear()
    services.ensure(SECOND, LINE)
    assert "r-bbbbbbbbbbbb" in tags(cluster)


def test_a_release_that_waits_for_a_node_may_come_up_yet(services, cluster, controllers):
    controllers.failing[FIRST_ONE.digest] = []
    unplaced = condition("PodScheduled", "False", "Unschedulable", "insufficient nvidia.com/gpu")
    services_line = Line(name="shop", models={"wine": Model(name="wine", serve=Serve(gpu=1))})
    with pytest.raises(Unavailable):
        services.ensure(FIRST_ONE, services_line)
    (revision,) = revisions(cluster)
    labels = {"serving.knative.dev/revision": revision}
    pod = {"metadata": {"name": "p", "labels": labels}, "status": {"conditions": [unplaced]}}
    cluster.create(POD, "models", pod)
    with pytest.raises(Unavailable, match=r"waits for a node: insufficient nvidia.com/gpu"):
        services.ensure(FIRST_ONE, services_line)


def test_other_settings_move_a_release_to_a_new_revision_with_its_share(services, cluster):
    services.ensure(FIRST_ONE, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    more = Line(name="shop", models={"wine": Model(name="wine", serve=Serve(cpu=2))})
    services.ensure(FIRST_ONE, more)
    assert services.traffic("wine") == only(FIRST_ONE)
    (used,) = {each["revisionName"] for each in service(cluster)["spec"]["traffic"]}
    assert len(revisions(cluster)) == 2
    assert used == service(cluster)["spec"]["template"]["metadata"]["name"]


def test_a_change_by_hand_shows_and_is_a_conflict(services, cluster):
    for each in (FIRST_ONE, SECOND):
        services.ensure(each, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    found = service(cluster)
    by_hand = [{**each, "percent": 50} for each in found["spec"]["traffic"] if each["percent"]]
    by_hand.append({"latestRevision": True, "percent": 50})
    cluster.replace(SERVICE, "models", {**found, "spec": {**found["spec"], "traffic": by_hand}})
    assert services.traffic("wine").as_dict() == {
        FIRST_ONE.digest: 50,
        "the latest revision": 50,
    }
    with pytest.raises(Conflict, match="someone else moved it"):
        services.apply("wine", split(FIRST_ONE, SECOND, 5), expected=only(FIRST_ONE))


class Contested(MemoryCluster):
    """Someone else writes the status just before each of our first writes."""

    contests = 0

    def replace(self, kind, namespace, manifest):
        if self.contests:
            self.contests -= 1
            self.patch(kind, namespace, manifest["metadata"]["name"], {"status": {"a": 1}})
        return super().replace(kind, namespace, manifest)


def test_a_write_that_was_overtaken_is_decided_again(controllers):
    cluster = Contested(controllers)
    services = KnativeServices(cluster, SETTINGS)
    services.ensure(FIRST_ONE, LINE)
    cluster.contests = 3
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    assert services.traffic("wine") == only(FIRST_ONE)


def test_a_service_that_is_not_ours_is_left_alone(services, cluster):
    theirs = {"metadata": {"name": "wine"}, "spec": {"template": {"metadata": {}}}}
    theirs["spec"]["template"]["metadata"] = {
        "name": "wine-1",
        "annotations": {"conveyor.dev/release": "x"},
    }
    cluster.create(SERVICE, "models", theirs)
    with pytest.raises(Rejected, match="is not Conveyor's"):
        services.ensure(FIRST_ONE, LINE)


def test_places_that_never_got_a_share_do_not_pile_up(services, cluster):
    services.ensure(FIRST_ONE, LINE)
    services.apply("wine", only(FIRST_ONE), expected=NONE)
    for letter in "bcdefgh":
        services.ensure(release(letter), LINE)
    assert "r-hhhhhhhhhhhh" in tags(cluster)
    assert "r-bbbbbbbbbbbb" not in tags(cluster)
    assert len(tags(cluster)) == 2 + 5

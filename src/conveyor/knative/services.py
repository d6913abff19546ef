"""The model services of a cluster: a Knative Service per model, revisions pinned, compare-and-set.

A release is a revision that never changes; its traffic is changed by reading the Service, deciding
on what was read, and writing it with its resourceVersion. Two writers at once are safe, and what
someone else changed is seen, never written over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from conveyor.domain.line import Line, Serve
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release
from conveyor.errors import Busy, Conflict, NotFound, Rejected, Unavailable
from conveyor.knative import names
from conveyor.knative import traffic as mapping
from conveyor.knative.asking import Asking
from conveyor.knative.forwarding import Forwarding, Passed, Reply, path_of, url_of
from conveyor.knative.manifest import template
from conveyor.knative.resources import REVISION, SERVICE, Cluster, Json, Selection
from conveyor.knative.settings import ServicesSettings
from conveyor.knative.starting import ATTEMPTS, Starting
from conveyor.knative.traffic import Target


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One look at a model's Service: as it is, its traffic, and its places (release, revision)."""

    service: Json
    targets: tuple[Target, ...]
    traffic: Traffic
    places: Mapping[str, str]


Decide = Callable[[_Seen], tuple[Target, ...] | None]
"""Given what was seen, the new targets; none at all delete the Service, None changes nothing."""


class KnativeServices:
    """Implements ports.Services."""

    def __init__(self, cluster: Cluster, settings: ServicesSettings) -> None:
        self._cluster, self._settings = cluster, settings
        self._asking, self._forwarding = Asking(cluster, settings), Forwarding(settings)
        self._starting = Starting(cluster, settings, self._asking)

    def ensure(self, release: Release, line: Line) -> None:
        """See ports.Services. The release's URL is made when its revision has proved itself, so
        that nothing holds up anyone's traffic; other settings move it to a new revision.

        Raises Unavailable while it may start yet.
        """
        declared = line.models.get(release.model)
        self._place(release.model, release.digest, declared.serve if declared else Serve())

    def infer(self, model: str, release: str, request: bytes) -> bytes:
        """See ports.Services."""
        try:
            return self._asking.infer(model, release, request)
        except (Rejected, Unavailable) as error:
            seen = self._look(model)
            if seen is None or release not in seen.places:
                raise NotFound(
                    f"{model} has no release {release[:16]!r} here; ensure it first"
                ) from error
            raise

    def traffic(self, model: str) -> Traffic:
        """See ports.Services; shares that someone else made are among it."""
        seen = self._look(model)
        return Traffic() if seen is None else seen.traffic

    def url(self, model: str) -> str:
        """Return where a model answers, as its Service says; raises NotFound where none serves."""
        return url_of(self._serving(model)) + path_of(model)

    def forward(self, model: str, passed: Passed) -> Reply:
        """Ask the model as anybody may at its URL; it counts as traffic, shared as traffic is.

        Raises NotFound where none serves, Unavailable where none answers.
        """
        return self._forwarding.send(model, self._serving(model), passed)

    def _serving(self, model: str) -> Json:
        seen = self._look(model)
        if seen is None or not seen.traffic.shares:
            raise NotFound(f"nothing serves the model {model[:80]!r}")
        return seen.service

    def apply(self, model: str, traffic: Traffic, *, expected: Traffic) -> None:
        """See ports.Services. What was not ensured is started first, as `serve` has it by itself.

        A model that is to have no traffic and no other release loses its Service.
        """

        def decide(seen: _Seen) -> tuple[Target, ...] | None:
            if not _moves(model, seen.traffic, traffic, expected):
                return None
            left = mapping.dropped(seen.traffic, traffic, seen.places)
            return mapping.write(traffic, left)

        seen = self._look(model)
        if not _moves(model, seen.traffic if seen else Traffic(), traffic, expected):
            return
        missing = [name for name in traffic.as_dict() if not seen or name not in seen.places]
        for release in missing:
            self._place(model, release, Serve())
        self._change(model, decide, None if missing else seen)

    def _place(self, model: str, release: str, serve: Serve) -> None:
        wanted = template(self._settings, model, release, serve)
        revision = str(wanted["metadata"]["name"])
        self._starting.start(model, wanted)

        def decide(seen: _Seen) -> tuple[Target, ...] | None:
            before = seen.places.get(release, "")
            if before == revision:
                return None
            return mapping.place(seen.targets, release, revision, before)

        self._change(model, decide)
        self._starting.await_routes(model)

    def _change(self, model: str, decide: Decide, seen: _Seen | None = None) -> None:
        """Write what decide makes of the Service, beginning with what was seen of it already.

        Raises Busy when it changes at each attempt.
        """
        for _ in range(ATTEMPTS):
            seen = seen or self._look(model)
            if seen is None:
                raise Conflict(f"the service of {model} was deleted meanwhile; look again")
            targets = decide(seen)
            if targets is None:
                return
            try:
                self._write(seen.service, targets)
            except Conflict:
                seen = None  # Changed since it was read, be it only its status: decide again.
                continue
            self._starting.await_routes(model)
            return
        raise Busy(f"the service of {model} changes each time it is written to")

    def _write(self, found: Json, targets: tuple[Target, ...]) -> None:
        metadata = found["metadata"]
        if not targets:
            self._cluster.delete(
                SERVICE,
                self._settings.namespace,
                metadata["name"],
                version=metadata["resourceVersion"],
            )
            return
        spec = {**found["spec"], "traffic": [each.to_json() for each in targets]}
        self._cluster.replace(SERVICE, self._settings.namespace, {**found, "spec": spec})

    def _look(self, model: str) -> _Seen | None:
        found = self._starting.find(model)
        if found is None:
            return None
        targets, releases = mapping.targets(found), self._releases(found)
        return _Seen(
            service=found,
            targets=targets,
            traffic=mapping.read(targets, releases),
            places=mapping.places(targets, releases),
        )

    def _releases(self, found: Json) -> dict[str, str]:
        """Return revision -> release digest of a Service's revisions."""
        owner = f"serving.knative.dev/service={found['metadata']['name']}"
        listed = self._cluster.list(REVISION, self._settings.namespace, Selection(labels=owner))
        stated = {
            str(item["metadata"]["name"]): (item["metadata"].get("annotations") or {}).get(
                names.RELEASE
            )
            for item in listed.items
        }
        return {revision: str(release) for revision, release in stated.items() if release}


def _moves(model: str, now: Traffic, wanted: Traffic, expected: Traffic) -> bool:
    """Whether there is something to do; raises Conflict when traffic is not what was expected."""
    if now.as_dict() == wanted.as_dict():
        return False
    if now.as_dict() != expected.as_dict():
        raise Conflict(
            f"the traffic of {model} is {now.as_dict()}, expected {expected.as_dict()}: "
            "someone else moved it; read it again"
        )
    return True

"""Starts a revision of a model and sees it prove itself, without touching anyone's traffic."""

import logging
import time
from contextlib import suppress
from datetime import timedelta

from conveyor.domain.traffic import WHOLE
from conveyor.errors import Busy, Conflict, ConveyorError, NotFound, Rejected, Unavailable
from conveyor.knative import facts, names, standing
from conveyor.knative import traffic as mapping
from conveyor.knative.asking import Asking
from conveyor.knative.manifest import service
from conveyor.knative.resources import POD, REVISION, SERVICE, Cluster, Json, Selection
from conveyor.knative.settings import ServicesSettings
from conveyor.knative.standing import Standing, State
from conveyor.knative.traffic import Target
from conveyor.knative.waiting import Awaited, wait

logger = logging.getLogger(__name__)

ATTEMPTS = 8
"""Writes that are tried anew because the object changed under them; status writes move it too."""

LOOK = timedelta(seconds=1)
"""How long the revision is watched between two looks at its pods."""

ROUTE = timedelta(seconds=5)
"""How long a write of traffic may take to be seen at the ingress; later is not waited for."""


class Starting:
    """Makes revisions of one namespace's model services."""

    def __init__(self, cluster: Cluster, settings: ServicesSettings, asking: Asking) -> None:
        self._cluster, self._settings, self._asking = cluster, settings, asking

    def find(self, model: str) -> Json | None:
        """Return a model's Service, None where there is none; raises Rejected for a foreign one."""
        name = names.service_name(model)
        try:
            found = self._cluster.get(SERVICE, self._settings.namespace, name)
        except NotFound:
            return None
        if (found["metadata"].get("labels") or {}).get(names.OWNER) != names.OWNED:
            raise Rejected(
                f"the service {name} in {self._settings.namespace} is not Conveyor's (it has no "
                f"label {names.OWNER}={names.OWNED}); delete it or give the model another name"
            )
        return found

    def start(self, model: str, wanted: Json) -> None:
        """Return when the template's revision is ready: it proved its stored sample.

        Raises Rejected, and takes it away again, when it cannot start; Unavailable when it has not
        started in time but may yet.
        """
        previous = self._begin(model, wanted)
        seen = self._await(model, wanted)
        if seen.state is State.READY:
            return
        what = f"release {facts.release_of(wanted)[:16]} of {model}"
        if seen.state is State.FAILED:
            try:
                self._withdraw(model, wanted, previous)
            except ConveyorError as error:
                # Why it did not start must not be lost over that.
                logger.warning("%s is not taken away: %s", what, error)
            raise Rejected(f"{what} did not start: {seen.why}")
        raise Unavailable(
            f"{what} has not started within {self._settings.startup}: {seen.why or 'it is slow'}"
        )

    def await_routes(self, model: str) -> None:
        """Return when the ingress does what the Service says now, or takes too long for that."""
        awaited = Awaited(
            kind=SERVICE, namespace=self._settings.namespace, name=names.service_name(model)
        )
        if wait(self._cluster, awaited, facts.routed, within=ROUTE) is None:
            logger.warning("the ingress has not followed the traffic of %s yet", model)

    def _begin(self, model: str, wanted: Json) -> Json | None:
        """Have the revision made; returns the template that stood there before, if any."""
        for _ in range(ATTEMPTS):
            found = self.find(model)
            try:
                if found is None:
                    first = Target(
                        revision=facts.revision_name(wanted),
                        percent=WHOLE,
                        tag=names.tag(facts.release_of(wanted)),
                    )
                    manifest = service(self._settings, model, wanted, (first,))
                    self._cluster.create(SERVICE, self._settings.namespace, manifest)
                    return None
                if self._is_made(found, wanted):
                    return None
                previous: Json = found["spec"]["template"]
                self._write(found, wanted)
            except Conflict:
                continue
            return previous
        raise Busy(f"the service of {model} changes each time it is written to")

    def _is_made(self, found: Json, wanted: Json) -> bool:
        """Whether the revision exists or is being made; one that failed before is cleared away."""
        revision = self._revision(found, facts.revision_name(wanted))
        if revision is None:
            return facts.template_name(found) == facts.revision_name(wanted)
        failed = standing.of_revision(revision).state is State.FAILED
        if not failed or facts.is_target(found, wanted):
            return True
        self._cluster.delete(REVISION, self._settings.namespace, facts.revision_name(wanted))
        return facts.template_name(found) == facts.revision_name(wanted)

    def _await(self, model: str, wanted: Json) -> Standing:
        end = time.monotonic() + self._settings.startup.total_seconds()
        seen = Standing(state=State.STARTING)
        while seen.state is State.STARTING and time.monotonic() < end:
            seen = self._look(model, wanted)
        return seen

    def _look(self, model: str, wanted: Json) -> Standing:
        found = self.find(model)
        if found is None:
            raise Conflict(f"the service of {model} was deleted while a release started")
        awaited = Awaited(
            kind=REVISION, namespace=self._settings.namespace, name=facts.revision_name(wanted)
        )

        def decided(revision: Json | None) -> Standing | None:
            if revision is None or not facts.belongs(revision, found):
                return None
            seen = standing.of_revision(revision)
            return None if seen.state is State.STARTING else seen

        seen = wait(self._cluster, awaited, decided, within=LOOK)
        if seen is None:
            seen = self._look_closer(model, found, wanted)
        doubtful = seen.state is State.FAILED and facts.is_proved(found, wanted)
        # A revision at zero keeps its last failure: whether it still fails is seen by asking.
        return (
            standing.READY
            if doubtful and self._asking.is_up(model, facts.release_of(wanted))
            else seen
        )

    def _look_closer(self, model: str, found: Json, wanted: Json) -> Standing:
        """Look at pods, and at a Service whose revision has not come to be."""
        if self._revision(found, facts.revision_name(wanted)) is None:
            if facts.template_name(found) != facts.revision_name(wanted):
                self._begin(
                    model, wanted
                )  # another release was written over it, before it was made
            return standing.of_configuration(found)
        selection = Selection(labels=f"serving.knative.dev/revision={facts.revision_name(wanted)}")
        return standing.of_pods(self._cluster.list(POD, self._settings.namespace, selection).items)

    def _withdraw(self, model: str, wanted: Json, previous: Json | None) -> None:
        """Take a revision that cannot start away, unless it has a share of the traffic."""
        for _ in range(ATTEMPTS):
            found = self.find(model)
            if found is None or mapping.has_share(
                mapping.targets(found), facts.revision_name(wanted)
            ):
                return
            with suppress(Conflict):
                self._withdraw_from(found, wanted, previous)
                return

    def _withdraw_from(self, found: Json, wanted: Json, previous: Json | None) -> None:
        left = mapping.without(mapping.targets(found), facts.revision_name(wanted))
        if not left:
            self._delete(found)
            return
        ours = facts.template_name(found) == facts.revision_name(wanted)
        template = previous if ours and previous is not None else found["spec"]["template"]
        self._write(found, template, left)
        if facts.template_name({"spec": {"template": template}}) != facts.revision_name(wanted):
            self._cluster.delete(REVISION, self._settings.namespace, facts.revision_name(wanted))

    def _delete(self, found: Json) -> None:
        metadata = found["metadata"]
        self._cluster.delete(
            SERVICE,
            self._settings.namespace,
            metadata["name"],
            version=metadata["resourceVersion"],
        )

    def _write(self, found: Json, revision: Json, traffic: tuple[Target, ...] = ()) -> None:
        spec = {**found["spec"], "template": revision}
        if traffic:
            spec["traffic"] = [each.to_json() for each in traffic]
        self._cluster.replace(SERVICE, self._settings.namespace, {**found, "spec": spec})

    def _revision(self, found: Json, name: str) -> Json | None:
        try:
            revision = self._cluster.get(REVISION, self._settings.namespace, name)
        except NotFound:
            return None
        return revision if facts.belongs(revision, found) else None

"""Lets one deployment of a line work at a time: a Lease in the line's namespace."""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from conveyor.deploy.kinds import LEASE
from conveyor.deploy.objects import Objects
from conveyor.errors import Conflict, ConveyorError, NotFound, Unavailable

NAME = "conveyor-deploy"
LASTS = timedelta(seconds=30)
"""How long a Lease is good for without being renewed: a killed deployment is waited out."""

_PAUSE = 0.5


class Lock:
    """A Lease held by this process, to be renewed well within LASTS."""

    def __init__(self, objects: Objects, namespace: str, now: Callable[[], datetime]) -> None:
        self._objects, self._namespace, self._now = objects, namespace, now
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._renewed: datetime | None = None

    def take(self) -> str:
        """Take the Lease; returns "" then, else who holds it."""
        try:
            lease = self._objects.get(LEASE, self._namespace, NAME)
        except NotFound:
            with suppress(Conflict):
                self._objects.create(LEASE, self._lease({}))
                return ""
            return "another deployment"
        holder = str((lease.get("spec") or {}).get("holderIdentity") or "")
        if holder not in {"", self.holder} and not self._is_over(lease):
            return holder
        with suppress(Conflict):
            self._objects.replace(LEASE, self._lease(lease["metadata"]))
            return ""
        return "another deployment"

    def renew(self) -> None:
        """Renew the Lease when a third of it is over; raises Conflict when it was lost."""
        if self._renewed and self._now() - self._renewed > LASTS / 3 and (by := self.take()):
            raise Conflict(f"this deployment was too slow and {by} took over: deploy again")

    def release(self) -> None:
        """Give the Lease back, if it is still ours; what fails is waited out by the next."""
        with suppress(ConveyorError):
            lease = self._objects.get(LEASE, self._namespace, NAME)
            if (lease.get("spec") or {}).get("holderIdentity") == self.holder:
                free = {**lease, "spec": {**lease["spec"], "holderIdentity": ""}}
                self._objects.replace(LEASE, free)

    def _lease(self, about: Mapping[str, Any]) -> dict[str, Any]:
        self._renewed = self._now()
        return {
            "apiVersion": LEASE.api,
            "kind": LEASE.name,
            "metadata": {**about, "name": NAME, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": int(LASTS.total_seconds()),
                "renewTime": self._renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }

    def _is_over(self, lease: Mapping[str, Any]) -> bool:
        renewed = str((lease.get("spec") or {}).get("renewTime") or "")
        try:
            return self._now() - datetime.fromisoformat(renewed) > LASTS
        except ValueError:
            return True


@contextmanager
def held(
    objects: Objects,
    namespace: str,
    *,
    patience: timedelta,
    told: Callable[[str], object],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Lock]:
    """Hold the Lease; told is told once whom it waits for. Raises Unavailable after patience."""
    lock, end = Lock(objects, namespace, now), time.monotonic() + patience.total_seconds()
    waited_for = ""
    while by := lock.take():
        if time.monotonic() > end:
            raise Unavailable(f"{by} deploys to {namespace}: wait for it, then try again")
        if not waited_for:
            told(f"waiting for {by}, which deploys to {namespace} just now")
            waited_for = by
        time.sleep(_PAUSE)
    try:
        yield lock
    finally:
        lock.release()

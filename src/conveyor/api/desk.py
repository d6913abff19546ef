"""Everything that a client may ask of a line or tell it, the same over both engines."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, BinaryIO

from conveyor.api import addresses, board, following, origins, runs, shapes, waits
from conveyor.api.doors import Door, publish_all
from conveyor.api.inbox import Inbox, checked_key
from conveyor.api.route import MAX_WAIT
from conveyor.bundle import load_manifest
from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.line import Line
from conveyor.domain.payloads import RolloutRequested
from conveyor.domain.rollout import JUDGE
from conveyor.domain.versions import STABLE, Registry, Release
from conveyor.errors import Conflict, NotFound, Rejected, Unavailable
from conveyor.ledger.journal import Journal
from conveyor.ledger.trace import Trace
from conveyor.ports import (
    Deliveries,
    EvidenceStore,
    History,
    Jobs,
    Lines,
    Objects,
    Rollouts,
    Services,
)
from conveyor.stations.commands import ACTIONS
from conveyor.stations.reconcile import revive

_MAX_NAME = 200


def _nothing() -> None:
    """Look nowhere: there is no watcher to wake."""


def _nowhere(model: str) -> str:
    """Know no address of a model."""
    del model
    return ""


def _none() -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The reading side of a line and its commands; keyword arguments are ports.

    branch is where the line is read; republish hands an event to the broker although it was given
    up there; read_log returns (bytes, next position) of a run's output; look wakes the looks at
    bucket and repository; problems tells what the engine itself complains about, waiting which
    uploads are not complete yet ("key: what for"); patience is how long a canary waits for traffic
    before stored requests are replayed; address tells where a model that serves is asked.
    """

    branch: str
    door: Door
    history: History
    lines: Lines
    objects: Objects
    inbox: Inbox
    jobs: Jobs
    services: Services
    rollouts: Rollouts
    evidence: EvidenceStore
    deliveries: Deliveries
    journal: Journal
    tracer: Trace
    republish: Callable[[Event], None]
    read_log: Callable[[str, int], tuple[bytes, int]]
    look: Callable[[], None] = _nothing
    problems: Callable[[], Sequence[str]] = _none
    waiting: Callable[[], Sequence[str]] = _none
    patience: timedelta = timedelta(minutes=2)
    address: Callable[[str], str] = _nowhere
    _began: float = field(default_factory=time.monotonic)

    def status(self) -> dict[str, Any]:
        """Return the board: where each thing of the line is, since when, what it waits for."""
        return board.read(self, uptime=time.monotonic() - self._began)

    def events(
        self,
        after: int,
        limit: int,
        *,
        types: Iterable[str] = (),
        correlation: str = "",
        wait: timedelta = timedelta(0),
    ) -> dict[str, Any]:
        """Return stored events behind a sequence number, oldest first; waits that long for one.

        after -1 gives the newest.
        """
        if after < 0:
            found = self.journal.latest(limit, types=types)[::-1]
        else:
            found = self.journal.events(
                after, limit, types=types, correlation=correlation, wait=min(wait, MAX_WAIT)
            )
        last = found[-1].sequence if found else max(after, 0)
        return {"events": [shapes.entry(each) for each in found], "next": last}

    def trace(self, name: str) -> dict[str, Any]:
        """Return where a thing came from and what came of it; raises NotFound.

        A release whose events are gone is told of by its tag and its manifest.
        """
        try:
            return shapes.trace(self.tracer.trace(name))
        except NotFound:
            found = origins.of_release(self, name)
            if found is None:
                raise
            return found

    def rollouts_of(self, model: str | None) -> list[dict[str, Any]]:
        """Return all rollouts, newest first, with their decisions and what they wait for."""
        tags = {
            tag.trailer("Conveyor-Release"): tag.name
            for tag in reversed(self.history.tags())
            if "@" in tag.name
        }
        return [
            {
                **shapes.rollout(rollout),
                "tag": tags.get(rollout.candidate),
                "waits": waits.for_rollout(self, rollout),
                "decisions": [shapes.decision(each) for each in decisions],
            }
            for rollout, decisions in self.rollouts.history(model)
        ]

    def command(self, model: str, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """Store a person's command to the judge; asked has by, and may have reason and release.

        Raises what is wrong with it as far as it can be seen now: NotFound, Conflict or Rejected.
        """
        by = _person(asked.get("by", ""))
        self._check_command(model, action, asked.get("release"))
        command = asked.get("command") or uuid.uuid4().hex
        payload = RolloutRequested(
            model=model,
            action=action,
            command=command,
            by=by,
            reason=asked.get("reason"),
            release=asked.get("release"),
        )
        identity = digest("command", model, action, command)
        event = new_event(
            payload, line=self.door.line, event_id=identity, time=self.door.clock.now()
        )
        self.door.enter(event)
        return {"event": identity, "command": command}

    def _check_command(self, model: str, action: str, release: str | None) -> None:
        if action not in ACTIONS:
            msg = f"unknown action {action!r}; known: {', '.join(ACTIONS)}"
            raise Rejected(msg)
        registry = Registry.of(model, self.history.tags())
        if model not in self.line().models and not registry.releases:
            msg = f"the line has no model {model!r}; it has: {', '.join(self.line().models)}"
            raise NotFound(msg)
        if release is not None:
            if action != "rollback":
                msg = f"only rollback takes a release, not {action}"
                raise Rejected(msg)
            chosen = registry.find(release)
            if registry.stable is not None and registry.stable.digest == chosen.digest:
                raise Conflict(f"{chosen.tag} is the stable release already")
            return
        self._check_rollout(registry, model, action)

    def _check_rollout(self, registry: Registry, model: str, action: str) -> None:
        if self.rollouts.current(model) is not None:
            return
        if action != "rollback":
            raise Conflict(f"{model} has no open rollout to {action}")
        former = {end.release for end in registry.endings if end.stage == STABLE}
        if len(former) <= 1:
            raise Conflict(f"{model} was never stable with another release to go back to")

    def releases(self, model: str | None) -> list[dict[str, Any]]:
        """Return all releases, the newest version first, by model."""
        tags = self.history.tags()
        models = {tag.name.split("@")[0] for tag in tags if "@" in tag.name}
        registries = [Registry.of(name, tags) for name in sorted(models) if model in {None, name}]
        return [
            {**shapes.release(made, registry), "url": self._url(made, registry)}
            for registry in registries
            for made in reversed(registry.releases)
        ]

    def _url(self, made: Release, registry: Registry) -> str | None:
        """Return where a stable release is asked."""
        stable = registry.stable
        is_stable = stable is not None and stable.digest == made.digest
        return addresses.of(self, made.model) if is_stable else None

    def manifest(self, model: str, release: str) -> dict[str, Any]:
        """Return a release's manifest by its tag, version or digest; raises NotFound."""
        made = Registry.of(model, self.history.tags()).find(release)
        manifest = load_manifest(self.objects, made.digest)
        return {"release": made.digest, "tag": made.tag, "manifest": asdict(manifest)}

    def runs(self) -> list[dict[str, Any]]:
        """Return jobs that run, then those that ended lately, the newest first."""
        return runs.newest(self)

    def run_log(self, key: str, after: int, wait: timedelta) -> dict[str, Any]:
        """Return a run's output behind a position (bytes), as `runs.log` does."""
        return runs.log(self, key, after, wait=min(wait, MAX_WAIT))

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what was given up, newest first, each with the reason."""
        return [shapes.dead_letter(letter) for letter in self.deliveries.dead()]

    def replay(self, event_id: str, station: str | None) -> dict[str, Any]:
        """Deliver a dead letter again, with its own id; raises NotFound when none is dead."""
        whole = self.journal.event(event_id).event.id
        revived = self.deliveries.revive(whole, station)
        return {"event": whole, "published": publish_all(revived, self.republish)}

    def reconcile(self) -> dict[str, Any]:
        """Look at bucket and repository now, and publish again what is owed."""
        self.look()
        now = self.door.clock.now()
        revive(self.deliveries, now)
        owed = self.deliveries.owed(before=now)
        return {"published": publish_all(owed, self.republish)}

    def upload(self, key: str, body: BinaryIO, size: int) -> dict[str, Any]:
        """Take an upload; after says behind which event its own will come, taker who takes it,
        waits what its directory still needs.
        """
        try:
            line = self.line()
            taker = line.taker(checked_key(key))
        except NotFound as error:
            msg = "the line has no commit yet: push one, or try again in a moment"
            raise Unavailable(msg) from error
        after = self.journal.sequence()
        self.inbox.put(key, body, size)
        self.look()
        return {
            "key": key,
            "size": size,
            "after": after,
            "taker": taker.name if taker else None,
            "waits": waits.for_rest(line, key, self.objects),
        }

    def pushed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a Git hook's notice of a push and look at the repository."""
        new = self.door.pushed(body)
        self.look()
        return {"accepted": int(new), "known": int(not new)}

    def follow(self, name: str, after: int, wait: timedelta) -> dict[str, Any]:
        """Return the story of what a commit or event leads to, as `following.follow` does."""
        return following.follow(self, name, after, wait=min(wait, MAX_WAIT))

    def line(self) -> Line:
        """Return the line as declared at the branch's head; raises NotFound before a push."""
        return self.lines.at(self.history.head(self.branch))


def _person(name: str) -> str:
    by = name.strip()
    if not by or len(by) > _MAX_NAME or by == JUDGE:
        msg = f'a command needs the name of who gives it, e.g. {{"by": "anna"}}, got {by[:40]!r}'
        raise Rejected(msg)
    return by

"""Whether a release gets a rollout: one open per model, the newest release wins."""

from conveyor.domain.events import Event
from conveyor.domain.payloads import GateStale
from conveyor.domain.rollout import Rollout, open_rollout, supersede
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Registry, Release
from conveyor.stations.rollouts import Bench, Why, insert, move
from conveyor.stations.trials import attend


def consider(bench: Bench, release: Release, *, gated: str | None, run: str) -> tuple[Event, ...]:
    """Open the release's rollout, superseding an open one it descends from, or only record it.

    gated is the digest of the stable release it was scored against (None: not known), run the
    convert run that scored it: where stable changed since, the answer is gate.stale.
    """
    current = bench.rollouts.current(release.model)
    if mine := _opened(bench, release):
        return attend(bench, current)[1] if current and current.id == mine.id else ()
    registry = bench.registry(release.model)
    if _is_passed(bench, registry, release, current):
        return ()
    stable = registry.stable.digest if registry.stable else ""
    if gated is not None and gated != stable:
        stale = GateStale(
            model=release.model,
            release=release.digest,
            stable=stable,
            run=run,
            commit=release.commit,
        )
        return (bench.event.leads_to(stale),)
    events = _supersede(bench, current, release) if current else ()
    return (*events, *_open(bench, release, stable))


def overtake(bench: Bench, model: str) -> tuple[Event, ...]:
    """Open the newest release's rollout if a paused one kept it waiting.

    What it was gated against is not known any more: the judge compares it with stable live.
    """
    newest = bench.registry(model).latest
    seen = {rollout.candidate for rollout, _ in bench.rollouts.history(model)}
    if newest is None or (newest.digest in seen and not _opened(bench, newest)):
        return ()
    return consider(bench, newest, gated=None, run="")


def _opened(bench: Bench, release: Release) -> Rollout | None:
    """Return the rollout that this very event opened when it was delivered before."""
    return next(
        (
            rollout
            for rollout, _ in bench.rollouts.history(release.model)
            if rollout.candidate == release.digest and rollout.cause == bench.event.id
        ),
        None,
    )


def _is_passed(bench: Bench, registry: Registry, release: Release, current: Rollout | None) -> bool:
    """Whether it had its turn, something newer serves or is tried, or a person holds the model."""
    had_turn = any(ending.release == release.digest for ending in registry.endings)
    if had_turn or release.onnx in registry.refused_onnx():
        return True
    if current is not None:
        rival = registry.find(current.candidate)
        return current.paused or not _descends(bench, release, rival)
    return registry.stable is not None and _descends(bench, registry.stable, release)


def _descends(bench: Bench, release: Release, rival: Release) -> bool:
    """Whether it comes after the rival in Git, or by version where the commit is the same."""
    if release.commit == rival.commit:
        return release.version > rival.version
    return bench.history.is_ancestor(rival.commit, release.commit)


def _supersede(bench: Bench, current: Rollout, release: Release) -> tuple[Event, ...]:
    ended = supersede(current, reason=f"{release.tag} takes its place")
    _, events = move(bench, current, ended, Why(outcome="supersede"))
    return events


def _open(bench: Bench, release: Release, stable: str) -> tuple[Event, ...]:
    expected = Traffic(((stable, 100),)) if stable else bench.services.traffic(release.model)
    opened = open_rollout(
        release, stable=stable, cause=bench.event.id, at=bench.event.time, split=expected
    )
    rollout, events = insert(bench, opened, Why(outcome="open"))
    return (*events, *attend(bench, rollout)[1])

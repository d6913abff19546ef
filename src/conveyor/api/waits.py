"""What each thing of the line waits for, in a few words; "" where it waits for nothing."""

from contextlib import suppress

from conveyor.api import readings
from conveyor.api.parts import Parts
from conveyor.domain.line import Complete, Dataset, Line, Model, RolloutPolicy
from conveyor.domain.rollout import Rollout, State
from conveyor.domain.versions import Registry
from conveyor.errors import NotFound, Rejected
from conveyor.ports import Objects, Tree
from conveyor.stations.recipe import read_recipe
from conveyor.stations.replays import revision_of


def for_reading(parts: Parts, taker: str, upload: str) -> str:
    """Return how far the read of a large upload is, "" where none is under way."""
    told = readings.of(parts, taker)
    return f"{upload}: {told}" if told else ""


def for_upload(parts: Parts, upload: str, *, came: bool) -> str:
    """Return what an upload waits for; came says that an earlier one was taken."""
    head = f"{upload}: "
    seen = next((told for told in parts.waiting() if told.startswith(head)), "")
    if seen:
        reason = seen.removeprefix(head)
        return f"{upload} {reason}" if reason.startswith("waits") else f"{upload}: {reason}"
    return "" if came else f"waits for its first upload: {upload}"


def for_rest(line: Line, key: str, objects: Objects) -> str:
    """Return what the directory of an object that came still needs beside it.

    The marker is always asked for, since it has to be put last.
    """
    taker = line.taker(key)
    if not isinstance(taker, Dataset) or not taker.is_directory:
        return ""
    complete, name = taker.complete or Complete(), key.removeprefix(taker.upload)
    if complete.marker not in {None, name}:
        return f"waits for {taker.upload}{complete.marker}, which is to be put last"
    if complete.manifest not in {None, name} and not _is_there(
        objects, f"{taker.upload}{complete.manifest}"
    ):
        return f"waits for {taker.upload}{complete.manifest}, which names all files"
    return ""


def _is_there(objects: Objects, key: str) -> bool:
    try:
        objects.head(key)
    except NotFound:
        return False
    return True


def for_model(parts: Parts, model: Model, tree: Tree, *, refused: bool) -> str:
    """Return what a model waits for; refused says that its newest candidate was."""
    current = parts.rollouts.current(model.name)
    if current is not None:
        return for_rollout(parts, current)
    if working := [job for job in parts.jobs.running() if job.owner == model.name]:
        why = f": {working[0].reason}" if working[0].reason else ""
        return f"waits for its {working[0].kind} run{why}"
    if model.upload and (told := for_reading(parts, f"{model.name}.model", model.upload)):
        return told
    if refused or Registry.of(model.name, parts.history.tags()).releases:
        return ""
    if model.upload:
        return for_upload(parts, model.upload, came=_is_in(tree, f"{model.source}.dvc"))
    return _for_data(model, tree)


def _is_in(tree: Tree, path: str) -> bool:
    return path in tree.blobs()


def _for_data(model: Model, tree: Tree) -> str:
    with suppress(Rejected):
        missing = read_recipe(model, tree).missing
        return f"waits for its data: {', '.join(missing)}" if missing else "waits for its training"
    return "waits for its data"


def for_rollout(parts: Parts, rollout: Rollout) -> str:
    """Return what a rollout waits for, "" where it has ended."""
    if not rollout.applied:
        return "waits for its traffic to be moved"
    if rollout.state.is_final:
        return ""
    if rollout.paused:
        return f"paused, waits for a person: conveyor rollouts resume {rollout.model}"
    if rollout.state is State.PENDING:
        return "waits for the judge to begin"
    policy = policy_of(parts, rollout)
    replays = parts.evidence.total(revision_of(rollout, rollout.candidate), rollout.stepped)
    answered = parts.evidence.total(rollout.candidate, rollout.stepped).requests + replays.requests
    if answered >= policy.min_requests:
        return f"waits for the judge to be sure ({answered} requests answered in this step)"
    return f"waits for requests: {answered} of {policy.min_requests}{_replays(parts, rollout)}"


def _replays(parts: Parts, rollout: Rollout) -> str:
    """Return when stored requests stand in for traffic, "" while the candidate gets some."""
    lately = parts.door.clock.now() - parts.patience
    if parts.evidence.total(rollout.candidate, max(rollout.stepped, lately)).requests:
        return ""
    sides = filter(None, (rollout.stable, rollout.candidate))
    if any(parts.evidence.total(side, lately).requests for side in sides):
        quiet = parts.patience.total_seconds()
        return f"; once nobody asked the model for {quiet:g} s, stored ones are replayed"
    return "; without any, stored ones are replayed at the judge's next look, within a minute"


def policy_of(parts: Parts, rollout: Rollout) -> RolloutPolicy:
    """Return the policy at the candidate's commit, as the judge reads it."""
    try:
        release = Registry.of(rollout.model, parts.history.tags()).find(rollout.candidate)
        return parts.lines.at(release.commit).models[rollout.model].rollout
    except (Rejected, KeyError):
        return RolloutPolicy()

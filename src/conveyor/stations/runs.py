"""Asks for training runs, and remembers beside each result what it was asked for."""

import json
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import OUT_OF_MEMORY, TIMED_OUT, JobSpec, Limits
from conveyor.domain.objects import dvc_object, run_folder
from conveyor.errors import NotFound, Rejected
from conveyor.pointers import Pointer
from conveyor.ports import History, Jobs, Lines, Objects
from conveyor.stations.lockfile import LOCK, lock_outs, read_lock
from conveyor.stations.recipe import Recipe

KIND = "train"
REPORT = "conveyor-run.json"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What building needs from the world."""

    history: History
    lines: Lines
    objects: Objects
    jobs: Jobs


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run was asked for. forcing is the id of the event that forced it, "" for none."""

    model: str
    commit: str
    forcing: str = ""
    limits: str = ""
    event: str = ""


def next_key(recipe: Recipe, ports: Ports) -> str:
    """Return the key of the recipe's run.

    Where that run ended because it needed more time or memory than it was given, and it would be
    given something else now, another key is returned: it is worth another try.
    """
    key, limits = recipe.key, repr(_limits(recipe))
    result = ports.jobs.result(key)
    if result is None or result.state not in {TIMED_OUT, OUT_OF_MEMORY}:
        return key
    if read_request(ports.objects, key).limits == limits:
        return key
    return digest("limits", key, limits)


def read_request(objects: Objects, key: str) -> Request:
    """Return what a run was asked for; raises Rejected when that is not known."""
    try:
        return Request(**json.loads(objects.read(_request_key(key))))
    except (NotFound, ValueError, TypeError) as error:
        msg = f"run {key} is not one that build asked for ({error}); nothing is done for it"
        raise Rejected(msg) from error


def start(recipe: Recipe, key: str, event: Event, ports: Ports) -> None:
    """Start a run: from its commit, the data it reads and what earlier runs made upstream."""
    request = Request(
        model=recipe.model,
        commit=recipe.commit,
        forcing=recipe.ingredients.forcing,
        limits=repr(_limits(recipe)),
        event=event.id,
    )
    ports.objects.put(_request_key(key), json.dumps(asdict(request)).encode())
    inputs = {path: _fetchable(ports.objects, pointer) for path, pointer in recipe.data.items()}
    forced = ("--force",) if recipe.ingredients.forcing else ()
    stage, output = recipe.train.stage, recipe.train.output
    told = {**asdict(request), "deps": dict(recipe.ingredients.inputs)}
    ports.jobs.ensure(
        JobSpec(
            kind=KIND,
            key=key,
            owner=recipe.model,
            command=(
                *("conveyor-python", "-m", "conveyor.models.train"),
                *(f"--output={output}", *forced, "--", stage),
            ),
            checkout=recipe.commit,
            inputs={**_upstream(recipe, ports.history, ports.objects), **inputs},
            files={REPORT: json.dumps(told, sort_keys=True).encode()},
            requirements=recipe.requirements,
            limits=_limits(recipe),
        )
    )


def _request_key(key: str) -> str:
    return f"{run_folder(key)}request.json"


def _limits(recipe: Recipe) -> Limits:
    train = recipe.train
    return Limits(timeout=train.timeout, memory=train.memory, cpu=train.cpu, gpu=train.gpu)


def _fetchable(objects: Objects, pointer: Pointer) -> str:
    """Return the store key of a data set; one pinned in the bucket is copied for the run."""
    key = dvc_object(pointer.md5)
    if pointer.source is not None:
        pinned = urlsplit(pointer.source.url).path.removeprefix("/")
        objects.copy(objects.head(pinned, pointer.source.version), key)
    return key


def _upstream(recipe: Recipe, history: History, objects: Objects) -> dict[str, str]:
    """Return path -> store key of what the stages before made, by dvc.lock: DVC need not again."""
    try:
        lock = read_lock(history.tree(recipe.commit).read(LOCK))
    except NotFound:
        return {}
    found = {}
    for stage in recipe.pipeline.ancestors(recipe.train.stage)[:-1]:
        cached = {out.path for out in stage.outs if out.cached}
        for path, md5 in lock_outs(stage, lock.get(stage.name, {})).items():
            if path in cached and _exists(objects, dvc_object(md5)):
                found[path] = dvc_object(md5)
    return found


def _exists(objects: Objects, key: str) -> bool:
    try:
        objects.head(key)
    except NotFound:
        return False
    return True

"""What serves what, on disk: the traffic table and each release's place, replaced as one."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What one release may use: threads, memory in bytes, idle in seconds until it is stopped."""

    model: str
    cpu: int = 1
    memory: int = 256 * 2**20
    idle: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Table:
    """The traffic of each model, and the place of each release digest."""

    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    def of(self, model: str) -> Traffic:
        """Return a model's traffic, empty where it is not served."""
        return self.traffic.get(model, Traffic())

    def placed(self, release: str, place: Place) -> Self:
        """Return the table with a place for the release."""
        return replace(self, places={**self.places, release: place})

    def moved(self, model: str, traffic: Traffic, *, expected: Traffic) -> Self:
        """Return the table with other traffic; what drops out loses its place, the new get one.

        Raises Conflict when the traffic is neither expected nor already as wanted.
        """
        now = self.of(model)
        if now not in {expected, traffic}:
            raise Conflict(
                f"the traffic of {model} is {now.as_dict()}, expected {expected.as_dict()}: "
                "someone else moved it; read it again"
            )
        dropped = now.as_dict().keys() - traffic.as_dict().keys()
        kept = {release: place for release, place in self.places.items() if release not in dropped}
        fresh = {release: kept.get(release, Place(model=model)) for release in traffic.as_dict()}
        return replace(self, traffic={**self.traffic, model: traffic}, places={**kept, **fresh})


def store(path: Path, table: Table) -> None:
    """Replace the file, safe against a crash; raises Unavailable when it cannot."""
    document = {
        "traffic": {model: traffic.shares for model, traffic in table.traffic.items()},
        "places": {release: asdict(place) for release, place in table.places.items()},
    }
    half = path.with_suffix(".part")
    try:
        with half.open("w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        half.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"the traffic table {path} cannot be written: {error}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path: Path) -> Table:
    """Read the file; where there is none, or it is broken, an empty table.

    A broken one is put aside: services are derived, a reconcile makes them again from Git and
    bucket.
    """
    try:
        return _read(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Table()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        aside = path.with_suffix(".broken")
        path.replace(aside)
        logger.warning("the traffic table was broken (%s) and is now %s", error, aside)
        return Table()


def _read(document: Any) -> Table:
    return Table(
        traffic=dict(_traffic(document["traffic"])),
        places={release: Place(**place) for release, place in document["places"].items()},
    )


def _traffic(stored: Mapping[str, Any]) -> Iterator[tuple[str, Traffic]]:
    for model, shares in stored.items():
        yield model, Traffic(tuple((str(release), int(percent)) for release, percent in shares))

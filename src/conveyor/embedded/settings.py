"""Settings of `conveyor up`, read once from its options and the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from conveyor.settings import DEFAULT_PORT, DeliverySettings, seconds, size
from conveyor.stations.largereads import LARGE


@dataclass(frozen=True, kw_only=True)
class EmbeddedSettings:
    """How one machine runs a line.

    line is the folder with conveyor.yaml; state where the engine keeps its own; bucket overrides
    conveyor.yaml's. look is the pause between two looks at a folder (an S3 bucket and a remote
    repository are looked at every `slow_look`); settle is how long a file must be unchanged; flush
    is how often a model tells of its traffic; patience is how long a model must have had no request
    before stored ones are replayed and decide on its canary; large is from how many bytes on an
    upload is read in a job.
    """

    line: Path
    state: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    bucket: str | None = None
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    look: timedelta = timedelta(milliseconds=250)
    slow_look: timedelta = timedelta(seconds=5)
    settle: timedelta = timedelta(milliseconds=500)
    flush: timedelta = timedelta(seconds=1)
    patience: timedelta = timedelta(seconds=30)
    slots: int = 2
    large: int = LARGE
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, environment: Mapping[str, str], *, line: Path, state: Path | None) -> Self:
        """Read CONVEYOR_LOOK, _SLOW_LOOK, _SETTLE, _FLUSH, _PATIENCE and _OUTBOX_AFTER, all in
        seconds, and CONVEYOR_LARGE in bytes.
        """
        return cls(
            line=line,
            state=state or line / ".conveyor",
            look=seconds(environment, "CONVEYOR_LOOK", 0.25),
            slow_look=seconds(environment, "CONVEYOR_SLOW_LOOK", 5),
            settle=seconds(environment, "CONVEYOR_SETTLE", 0.5),
            flush=seconds(environment, "CONVEYOR_FLUSH", 1),
            patience=seconds(environment, "CONVEYOR_PATIENCE", 30),
            delivery=DeliverySettings(
                outbox_after=seconds(environment, "CONVEYOR_OUTBOX_AFTER", 120)
            ),
            large=size(environment, "CONVEYOR_LARGE", LARGE),
            environment=dict(environment),
        )

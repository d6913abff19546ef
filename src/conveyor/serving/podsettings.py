"""What a serve pod takes from its environment, and the little of it that its model gets."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from conveyor.errors import Rejected
from conveyor.settings import S3Settings, seconds

PASSED = (
    *("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "K_REVISION", "CONVEYOR_LINE"),
    *("CONVEYOR_KEY_SERVE", "CONVEYOR_CPU", "CONVEYOR_MEMORY", "CONVEYOR_WORKERS"),
    *("CONVEYOR_RUN_LIMIT", "CONVEYOR_FLUSH", "CONVEYOR_FLUSH_COUNT", "CONVEYOR_MAX_BODY"),
    *("LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
)
"""All that the model's process gets of the pod's environment."""

SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """One serve pod.

    release is the digest that is served, s3 where its bundle lies, work a folder for bundle and
    samples; command starts the model's process. sink_timeout is longer than a broker that is called
    through its whole chain takes.
    """

    release: str
    s3: S3Settings
    command: tuple[str, ...]
    work: Path
    line: str = ""
    sink: str = ""
    sink_timeout: timedelta = timedelta(seconds=35)
    fetch_within: timedelta = timedelta(seconds=60)
    upload_every: timedelta = timedelta(seconds=10)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read CONVEYOR_*, PORT, K_SINK (else CONVEYOR_BROKER), TMPDIR and the AWS_* variables."""
        release = environment.get("CONVEYOR_RELEASE", "")
        if len(release) != SHA256_DIGITS or not set(release) <= set("0123456789abcdef"):
            raise Rejected(f"CONVEYOR_RELEASE must be a release's digest, got {release!r:.80}")
        if not (bucket := environment.get("CONVEYOR_BUCKET", "")):
            raise Rejected("CONVEYOR_BUCKET is not set: this pod cannot fetch its bundle")
        work = Path(environment.get("TMPDIR", "/tmp")) / "serve"  # noqa: S108  (the pod's own)
        return cls(
            release=release,
            s3=S3Settings.from_env(environment, bucket=bucket.removeprefix("s3://")),
            command=_command(environment, work),
            work=work,
            line=environment.get("CONVEYOR_LINE", ""),
            sink=environment.get("K_SINK") or environment.get("CONVEYOR_BROKER", ""),
            sink_timeout=seconds(environment, "CONVEYOR_SINK_TIMEOUT", 35.0),
            fetch_within=seconds(environment, "CONVEYOR_FETCH_WITHIN", 60.0),
            upload_every=seconds(environment, "CONVEYOR_UPLOAD_EVERY", 10.0),
        )

    @property
    def bundle(self) -> Path:
        """The folder that the bundle is fetched to."""
        return self.work / "bundle"

    @property
    def samples(self) -> Path:
        """The folder that the model's process puts sampled requests into."""
        return self.work / "samples"

    def child_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the model's process: no key but the one it signs with."""
        scratch = self.work / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        return {
            **{name: environment[name] for name in PASSED if name in environment},
            "CONVEYOR_FLUSH": environment.get("CONVEYOR_FLUSH", "5"),
            "CONVEYOR_SINK_TIMEOUT": str(self.sink_timeout.total_seconds()),
            "CONVEYOR_SAMPLES": str(self.samples),
            "CONVEYOR_AWAIT_BUNDLE": "1",
            "CONVEYOR_WATCH_PARENT": "1",
            "K_SINK": self.sink,
            "TMPDIR": str(scratch),
        }


def _command(environment: Mapping[str, str], work: Path) -> tuple[str, ...]:
    port = environment.get("PORT", "8080")
    # All addresses: in a pod the queue before it is the only way in.
    listen = ("--host", "0.0.0.0", "--port", port)  # noqa: S104
    return (
        *(sys.executable, "-P", "-m", "conveyor.serving"),
        *("--bundle", str(work / "bundle"), *listen),
    )

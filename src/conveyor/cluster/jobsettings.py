"""Settings of the first and last step of a job's pod, read once from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from conveyor.errors import Rejected
from conveyor.settings import S3Settings


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a step reaches: the bucket, and the line's repository ("" where it needs none).

    scratch is a folder of the step alone; environment gives git and uv what they need.
    """

    s3: S3Settings
    remote: str
    scratch: Path
    environment: Mapping[str, str]

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read CONVEYOR_BUCKET, CONVEYOR_S3_ENDPOINT, AWS_*, CONVEYOR_GIT_REMOTE and TMPDIR."""
        bucket = environment.get("CONVEYOR_BUCKET", "").removeprefix("s3://")
        if not bucket:
            raise Rejected("CONVEYOR_BUCKET is not set; it names the line's bucket")
        return cls(
            s3=S3Settings.from_env(environment, bucket=bucket),
            remote=environment.get("CONVEYOR_GIT_REMOTE", ""),
            scratch=Path(environment.get("TMPDIR") or "/tmp"),  # noqa: S108  the pod's own
            environment=environment,
        )

"""The line's bucket as this machine reaches it: a folder, or an S3 endpoint."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.api.inbox import FolderInbox, Inbox
from conveyor.api.s3inbox import S3Inbox
from conveyor.data.folder import FolderObjects
from conveyor.data.s3 import S3Objects, connect
from conveyor.domain.line import Line
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.errors import Rejected
from conveyor.ports import Objects
from conveyor.settings import S3Settings

S3 = "s3"


@dataclass(frozen=True)
class Bucket:
    """The line's bucket and the way in; folder is where it lies on this machine, None for S3."""

    objects: Objects
    inbox: Inbox
    folder: Path | None


def open_bucket(settings: EmbeddedSettings, line: Line) -> Bucket:
    """Open `s3://NAME`, or a folder relative to the line's; raises Rejected for anything else."""
    given = settings.bucket or line.bucket
    address = urlsplit(given)
    if address.scheme == S3:
        endpoint = S3Settings.from_env(settings.environment, bucket=address.netloc)
        return Bucket(S3Objects(endpoint), S3Inbox(connect(endpoint), address.netloc), None)
    if address.scheme:
        msg = f"the bucket {given!r} is neither a folder nor s3://NAME"
        raise Rejected(msg)
    folder = (settings.line / given).absolute()
    return Bucket(FolderObjects(folder), FolderInbox(folder), folder)

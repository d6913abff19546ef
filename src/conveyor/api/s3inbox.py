"""Takes a user's upload into an S3 bucket; imported by composition roots only: it needs boto3."""

from typing import Any, BinaryIO

from conveyor.api.inbox import checked_key
from conveyor.data.s3errors import FAILURES, translate
from conveyor.errors import NotFound


class S3Inbox:
    """Implements Inbox by a client as `conveyor.data.s3.connect` gives it, in parts where large."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, body: BinaryIO, size: int) -> None:
        """See Inbox.put; what ends early never becomes an object, as its parts are dropped."""
        del size  # the endpoint counts the parts itself, and the server before us held the length
        try:
            self._client.upload_fileobj(body, self._bucket, checked_key(key))
        except FAILURES as error:
            raise translate(error, where=f"s3://{self._bucket}/{key}", gone=NotFound) from error

"""Any S3 endpoint as the bucket: AWS, MinIO and others that speak the same protocol."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from conveyor.data.keys import checked, refuse_large
from conveyor.data.s3errors import FAILURES, is_missing, is_taken, translate
from conveyor.data.s3listing import newest_versions
from conveyor.domain.objects import ObjectRef
from conveyor.errors import Conflict, NotFound, Superseded
from conveyor.settings import S3Settings

SINGLE_COPY_BYTES = 5 * 10**9
"""Larger objects are copied in parts (S3's own limit is 5 GiB)."""

_PART_BYTES = 512 * 2**20
_MAX_PARTS = 9_000
_COPIES_AT_ONCE = 8
_MULTIPART = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=64 * 2**20)
_NO_VERSION = "null"


class S3Objects:
    """The objects of an existing bucket; it keeps versions where the bucket does.

    copy_limit and copy_part (bytes) say from where on, and in what parts, a copy is made piece by
    piece.
    """

    def __init__(
        self,
        settings: S3Settings,
        *,
        copy_limit: int = SINGLE_COPY_BYTES,
        copy_part: int = _PART_BYTES,
    ) -> None:
        self._bucket = settings.bucket
        self._client = connect(settings)
        self._copy_limit = copy_limit
        self._copy_part = copy_part

    @property
    def name(self) -> str:
        """The bucket's name."""
        return self._bucket

    def head(self, key: str, version: str = "") -> ObjectRef:
        """See Objects.head."""
        with self._asking(key, gone=NotFound):
            found = self._client.head_object(**self._at(checked(key), version))
        return ObjectRef(
            bucket=self._bucket,
            key=key,
            version=_version(found.get("VersionId", "")),
            etag=found["ETag"].strip('"'),
            size=found["ContentLength"],
            modified=found["LastModified"].replace(microsecond=0),
        )

    def list(self, prefix: str = "") -> Iterator[ObjectRef]:
        """See Objects.list; needs s3:ListBucketVersions."""
        with self._asking(prefix, gone=NotFound):
            for found in newest_versions(self._client, self._bucket, prefix):
                yield ObjectRef(
                    bucket=self._bucket,
                    key=found["Key"],
                    version=_version(found["VersionId"]),
                    etag=found["ETag"].strip('"'),
                    size=found["Size"],
                    # HEAD tells whole seconds, and both must give the same event id
                    modified=found["LastModified"].replace(microsecond=0),
                )

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[BinaryIO]:
        """See Objects.open; the read fails with Unavailable when the connection breaks."""
        with self._asking(ref.key, gone=Superseded):
            found = self._client.get_object(
                **self._at(checked(ref.key), ref.version), IfMatch=ref.etag
            )
            with found["Body"] as body:
                yield body

    def read(self, key: str) -> bytes:
        """See Objects.read."""
        with self._asking(key, gone=NotFound):
            found = self._client.get_object(**self._at(checked(key)))
            with found["Body"] as body:
                refuse_large(key, found["ContentLength"])
                content: bytes = body.read()
                return content

    def put(self, key: str, body: bytes | Path) -> None:
        """See Objects.put."""
        large = isinstance(body, Path) and body.stat().st_size > _MULTIPART.multipart_threshold
        if large and self._exists(key):
            return
        with self._asking(key, gone=NotFound):
            if large:
                self._client.upload_file(str(body), self._bucket, checked(key), Config=_MULTIPART)
                return
            content = body.read_bytes() if isinstance(body, Path) else body
            self._put_first(key, content)

    def copy(self, ref: ObjectRef, key: str) -> None:
        """See Objects.copy."""
        if self._exists(key):
            return
        with self._asking(ref.key, gone=Superseded):
            if ref.size > self._copy_limit:
                self._copy_in_parts(ref, key)
            else:
                self._client.copy_object(
                    **self._at(key), CopySource=self._source(ref), CopySourceIfMatch=ref.etag
                )

    def download(self, key: str, path: Path) -> None:
        """See Objects.download."""
        with self._asking(key, gone=NotFound):
            size = self.head(key).size
            try:
                target = path.open("xb")
            except FileExistsError as error:
                msg = f"{path} exists already; download to a new name"
                raise Conflict(msg) from error
            with target:
                self._client.download_fileobj(self._bucket, key, target, Config=_MULTIPART)
        if path.stat().st_size != size:
            path.unlink()
            msg = f"{key} changed while it was downloaded; try again"
            raise Superseded(msg)

    def _put_first(self, key: str, content: bytes) -> None:
        try:
            self._client.put_object(**self._at(checked(key)), Body=content, IfNoneMatch="*")
        except FAILURES as error:
            if not is_taken(error):
                raise

    def _copy_in_parts(self, ref: ObjectRef, key: str) -> None:
        target = self._at(key)
        upload = self._client.create_multipart_upload(**target)["UploadId"]
        try:
            parts = self._copied_parts(ref, {**target, "UploadId": upload})
            self._client.complete_multipart_upload(
                **target, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except FAILURES:
            self._client.abort_multipart_upload(**target, UploadId=upload)
            raise

    def _copied_parts(self, ref: ObjectRef, upload: dict[str, str]) -> Sequence[dict[str, Any]]:
        """Copy all parts, some at a time: a station that keeps an upload has minutes, not hours."""
        step = max(self._copy_part, -(-ref.size // _MAX_PARTS))

        def copy(number: int) -> dict[str, Any]:
            start = (number - 1) * step
            copied = self._client.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=self._source(ref),
                CopySourceIfMatch=ref.etag,
                CopySourceRange=f"bytes={start}-{min(start + step, ref.size) - 1}",
            )
            return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}

        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            return tuple(pool.map(copy, range(1, -(-ref.size // step) + 1)))

    def _source(self, ref: ObjectRef) -> dict[str, str]:
        return self._at(checked(ref.key), ref.version)

    def _at(self, key: str, version: str = "") -> dict[str, str]:
        where = {"Bucket": self._bucket, "Key": key}
        return {**where, "VersionId": version} if version else where

    def _exists(self, key: str) -> bool:
        with self._asking(key, gone=NotFound):
            try:
                self._client.head_object(**self._at(checked(key)))
            except FAILURES as error:
                if is_missing(error):
                    return False
                raise
        return True

    @contextmanager
    def _asking(self, key: str, *, gone: type[NotFound | Superseded]) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise translate(error, where=f"s3://{self._bucket}/{key}", gone=gone) from error


def connect(settings: S3Settings) -> Any:
    """Return an S3 client (safe to share between threads); nothing is asked of the endpoint yet."""
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region or ("us-east-1" if settings.endpoint else None),
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        aws_session_token=settings.token,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 4, "mode": "standard"},
            s3={"addressing_style": "path"} if settings.endpoint else None,
            # not every endpoint knows the newer checksums; ours is the md5 of the content
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _version(found: str) -> str:
    return "" if found == _NO_VERSION else found

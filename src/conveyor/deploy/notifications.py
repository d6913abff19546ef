"""Lets a bucket tell of its uploads: adds our rule to its notifications, and leaves the others."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from conveyor.errors import Rejected, Unavailable
from conveyor.settings import S3Settings

_EVENTS = ["s3:ObjectCreated:*"]
_RULES = {"sqs": "QueueConfigurations", "sns": "TopicConfigurations"}


def client(settings: S3Settings) -> Any:
    """Return a client for the bucket's endpoint."""
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1}),
    )


def with_rule(current: Mapping[str, Any], arn: str) -> dict[str, Any] | None:
    """Return a bucket's notifications with a rule for the target, None where it has one."""
    parts = arn.split(":")
    kind = next((rule for name, rule in _RULES.items() if name in parts[:3]), "")
    if not kind:
        raise Rejected(f"{arn!r} names no queue or topic, e.g. arn:minio:sqs::CONVEYOR:webhook")
    field = "QueueArn" if kind == "QueueConfigurations" else "TopicArn"
    rules = {name: value for name, value in current.items() if name != "ResponseMetadata"}
    if any(each.get(field) == arn for each in rules.get(kind, ())):
        return None
    ours = {"Id": "conveyor", field: arn, "Events": _EVENTS}
    others = [each for each in rules.get(kind, ()) if each.get("Id") != "conveyor"]
    return {**rules, kind: [*others, ours]}


def notify(settings: S3Settings, arn: str) -> bool:
    """Add a rule for the target to the bucket's notifications; False where it was there.

    Raises Rejected where the endpoint refuses, Unavailable where it does not answer from here.
    """
    s3 = client(settings)
    try:
        current = s3.get_bucket_notification_configuration(Bucket=settings.bucket)
        wanted = with_rule(current, arn)
        if wanted is not None:
            s3.put_bucket_notification_configuration(
                Bucket=settings.bucket, NotificationConfiguration=wanted
            )
    except ClientError as error:
        raise Rejected(
            f"bucket {settings.bucket} takes no notification to {arn}: {error}; the target must be "
            "set up on the server first (docs/cluster.md)"
        ) from error
    except BotoCoreError as error:
        raise Unavailable(
            f"{settings.endpoint or 'S3'} does not answer from here: {error}"
        ) from error
    return wanted is not None

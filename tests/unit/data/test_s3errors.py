"""What an S3 endpoint's refusals mean to us."""

import pytest
from botocore.exceptions import ClientError

from conveyor.data.s3errors import translate
from conveyor.errors import NotFound, Rejected, Unavailable


def refusal(code, status, **headers):
    answer = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return translate(ClientError(answer, "PutObject"), where="s3://data/k", gone=NotFound)


@pytest.mark.parametrize(
    ("given", "asked"), [("30", 30.0), ("", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)]
)
def test_an_endpoint_with_too_much_to_do_says_for_how_long(given, asked):
    error = refusal("SlowDown", 503, **{"retry-after": given})
    assert isinstance(error, Unavailable)
    assert error.retry_after == asked


def test_a_refused_request_is_not_tried_again():
    assert isinstance(refusal("InvalidArgument", 400), Rejected)

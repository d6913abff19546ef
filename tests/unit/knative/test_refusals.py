import json

import pytest

from conveyor.errors import Busy, Conflict, NotFound, Rejected, Superseded, Unavailable
from conveyor.knative.refusals import refusal


def refused(status, *, method="GET", **said):
    return refusal(method, "/api/v1/namespaces/n/pods", status, json.dumps(said).encode())


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, Rejected),
        (401, Unavailable),
        (404, NotFound),
        (409, Conflict),
        (410, Superseded),
        (422, Rejected),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_each_status_has_one_meaning(status, meaning):
    assert type(refused(status, message="no")) is meaning


def test_a_creation_that_finds_its_name_taken_is_a_conflict_a_counted_quota_is_busy():
    assert type(refused(409, method="POST", reason="AlreadyExists")) is Conflict
    assert type(refused(409, method="POST", reason="Conflict")) is Busy


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("pods is forbidden: exceeded quota: q, requested: pods=1", "ResourceQuota"),
        ('pods is forbidden: User "x" cannot list resource "pods"', "Role"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "restricted"),
    ],
)
def test_what_is_forbidden_says_what_to_do(message, remedy):
    error = refused(403, reason="Forbidden", message=message)
    assert type(error) is Rejected
    assert remedy in str(error)


def test_a_namespace_that_is_going_away_may_be_tried_again():
    causes = [{"reason": "NamespaceTerminating"}]
    assert type(refused(403, details={"causes": causes})) is Unavailable


def test_an_answer_that_is_no_status_is_shown():
    error = refusal("GET", "/x", 502, b"<html>bad gateway")
    assert type(error) is Unavailable
    assert "bad gateway" in str(error)

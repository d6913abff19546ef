"""What an attacker, a stranger or a careless colleague may try on a deployed line."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import urllib3
from deployment.load import Stream
from deployment.meddling import broker_address, edit_traffic, inside_address, sleep, stored_version

from conveyor.codec import encode
from conveyor.domain.events import new_event
from conveyor.domain.objects import bundle_folder
from conveyor.domain.payloads import ModelConverted


def forged():
    """An event that would release a model, signed by nobody."""
    payload = ModelConverted(model="wine", run="forged", onnx="0" * 64, stable="", commit="0" * 40)
    return new_event(payload, line="cellar", event_id="forged", time=datetime.now(UTC))


def test_a_forged_event_posted_to_a_function_is_refused(line):
    headers, body = encode(forged())
    at = inside_address(line, "release")
    answer = urllib3.request(
        "POST", at.url, headers={**headers, **at.headers}, body=body, timeout=60
    )
    assert answer.status == 401


def test_a_forged_event_posted_to_the_broker_moves_nothing(line):
    tags, mark = line.git_tags(), line.mark
    headers, body = encode(forged())
    address = broker_address(line)
    urllib3.request("POST", address, headers=headers, body=body, timeout=60)
    assert not line.of("release.created", mark)
    assert line.git_tags() == tags


def notice(line, *, token: str, bucket: str) -> int:
    told = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": f"{bucket}/wine/wine.csv",
        "Records": [
            {
                "eventName": "s3:ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": "wine%2Fwine.csv", "size": 1}},
            }
        ],
    }
    return urllib3.request(
        "POST",
        f"{line.machine.ingress}/api/v1/notices/s3",
        headers={"Host": line.host("receive"), "Authorization": f"Bearer {token}"},
        json=told,
    ).status


def test_a_notice_with_a_wrong_token_is_refused(line):
    assert notice(line, token="x" * 43, bucket=line.bucket) == 401


def test_a_notice_of_another_bucket_leads_to_nothing(line):
    mark = line.mark
    assert notice(line, token=line.token, bucket="strangers") in {202, 422}
    assert not line.of("dataset.uploaded", mark)


def test_two_deployments_at_once_end_as_one(line):
    before = line.versions()
    with ThreadPoolExecutor(2) as both:
        ended = [each.exception() for each in [both.submit(line.deploy_again) for _ in range(2)]]
    assert ended.count(None) >= 1
    assert line.versions() == before


def test_traffic_that_somebody_edits_is_reported_and_stays(line):
    """A few requests flow, so that the canary neither goes on nor is decided by replays."""
    mark = line.mark
    with Stream(line.models(), line.clone / "data/wine-holdout.csv", rate=4):
        line.put_wine(6)
        line.event("rollout.advanced", mark)
        edit_traffic(line, "wine")
        paused = line.until(
            lambda: [each for each in line.rollouts() if each["paused"]], "the pause"
        )
        assert "changed by someone else" in paused[0]["reason"]
        line.client.command("wine", "abort", by="tester", reason="the edit was a mistake")
        line.event("rollout.rolledback", mark)


def test_a_bundle_that_is_changed_in_the_bucket_is_never_served(line):
    digest = line.stable()["release"]
    key = f"{bundle_folder(digest)}model.onnx"
    good = line.s3.get_object(Bucket=line.bucket, Key=key)["Body"].read()
    sleep(line)
    line.put_bytes(good[:-1] + bytes([good[-1] ^ 1]), key)
    try:
        assert line.predict_or_none(seconds=20) is None
    finally:
        line.put_bytes(good, key)
    line.until(lambda: line.predict_or_none() is not None, "the mended release", 180)


def test_a_version_keeps_the_bytes_that_were_checked_whatever_comes_after(line):
    mark = line.mark
    bodies = [line.put_wine(number) for number in (7, 8)]
    known = {hashlib.md5(body, usedforsecurity=False).hexdigest(): body for body in bodies}
    line.event("dataset.versioned", mark)
    line.until(line.settled, "the end of all deliveries")
    checked = [event["data"]["md5"] for event in line.of("dataset.versioned", mark)]
    assert checked
    for md5 in checked:
        assert stored_version(line, md5) == known[md5]

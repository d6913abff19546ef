"""Uploads above the threshold: read in a job, and versioned as all others."""

import pytest

SMALL = 64
"""Bytes from which on an upload is large here."""


def stories(up, path):
    return up.ask("GET", f"/api/v1/{path}").json()


def test_a_large_upload_is_read_in_a_job_and_its_version_is_traced_back_through_the_run(
    line, start
):
    up = start(large=SMALL).up()
    line.points()
    version = up.event("dataset.versioned")
    (ended,) = up.of("job.finished", job="version")
    assert ended["data"]["owner"].startswith("points.")
    trace = stories(up, f"trace/{version['data']['commit']}")["events"]
    led = [event["type"].split(".", 2)[2] for event in trace if event["direction"] != "down"]
    assert led == ["dataset.uploaded.v1", "job.finished.v1", "dataset.versioned.v1"]
    log = stories(up, f"runs/{ended['data']['key']}/log")["text"]
    assert log.splitlines()[-1].endswith("(100 %)")


def test_a_large_upload_that_breaks_the_schema_is_refused_and_its_bytes_are_kept(line, start):
    body = b"x,y\n" + 40 * b"1,much\n"
    up = start(large=SMALL).up()
    line.put("points.csv", body)
    refused = up.event("dataset.rejected")["data"]
    assert "much" in refused["reasons"][0]
    assert line.kept()[f"_conveyor/refused/{refused['upload']}"] == body
    told = stories(up, f"follow/{refused['upload']}")
    assert (told["done"], told["failed"]) == (True, True)
    assert not line.commits("points")


def test_of_large_uploads_at_once_the_newest_is_the_version(line, start):
    """Each is told of; the older ones are superseded before, while or after they are read."""
    up = start(large=SMALL).up()
    for rows in (40, 60, 80, 100):
        line.points(rows=rows)
        up.event("dataset.uploaded", size=(line.bucket / "points.csv").stat().st_size)
    up.until(lambda: up.of("dataset.versioned", rows=100), "the newest version")
    up.settled()
    assert "100 rows" in line.commits("points: ")[0]
    assert up.stats["dead"] == 0


@pytest.mark.slow
def test_an_engine_that_is_killed_around_a_read_ends_the_same(line, start):
    line.points()
    for where in ("read asked", "read stored", "bytes kept", "versioned"):
        start(large=SMALL, crash=where).dies(where)
    up = start(large=SMALL).up()
    up.event("rollout.promoted")
    up.settled()
    assert len(line.commits("points: ")) == 1
    assert len(up.of("dataset.versioned")) == len(up.of("job.finished", job="version")) == 1
    assert up.stats["dead"] == 0
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]

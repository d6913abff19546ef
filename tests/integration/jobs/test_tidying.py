"""What jobs leave on the machine, and when it goes."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

REQUIREMENTS = "# nothing but Python\n"


@pytest.fixture
def made(bench):
    """Return the environments that are there."""
    return lambda: list((bench.state / "environments").glob("*/bin/python"))


def after(**time_passed):
    return datetime.now(UTC) + timedelta(**time_passed)


def until(met):
    end = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_an_environment_that_was_not_used_for_long_is_removed_and_made_again(
    bench, python_job, made
):
    bench.end_of(replace(python_job("pass"), requirements=REQUIREMENTS))
    bench.jobs.tidy(after(days=20))
    assert len(made()) == 1
    until(lambda: bench.jobs.tidy(after(days=40)) or not made())
    again = replace(python_job("pass", key="k2"), requirements=REQUIREMENTS)
    assert bench.end_of(again).succeeded


def test_an_environment_in_which_a_run_works_stays(bench, python_job, made):
    bench.jobs.ensure(replace(python_job("import time; time.sleep(60)"), requirements=REQUIREMENTS))
    until(lambda: any(job.phase == "work" for job in bench.jobs.running()))
    bench.jobs.tidy(after(days=400))
    assert len(made()) == 1


def test_a_folder_of_a_run_that_nobody_knows_is_removed(bench):
    """An engine was killed between the end of the run and that of its folder."""
    left = bench.state / "jobs" / "old"
    (left / "work").mkdir(parents=True)
    bench.jobs.tidy(after(days=0))
    assert not left.exists()

import pytest

from conveyor.domain.checks import Finding, Reading, judge_reading
from conveyor.domain.evidence import Evidence, total
from conveyor.domain.line import Dataset, Line, Model
from conveyor.domain.traffic import Traffic

READING = Reading(md5="m", size=1, rows=50)


def test_a_first_version_may_have_any_number_of_rows():
    assert judge_reading(READING, previous_rows=None, shrink=0.5).accepted


def test_too_few_rows_against_the_last_version_are_refused_with_both_numbers():
    verdict = judge_reading(READING, previous_rows=101, shrink=0.5)
    assert not verdict.accepted
    assert "50 rows" in verdict.reasons[0]
    assert "101" in verdict.reasons[0]


def test_just_enough_rows_are_accepted():
    assert judge_reading(READING, previous_rows=100, shrink=0.5).accepted


def test_a_readings_own_findings_refuse_it():
    finding = Finding(check="type", where="a", message="a is not a number")
    reading = Reading(md5="m", size=1, rows=5, findings=(finding,))
    assert judge_reading(reading, previous_rows=5, shrink=0.5).reasons == ["a is not a number"]


@pytest.mark.parametrize(
    ("key", "taker"),
    [("wine/wine.csv", "wine"), ("pics/a/b.png", "pics"), ("m.onnx", "m"), ("other.csv", None)],
)
def test_an_object_belongs_to_the_data_set_or_model_whose_upload_it_is(key, taker):
    line = Line(
        name="shop",
        data={
            "wine": Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv"),
            "pics": Dataset(name="pics", upload="pics/", path="data/pics"),
        },
        models={"m": Model(name="m", upload="m.onnx")},
    )
    found = line.taker(key)
    assert (found.name if found else None) == taker


def test_a_share_of_the_points_goes_to_each_release():
    traffic = Traffic((("stable", 90), ("candidate", 10)))
    chosen = [traffic.choose(point / 1000) for point in range(1000)]
    assert chosen.count("candidate") == 100


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="100"):
        Traffic((("a", 60), ("b", 60)))


def test_nothing_to_choose_from_says_so():
    with pytest.raises(LookupError, match="no release"):
        Traffic().choose(0.5)


def test_evidence_adds_up_and_survives_its_summary():
    one = Evidence(requests=2, errors=1, labels={"a": 1})
    both = total([one, one])
    assert (both.requests, both.errors, both.labels) == (4, 2, {"a": 2})
    assert Evidence.from_summary(both.to_summary()) == both


@pytest.mark.parametrize("change", [{"errors": -1}, {"latency": [1]}, {"labels": {"a": "x"}}])
def test_a_summary_that_is_none_is_refused(change):
    with pytest.raises(ValueError, match="not a traffic summary"):
        Evidence.from_summary(Evidence().to_summary() | change)

import pytest

API = "/api/v1"
RUN, ONNX, DIGEST = "a1" * 32, "b2" * 32, "d4" * 32


def event(seq, name, *, causes=(), direction="up", **data):
    return {
        "seq": seq,
        "id": f"{seq}" * 64,
        "type": f"dev.conveyor.{name}.v1",
        "subject": "wine",
        "time": "2026-11-21T12:00:00Z",
        "data": data,
        "direction": direction,
        "causes": list(causes),
        "story": f"· {name} {seq}",
    }


EVENTS = [
    event(1, "dataset.uploaded", key="wine/wine.csv", commit="0" * 40),
    event(2, "dataset.versioned", causes=[1], md5="c3" * 16, commit="1" * 40),
    event(3, "model.trained", causes=[2], run=RUN, commit="2" * 40),
    event(4, "model.converted", causes=[3], onnx=ONNX, run="f" * 64, commit="2" * 40),
    event(5, "release.created", causes=[4], direction="here", tag="wine@v1.0.0", commit="2" * 40),
    event(6, "inference.observed", causes=[5], direction="down"),
    event(7, "rollout.promoted", causes=[6], direction="down"),
]
REPORT = {
    "kind": "release",
    "value": DIGEST,
    "facts": {"object": ["wine/wine.csv", "_conveyor/dvc/x"], "onnx": [ONNX]},
    "truncated": False,
    "events": EVENTS,
}


@pytest.fixture
def told(engine):
    engine.answers[f"GET {API}/trace/x"] = REPORT
    return lambda *options: engine.run("trace", "x", *options).output


def test_it_leads_from_upload_to_release_in_one_line(told):
    assert told().splitlines()[1].split(" -> ") == [
        "  upload wine/wine.csv",
        "version c3c3c3c3c3c3",
        "commit 222222222222",
        "run a1a1a1a1a1a1",
        "ONNX b2b2b2b2b2b2",
        "release wine@v1.0.0",
    ]


def test_ids_are_cut_and_conveyors_own_keys_left_to_json(told):
    output = told()
    assert ONNX not in output
    assert DIGEST not in output
    assert "_conveyor/" not in output
    assert "_conveyor/dvc/x" in told("--json")


def test_evidence_is_hidden_unless_asked_for_and_what_it_led_to_is_not(told):
    output = told()
    assert "inference.observed" not in output
    assert "rollout.promoted 7" in output
    assert "inference.observed 6" in told("--all")


def test_no_event_is_in_both_trees(told):
    output = told()
    assert all(output.count(each["story"]) <= 1 for each in EVENTS)


def test_without_events_the_facts_lead_and_the_loss_is_told(engine):
    facts = {"tag": ["wine@v1.0.0"], "data": ["c3" * 16], "run": [RUN]}
    lost = {"events": [], "facts": facts, "lost": "the events are gone"}
    engine.answers[f"GET {API}/trace/x"] = REPORT | lost
    output = engine.run("trace", "x").output
    assert "version c3c3c3c3c3c3 -> run a1a1a1a1a1a1 -> release wine@v1.0.0" in output
    assert "the events are gone" in output

import json

import pytest

from conveyor.domain.evidence import Evidence
from conveyor.errors import Rejected, Unavailable
from conveyor.serving.endpoint import Endpoint, Incoming
from conveyor.serving.samples import Sampler
from conveyor.serving.telemetry import Recorder

RELEASE = "ab" * 32


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def endpoint(manifest, recorder, session):
    opened = Endpoint(manifest, RELEASE, recorder)
    opened.open(session)
    return opened


def body(*data, **more):
    shape = [len(data) // 2, 2]
    x = {"name": "x", "datatype": "FP32", "shape": shape, "data": list(data)}
    return json.dumps({"inputs": [x], **more}).encode()


def post(endpoint, content, path=("models", "wine", "infer"), **more):
    answer = endpoint.answer(Incoming(method="POST", path=path, body=content, **more))
    return answer.status, json.loads(answer.body)


def get(endpoint, *path, method="GET"):
    answer = endpoint.answer(Incoming(method=method, path=path))
    return answer.status, json.loads(answer.body)


def test_an_answer_has_all_outputs_the_id_and_a_prediction_id_of_the_release(endpoint):
    status, answer = post(endpoint, body(1, 2, id="seven"))
    assert status == 200
    assert [tensor["name"] for tensor in answer["outputs"]] == ["label", "score"]
    assert answer["outputs"][1]["data"] == [1.0, 2.0]
    assert answer["id"] == "seven"
    assert answer["parameters"]["prediction_id"].startswith(RELEASE[:16] + "-")


def test_prediction_ids_are_never_the_same(endpoint):
    ids = {post(endpoint, body(1, 2))[1]["parameters"]["prediction_id"] for _ in range(50)}
    assert len(ids) == 50


def test_a_version_can_be_named(endpoint):
    path = ("models", "wine", "versions", RELEASE[:16], "infer")
    assert post(endpoint, body(1, 2), path)[0] == 200


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (("models", "beer", "infer"), "Request for unknown model: 'beer' is not found"),
        (
            ("models", "wine", "versions", "9", "infer"),
            "Request for unknown version: '9' of model 'wine' is not found",
        ),
        (("models", "wine", "dance"), "there is nothing at this path"),
        (("elsewhere",), "there is nothing at this path"),
    ],
)
def test_an_unknown_path_is_404_with_the_reason(endpoint, path, error):
    assert post(endpoint, body(1, 2), path) == (404, {"error": error})


def test_metadata_names_platform_version_and_tensors(endpoint):
    status, document = get(endpoint, "models", "wine")
    assert (status, document["platform"], document["versions"]) == (
        200,
        "onnx_onnxv1",
        [RELEASE[:16]],
    )
    assert document["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]


def test_the_wrong_method_is_405(endpoint):
    assert get(endpoint, "models", "wine", "infer")[0] == 405
    assert get(endpoint, "health", "ready", method="DELETE")[0] == 405


def test_it_lives_but_is_not_ready_until_opened_nor_when_draining(manifest, recorder, session):
    endpoint = Endpoint(manifest, RELEASE, recorder)
    seen = [get(endpoint, "health", "ready")[0], post(endpoint, body(1, 2))[0]]
    endpoint.open(session)
    seen += [get(endpoint, "health", "ready")[0], get(endpoint, "models", "wine", "ready")[0]]
    endpoint.drain()
    seen += [get(endpoint, "health", "ready")[0], post(endpoint, body(1, 2))[0]]
    assert seen == [503, 503, 200, 200, 503, 200]
    assert get(endpoint, "health", "live")[0] == 200


def test_a_nan_is_answered_as_null_and_counted(endpoint, recorder):
    status, answer = post(endpoint, body(None, 2))
    assert (status, answer["outputs"][1]["data"]) == (200, [None, 2.0])
    assert recorder.drain().nans == 1


def test_good_answers_are_counted_with_their_labels(endpoint, recorder):
    post(endpoint, body(1, 2, 3, 4))
    evidence = recorder.drain()
    assert (evidence.requests, sum(evidence.latency), evidence.labels) == (1, 1, {"1": 2})


@pytest.mark.parametrize("fault", [Unavailable("the model failed"), KeyError("our slip")])
def test_a_failing_model_is_500_and_counted_as_an_error(endpoint, recorder, session, fault):
    session.fault = fault
    status, answer = post(endpoint, body(1, 2))
    assert (status, list(answer)) == (500, ["error"])
    assert recorder.drain() == Evidence(requests=1, errors=1)


def test_a_clients_mistake_is_400_and_says_nothing_about_the_release(endpoint, recorder, session):
    session.fault = Rejected("index out of range")
    assert post(endpoint, body(1, 2)) == (400, {"error": "index out of range"})
    assert post(endpoint, b"{")[0] == 400
    assert recorder.drain() is None


def test_a_replay_is_answered_but_not_counted(endpoint, recorder):
    assert post(endpoint, body(1, 2), counted=False)[0] == 200
    assert recorder.drain() is None


def test_good_requests_are_sampled(manifest, recorder, session, tmp_path):
    sampler = Sampler(tmp_path)
    endpoint = Endpoint(manifest, RELEASE, recorder, sampler)
    endpoint.open(session)
    post(endpoint, body(1, 2))
    post(endpoint, b"{")
    sampler.store()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [body(1, 2)]

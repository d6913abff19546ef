import json

import pytest

API = "/api/v1"
ANSWER = {
    "model_name": "wine",
    "parameters": {"prediction_id": "r-1"},
    "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["red", "[b]white"]},
        {"name": "share", "datatype": "FP32", "shape": [2, 2], "data": [0.9, 0.1, 0.25, 0.75]},
    ],
}


def serving(engine, *inputs):
    release = {"stable": True, "release": "r"}
    engine.answers[f"GET {API}/releases"] = {"releases": [release]}
    manifest = {"manifest": {"signature": {"inputs": list(inputs)}}}
    engine.answers[f"GET {API}/releases/wine/r"] = manifest
    engine.answers["POST /v2/models/wine/infer"] = ANSWER


def tensor(name, datatype, shape, features=()):
    return {"name": name, "datatype": datatype, "shape": shape, "features": list(features)}


def sent(engine):
    return json.loads(engine.calls[-1][2])


def test_rows_of_a_csv_become_one_matrix_in_the_models_order_without_the_label(engine, tmp_path):
    serving(engine, tensor("input", "FP32", [-1, 2], ["acid", "alcohol"]))
    rows = tmp_path / "rows.csv"
    rows.write_text("alcohol,kind,acid\n13.5,red,1\n12,white,\n")
    answer = engine.run("predict", "wine", "--rows", str(rows))
    assert answer.exit_code == 0
    (given,) = sent(engine)["inputs"]
    assert (given["shape"], given["data"]) == ([2, 2], [1.0, 13.5, None, 12.0])
    assert "0.9, 0.1" in answer.output
    assert "[b]white" in answer.output
    assert "conveyor trace r-1" in answer.output


def test_a_column_per_input_is_sent_as_its_own_tensor(engine):
    serving(engine, tensor("age", "INT64", [-1, 1]), tensor("city", "BYTES", [-1, 1]))
    data = json.dumps([{"age": 3, "city": "Ulm"}, {"age": "4", "city": None}])
    engine.run("predict", "wine", "--data", data)
    age, city = sent(engine)["inputs"]
    assert (age["shape"], age["data"]) == ([2, 1], [3, 4])
    assert city["data"] == ["Ulm", ""]


def test_a_request_of_the_protocol_goes_as_it_is(engine):
    engine.answers["POST /v2/models/wine/infer"] = ANSWER
    request = {"inputs": [{"name": "x"}]}
    answer = engine.run("predict", "wine", "--json", input=json.dumps(request))
    assert sent(engine) == request
    assert json.loads(answer.stdout) == ANSWER


@pytest.mark.parametrize("data", ["{", "[]", "3", '{"acid": "sour", "alcohol": 1}', '{"acid": 1}'])
def test_data_that_the_model_cannot_take_is_refused_with_the_reason(engine, data):
    serving(engine, tensor("input", "FP32", [-1, 2], ["acid", "alcohol"]))
    answer = engine.run("predict", "wine", "--data", data)
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: ")


def test_rows_and_data_together_are_wrong_usage(engine, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    assert engine.run("predict", "wine", "--rows", str(rows), "--data", "{}").exit_code == 2


@pytest.mark.parametrize("data", ["[1, 13.5]", "[[1, 13.5]]"])
def test_a_bare_row_is_taken_where_there_is_one_input(engine, data):
    serving(engine, tensor("input", "FP32", [-1, 2], ["acid", "alcohol"]))
    assert engine.run("predict", "wine", "--data", data).exit_code == 0
    (given,) = sent(engine)["inputs"]
    assert (given["shape"], given["data"]) == ([1, 2], [1.0, 13.5])


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_bare_row_that_does_not_fit_says_what_the_model_takes(engine, inputs):
    names = ("age", "city")[:inputs]
    serving(engine, *(tensor(name, "FP32", [-1, 1]) for name in names))
    answer = engine.run("predict", "wine", "--data", "[1, 2, 3]")
    assert (answer.exit_code, ", ".join(names) in answer.stderr) == (1, True)


@pytest.mark.parametrize("data", ["[1]", '{"inputs": []}'])
def test_a_model_in_training_says_so(engine, data):
    engine.answers[f"GET {API}/releases"] = {"releases": []}
    row = {"name": "wine", "waits": "waits for its train run", "refusal": None}
    engine.answers[f"GET {API}/status"] = {"models": [row]}
    answer = engine.run("predict", "wine", "--data", data)
    assert answer.exit_code == 1
    assert "wine has no release yet: it waits for its train run" in answer.stderr
    assert "no model 'x'" in engine.run("predict", "x", "--data", data).stderr

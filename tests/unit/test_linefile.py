"""conveyor.yaml read strictly."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conveyor.domain import metrics
from conveyor.domain.line import Complete, Dataset, Gate, GitPolicy, Line, Model
from conveyor.errors import InvalidLine
from conveyor.linefile import MAX_BYTES, parse_line, place_lines, schema_text

DESIGN = b"""\
# yaml-language-server: $schema=conveyor.schema.json
line: shop
git: {branch: main, write: main}
bucket: s3://data
rollout: {steps: [5, 25, 50], min_requests: 200, deadline: 24h, on_deadline: rollback}
data:
  wine:
    {upload: wine/wine.csv, path: data/wine.csv, schema: data/wine.schema.yaml, owner: a@b.example}
  reviews: {upload: reviews/, complete: {marker: _SUCCESS}, path: data/reviews}
models:
  wine:
    train:
      {stage: train-wine, output: models/wine.skops, requirements: r.txt, gpu: 1, timeout: 90m}
    retrain: {cron: "0 3 * * 1", missed: once}
    evaluate: {rows: data/wine-holdout.csv, label: quality, metric: f1_macro}
    gate: {at_least: 0.8, below_stable: 0.01}
    serve: {cpu: 1, memory: 256Mi, idle: 1m}
  sentiment:
    upload: models/sentiment.onnx
    evaluate: {rows: data/reviews-holdout.csv, label: stars, metric: accuracy}
    gate: {at_least: 0.9}
    rollout: {steps: [50]}
"""


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidLine) as caught:
        parse_line(text.encode() if isinstance(text, str) else text)
    return str(caught.value)


def test_the_line_of_the_design_is_read():
    line = parse_line(DESIGN)
    wine = line.models["wine"]
    assert (line.name, line.bucket, line.git) == ("shop", "s3://data", GitPolicy())
    assert line.data["reviews"].complete == Complete(marker="_SUCCESS")
    assert (wine.train.timeout, wine.train.gpu) == (timedelta(minutes=90), 1)
    assert wine.gate == Gate(at_least=0.8, below_stable=0.01)
    assert wine.serve.memory == 256 * 2**20


def test_what_is_left_out_has_the_defaults_of_the_domain():
    text = b"line: a\ndata: {w: {upload: w.csv, path: d/w.csv}}\nmodels: {m: {upload: m.onnx}}\n"
    assert parse_line(text) == Line(
        name="a",
        data={"w": Dataset(name="w", upload="w.csv", path="d/w.csv")},
        models={"m": Model(name="m", upload="m.onnx")},
    )


def test_the_schemas_defaults_are_those_of_the_domain():
    schema = json.loads(schema_text())
    declared = {"line": "a", "data": {"w": {"upload": "w", "path": "d/w"}}}
    spelled = json.loads(json.dumps(declared))
    for place, name in (
        (spelled.setdefault("rollout", {}), "rollout"),
        (spelled["data"]["w"], "dataset"),
    ):
        for key, value in schema["$defs"][name]["properties"].items():
            if "default" in value:
                place[key] = value["default"]
    assert parse_line(json.dumps(spelled).encode()) == parse_line(json.dumps(declared).encode())


def test_a_models_rollout_goes_before_the_lines_key_by_key():
    model = "models: {m: {upload: m, rollout: {steps: [20]}}}"
    text = f"line: a\nrollout: {{steps: [10], min_requests: 7}}\n{model}"
    rollout = parse_line(text.encode()).models["m"].rollout
    assert (rollout.steps, rollout.min_requests) == ((20,), 7)


def test_a_line_without_a_name_has_the_default_one():
    assert parse_line(b"bucket: b\n", default_name="shop").name == "shop"
    assert '"line" is missing; add line: shop' in refusal("bucket: b\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("line: Shop", 'conveyor.yaml:1: line: "Shop" is no name; use'),
        (
            "line: a\nretrian: 1",
            'conveyor.yaml:2: retrian: unknown key "retrian"; known here: line',
        ),
        (
            "line: a\nmodles: {}",
            'conveyor.yaml:2: modles: unknown key "modles"; did you mean models?',
        ),
        ("line: a\nline: b", "conveyor.yaml:2: line: is here twice (first in line 1); keep one"),
        ("line: a\nbucket: ../x", 'conveyor.yaml:2: bucket: "../x" is no bucket; write s3://'),
        ("line: a\nbucket: /data", "is no bucket"),
        ("line: a\nbucket: http://x/y", "is no bucket"),
        ("line: a\ngit: {branch: a..b}", 'git.branch: "a..b" is no branch name'),
        ("line: a\nrollout: {steps: [5, 5]}", "rollout.steps[1]: 5 does not rise after 5"),
        ("line: a\nrollout: {steps: [100]}", "rollout.steps[0]: 100 is no step"),
        ("line: a\nrollout: {deadline: 24}", "24 is no duration; write a number and s, m, h or d"),
        ("line: a\nrollout: {deadline: 0h}", '"0h" is nothing; write more than zero'),
        ("line: a\nrollout: {tolerance: .nan}", ".nan is no number to reckon with"),
        ("line: a\nrollout: {drift: 2}", "2 is no share; write a number from 0 to 1"),
        ("line: a\nrollout: {min_requests: true}", "true is no number of requests"),
        ("line: a\ndata: [x]", "is not a mapping of data sets"),
        (
            "line: a\ndata: {}\nmodels:\n",
            "conveyor.yaml:3: models: nothing is not a mapping of models",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_remedy(text, message):
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{upload: ../x, path: p}", '"../x" leaves the bucket; write a key like wine/wine.csv'),
        ("{upload: /x, path: p}", "leaves the bucket"),
        ("{upload: a/../../x, path: p}", "leaves the bucket"),
        ("{upload: _conveyor/x, path: p}", "lies below _conveyor/"),
        ("{upload: a//b, path: p}", "has an empty part"),
        ('{upload: "a\\u0000b", path: p}', "has a control character"),
        ('{upload: "a\\nb", path: p}', "has a control character"),
        ("{upload: x}", 'data.wine: "path" is missing; add path: data/wine.csv'),
        ("{upload: x, path: ../p}", "is no path inside the repository"),
        ("{upload: x, path: .git/config}", "is no path inside the repository"),
        ("{upload: x, path: p.dvc}", "is a file of the line itself"),
        ("{upload: x/, path: p}", "nothing says when it is complete"),
        ("{upload: x, path: p, complete: {quiet: 5m}}", "is for directories only"),
        ("{upload: x/, path: p, complete: {}}", "does not say when the directory is complete"),
        ("{upload: x, path: p, sensitivity: secret}", "write public, internal or personal"),
    ],
)
def test_a_mistake_in_a_data_set_is_told(declared, message):
    assert message in refusal(f"line: a\ndata:\n  wine: {declared}\n")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{}", "has neither train nor upload"),
        ("{upload: m, train: {stage: s, output: o}}", "has both train and upload"),
        ("{upload: m/}", "is a directory; a model is one file"),
        ("{upload: m, retrain: {cron: 0 3 * * 1}}", "models.wine.retrain: needs train"),
        ("{upload: m, gate: {at_least: 1}}", "has no scores to look at; add evaluate"),
        ("{upload: m, evaluate: {rows: r, label: l, metric: auc}}", "is no metric; write accuracy"),
        (
            "{upload: m, evaluate: {rows: r, label: l, metric: rmse}, gate: {at_least: 1}}",
            "does not fit rmse, where lower is better; write at_most",
        ),
        ("{train: {stage: s, output: o}, retrain: {cron: 0 3 * *}}", "has not five fields"),
        ("{train: {stage: s, output: o}, retrain: {cron: 0 0 30 2 *}}", "never fires"),
        ("{train: {stage: s, output: o}, retrain: {cron: 99 0 1 2 *}}", "never fires"),
        ("{train: {stage: s, output: o, memory: 2}}", "2 is no size; write a number and Ki"),
        ("{upload: m, serve: {cpu: 0}}", "0 is no number of cores"),
    ],
)
def test_a_mistake_in_a_model_is_told(declared, message):
    assert message in refusal(f"line: a\nmodels:\n  wine: {declared}\n")


@pytest.mark.parametrize(
    ("first", "second"),
    [("x.csv", "x.csv"), ("x/", "x/y.csv"), ("x/y/", "x/"), ("x", "x/"), ("u\u0308", "\u00fc")],
)
def test_uploads_that_clash_are_refused_whichever_comes_first(first, second):
    data = {
        name: {"upload": upload, "path": f"d/{name}", "complete": {"marker": "m"}}
        for name, upload in (("one", first), ("two", second))
    }
    assert "data.two.upload" in refusal(json.dumps({"line": "a", "data": data}))


def test_uploads_that_only_begin_alike_do_not_clash():
    text = "line: a\ndata:\n  one: {upload: x, path: d/x}\n  two: {upload: xy, path: d/xy}\n"
    assert len(parse_line(text.encode()).data) == 2


def test_two_things_at_one_path_are_refused():
    text = "line: a\ndata: {o: {upload: x, path: d}}\nmodels: {m: {train: {stage: s, output: d/m}}}"
    assert 'its file "d/m" clashes with "d" (data.o.path)' in refusal(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = "line: A\nbucket: /\ndata:\n  B: {upload: ../x}\nmodels:\n  m: {gate: {}}\n"
    lines = [int(message.split(":")[1]) for message in refusal(text).splitlines()]
    assert lines == sorted(lines)
    assert set(lines) == {1, 2, 4, 6}


def test_a_file_full_of_mistakes_gives_a_bounded_message():
    text = "line: a\n" + "".join(f"x{n}: 1\n" for n in range(500))
    messages = refusal(text).splitlines()
    assert len(messages) == 51
    assert messages[-1] == "conveyor.yaml: and 450 more"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", '"line" is missing'),
        (b"line: a\nx: \xff", "conveyor.yaml:2: byte 11 (0xff) is not UTF-8"),
        (b"line: [", "this is not YAML"),
        (b"line: a\n\tx: 1", "conveyor.yaml:2: this is not YAML"),
        (b"x: &a [1]\ny: *a", "conveyor.yaml:1: anchors (&) and aliases (*) are not taken"),
        (b"line: !!python/object:os.system x", "is not taken; remove it"),
        (b"line: a\n---\nline: b", "conveyor.yaml:2: a second document begins"),
        (b"[" * 20_000, "it is nested too deeply"),
        (b"line: a\nx: " + b"9" * 5000, "5000 characters are too many"),
        (b"#" * (MAX_BYTES + 1), "more than 262144"),
        (b"- 1", "is not a mapping of keys"),
        (b"just words", "is not a mapping of keys"),
        ("line: \u202ex".encode(), "\\u202e"),
    ],
)
def test_what_is_no_plain_small_yaml_is_refused(text, message):
    assert message in refusal(text)


def test_a_byte_order_mark_does_no_harm():
    assert parse_line(b"\xef\xbb\xbfline: a\n").name == "a"


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(alphabet="ab:{}[]-&*!|>'\"# \n%@?,0.", max_size=80).map(str.encode)
)
def test_whatever_the_bytes_only_invalid_line_is_raised(text):
    with suppress(InvalidLine):
        parse_line(text)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "line",
                        "data",
                        "models",
                        "wine",
                        "upload",
                        "path",
                        "train",
                        "gate",
                        "evaluate",
                        "metric",
                        "rollout",
                        "steps",
                        "retrain",
                        "cron",
                        "serve",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_values_of_any_shape_in_any_place_only_raise_invalid_line(values):
    with suppress(InvalidLine):
        parse_line(json.dumps({"line": "a", "models": values, "data": values}).encode())


def test_the_published_schema_is_one_and_describes_every_key():
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    for name, part in {"": schema, **schema["$defs"]}.items():
        for key, value in part.get("properties", {}).items():
            described = value if "description" in value else schema["$defs"].get(key, {})
            assert "description" in described, (name, key)


def test_the_schemas_metrics_are_those_that_conveyor_knows():
    evaluate = json.loads(schema_text())["$defs"]["model"]["properties"]["evaluate"]
    assert set(evaluate["properties"]["metric"]["enum"]) == set(metrics.NAMES)


def test_places_are_found_in_the_file():
    at = place_lines(DESIGN)
    assert at(("models", "wine", "gate")) == 16
    assert at(("models", "wine", "nothing", "there")) == 11

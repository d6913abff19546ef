"""Trees behind scalers, on numbers of one decimal that fall on their thresholds."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from conveyor.errors import Rejected
from conveyor.models.convert.sklearn import convert
from conveyor.models.convert.translate import translate

IRIS = load_iris()
KEPT = 37
COLUMNS = [name.removesuffix(" (cm)") for name in IRIS.feature_names]


def halves(seed=0):
    order = np.random.default_rng(seed).permutation(len(IRIS.data))
    return order[KEPT:], order[:KEPT]


def rows(held, target=IRIS.target):
    columns = {name: IRIS.data[held, place] for place, name in enumerate(COLUMNS)}
    return {**columns, "kind": target[held]}


def forest(trees=20, **options):
    last = RandomForestClassifier(trees, random_state=0, **options)
    return make_pipeline(SimpleImputer(), StandardScaler(), last)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("trees", [20, 100])
def test_a_forest_on_scaled_decimals_is_equal_in_every_row(trees, seed, lay_out):
    learned, held = halves(seed)
    estimator = forest(trees, min_samples_leaf=3).fit(IRIS.data[learned], IRIS.target[learned])
    made, _ = convert(lay_out(estimator, rows(held), label="kind", metric="accuracy"))
    assert (made.parity.agreement, made.parity.poised) == (1.0, 0)
    assert made.parity.max_difference < 1e-5
    assert {each.datatype for each in made.model.signature.inputs} == {"FP32"}


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()], ids=lambda s: type(s).__name__
)
def test_a_forest_of_numbers_is_equal_behind_any_scaler(scaler, lay_out):
    learned, held = halves(1)
    target = IRIS.data @ np.array([1.0, 2.0, 3.0, 4.0])
    last = RandomForestRegressor(50, random_state=0)
    estimator = make_pipeline(SimpleImputer(), scaler, last)
    estimator.fit(IRIS.data[learned], target[learned])
    made, _ = convert(lay_out(estimator, rows(held, target), label="kind", metric="rmse"))
    assert (made.parity.agreement, made.parity.poised) == (1.0, 0)


def test_only_64_bits_within_make_it_equal_where_32_tip_single_trees(lay_out):
    learned, held = halves(3)
    estimator = forest(min_samples_leaf=3).fit(IRIS.data[learned], IRIS.target[learned])
    task = lay_out(estimator, rows(held), label="kind", metric="accuracy")
    plain, _ = convert(task, translations=lambda model, layout: iter([translate(model, layout)]))
    wide, _ = convert(task)
    assert plain.parity.poised > 0
    assert wide.parity.poised == 0


def test_where_64_bits_cannot_be_had_poised_rows_are_counted_and_pass(lay_out):
    learned, held = halves()
    estimator = CalibratedClassifierCV(forest(), cv=3)
    estimator.fit(IRIS.data[learned], IRIS.target[learned])
    made, _ = convert(lay_out(estimator, rows(held), label="kind", metric="accuracy"))
    assert made.parity.holds
    assert made.parity.poised > 0


def test_what_rounding_of_the_rows_changes_is_told(lay_out):
    learned, held = halves()
    estimator = forest().fit(IRIS.data[learned], IRIS.target[learned])
    made, _ = convert(lay_out(estimator, rows(held), label="kind", metric="accuracy"))
    assert any("rounded to floats of 32 bits" in warning for warning in made.warnings)


def test_numbers_that_32_bits_do_not_tell_apart_are_refused(lay_out):
    """Times in seconds: floats of 32 bits know them to two minutes."""
    chance = np.random.default_rng(0)
    table = {"time": 1.7e9 + chance.integers(0, 60, 200), "other": chance.normal(size=200)}
    late = (table["time"] % 60 > 30).astype(int)
    estimator = DecisionTreeClassifier(random_state=0)
    scaled = make_pipeline(StandardScaler(), estimator).fit(
        np.column_stack([*table.values()]), late
    )
    task = lay_out(scaled, {**table, "late": late}, label="late", metric="accuracy")
    with pytest.raises(Rejected, match="subtract an offset"):
        convert(task)


def test_a_number_beyond_32_bits_is_refused_by_column(lay_out):
    estimator = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    task = lay_out(estimator, {"a": [1e300, 1.5], "y": [1.0, 2.0]}, label="y", metric="mae")
    with pytest.raises(Rejected, match="column 'a' holds 1e"):
        convert(task)


def swap_classes(model: ModelProto) -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "classlabels_int64s" and len(attribute.ints):
                attribute.ints[:2] = attribute.ints[1::-1]


def drop_scaler(model: ModelProto) -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Scaler" and attribute.name in {"scale", "offset"}:
                attribute.floats[:] = [float(attribute.name == "scale")] * len(attribute.floats)


def shift_threshold(model: ModelProto) -> None:
    """Move the first threshold of each tree by half of its column's spread."""
    for node in model.graph.node:
        lists = {attribute.name: attribute for attribute in node.attribute}
        numbers = lists["nodes_nodeids"].ints if "nodes_nodeids" in lists else ()
        for place, number in enumerate(numbers):
            lists["nodes_values"].floats[place] += 0.5 * (number == 0)


def freeze_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    first = onnx.helper.make_node("Gather", ["input", "zero"], ["first"], axis=0)
    shape = onnx.helper.make_node("Expand", ["first", "many"], ["frozen"])
    for node in model.graph.node:
        node.input[:] = ["frozen" if name == "input" else name for name in node.input]
    model.graph.node.insert(0, shape)
    model.graph.node.insert(0, first)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([KEPT, 4]), "many"))
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_value")


FAULTS = [swap_classes, drop_scaler, shift_threshold, freeze_batch]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(2))
def test_a_wrong_conversion_of_a_forest_is_refused(fault, seed, lay_out):
    """Seeded faults, in both ways to write the model."""
    learned, held = halves(seed)
    estimator = forest(min_samples_leaf=3).fit(IRIS.data[learned], IRIS.target[learned])
    task = lay_out(estimator, rows(held), label="kind", metric="accuracy")
    with pytest.raises(
        Rejected, match=r"not equal to its source: \d+ of 37 rows .* upload an ONNX"
    ):
        convert(task, translations=wrong(fault))


@pytest.mark.parametrize("fault", [drop_scaler, freeze_batch])
def test_a_wrong_conversion_of_a_smooth_model_is_refused(fault, lay_out):
    learned, held = halves()
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    estimator.fit(IRIS.data[learned], IRIS.target[learned])
    task = lay_out(estimator, rows(held), label="kind", metric="accuracy")
    with pytest.raises(Rejected, match="not equal to its source"):
        convert(task, translations=wrong(fault))


def wrong(fault: Callable[[ModelProto], None]):
    def translations_(estimator, layout):
        model = onnx.load_from_string(translate(estimator, layout))
        fault(model)
        yield model.SerializeToString()

    return translations_


def test_a_forest_in_64_bits_gives_the_same_bytes_in_every_process(lay_out):
    learned, held = halves(3)
    estimator = forest(min_samples_leaf=3).fit(IRIS.data[learned], IRIS.target[learned])
    task = lay_out(estimator, rows(held), label="kind", metric="accuracy")
    command = [sys.executable, "-P", "-m", "conveyor.models.convert.sklearn"]
    made = []
    for seed in ("1", "2"):
        folder = task.source.parent
        subprocess.run(command, cwd=folder, check=True, env={"PYTHONHASHSEED": seed})
        made.append((folder / "out/model.onnx").read_bytes())
    assert made[0] == made[1]
    assert b"_in_64_bits" in made[0]

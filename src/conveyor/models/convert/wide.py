"""Transformers in floats of 64 bits within a graph that takes and gives floats of 32.

scikit-learn transforms in 64 bits and rounds what it got to 32 for its trees. In 32 bits throughout
a value may end on the other side of a threshold that it falls on, and it does where numbers have
few decimals: thresholds lie half-way between values that were seen, which is where others lie.
"""

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto
from onnx.helper import make_node
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.pipeline import Pipeline

from conveyor.models.convert.layout import Form, Layout

_WIDE = "_in_64_bits"


def can_widen(estimator: Any, layout: Layout) -> bool:
    """Whether there are numbers that a pipeline transforms before its last step."""
    return (
        isinstance(estimator, Pipeline)
        and len(estimator.steps) > 1
        and layout.form is not Form.TEXT
        and not layout.double
        and len(layout.text) < len(layout.features)
    )


def widened(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline with a step that rounds to 32 bits before its last one."""
    *before, last = pipeline.steps
    return Pipeline([*before, ("narrow", CastTransformer(dtype=np.float32)), last])


def narrow_inputs(text: bytes) -> bytes:
    """Return a model with its inputs of 64 bits turned to 32, widened as they enter."""
    model = ModelProto.FromString(text)
    wide = [
        each for each in model.graph.input if each.type.tensor_type.elem_type == TensorProto.DOUBLE
    ]
    names = {each.name for each in wide}
    for node in model.graph.node:
        node.input[:] = [name + _WIDE if name in names else name for name in node.input]
    for place, each in enumerate(wide):
        each.type.tensor_type.elem_type = TensorProto.FLOAT
        cast = make_node("Cast", [each.name], [each.name + _WIDE], to=TensorProto.DOUBLE)
        model.graph.node.insert(place, cast)
    return bytes(model.SerializeToString(deterministic=True))


def can_impute_wide(operator: Any) -> bool:
    """Whether an imputer is of those that ONNX Runtime knows only in 32 bits."""
    imputer = operator.raw_operator
    return (
        len(operator.inputs) == 1
        and isinstance(operator.inputs[0].type, DoubleTensorType)
        and isinstance(imputer.missing_values, float)
        and np.isnan(imputer.missing_values)
        and not np.isnan(imputer.statistics_.astype(np.float64)).any()
        and not imputer.add_indicator
    )


def impute_wide(scope: Any, operator: Any, container: Any) -> None:
    """Write an imputer in standard operators."""
    given = operator.inputs[0].full_name
    fills, absent = scope.get_unique_variable_name("fills"), scope.get_unique_variable_name("nan")
    values = operator.raw_operator.statistics_.astype(np.float64)
    container.add_initializer(fills, TensorProto.DOUBLE, [1, len(values)], values.tolist())
    container.add_node("IsNaN", given, absent, op_version=13)
    outputs = operator.outputs[0].full_name
    container.add_node("Where", [absent, fills, given], outputs, op_version=9)

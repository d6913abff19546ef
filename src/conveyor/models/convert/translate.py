"""scikit-learn to ONNX by skl2onnx, around the traps it has."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import numpy as np
from onnx import ModelProto
from onnx.helper import make_attribute
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.common.exceptions import (
    MissingConverter,
    MissingShapeCalculator,
)
from sklearn.base import is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.svm import LinearSVC

from conveyor.errors import Rejected
from conveyor.models.convert.layout import INPUT, Form, Layout, parts
from conveyor.models.convert.missing import TREES, MissingTracks
from conveyor.models.convert.wide import (
    can_impute_wide,
    can_widen,
    impute_wide,
    narrow_inputs,
    widened,
)

OPSETS = {"": 21, "ai.onnx.ml": 3}
"""The newest that every converter can write and every served ONNX Runtime reads."""

_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)

_FAILURES = (
    *(MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError, NameError),
    *(ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError),
)
"""What skl2onnx raises about models that it cannot convert."""


class _PlainNumbers:
    """A container that turns NumPy's scalars in attributes to Python's: ONNX refuses them."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add a node with plain attributes."""
        plain = {name: _plain(value) for name, value in attributes.items()}
        self._container.add_node(op_type, inputs, outputs, **plain)


def translations(estimator: Any, layout: Layout) -> Iterator[bytes]:
    """Yield the ways to write an estimator in ONNX, the plain one first.

    Raises Rejected naming what cannot be converted, for the plain one only.
    """
    yield translate(estimator, layout)
    with suppress(Rejected):
        if can_widen(estimator, layout):
            wide = replace(layout, double=True)
            yield narrow_inputs(translate(widened(estimator), wide))


def translate(estimator: Any, layout: Layout) -> bytes:
    """Return the ONNX of an estimator; raises Rejected naming what cannot be converted.

    The same estimator gives the same bytes in every process; a second conversion in one process
    may name its nodes otherwise (skl2onnx counts), which is why each has a process of its own.
    """
    for part in parts(estimator):
        # It only shapes the output of transform(), which no model is served by.
        if isinstance(part, VotingClassifier):
            part.flatten_transform = False
    try:
        model = _convert(estimator, layout)
    except _FAILURES as error:
        reason = " ".join(str(error).split())[:400]
        raise Rejected(
            f"skl2onnx cannot convert {type(estimator).__name__}: {reason}; use estimators it "
            f"supports, or upload an ONNX file that you exported yourself"
        ) from error
    if layout.form is Form.COLUMNS:
        _name_inputs(model, layout.features)
    _sort_opsets(model)
    _pin_locale(model)
    return bytes(model.SerializeToString(deterministic=True))


def _convert(estimator: Any, layout: Layout) -> ModelProto:
    """Convert without ZipMap: its maps cannot be served."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_sklearn(
            estimator,
            name=type(estimator).__name__,
            initial_types=_inputs(layout),
            options={"zipmap": False} if is_classifier(estimator) else None,
            target_opset=OPSETS,
            custom_conversion_functions={
                **dict.fromkeys(_BOOSTED, _convert_boosted),
                **dict.fromkeys(TREES, _convert_trees),
                SimpleImputer: _convert_imputer,
            },
            custom_shape_calculators=dict.fromkeys((*_BOOSTED, *TREES, SimpleImputer), _shape),
        )
    return cast("ModelProto", model)


def _inputs(layout: Layout) -> list[tuple[str, Any]]:
    if layout.form is Form.MATRIX:
        kind = _kind(layout, layout.features[0])
        return [(INPUT, kind([None, len(layout.features)]))]
    return [(name, _kind(layout, name)([None, 1])) for name in layout.features]


def _kind(layout: Layout, name: str) -> Any:
    if name in layout.text:
        return StringTensorType
    if name in layout.whole and layout.form is Form.COLUMNS:
        return Int64TensorType
    return DoubleTensorType if layout.double else FloatTensorType


def _name_inputs(model: ModelProto, features: tuple[str, ...]) -> None:
    """Name the inputs as the columns: skl2onnx makes identifiers of them.

    What is no identifier is the name of nothing else in the graph.
    """
    if len(model.graph.input) != len(features):
        return
    names = {each.name: name for each, name in zip(model.graph.input, features, strict=True)}
    for each in model.graph.input:
        each.name = names[each.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _sort_opsets(model: ModelProto) -> None:
    """Put the operator sets in order: skl2onnx lists them in a set's order, some twice."""
    opsets = sorted({(each.domain, each.version) for each in model.opset_import})
    del model.opset_import[:]
    for domain, number in opsets:
        model.opset_import.add(domain=domain, version=number)


def _pin_locale(model: ModelProto) -> None:
    """Name a locale that every machine has: ONNX Runtime's default is en_US.UTF-8."""
    for node in model.graph.node:
        names = {attribute.name for attribute in node.attribute}
        if node.op_type == "StringNormalizer" and "locale" not in names:
            node.attribute.append(make_attribute("locale", "C.UTF-8"))


def _alias(operator: Any) -> str:
    return f"Sklearn{type(operator.raw_operator).__name__}"


def _convert_boosted(scope: Any, operator: Any, container: Any) -> None:
    get_converter(_alias(operator))(scope, operator, _PlainNumbers(container))


def _convert_trees(scope: Any, operator: Any, container: Any) -> None:
    tracked = MissingTracks(container, operator.raw_operator)
    get_converter(_alias(operator))(scope, operator, tracked)


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    if can_impute_wide(operator):
        impute_wide(scope, operator, container)
    else:
        get_converter(_alias(operator))(scope, operator, container)


def _shape(operator: Any) -> None:
    get_shape_calculator(_alias(operator))(operator)


def _plain(value: Any) -> Any:
    """Return Python's own number for each of NumPy's; flags are whole numbers in ONNX."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, bool) else value


def _let_linear_svc_take_zipmap() -> None:
    """Mend skl2onnx 1.20: it asks every classifier for an option that LinearSVC refuses."""
    alias = "SklearnLinearSVC"
    converter, shape_calculator = get_converter(alias), get_shape_calculator(alias)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        converter(scope, operator, container)

    def calculate(operator: Any) -> None:
        shape_calculator(operator)

    names = ("nocl", "output_class_labels", "raw_scores", "zipmap")
    update_registered_converter(
        LinearSVC,
        alias,
        calculate,
        convert,
        overwrite=True,
        options={name: [True, False] for name in names},
    )


_let_linear_svc_take_zipmap()

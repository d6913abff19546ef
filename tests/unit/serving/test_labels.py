from dataclasses import replace

import numpy as np

from conveyor.bundle import Signature, Tensor
from conveyor.serving.labels import count_labels

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)


def with_outputs(manifest, *outputs, **more):
    signature = Signature(inputs=manifest.signature.inputs, outputs=outputs)
    return replace(manifest, signature=signature, **more)


def test_a_classifiers_labels_are_counted_per_row(manifest):
    assert count_labels(manifest, {"label": np.array([1, 0, 1])}) == {"1": 2, "0": 1}


def test_labels_may_be_strings(manifest):
    given = {"label": np.array(["red", "red"], np.object_)}
    assert count_labels(manifest, given) == {"red": 2}


def test_probabilities_alone_count_the_likeliest_class(manifest):
    alone = with_outputs(manifest, manifest.signature.outputs[1], classes=("no", "yes"))
    assert count_labels(alone, {"score": SCORES}) == {"no": 1, "yes": 2}


def test_a_regressors_predictions_are_counted_by_decile(manifest):
    value = Tensor(name="value", datatype="FP32", shape=(-1, 1))
    deciles = tuple(float(n) for n in range(1, 10))
    regressor = with_outputs(manifest, value, classes=(), deciles=deciles)
    given = np.array([[0.5], [9.5], [np.nan]], np.float32)
    assert count_labels(regressor, {"value": given}) == {"d0": 1, "d9": 1}


def test_a_model_that_is_neither_counts_nothing(manifest):
    embedding = Tensor(name="vector", datatype="FP32", shape=(-1, 3))
    other = with_outputs(manifest, embedding, classes=())
    assert not count_labels(other, {"vector": np.ones((1, 3), np.float32)})

"""Trees send a missing value where scikit-learn sends it, also when none was there in training."""

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from conveyor.models.convert.layout import Form, Layout
from conveyor.models.convert.translate import translate
from conveyor.runtime import ort

SEED = 7
FEATURES = ("a", "b", "c", "d")


@pytest.fixture
def rows():
    return np.random.default_rng(SEED).normal(size=(300, 4)).astype(np.float32)


def gaps(rows):
    holes = np.random.default_rng(SEED + 1).random(rows.shape) < 0.3
    return np.where(holes, np.float32("nan"), rows)


def answers(estimator, rows):
    layout = Layout(form=Form.MATRIX, features=FEATURES, text=frozenset(), whole=frozenset())
    session = ort.InferenceSession(translate(estimator, layout), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": rows})


@pytest.mark.parametrize("trained_with_gaps", [False, True])
@pytest.mark.parametrize(
    "kind", [DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier]
)
def test_a_classifier_answers_rows_with_gaps_as_its_source(kind, trained_with_gaps, rows):
    labels = (rows[:, 0] + rows[:, 1] > 0).astype(np.int64)
    given = gaps(rows) if trained_with_gaps else rows
    estimator = kind(random_state=SEED, max_depth=6).fit(given, labels)
    label, probabilities = answers(estimator, gaps(rows))
    assert (label == estimator.predict(gaps(rows))).all()
    assert np.allclose(probabilities, estimator.predict_proba(gaps(rows)), atol=1e-5)


@pytest.mark.parametrize(
    "kind", [DecisionTreeRegressor, RandomForestRegressor, ExtraTreesRegressor]
)
def test_a_regressor_behind_a_scaler_answers_rows_with_gaps_as_its_source(kind, rows):
    estimator = make_pipeline(StandardScaler(), kind(random_state=SEED, max_depth=6))
    estimator.fit(rows, rows[:, 0] * 2 + rows[:, 3])
    (value,) = answers(estimator, gaps(rows))
    assert np.allclose(value[:, 0], estimator.predict(gaps(rows)), atol=1e-4)

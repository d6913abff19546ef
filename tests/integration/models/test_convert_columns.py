"""Models that take columns by name, as those fitted on a data frame do."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from conveyor.errors import Rejected
from conveyor.models.convert.sklearn import convert

CITY = ("city", OneHotEncoder(handle_unknown="ignore"), ["city"])
SCALED = make_pipeline(SimpleImputer(), StandardScaler())
SHAPES = {
    "passthrough": [CITY, ("rest", "passthrough", ["age", "visits", "pay"])],
    "scaled": [CITY, ("numbers", SCALED, ["age", "visits", "pay"])],
    "some": [CITY, ("numbers", SCALED, ["age"])],
    "drop": [CITY, ("numbers", SCALED, ["age", "pay"]), ("away", "drop", ["visits"])],
    "one hot whole numbers": [
        ("both", OneHotEncoder(handle_unknown="ignore"), ["visits"]),
        ("o", OrdinalEncoder(), ["city"]),
        ("n", SCALED, ["age", "pay"]),
    ],
}


def people(rows: int = 150, *, missing: bool = False) -> dict[str, object]:
    rng = np.random.default_rng(0)
    age, city = rng.normal(40, 10, rows).round(1), rng.choice(["Bonn", "Köln", "Ulm"], rows)
    visits, pay = rng.integers(0, 9, rows), rng.normal(3000, 500, rows).round(2)
    bought = np.where((age > 40) ^ (city == "Ulm"), "yes", "no")
    if missing:
        age[::7] = np.nan
    return {"age": age, "city": city, "visits": visits, "pay": pay, "bought": bought}


def fitted(estimator, table, target):
    return estimator.fit(pl.DataFrame({k: v for k, v in table.items() if k != "bought"}), target)


@pytest.mark.parametrize("rest", ["drop", "passthrough"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("last", [LogisticRegression(max_iter=3000), RandomForestClassifier(20)])
def test_a_classifier_of_named_columns_is_converted(shape, rest, last, lay_out):
    table = people()
    estimator = make_pipeline(ColumnTransformer(SHAPES[shape], remainder=rest), last)
    task = lay_out(
        fitted(estimator, table, table["bought"]), table, label="bought", metric="accuracy"
    )
    made, report = convert(task)
    assert made.parity.agreement == 1.0
    assert report["metrics"]["candidate"] > 0.6


@pytest.mark.parametrize("rest", ["drop", "passthrough"])
@pytest.mark.parametrize("last", [Ridge(), RandomForestRegressor(20, random_state=0)])
def test_a_regressor_of_named_columns_is_converted(rest, last, lay_out):
    table = people()
    columns = [CITY, ("numbers", SCALED, ["age"])]
    estimator = make_pipeline(ColumnTransformer(columns, remainder=rest), last)
    rows = {name: table[name] for name in ("age", "city", "visits")}
    task = lay_out(fitted(estimator, rows, table["pay"]), table, label="pay", metric="rmse")
    assert convert(task)[0].parity.agreement == 1.0


@pytest.mark.parametrize(
    "last",
    [
        HistGradientBoostingClassifier(max_iter=10),
        make_pipeline(SimpleImputer(), RandomForestClassifier(20, random_state=0)),
    ],
    ids=["boosted", "imputed"],
)
def test_missing_values_pass_through_to_what_takes_them(last, lay_out):
    table = people(missing=True)
    estimator = make_pipeline(ColumnTransformer([CITY], remainder="passthrough"), last)
    task = lay_out(
        fitted(estimator, table, table["bought"]), table, label="bought", metric="f1_macro"
    )
    assert convert(task)[0].parity.agreement == 1.0


def test_missing_values_that_the_model_refuses_are_told(lay_out):
    table = people()
    columns = ColumnTransformer([CITY], remainder="passthrough")
    estimator = make_pipeline(columns, LogisticRegression(max_iter=3000))
    fitted(estimator, table, table["bought"])
    task = lay_out(estimator, people(missing=True), label="bought", metric="f1_macro")
    with pytest.raises(Rejected, match="contains NaN"):
        convert(task)


def test_columns_may_have_names_that_are_no_identifiers(lay_out):
    table = people()
    odd = {"pay (EUR/month)": table["pay"], "Größe": table["age"], "city": table["city"]}
    columns = ColumnTransformer([CITY], remainder="passthrough")
    estimator = make_pipeline(columns, RandomForestClassifier(20, random_state=0))
    fitted(estimator, odd, table["bought"])
    task = lay_out(estimator, {**odd, "bought": table["bought"]}, label="bought", metric="accuracy")
    signature = convert(task)[0].model.signature
    assert [each.name for each in signature.inputs] == list(odd)


def test_polars_is_not_imported_for_a_model_of_one_matrix():
    code = "import sys, conveyor.models.convert.sklearn; sys.exit('polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Proves that an ONNX answers as the scikit-learn model that it was made from.

Both get the same numbers, those that floats of 32 bits hold: what is proved is the conversion. What
the rounding of the inputs does to the answers is looked at apart.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor

from conveyor.errors import Rejected
from conveyor.models.convert.layout import Layout
from conveyor.models.evaluation import Array, Predictions, texts
from conveyor.models.inspection import explain
from conveyor.models.onnxmodel import OnnxModel
from conveyor.models.parity import Parity, allowed, compare
from conveyor.models.samples import absent_rows, edge_rows
from conveyor.models.table import Column, Table

MOST_POISED = 0.2
"""The share of rows that may differ where the source wavers as much; one row always may."""

MOST_RELABELLED = 0.01
"""The share of rows to which rounding may give another label; one row always may."""

MOST_MOVED = 0.05
"""How far rounding of the rows' numbers may move an answer in the mean: in probability, or in
spreads of the predicted numbers."""

EDGES_RELABELLED = 0.5
"""The share of rows at the edges that may differ: no real row looks so, and numbers far from all
that was learned differ easily, but a conversion that is wrong differs on most of them."""

NUDGE = 2.0**-22
"""Relative: four times what rounding to 32 bits changes, for scaling adds rounding of its own."""

NUDGES = 64

MOST_NUDGED = 200_000
"""Beyond so many rows to ask for, they are nudged less often, 8 times at least."""

_REFUSALS = (ValueError, TypeError, AttributeError, IndexError, KeyError, ArithmeticError)
"""What estimators raise about rows they do not take."""

_REMEDY = "use other transformers or an estimator without steps, or upload an ONNX file of your own"


@dataclass(frozen=True)
class Source:
    """A fitted estimator, and how it takes rows."""

    estimator: Any
    layout: Layout

    def ask(self, table: Table) -> Predictions:
        """Return what scikit-learn says to the rows; raises Rejected where it raises."""
        rows = self.layout.source_rows(table)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers = np.asarray(self.estimator.predict(rows))
                if is_regressor(self.estimator):
                    numbers = answers.reshape(len(answers), -1).astype(np.float64)
                    return Predictions(None, numbers)
                values = self.estimator.predict_proba(rows) if self._gives_shares else None
        except _REFUSALS as error:
            raise Rejected(f"the model fails on the evaluation rows: {explain(error)}") from error
        if answers.ndim != 1:
            raise Rejected(f"the model gives {answers.shape[1:]} labels a row; one is supported")
        return Predictions(texts(answers), values)

    @property
    def _gives_shares(self) -> bool:
        return is_classifier(self.estimator) and hasattr(self.estimator, "predict_proba")

    def compare(self, model: OnnxModel, table: Table) -> Parity:
        """Compare with an ONNX on rows as it takes them; those poised on a step count as alike."""
        served = self.layout.served_rows(table)
        found = _like(said := self.ask(served), model.predict(served))
        parity = compare(said, found)
        if not 0 < parity.unlike.size <= max(1, MOST_POISED * parity.rows) or _broad(parity):
            return parity
        poised = self._wavers(served, parity.unlike, found.take(parity.unlike))
        kept = np.delete(np.arange(parity.rows), parity.unlike[poised])
        count = int(poised.sum())
        return replace(
            parity,
            agreement=1 - (len(parity.unlike) - count) / parity.rows,
            detail=compare(said.take(kept), found.take(kept)).detail,
            poised=count,
            unlike=parity.unlike[~poised],
            relabelled=np.setdiff1d(parity.relabelled, parity.unlike[poised]),
        )

    def _wavers(self, table: Table, rows: Array, found: Predictions) -> Array:
        """Return for each of the rows whether the source gives what was found if it is nudged."""
        heard = [self.ask(table.take(rows)), *(self.ask(moved) for moved in _nudged(table, rows))]
        said = np.ones(len(rows), dtype=bool)
        if found.labels is not None:
            said &= np.any([each.labels == found.labels for each in heard], axis=0)
        if found.values is not None:
            values = np.stack([each.values for each in heard if each.values is not None])
            room = allowed(heard[0])[:, None]
            within = (values.min(axis=0) - room <= found.values) & (
                found.values <= values.max(axis=0) + room
            )
            said &= within.all(axis=1)
        return said


def prove(source: Source, model: OnnxModel, table: Table) -> tuple[str, ...]:
    """Return what is to be told of an ONNX that has parity; raises Rejected at its limits.

    Looks at the rows as they were written, at the edges of what they hold and at missing values.
    """
    told = (_rounding(source, model, table), _edges(source, model, table))
    return tuple(sentence for sentence in (*told, _missing(source, model, table)) if sentence)


def refusal(parity: Parity) -> str:
    """Return why an ONNX without parity is refused, and what to do."""
    return f"the ONNX is not equal to its source: {parity.explain()}; {_REMEDY}"


def _rounding(source: Source, model: OnnxModel, table: Table) -> str:
    said = source.ask(table)
    parity = compare(said, _like(said, model.predict(table)))
    if parity.holds:
        return ""
    found = f"rounded to floats of 32 bits, as the model is served with, {parity.explain()}"
    if _broad(parity) or parity.mean_difference > MOST_MOVED:
        raise Rejected(
            f"{found}; the model tells numbers apart that such floats do not: subtract an offset "
            f"from large numbers (times, ids), or train on columns rounded to float32"
        )
    return f"{found}: such rows lie on a threshold of the model, where either answer is as good"


def _edges(source: Source, model: OnnxModel, table: Table) -> str:
    parity = source.compare(model, edge_rows(table))
    if not parity.unlike.size:
        return ""
    found = f"at the edges of the rows (least, middle, largest, zero) {parity.explain()}"
    if len(parity.relabelled) > EDGES_RELABELLED * parity.rows:
        raise Rejected(f"the ONNX is not equal to its source: {found}; {_REMEDY}")
    return found


def _missing(source: Source, model: OnnxModel, table: Table) -> str:
    """Say how missing values are answered otherwise than by a source that takes them."""
    try:
        parity = source.compare(model, absent_rows(table.select(source.layout.features)))
    except Rejected:
        return ""
    return (
        ""
        if parity.holds
        else f"missing or unseen values are answered differently: {parity.detail}"
    )


def _like(said: Predictions, found: Predictions) -> Predictions:
    """Return what the ONNX said without values where the source has none to compare."""
    return found if said.values is not None else Predictions(found.labels, None)


def _broad(parity: Parity) -> bool:
    """Whether more labels differ than rounding may change; without labels none does."""
    relabelled = len(parity.relabelled) if parity.labelled else 0
    return relabelled > max(1, MOST_RELABELLED * parity.rows)


def _nudged(table: Table, rows: Array) -> Iterator[Table]:
    """Yield the rows with fractions moved by as little as rounding does, in seeded directions.

    Columns that hold whole numbers throughout stay: they may be categories.
    """
    chance = np.random.default_rng(0)
    moving = [name for name, column in table.columns.items() if _holds_fractions(column)]
    chosen = table.take(rows).columns
    for _ in range(min(NUDGES, max(8, MOST_NUDGED // len(rows)))):
        moved = {
            name: chosen[name] * (1 + NUDGE * chance.integers(-1, 2, len(rows))) for name in moving
        }
        yield Table({**chosen, **moved})


def _holds_fractions(column: Column) -> bool:
    return column.dtype == np.float64 and bool(
        (np.isfinite(column) & (column != np.rint(column))).any()
    )

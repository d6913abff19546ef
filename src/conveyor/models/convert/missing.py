"""Says in the ONNX of trees where a missing value goes, as scikit-learn decided it in training.

skl2onnx 1.20 sends every missing value to the right; scikit-learn 1.9 sends each to the side that a
node learnt, also where no training row had one.
"""

from collections.abc import Sequence
from typing import Any

from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

_FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
TREES = (
    *_FORESTS,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
"""Estimators whose trees take missing values as they are."""

_TRACKS = "nodes_missing_value_tracks_true"


class MissingTracks:
    """A container that completes the tree nodes which skl2onnx adds for one estimator."""

    def __init__(self, container: Any, estimator: Any) -> None:
        self._container = container
        self._trees = estimator.estimators_ if isinstance(estimator, _FORESTS) else [estimator]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add a node; one of trees gets the tracks of its missing values."""
        if _TRACKS in attributes:
            attributes[_TRACKS] = self._tracks(attributes)
        self._container.add_node(op_type, inputs, outputs, **attributes)

    def _tracks(self, attributes: dict[str, Any]) -> Sequence[int]:
        """Return per node whether a missing value goes to its true branch, which is the left."""
        places = zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
        return [int(self._trees[tree].tree_.missing_go_to_left[node]) for tree, node in places]

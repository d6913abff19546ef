"""The user's dvc.yaml and dvc.lock: the stages of a model, and the files they are written in."""

from conveyor.pipeline.dvcfile import PARAMS, parse_pipeline
from conveyor.pipeline.stages import (
    FILE,
    Ingredients,
    Output,
    Pipeline,
    Stage,
    below,
    overlap,
    run_key,
)
from conveyor.pipeline.yamlfile import as_mapping, load_yaml, refuse_bomb

__all__ = [
    "FILE",
    "PARAMS",
    "Ingredients",
    "Output",
    "Pipeline",
    "Stage",
    "as_mapping",
    "below",
    "load_yaml",
    "overlap",
    "parse_pipeline",
    "refuse_bomb",
    "run_key",
]

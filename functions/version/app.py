"""The version station as a Knative function."""

from functools import partial

from conveyor.cluster.function import serve
from conveyor.cluster.parts import Parts
from conveyor.data.datasets import BucketDatasets
from conveyor.stations.version import version

if __name__ == "__main__":
    serve(
        "version",
        lambda parts: partial(version, **parts.common, datasets=BucketDatasets(parts.objects)),
        Parts,
    )

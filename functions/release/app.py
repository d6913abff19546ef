"""The release station as a Knative function."""

from functools import partial

from conveyor.cluster.function import serve
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.stations.release import release

if __name__ == "__main__":
    serve(
        "release",
        lambda parts: partial(release, **parts.common, services=parts.services),
        KubernetesParts,
    )

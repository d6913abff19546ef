"""The build station as a Knative function."""

from functools import partial

from conveyor.cluster.function import serve
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.stations.build import build

if __name__ == "__main__":
    serve("build", lambda parts: parts.with_jobs(partial(build, **parts.common)), KubernetesParts)

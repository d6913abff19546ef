"""The convert station as a Knative function."""

from functools import partial

from conveyor.cluster.function import serve
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.stations.convert import convert

if __name__ == "__main__":
    serve(
        "convert", lambda parts: parts.with_jobs(partial(convert, **parts.common)), KubernetesParts
    )

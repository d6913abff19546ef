"""The judge station as a Knative function."""

from conveyor.cluster.function import serve
from conveyor.cluster.judging import bind
from conveyor.cluster.kubernetes import KubernetesParts

if __name__ == "__main__":
    serve("judge", bind, KubernetesParts)

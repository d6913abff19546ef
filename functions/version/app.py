"""The version station as a Knative function."""

from conveyor.cluster.function import serve
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.cluster.versioning import bind

if __name__ == "__main__":
    serve("version", bind, KubernetesParts)

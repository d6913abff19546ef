"""The reconcile station as a Knative function."""

from conveyor.cluster.function import serve
from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.cluster.reconciling import bind

if __name__ == "__main__":
    serve("reconcile", bind, KubernetesParts)

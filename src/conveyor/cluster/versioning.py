"""`version` on a cluster: reads small uploads itself and has large ones read in a job."""

from functools import partial

from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.data.datasets import BucketDatasets
from conveyor.functions import Station
from conveyor.stations.version import version


def bind(parts: KubernetesParts) -> Station:
    """Return the station."""
    datasets, large = BucketDatasets(parts.objects), parts.settings.large
    return parts.with_jobs(partial(version, **parts.common, datasets=datasets, large=large))

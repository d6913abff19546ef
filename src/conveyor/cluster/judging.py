"""`judge` on a cluster: what it weighs and what it moves."""

from functools import partial

from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.functions import Station
from conveyor.serving.requests import BucketRequests
from conveyor.stations.judge import judge


def bind(parts: KubernetesParts) -> Station:
    """Return the station."""
    return partial(
        judge,
        **parts.common,
        services=parts.services,
        rollouts=parts.rollouts,
        evidence=parts.evidence,
        requests=BucketRequests(parts.objects),
        patience=parts.settings.patience,
    )

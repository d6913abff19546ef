"""Connections to the Kubernetes API: who we are, and one request with its errors made ours.

It uses the `kubernetes` package for finding and proving who we are, and for connections; not its
generated classes (see `resources`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import config
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject, RESTResponse

from conveyor.errors import Rejected, Unavailable
from conveyor.knative.refusals import refusal
from conveyor.knative.resources import Json
from conveyor.settings import seconds

MERGE = "application/merge-patch+json"
JSON = "application/json"
USER_AGENT = "conveyor"

CONNECT = 3.0
"""Seconds to connect to the API server."""

_REFUSED = 400


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """How to reach the API: a kubeconfig file (and one of its contexts), None for the pod's own
    service account; timeout bounds one answer.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    timeout: timedelta = timedelta(seconds=15)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read KUBECONFIG, CONVEYOR_KUBE_CONTEXT and CONVEYOR_KUBE_TIMEOUT (seconds); in a pod
        KUBERNETES_SERVICE_HOST says that its service account serves. Raises Rejected for neither.
        """
        file = environment.get("KUBECONFIG", "")
        if not file and not environment.get("KUBERNETES_SERVICE_HOST"):
            raise Rejected(
                "no cluster is named: set KUBECONFIG to a kubeconfig file (in a pod with a service "
                "account token none is needed)"
            )
        return cls(
            kubeconfig=Path(file) if file else None,
            context=environment.get("CONVEYOR_KUBE_CONTEXT") or None,
            timeout=seconds(environment, "CONVEYOR_KUBE_TIMEOUT", 15.0),
        )


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request; quiet is the connection's silence in seconds that is borne (0: the timeout)."""

    method: str
    path: str
    body: Json | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    content: str = JSON
    quiet: float = 0.0


class Connection:
    """Sends requests; safe to share between threads.

    Raises Rejected when the credentials that the settings name cannot be read.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._configuration = _configure(settings)
        self._rest = RESTClientObject(self._configuration)
        self._timeout = settings.timeout.total_seconds()

    def json(self, ask: Ask) -> Any:
        """Return the JSON answer; raises what `answer` raises."""
        with self.answer(ask) as answer:
            return json.loads(answer.read())

    @contextmanager
    def answer(self, ask: Ask) -> Iterator[RESTResponse]:
        """Yield a good answer; what goes wrong, also while it is read, is raised as ours."""
        try:
            answer = self._send(ask)
            try:
                if answer.status >= _REFUSED:
                    raise refusal(ask.method, ask.path, answer.status, answer.read())
                yield answer
            finally:
                answer.response.release_conn()
        except (urllib3.exceptions.HTTPError, ApiException, OSError, ValueError) as error:
            raise Unavailable(
                f"the Kubernetes API did not answer {ask.method} {ask.path}: {error}"
            ) from error

    def _send(self, ask: Ask) -> RESTResponse:
        query = f"?{urlencode(ask.query)}" if ask.query else ""
        answer: RESTResponse = self._rest.request(
            ask.method,
            f"{self._configuration.host}{ask.path}{query}",
            headers={**self._proof(), "Content-Type": ask.content, "User-Agent": USER_AGENT},
            body=ask.body,
            _request_timeout=(CONNECT, ask.quiet or self._timeout),
        )
        return answer

    def _proof(self) -> dict[str, str]:
        """Return the header that says who we are; a service account's token changes on disk."""
        settings: Mapping[str, Any] = self._configuration.auth_settings()
        return {each["key"]: each["value"] for each in settings.values() if each["value"]}

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()


def _configure(settings: ClusterSettings) -> Configuration:
    found = Configuration(retries=urllib3.Retry(connect=2, read=False, redirect=0, other=0))
    try:
        if settings.kubeconfig is None:
            config.load_incluster_config(client_configuration=found)
        else:
            config.load_kube_config(
                str(settings.kubeconfig), settings.context, found, persist_config=False
            )
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
        place = settings.kubeconfig or "the pod's service account"
        raise Rejected(f"{place} gives no access to a cluster: {error}") from error
    return found

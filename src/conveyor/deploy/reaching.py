"""How a deployed line's API is reached from here, and where `conveyor status` reads that."""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.deploy.credentials import Secret
from conveyor.deploy.kinds import SERVICE
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import ConveyorError, Rejected
from conveyor.knative.resources import Kind

_PLAIN_SERVICE = Kind("v1", "services", "Service")
_GATEWAYS = (("kourier-system", "kourier"), ("istio-system", "istio-ingressgateway"))


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where requests go, and the Host to name where that is another one; url "" is unknown."""

    url: str
    host: str = ""


def find(objects: Objects, namespaces: Namespaces, ingress: str | None) -> Address:
    """Return the API's address: by its own name where that resolves, else by the ingress."""
    service = objects.get(SERVICE, namespaces.line, "api")
    url = str((service.get("status") or {}).get("url") or "")
    host = urlsplit(url).hostname or ""
    if ingress:
        return Address(url=ingress.rstrip("/"), host=host)
    if host and _resolves(host):
        return Address(url=url)
    return Address(url=_gateway(objects), host=host)


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _gateway(objects: Objects) -> str:
    for namespace, name in _GATEWAYS:
        try:
            service = objects.get(_PLAIN_SERVICE, namespace, name)
        except ConveyorError:
            continue
        for each in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if place := each.get("ip") or each.get("hostname"):
                return f"http://{place}"
    return ""


def write(address: Address, secrets: tuple[Secret, ...], folder: Path) -> Path | None:
    """Write .conveyor/api.json, from which commands learn address and token; None where the
    address is unknown. Raises Rejected where it cannot be written.
    """
    if not address.url:
        return None
    keys = next(each.values for each in secrets if each.name == "line-keys")
    told = {"url": address.url, "token": keys["CONVEYOR_TOKEN"]}
    if address.host:
        told["host"] = address.host
    file = folder / ".conveyor" / "api.json"
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        scratch = file.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(told, out)
        scratch.replace(file)
    except OSError as error:
        raise Rejected(f"{file} cannot be written: {error.strerror}") from error
    return file

"""The secrets of a line: what is given, what is there already, and what is made once; pure."""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conveyor.deploy.wishes import Namespaces
from conveyor.errors import Rejected

Values = Mapping[str, str]

_S3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_GIT = ("CONVEYOR_GIT_USERNAME", "CONVEYOR_GIT_PASSWORD")
_SSH = ("id", "known_hosts")
_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A Secret of the line: where it lies, and its values (nothing else is written to it)."""

    namespace: str
    name: str
    values: Values

    def manifest(self) -> dict[str, Any]:
        """Return it as Kubernetes takes it."""
        coded = {
            name: base64.b64encode(value.encode()).decode() for name, value in self.values.items()
        }
        labels = {"app.kubernetes.io/part-of": "conveyor"}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "type": "Opaque",
            "data": coded,
        }


def values_of(thing: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the values of a Secret as it is in the cluster; none where it is not there."""
    data = (thing or {}).get("data") or {}
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def wanted(
    namespaces: Namespaces,
    given: Values,
    there: Callable[[str, str], Values],
    *,
    make: Callable[[], str] = lambda: secrets.token_hex(_KEY_BYTES),
) -> tuple[Secret, ...]:
    """Return all secrets of the line with their values.

    given are variables of the environment and SSH files (CONVEYOR_GIT_KEY, _KNOWN_HOSTS: their
    content); there gives the values of a Secret in the cluster, by namespace and name. What is
    given wins over what is there; keys and token are made once and kept. Raises Rejected naming
    everything that is missing.
    """
    line, jobs, models = namespaces.all
    keys = _keys(given, there(line, "line-keys"), make)
    s3 = _credential(given, "", _S3, there(line, "line-s3"))
    ledger = _credential(given, "", ("CONVEYOR_LEDGER",), there(line, "line-ledger"))
    git = _git(given, "", there(line, "line-git"))
    _refuse_missing(s3, ledger)
    before = _credential({}, "", _S3, there(line, "line-s3"))
    fetch = _own(given, "FETCH", there(jobs, "fetch"), before) or s3
    store = _own(given, "STORE", there(jobs, "store"), before) or s3
    serve = _own(given, "SERVE", there(models, "serve"), before) or s3
    # A name and password go with the other variables of the step, the files of SSH into its volume.
    there_git = {**there(jobs, "fetch"), **there(jobs, "fetch-git")}
    fetch_git = _git(given, "FETCH", there_git)
    if not fetch_git or fetch_git == _git({}, "", there(line, "line-git")):
        fetch_git = git
    named = {name: fetch_git[name] for name in _GIT if name in fetch_git}
    files = {name: fetch_git[name] for name in _SSH if name in fetch_git}
    found = (
        Secret(namespace=line, name="line-keys", values=keys),
        Secret(namespace=line, name="line-s3", values=s3),
        Secret(namespace=line, name="line-ledger", values=ledger),
        Secret(namespace=line, name="line-git", values=git),
        Secret(namespace=jobs, name="fetch", values={**fetch, **named}),
        Secret(namespace=jobs, name="fetch-git", values=files),
        Secret(namespace=jobs, name="store", values=store),
        Secret(
            namespace=models,
            name="serve",
            values={**serve, "CONVEYOR_KEY_SERVE": keys["CONVEYOR_KEY_SERVE"]},
        ),
    )
    return tuple(each for each in found if each.values)


def shared(found: tuple[Secret, ...]) -> tuple[str, ...]:
    """Return which roles use the line's own key of the bucket, which may do more than they need."""
    by_name = {each.name: each.values for each in found}
    mine = by_name["line-s3"].get(_S3[0])
    return tuple(role for role in ("fetch", "store", "serve") if by_name[role].get(_S3[0]) == mine)


def mark(found: tuple[Secret, ...]) -> str:
    """Return what differs whenever a secret of the functions does, and tells nothing of any."""
    line = found[0].namespace
    told = sorted(
        f"{each.name} {name} {value}"
        for each in found
        if each.namespace == line
        for name, value in each.values.items()
    )
    key = found[0].values["CONVEYOR_KEY_LINE"].encode()
    return hmac.new(key, "\0".join(told).encode(), "sha256").hexdigest()[:16]


def _keys(given: Values, there: Values, make: Callable[[], str]) -> dict[str, str]:
    names = ("CONVEYOR_KEY_LINE", "CONVEYOR_KEY_SERVE", "CONVEYOR_TOKEN")
    return {name: given.get(name) or there.get(name) or make() for name in names}


def _credential(
    given: Values, prefix: str, names: tuple[str, ...], there: Values
) -> dict[str, str]:
    """Return a credential whole from one place: what is given, else what is there."""
    told = {name: given.get(f"{prefix}{name}", "") for name in names}
    if all(told.values()):
        return told
    kept = {name: there.get(name, "") for name in names}
    return kept if all(kept.values()) else {}


def _own(given: Values, role: str, there: Values, shared_before: Values) -> Values:
    """Return a role's own key; none where it has none: it shares the line's then, a new one too."""
    found = _credential(given, f"CONVEYOR_{role}_", _S3, there)
    return {} if found == shared_before else found


def _git(given: Values, role: str, there: Values) -> dict[str, str]:
    prefix = f"CONVEYOR_{role}_" if role else "CONVEYOR_"
    told = {
        "CONVEYOR_GIT_USERNAME": given.get(f"{prefix}GIT_USERNAME", ""),
        "CONVEYOR_GIT_PASSWORD": given.get(f"{prefix}GIT_PASSWORD", ""),
        "id": given.get(f"{prefix}GIT_KEY", ""),
        "known_hosts": given.get(f"{prefix}GIT_KNOWN_HOSTS", ""),
    }
    if any(told.values()):
        return {name: value for name, value in told.items() if value}
    return {name: there[name] for name in (*_GIT, *_SSH) if there.get(name)}


def _refuse_missing(s3: Values, ledger: Values) -> None:
    missing = []
    if not s3:
        missing.append("  AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: a key of the bucket")
    if not ledger:
        missing.append(
            "  CONVEYOR_LEDGER: the ledger's database, as pods reach it: "
            "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"
        )
    if missing:
        raise Rejected(
            "credentials are missing; set these variables (they become Secrets of the line):\n"
            + "\n".join(missing)
        )

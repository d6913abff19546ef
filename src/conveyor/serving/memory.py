"""The services' twin in memory: the same promises without a process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Release
from conveyor.errors import Conflict, NotFound, Rejected
from conveyor.serving.upstreams import Answer, Call

Answering = Callable[[bytes], bytes]
"""What a release does with a request; raises Rejected or Unavailable as the port's `infer` does."""


def no_outputs(request: bytes) -> bytes:
    """Answer any request with an empty list of outputs."""
    del request
    return b'{"outputs": []}'


@dataclass
class MemoryUpstream:
    """One release; what raises in `answering` raises here."""

    release: str
    answering: Answering

    def send(self, call: Call) -> Answer:
        """Answer by the function that stands for the release."""
        return Answer(status=200, body=self.answering(call.body))


@dataclass
class MemoryServices:
    """Implements ports.Services and what the router needs.

    answers: release digest -> what it does with a request (`no_outputs` where unset); broken:
    digests whose `ensure` is rejected; placed: release digest -> model of what is reachable now;
    ensured: the calls so far.
    """

    answers: dict[str, Answering] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    placed: dict[str, str] = field(default_factory=dict)
    ensured: list[Release] = field(default_factory=list)
    tables: dict[str, Traffic] = field(default_factory=dict)

    def ensure(self, release: Release, line: Line) -> None:
        """Give the release a place; raises Rejected for a broken one."""
        del line
        if release.digest in self.broken:
            msg = f"{release.tag} did not start: it is broken"
            raise Rejected(msg)
        self.ensured.append(release)
        self.placed[release.digest] = release.model

    def infer(self, model: str, release: str, request: bytes) -> bytes:
        """Return the release's answer; raises NotFound when it has no place."""
        if self.placed.get(release) != model:
            msg = f"{model} has no release {release[:16]!r} here; ensure it first"
            raise NotFound(msg)
        return self.answers.get(release, no_outputs)(request)

    def traffic(self, model: str) -> Traffic:
        """Return the model's traffic, empty where it is not served."""
        return self.tables.get(model, Traffic())

    def apply(self, model: str, traffic: Traffic, *, expected: Traffic) -> None:
        """Change the traffic by compare-and-set."""
        now = self.traffic(model)
        if now == traffic:
            return
        if now != expected:
            msg = f"the traffic of {model} is {now.as_dict()}, expected {expected.as_dict()}"
            raise Conflict(msg)
        self.tables[model] = traffic
        for release in now.as_dict().keys() - traffic.as_dict().keys():
            self.placed.pop(release, None)
        self.placed.update(dict.fromkeys(traffic.as_dict(), model))

    def table(self) -> Mapping[str, Traffic]:
        """Return the traffic of every model that is served."""
        return {model: traffic for model, traffic in self.tables.items() if traffic.shares}

    def releases(self) -> Mapping[str, str]:
        """Return release digest -> model of all that have a place."""
        return dict(self.placed)

    @contextmanager
    def hold(self, model: str, point: float) -> Iterator[MemoryUpstream]:
        """Choose a release by the table; raises NotFound when nothing serves."""
        try:
            release = self.traffic(model).choose(point)
        except LookupError as error:
            msg = f"nothing serves the model {model!r}"
            raise NotFound(msg) from error
        with self.hold_release(release) as upstream:
            yield upstream

    @contextmanager
    def hold_release(self, release: str) -> Iterator[MemoryUpstream]:
        """Hold one release; raises NotFound when it has no place."""
        if release not in self.placed:
            msg = f"no release {release[:16]!r} here"
            raise NotFound(msg)
        yield MemoryUpstream(release, self.answers.get(release, no_outputs))

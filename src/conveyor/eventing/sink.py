"""Publishes events to a Knative broker's ingress."""

import logging
import socket
import time
from secrets import SystemRandom

import urllib3

from conveyor.codec import check_publishable, encode, to_json
from conveyor.domain.events import Event
from conveyor.errors import Rejected, Unavailable

CONNECT = 10.0
ANSWER = 300.0
"""Seconds for the answer: a broker that keeps nothing answers only when all that the event sets
off has been delivered.
"""

PAUSES = (0.5, 2.0, 8.0)
"""Most seconds before the second try and each after it; then the outbox is the net."""

_OK = range(200, 300)
_RETRIED = frozenset({404, 408, 409, 429})
_SERVER_ERRORS = 500
_EXCERPT = 300
# A broker that was killed answers nothing: the connection to it must end long before ANSWER does.
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
)

log = logging.getLogger(__name__)
_random = SystemRandom()


class BrokerSink:
    """Posts to one broker over connections that are kept; many threads may call.

    connections is how many are kept; answer bounds in seconds how long one answer may take.
    """

    def __init__(
        self,
        address: str,
        *,
        connections: int = 16,
        answer: float = ANSWER,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._address = address
        self._pauses = pauses
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT, read=answer),
            socket_options=list(_ALIVE),
        )

    def publish(self, event: Event) -> None:
        """Hand an event over; returns once the broker took it, which may have delivered it then.

        Raises InvalidEvent when it is none or too large, Rejected when the broker refuses it,
        Unavailable when it does not take it now: publish it again later, with its id.
        """
        check_publishable(to_json(event))
        for pause in self._pauses:
            try:
                self._post(event)
            except Unavailable as error:
                log.info("%s; tried again", error)
                time.sleep(_random.uniform(pause / 2, pause))
            else:
                return
        self._post(event)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _post(self, event: Event) -> None:
        headers, body = encode(event)
        what = f"event {event.id[:64]} of type {event.type}"
        try:
            answer = self._pool.request("POST", self._address, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            msg = f"the broker {self._address} did not answer to {what}: {error}"
            raise Unavailable(msg) from error
        if answer.status in _OK:
            return
        said = answer.data[:_EXCERPT].decode(errors="replace").strip()
        msg = f"the broker {self._address} answered {answer.status} to {what}: {said}"
        retried = answer.status in _RETRIED or answer.status >= _SERVER_ERRORS
        raise (Unavailable if retried else Rejected)(msg)


class MemorySink:
    """The twin for tests: keeps what was published, refuses as long as it is told to."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.refusal: Exception | None = None

    def publish(self, event: Event) -> None:
        """Take an event; see BrokerSink.publish."""
        check_publishable(to_json(event))
        if self.refusal is not None:
            raise self.refusal
        self.published.append(event)

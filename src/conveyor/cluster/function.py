"""A station as a Knative function."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from conveyor.cluster.parts import Parts
from conveyor.cluster.server import Site, start
from conveyor.cluster.settings import FunctionSettings
from conveyor.domain.events import Event
from conveyor.errors import ConveyorError
from conveyor.functions import Function, Reply, Station, http_app

_NOT_OPEN = 503

P = TypeVar("P", bound=Parts)


class LateFunction(Generic[P]):
    """Opens its parts with its first event, or before; what fails is tried with the next.

    Nothing is wrong with an event whose function cannot be opened, whatever the reason: 503.
    """

    def __init__(self, name: str, bind: Callable[[P], Station], parts: P) -> None:
        self.name = name
        self._bind = bind
        self._parts = parts
        self._lock = threading.Lock()
        self._function: Function | None = None

    def open(self) -> Function:
        """Return the function, opened; raises ConveyorError."""
        with self._lock:
            if self._function is None:
                self._function = self._made()
            return self._function

    def __call__(self, event: Event) -> Reply:
        """Handle one delivery."""
        try:
            self._parts.keyring.verify(event)
        except ConveyorError as error:
            return Reply(401, error=str(error))
        try:
            function = self.open()
        except ConveyorError as error:
            return Reply(_NOT_OPEN, error=str(error))
        return function(event)

    def _made(self) -> Function:
        return Function(
            self.name,
            self._bind(self._parts),
            deliveries=self._parts.deliveries,
            publish=self._parts.hand_on,
            keyring=self._parts.keyring,
            lease=self._parts.settings.delivery.lease,
        )


def serve(
    name: str, bind: Callable[[P], Station], open_parts: Callable[[FunctionSettings], P]
) -> None:
    """Run a station until SIGTERM: what `python functions/<station>/app.py` does.

    bind gives the station its ports, which are opened late.
    """

    def compose(parts: P) -> Site:
        function = LateFunction(name, bind, parts)
        return Site(http_app(function), warm=function.open)

    start(open_parts, compose)

"""Where models are asked, for people and programs that read the board."""

from contextlib import suppress

from conveyor.api.parts import Parts
from conveyor.errors import ConveyorError


def of(parts: Parts, model: str) -> str | None:
    """Return the URL at which a model is asked (`<url>/infer`), None where it is at none now."""
    with suppress(ConveyorError):
        return parts.address(model) or None
    return None

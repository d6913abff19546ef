"""How requests of one model are shared out among its releases."""

from dataclasses import dataclass

WHOLE = 100
"""Percent."""


@dataclass(frozen=True)
class Traffic:
    """Release digests with their percent of requests, stable first; the percents add up to 100 (or
    it is empty).
    """

    shares: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.shares and sum(percent for _, percent in self.shares) != WHOLE:
            msg = f"the shares must add up to 100, got {self.shares}"
            raise ValueError(msg)

    def choose(self, point: float) -> str:
        """Return the release for a point in [0, 1); raises LookupError when nothing serves."""
        threshold = 0.0
        for release, percent in self.shares:
            threshold += percent / WHOLE
            if point < threshold:
                return release
        msg = "no release serves this model"
        raise LookupError(msg)

    def as_dict(self) -> dict[str, int]:
        """Return release digest to percent."""
        return dict(self.shares)

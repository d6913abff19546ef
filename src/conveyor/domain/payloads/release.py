"""Releases were made."""

from dataclasses import dataclass

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class ReleaseCreated(Fields):
    """A bundle passed the gate, is tagged and answers at its own URL. release is its manifest's
    sha256.

    stable is the digest of the release it was gated against ("" where none served), run the convert
    run, data maps the path of each data set it was made from to its md5 in DVC.
    """

    NAME = "release.created"
    model: str
    release: str
    version: str
    onnx: str
    tag: str
    commit: str
    stable: str | None = None
    run: str | None = None
    data: dict[str, str] | None = None

    @property
    def subject(self) -> str:
        """The release, e.g. wine@v1.4.0."""
        return self.tag

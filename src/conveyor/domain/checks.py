"""What was found when a data set was read, and whether it may count."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check that failed. check names it (type, required, minimum, unique, rows ...); where says
    column or file.

    message is a sentence for the owner with the value and the first row (1 = first row below the
    header).
    """

    check: str
    where: str
    message: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one streaming read of a data set gave.

    md5 ends with ".dir" for a directory, whose manifest (DVC's JSON) and files are then set;
    statistics hold per column: count, nulls, min, max, mean (numbers only).
    """

    md5: str
    size: int
    rows: int | None = None
    manifest: bytes | None = None
    files: int | None = None
    findings: tuple[Finding, ...] = ()
    statistics: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_report(self) -> dict[str, Any]:
        """Return it as a JSON object, but for the manifest, which may be large."""
        return {name: value for name, value in asdict(self).items() if name != "manifest"}

    @classmethod
    def from_report(cls, report: Mapping[str, Any], manifest: bytes | None = None) -> Self:
        """Read what `to_report` gave; raises TypeError where it is anything else."""
        findings = tuple(Finding(**finding) for finding in report.get("findings", ()))
        return cls(**{**report, "findings": findings, "manifest": manifest})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version may count, with every reason against it; kept with the version."""

    reading: Reading
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings

    @property
    def reasons(self) -> list[str]:
        """One sentence per finding."""
        return [finding.message for finding in self.findings]


def judge_reading(reading: Reading, *, previous_rows: int | None, shrink: float) -> Verdict:
    """Decide on a reading: its own findings, and the row count against the version before.

    previous_rows is None for a first version; shrink is the share of rows that may go missing
    (0..1).
    """
    findings = list(reading.findings)
    rows = reading.rows
    if previous_rows and rows is not None and rows < previous_rows * (1 - shrink):
        lost = 1 - rows / previous_rows
        findings.append(
            Finding(
                check="rows",
                where="file",
                message=f"{rows} rows, {lost:.0%} fewer than the {previous_rows} of the last one "
                f"(at most {shrink:.0%} may go; set `shrink` in conveyor.yaml if this is meant)",
            )
        )
    return Verdict(reading=reading, findings=tuple(findings))

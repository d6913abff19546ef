"""How runs are called in the cluster: names, labels and annotations of their Jobs."""

import re

from conveyor.domain.identity import digest
from conveyor.knative.jobsettings import JobSettings

FETCH, WORK, STORE = "fetch", "work", "store"
PREFIX = "conveyor.dev/"
LINE, LANE, RUN, KIND = f"{PREFIX}line", f"{PREFIX}lane", f"{PREFIX}run", f"{PREFIX}kind"
KEY, OWNER, SINCE = f"{PREFIX}key", f"{PREFIX}owner", f"{PREFIX}since"
SPEC, ATTEMPT = f"{PREFIX}spec", f"{PREFIX}attempt"
QUEUE = "kueue.x-k8s.io/queue-name"

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def job_name(settings: JobSettings, key: str, kind: str, attempt: int = 0) -> str:
    """Return the name of a run's Job, the same for the same attempt at the same run."""
    readable = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:16] or "run"
    return f"{readable}-{digest('job', settings.line, kind, key, str(attempt))[:24]}"


def label(text: str) -> str:
    """Return a text as a label's value: itself where it can be one, else its digest."""
    return text if _LABEL.fullmatch(text) else digest("label", text)[:32]


def lane_of(settings: JobSettings, kind: str, owner: str) -> str:
    """Return the label of the runs of which one works at a time."""
    return digest("lane", settings.line, kind, owner)[:32]


def run_of(key: str) -> str:
    """Return the label of a run."""
    return digest("run", key)[:32]

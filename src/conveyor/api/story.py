"""Says in a sentence what an event means, for people who read along."""

from collections.abc import Callable
from typing import Any

from conveyor.domain.events import Event
from conveyor.domain.objects import size_text
from conveyor.domain.payloads import (
    TYPES,
    DatasetRejected,
    DatasetUploaded,
    DatasetVersioned,
    GateStale,
    InferenceObserved,
    JobFinished,
    ModelConverted,
    ModelRejected,
    ModelTrained,
    ModelUploaded,
    ModelVersioned,
    NoticeReceived,
    OutcomeObserved,
    ReleaseCreated,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRequested,
    RolloutRolledBack,
    ScheduleFired,
    ScheduleMissed,
    SourcePushed,
)
from conveyor.domain.routes import MINUTE
from conveyor.errors import InvalidEvent
from conveyor.stations.largereads import lane

SHORT = 8
"""Characters of a digest that people are shown."""

_MAX_TEXT = 600


def story(event: Event) -> str:
    """Return one line of text: a symbol, whom it is about, and what happened."""
    symbol = _SYMBOLS.get(event.type, "·")
    return f"{symbol} {sentence(event)}"


def sentence(event: Event) -> str:
    """Return the line without its symbol; an event of unknown shape is only named."""
    kind = TYPES.get(event.type)
    if kind is None:
        return plain(f"{event.subject or 'something'}: {event.type}")
    try:
        told: Any = kind.from_event(event)
    except InvalidEvent:
        return plain(f"{event.subject or 'something'}: {kind.NAME}, but its data is broken")
    return plain(_SENTENCES[kind](told))


def plain(text: str) -> str:
    """Return a text as one bounded line in which nothing is left that a terminal obeys."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(printable.split())
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 1]}…"


def _notice(told: NoticeReceived) -> str:
    return f"a notice came in by {told.origin}: {told.notice.removeprefix('dev.conveyor.')}"


def _uploaded(told: DatasetUploaded) -> str:
    return f"{told.dataset}: {told.key} arrived, {size_text(told.size)}"


def _model_uploaded(told: ModelUploaded) -> str:
    return f"{told.model}: the model file {told.key} arrived, {size_text(told.size)}"


def _pushed(told: SourcePushed) -> str:
    branch = told.ref.removeprefix("refs/heads/")
    return f"{branch}: commit {told.commit[:SHORT]} was pushed"


def _fired(told: ScheduleFired) -> str:
    if told.schedule == MINUTE:
        return f"the line looks around (tick of {told.tick})"
    return f"{told.subject}: time to train again (schedule of {told.tick})"


def _missed(told: ScheduleMissed) -> str:
    count = f"{len(told.ticks)} ticks" if len(told.ticks) > 1 else "a tick"
    return (
        f"{told.model}: {count} of its schedule passed while nobody looked, up to {told.ticks[-1]}"
    )


def _job(told: JobFinished) -> str:
    return f"{lane(told.owner)}: the {told.job} run {told.key[:SHORT]} ended: {told.state}"


def _outcome(told: OutcomeObserved) -> str:
    return f"{told.model or 'a model'}: prediction {told.prediction} really was {told.outcome}"


def _versioned(told: DatasetVersioned) -> str:
    counts = [f"{told.rows} rows"] if told.rows is not None else []
    counts += [f"{told.files} files"] if told.files is not None else []
    counted = ", ".join([*counts, size_text(told.size)])
    return f"{told.dataset}: checks passed, version {told.md5[:SHORT]} ({counted})"


def _data_rejected(told: DatasetRejected) -> str:
    more = f" (and {len(told.reasons) - 1} more)" if len(told.reasons) > 1 else ""
    return f"{told.dataset}: refused: {(told.reasons or ['no reason given'])[0]}{more}"


def _model_versioned(told: ModelVersioned) -> str:
    return f"{told.model}: model file stored as {told.md5[:SHORT]}, {size_text(told.size)}"


def _trained(told: ModelTrained) -> str:
    return f"{told.model}: trained, {size_text(told.size)}"


def _converted(told: ModelConverted) -> str:
    return f"{told.model}: converted to ONNX {told.onnx[:SHORT]}, proved equal on real rows"


_STAGES = {"build": "training failed", "convert": "not converted", "release": "gate refused"}


def _rejected(told: ModelRejected) -> str:
    return f"{told.model}: {_STAGES.get(told.stage, told.stage)}: {told.reason}"


def _released(told: ReleaseCreated) -> str:
    return f"{told.model}: released {told.tag}, it answers at its own URL"


def _stale(told: GateStale) -> str:
    return f"{told.model}: the stable release changed meanwhile, so the candidate is scored again"


def _requested(told: RolloutRequested) -> str:
    to = f" to {told.release}" if told.release else ""
    why = f": {told.reason}" if told.reason else ""
    return f"{told.model}: {told.by} asks to {told.action}{to}{why}"


def _advanced(told: RolloutAdvanced) -> str:
    share = told.split.get(told.release, 0)
    what = "serves" if not told.stable else "canary at"
    return f"{told.model}: v{told.version} {what} {share} %: {_first(told.reason)}"


def _promoted(told: RolloutPromoted) -> str:
    return f"{told.model}: v{told.version} promoted, it is stable now: {_first(told.reason)}"


def _first(reason: str) -> str:
    """Return the first of a judge's reasons: where all is well, the rest is for those who ask."""
    return reason.split("; ", 1)[0]


_ENDS = {
    "rolled_back": "rolled back",
    "aborted": "aborted by a person",
    "superseded": "gave way to a newer release",
}


def _rolled_back(told: RolloutRolledBack) -> str:
    what = _ENDS.get(told.state, told.state)
    return f"{told.model}: v{told.version} {what}: {told.reason}"


def _observed(told: InferenceObserved) -> str:
    requests, errors = told.summary.get("requests", 0), told.summary.get("errors", 0)
    failed = f", {errors} failed" if errors else ""
    return f"{told.model}: release {told.revision[:SHORT]} answered {requests} requests{failed}"


_SENTENCES: dict[type[Any], Callable[[Any], str]] = {
    NoticeReceived: _notice,
    DatasetUploaded: _uploaded,
    ModelUploaded: _model_uploaded,
    SourcePushed: _pushed,
    ScheduleFired: _fired,
    ScheduleMissed: _missed,
    JobFinished: _job,
    OutcomeObserved: _outcome,
    DatasetVersioned: _versioned,
    DatasetRejected: _data_rejected,
    ModelVersioned: _model_versioned,
    ModelTrained: _trained,
    ModelRejected: _rejected,
    ModelConverted: _converted,
    ReleaseCreated: _released,
    GateStale: _stale,
    RolloutRequested: _requested,
    RolloutAdvanced: _advanced,
    RolloutPromoted: _promoted,
    RolloutRolledBack: _rolled_back,
    InferenceObserved: _observed,
}

_SYMBOLS = {
    payload.event_type(): symbol
    for symbol, payloads in {
        "→": (NoticeReceived, DatasetUploaded, ModelUploaded, SourcePushed, OutcomeObserved),
        "◷": (ScheduleFired, ScheduleMissed),
        "■": (JobFinished,),
        "✓": (DatasetVersioned, ModelVersioned, ModelTrained, ModelConverted),
        "✗": (DatasetRejected, ModelRejected),
        "★": (ReleaseCreated,),
        "↻": (GateStale,),
        "☞": (RolloutRequested,),
        "▲": (RolloutAdvanced,),
        "✔": (RolloutPromoted,),
        "↩": (RolloutRolledBack,),
    }.items()
    for payload in payloads
}

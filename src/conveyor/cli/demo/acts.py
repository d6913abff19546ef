"""The six acts of the demo: what a line does for its users, told while it happens."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import urllib3
from rich.console import Console
from rich.markup import escape

from conveyor.cli.demo.local import LocalPlace
from conveyor.cli.demo.stage import Stage, copy_line
from conveyor.cli.demo.traffic import Traffic, question, read_rows
from conveyor.errors import ConveyorError

MODEL = "wine"
ENDS = ("rollout.promoted", "rollout.rolledback", "model.rejected", "dataset.rejected")


@click.command()
@click.option("--keep", is_flag=True, help="Keep the copy, to look around in it afterwards.")
def demo(*, keep: bool) -> None:
    """Run the line on real data in front of your eyes (about a minute).

    It plays in a copy of the example line and leaves your checkout as it is.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="conveyor-demo-"))
    began = time.monotonic()
    try:
        copy_line(Path(__file__).parents[4], folder / "line")
        with LocalPlace(folder / "line") as place:
            play(Stage(folder / "line", console, place), console)
    except ConveyorError as error:
        raise click.ClickException(str(error)) from error
    console.print(f"\n[bold]Six acts in {time.monotonic() - began:.0f} s.[/bold]")
    console.print(BY_HAND, markup=False)
    if keep:
        console.print(f"The line of this demo: {folder / 'line'}", markup=False)
    else:
        shutil.rmtree(folder)


def play(stage: Stage, console: Console) -> None:
    """Play the six acts; raises ClickException where one ends otherwise than it should."""
    for number, (title, act) in enumerate(ACTS.items(), 1):
        console.print(f"\n[bold cyan]Act {number}. {title}.[/bold cyan]")
        act(stage)


def first_data(stage: Stage) -> None:
    """Upload, train, convert, release, serve."""
    stage.upload("first.csv")
    _expect(stage, "rollout.promoted")
    holdout = read_rows(stage.folder / "data" / "wine-holdout.csv")
    answer = _ask(stage, holdout[0])
    stage.say(f"the first prediction: cultivar {answer['outputs'][0]['data'][0]}")


def better_data(stage: Stage) -> None:
    """Roll a better model out under traffic; no request may fail."""
    with _traffic(stage) as traffic:
        stage.upload("better.csv")
        _expect(stage, "rollout.promoted")
    stage.say(f"{traffic.answered} requests meanwhile, {traffic.failed} failed")
    if traffic.failed:
        msg = f"{traffic.failed} requests failed during the rollout"
        raise click.ClickException(msg)


def broken_data(stage: Stage) -> None:
    """Upload a file with mistakes."""
    before = stage.git("ls-remote", stage.place.remote, "refs/heads/main")
    stage.upload("broken.csv")
    refused = _expect(stage, "dataset.rejected")
    for reason in refused["data"]["reasons"]:
        stage.say(escape(reason))
    same = stage.git("ls-remote", stage.place.remote, "refs/heads/main") == before
    stage.say(f"the branch is {'as it was' if same else 'CHANGED'}: {before[:12]}")


def bad_commit(stage: Stage) -> None:
    """Push a commit whose model is worse."""
    stage.edit_params(("features: all", "features: [ash, magnesium]"))
    stage.push("Two features are enough")
    _expect(stage, "model.rejected")


def fails_live(stage: Stage) -> None:
    """Push a commit whose model is good on the hold-out rows alone."""
    stage.edit_params(
        ("features: [ash, magnesium]", "features: all"), ("impute: true", "impute: false")
    )
    with _traffic(stage, gaps=0.5) as traffic:
        stage.push("The imputer is never needed on the hold-out rows: drop it")
        _expect(stage, "rollout.rolledback")
    stage.say(f"{traffic.answered} requests meanwhile, {traffic.failed} failed")


def trace_back(stage: Stage) -> None:
    """Ask the model once more, and ask where the answer came from."""
    answer = _ask(stage, read_rows(stage.folder / "data" / "wine-holdout.csv")[1])
    stage.conveyor("trace", answer["parameters"]["prediction_id"])


ACTS: dict[str, Callable[[Stage], None]] = {
    "First data: twenty wines land in the bucket, and a model serves": first_data,
    "Better data arrives while requests flow: a canary, judged and promoted": better_data,
    "Broken data: refused with the reasons, the branch stays as it was": broken_data,
    "A bad commit is pushed: the gate refuses its model and tells the pusher why": bad_commit,
    "A model passes the gate and fails live: real requests have gaps": fails_live,
    "A prediction is traced back to the upload that caused it": trace_back,
}

BY_HAND = """
By hand, in a line of your own:

    conveyor init shop && cd shop      # a new line
    conveyor up                        # leave it running; then, in another terminal:
    conveyor put data/examples/first.csv shop/shop.csv --wait
    conveyor status
    conveyor predict shop --rows data/holdout.csv
    git push conveyor main             # after you changed and committed something
    conveyor trace shop@v1.0.0
"""


def _expect(stage: Stage, kind: str) -> Mapping[str, Any]:
    """Tell the story until it ends and return its last event.

    Raises ClickException when it ends otherwise than it should.
    """
    event: Mapping[str, Any] = stage.until(lambda event: any(end in event["type"] for end in ENDS))
    if kind not in event["type"]:
        msg = f"this act should end with {kind}, it ended with: {event['story']}"
        raise click.ClickException(msg)
    return event


def _traffic(stage: Stage, *, gaps: float = 0.0) -> Traffic:
    rows = stage.folder / "data" / "wine-holdout.csv"
    return Traffic(stage.place.models(), MODEL, rows, gaps=gaps)


def _ask(stage: Stage, row: list[float]) -> Mapping[str, Any]:
    at = stage.place.models()
    answer = urllib3.request(
        "POST",
        f"{at.url}/v2/models/{MODEL}/infer",
        headers=dict(at.headers),
        json=question(list(row)),
    )
    return dict(answer.json())

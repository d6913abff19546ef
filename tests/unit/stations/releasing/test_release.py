"""Which candidates become releases, under which number, and why others do not."""

from dataclasses import replace

import pytest

from conveyor.bundle import load_manifest
from conveyor.domain.line import Serve
from conveyor.domain.payloads import ModelRejected, ReleaseCreated, SourcePushed
from conveyor.domain.versions import ABORTED, ROLLED_BACK, STABLE, Registry
from conveyor.errors import Conflict, Unavailable


def versions(world):
    return [str(each.version) for each in Registry.of("wine", world.history.tags()).releases]


def reason(answers):
    (answer,) = answers
    return ModelRejected.from_event(answer).reason


def test_a_candidate_that_passes_is_stored_tried_tagged_and_told(world):
    event = world.trained()
    (answer,) = world.made(event)
    created = ReleaseCreated.from_event(answer)
    assert (created.tag, created.stable) == ("wine@v1.0.0", "")
    lineage = load_manifest(world.objects, created.release).lineage
    assert (lineage.commit, lineage.run) == (event.data["commit"], "train-aaaa")
    assert dict(lineage.data) == {"data/wine.csv": "d" * 32}
    assert lineage.sensitivity == "internal"
    assert [each.digest for each in world.services.ensured] == [created.release]


def test_a_repeated_event_gives_the_same_answer_and_one_tag(world):
    world.convert(world.trained())
    (converted,) = world.work()
    assert world.release(converted) == world.release(converted)
    assert versions(world) == ["1.0.0"]


def test_new_data_is_a_patch_and_new_code_a_minor(world):
    world.made(world.trained())
    world.made(world.trained(md5="1" * 32, data="7" * 32), b"second")
    world.made(world.trained(md5="2" * 32, data="7" * 32, code="8" * 32), b"third")
    assert versions(world) == ["1.0.0", "1.0.1", "1.1.0"]


def test_a_changed_signature_is_a_major(world):
    world.made(world.trained())
    world.made(world.trained(md5="1" * 32), b"second", classes=[0, 1])
    assert versions(world) == ["1.0.0", "2.0.0"]


def test_a_candidate_below_the_gate_is_refused_with_the_comparison(world):
    world.made(world.trained(), candidate=0.93)
    world.end_rollout(STABLE)
    answers = world.made(world.trained(md5="1" * 32), b"second", candidate=0.61, stable=0.93)
    assert reason(answers) == (
        "accuracy 0.61 is below the gate's 0.8; accuracy 0.61 is 0.32 worse than stable's 0.93 "
        "(the gate allows 0.01) (stable wine@v1.0.0 has 0.93 on the same 54 rows)"
    )
    assert versions(world) == ["1.0.0"]


@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_candidate_without_a_score_is_refused(world, score):
    assert "accuracy is" in reason(world.made(world.trained(), candidate=score))


def test_what_does_not_start_gets_no_number(world):
    world.convert(world.trained())
    (converted,) = world.work()
    world.services.ensure = broken
    assert "smoke test: it is broken" in reason(world.release(converted))
    assert versions(world) == []


def broken(*_):
    raise Conflict("it is broken")


def test_what_answers_otherwise_than_when_it_was_made_gets_no_number(world):
    world.services.answers.number = 2.5
    assert "output 'y' has 2.5, expected 1.5" in reason(world.made(world.trained()))
    assert versions(world) == []


def test_a_push_that_changes_nothing_of_the_stable_model_gives_no_event(world):
    world.made(world.trained())
    world.end_rollout(STABLE)
    assert world.made(world.trained()) == ()
    assert versions(world) == ["1.0.0"]


def test_a_push_that_changes_nothing_of_a_waiting_release_gives_that_release(world):
    (first,) = world.made(world.trained())
    (second,) = world.made(world.trained())
    assert second.data["release"] == first.data["release"]
    assert versions(world) == ["1.0.0"]


def test_going_back_to_an_earlier_model_is_a_new_release(world):
    world.made(world.trained())
    world.end_rollout(STABLE)
    world.made(world.trained(md5="1" * 32), b"second")
    world.end_rollout(STABLE)
    world.made(world.trained())
    assert versions(world) == ["1.0.0", "1.0.1", "1.0.2"]


def test_an_onnx_that_was_rolled_back_is_never_released_again_by_itself(world):
    world.made(world.trained())
    world.end_rollout(ROLLED_BACK)
    assert "rolled back before, as wine@v1.0.0" in reason(world.made(world.trained()))


def test_what_a_person_aborted_does_not_come_back_by_itself(world):
    world.made(world.trained())
    world.end_rollout(ABORTED)
    assert "aborted" in reason(world.made(world.trained()))


def test_a_number_that_someone_else_takes_meanwhile_is_passed_over(world):
    world.made(world.trained())
    tag, taken = world.history.tag, []

    def race(name, commit, message):
        if not taken:
            taken.append(name)
            tag(name, commit, message.replace("Conveyor-Release: ", "Conveyor-Release: 0"))
        tag(name, commit, message)

    world.history.tag = race
    (created,) = world.made(world.trained(md5="1" * 32), b"second")
    assert taken == ["wine@v1.0.1"]
    assert created.data["version"] == "2.0.0"


def test_numbers_that_are_always_taken_are_tried_again_later(world):
    world.history.tag = broken
    with pytest.raises(Unavailable, match="no free version"):
        world.made(world.trained())


def pushed(world, before, commit):
    return world.event(
        SourcePushed(repository="memory", ref="refs/heads/main", before=before, commit=commit)
    )


def test_a_push_that_changes_only_how_a_model_is_served_is_applied_to_its_stable(world):
    (created,) = world.made(world.trained())
    world.end_rollout(STABLE)
    before, commit = created.data["commit"], world.history.push({"conveyor.yaml": b"new"})
    model = replace(world.lines.line.models["wine"], serve=Serve(cpu=2))
    world.lines.commits[commit] = replace(world.lines.line, models={"wine": model})
    assert world.release(pushed(world, before, commit)) == ()
    assert [each.tag for each in world.services.ensured] == ["wine@v1.0.0", "wine@v1.0.0"]


def test_any_other_push_is_not_for_release(world):
    (created,) = world.made(world.trained())
    world.end_rollout(STABLE)
    commit = world.history.push({"README.md": b"new"})
    assert world.release(pushed(world, created.data["commit"], commit)) == ()
    assert len(world.services.ensured) == 1

import pytest

from conveyor.domain.versions import (
    Change,
    Registry,
    Release,
    Tag,
    Version,
    ending_message,
    read_release,
)
from conveyor.errors import NotFound


def release(version: str, digest: str = "d1", model: str = "wine") -> Release:
    numbers = Version(*map(int, version.split(".")))
    return Release(model=model, version=numbers, digest=digest, onnx=f"o-{digest}", commit="c")


def tag(item: Release) -> Tag:
    return Tag(name=item.tag, commit=item.commit, message=item.message)


def ending(item: Release, stage: str, number: int) -> Tag:
    message = ending_message(item, rollout=f"r{number}", reason="because")
    return Tag(name=f"{item.model}#{stage}#{number}", commit="c", message=message)


@pytest.mark.parametrize(
    ("change", "after"),
    [(Change.DATA, "1.4.3"), (Change.CODE, "1.5.0"), (Change.SIGNATURE, "2.0.0")],
)
def test_what_changed_decides_which_number_rises(change, after):
    assert str(Version(1, 4, 2).after(change)) == after


def test_a_release_is_read_back_from_its_tag():
    assert read_release(tag(release("1.4.0"))) == release("1.4.0")


@pytest.mark.parametrize("name", ["v1.0.0", "wine@1.0.0", "wine@v1.0", "wine#stable#1"])
def test_a_tag_of_the_user_is_no_release(name):
    assert read_release(Tag(name=name, commit="c", message="mine")) is None


def test_the_newest_stable_tag_names_the_stable_release_by_number_not_by_text():
    first, second = release("1.0.0", "d1"), release("1.0.1", "d2")
    tags = [tag(first), tag(second), ending(second, "stable", 9), ending(first, "stable", 10)]
    assert Registry.of("wine", tags).stable == first
    assert Registry.of("wine", tags).next_tag("stable") == "wine#stable#11"


def test_the_latest_release_is_the_highest_version():
    tags = [tag(release("1.10.0", "d2")), tag(release("1.9.0", "d1"))]
    assert Registry.of("wine", tags).latest == release("1.10.0", "d2")


def test_another_models_tags_do_not_count():
    assert Registry.of("wine", [tag(release("1.0.0", model="tea"))]).latest is None


def test_a_release_is_found_by_digest_tag_and_version():
    registry = Registry.of("wine", [tag(release("1.0.0"))])
    assert {registry.find(name) for name in ("d1", "wine@v1.0.0", "1.0.0", "v1.0.0")} == {
        release("1.0.0")
    }
    with pytest.raises(NotFound, match=r"known: \['wine@v1.0.0'\]"):
        registry.find("2.0.0")


def test_a_rolled_back_onnx_is_remembered():
    bad = release("1.0.1", "bad")
    registry = Registry.of("wine", [tag(bad), ending(bad, "rolledback", 1)])
    assert registry.refused_onnx() == {"o-bad"}
    assert registry.ended("r1") is not None
    assert registry.ended("r2") is None

"""What every history promises."""

import pytest

from conveyor.errors import Conflict, NotFound, Superseded


def put(**files):
    return lambda _: {f"{name}.txt": text.encode() for name, text in files.items()}


def test_the_head_of_a_branch_is_what_a_person_pushed_last(history, person):
    person.push({"a.txt": b"1"})
    second = person.push({"a.txt": b"2"})
    assert history.head("main") == second


def test_a_branch_that_nobody_pushed_is_not_found(history):
    with pytest.raises(NotFound, match="nowhere"):
        history.head("nowhere")


def test_a_tree_reads_the_files_of_its_own_commit(history, person):
    first = person.push({"a.txt": b"1", "deep/er/b.bin": b"\x00\xff"})
    person.push({"a.txt": b"2"})
    assert history.tree(first).read("a.txt") == b"1"
    assert history.tree(first).read("deep/er/b.bin") == b"\x00\xff"
    assert history.tree(first).commit == first


@pytest.mark.parametrize("path", ["b.txt", "deep", "../a.txt", "", "a.txt/x", "/a.txt", "*"])
def test_a_path_without_a_file_is_not_found(history, person, path):
    tree = history.tree(person.push({"a.txt": b"1", "deep/c.txt": b""}))
    with pytest.raises(NotFound):
        tree.read(path)


@pytest.mark.parametrize("commit", ["0" * 40, "main", "HEAD", "--all", "", "x\ny"])
def test_what_is_no_commit_is_not_found(history, person, commit):
    person.push({"a.txt": b"1"})
    with pytest.raises(NotFound):
        history.tree(commit)


def test_blobs_names_every_file_as_git_does(history, person):
    names = {"a.txt": b"hello\n", 'sp ace/ü"\t.txt': b""}
    assert history.tree(person.push(names)).blobs() == {
        "a.txt": "ce013625030ba8dba906f756967f9e9ca394464a",
        'sp ace/ü"\t.txt': "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    }


def test_a_commit_contains_itself_and_what_came_before(history, person):
    first, second = person.push({"a.txt": b"1"}), person.push({"a.txt": b"2"})
    assert history.is_ancestor(first, second)
    assert history.is_ancestor(first, first)
    assert not history.is_ancestor(second, first)


def test_changed_names_the_paths_that_differ(history, person):
    first = person.push({"a.txt": b"1", "b.txt": b"1", "c.txt": b"1"})
    second = person.push({"a.txt": b"2", "b.txt": None, "n ew.txt": b""})
    assert sorted(history.changed(first, second)) == ["a.txt", "b.txt", "n ew.txt"]
    assert sorted(history.changed("", first)) == ["a.txt", "b.txt", "c.txt"]
    assert list(history.changed(first, first)) == []


def test_a_record_is_a_commit_on_the_branch_with_the_new_contents(history, person, cause):
    first = person.push({"a.txt": b"1", "kept.txt": b"k"})
    commit = history.record(put(a="2", b="3"), branch="main", message="Two", because=cause())
    assert history.head("main") == commit
    tree = history.tree(commit)
    assert [tree.read(f"{name}.txt") for name in ("a", "b", "kept")] == [b"2", b"3", b"k"]
    assert history.is_ancestor(first, commit)


def test_recording_an_event_twice_returns_the_first_commit(history, person, cause):
    person.push({"a.txt": b"1"})
    commit = history.record(put(a="2"), branch="main", message="x", because=cause())
    person.push({"other.txt": b"1"})
    assert history.record(put(a="3"), branch="main", message="x", because=cause()) == commit


def test_an_edit_that_changes_nothing_returns_the_head(history, person, cause):
    head = person.push({"a.txt": b"1"})
    assert history.record(put(a="1"), branch="main", message="x", because=cause()) == head
    assert history.record(put(), branch="main", message="x", because=cause()) == head


def test_an_edit_sees_the_head_and_is_asked_again_when_someone_pushes_meanwhile(
    history, person, cause
):
    person.push({"a.txt": b"1"})
    heads = []

    def edit(tree):
        heads.append(tree.commit)
        if len(heads) == 1:
            person.push({"b.txt": b"theirs"})
        return {"a.txt": b"ours"}

    if type(history).__name__ == "MemoryHistory":
        heads.append("the twin is one process: nobody comes between")
    commit = history.record(edit, branch="main", message="x", because=cause())
    assert len(set(heads)) == 2
    assert history.tree(commit).read("a.txt") == b"ours"


def test_an_edit_that_is_superseded_leaves_no_commit(history, person, cause):
    head = person.push({"a.txt": b"1"})

    def edit(tree):
        raise Superseded("a newer one is there")

    with pytest.raises(Superseded):
        history.record(edit, branch="main", message="x", because=cause())
    assert history.head("main") == head


def test_a_branch_that_is_not_there_begins_at_the_base_branch(history, person, cause):
    main = person.push({"a.txt": b"1"})
    commit = history.record(put(a="2"), branch="conveyor/shop", message="x", because=cause())
    assert history.head("conveyor/shop") == commit
    assert history.head("main") == main
    assert history.is_ancestor(main, commit)


def test_recording_into_a_repository_without_a_commit_is_not_found(history, cause):
    with pytest.raises(NotFound, match="push one first"):
        history.record(put(a="1"), branch="main", message="x", because=cause())


def test_causes_tells_our_commits_from_a_persons(history, person, cause):
    before = person.push({"a.txt": b"1"})
    history.record(put(a="2"), branch="main", message="x", because=cause("first"))
    person.push({"b.txt": b"1"})
    after = history.record(put(a="3"), branch="main", message="x", because=cause("second"))
    assert list(history.causes(before, after)) == ["first", "", "second"]
    assert list(history.causes(after, after)) == []
    assert list(history.causes("", before)) == [""]


def test_a_record_that_was_forced_off_the_branch_is_recorded_again(history, person, cause):
    first = person.push({"a.txt": b"1"})
    history.record(put(a="2"), branch="main", message="x", because=cause())
    history.record(put(b="2"), branch="main", message="x", because=cause("two"))
    person.force("main", first)
    again = history.record(put(a="2"), branch="main", message="x", because=cause())
    assert history.head("main") == again
    assert history.tree(again).read("a.txt") == b"2"


def test_a_tag_is_read_back_with_commit_and_message(history, person):
    commit = person.push({"a.txt": b"1"})
    history.tag("wine@v1.0.0", commit, "wine@v1.0.0\n\nConveyor-Release: abc\n")
    history.tag("wine#stable#1", commit, "one")
    stable, release = history.tags()
    assert (stable.name, stable.commit, stable.message) == ("wine#stable#1", commit, "one\n")
    assert release.trailer("Conveyor-Release") == "abc"


def test_tagging_the_same_twice_is_success(history, person):
    commit = person.push({"a.txt": b"1"})
    for _ in range(2):
        history.tag("wine@v1.0.0", commit, "one")
    assert len(history.tags()) == 1


@pytest.mark.parametrize("other", ["commit", "message"])
def test_a_tag_that_is_taken_by_something_else_is_a_conflict(history, person, other):
    first, second = person.push({"a.txt": b"1"}), person.push({"a.txt": b"2"})
    history.tag("wine@v1.0.0", first, "one")
    commit, message = (second, "one") if other == "commit" else (first, "two")
    with pytest.raises(Conflict, match="next number"):
        history.tag("wine@v1.0.0", commit, message)


def test_a_tag_of_no_commit_is_not_found(history, person):
    person.push({"a.txt": b"1"})
    with pytest.raises(NotFound):
        history.tag("wine@v1.0.0", "0" * 40, "one")


def test_a_branch_that_was_merged_goes_on_at_the_base_branch(history, person, cause):
    person.push({"a.txt": b"1"})
    merged = history.record(put(b="2"), branch="conveyor/shop", message="x", because=cause("one"))
    main = person.push({"c.txt": b"3"}, merge=merged)
    commit = history.record(put(b="3"), branch="conveyor/shop", message="x", because=cause("two"))
    assert history.is_ancestor(main, commit)
    assert history.tree(commit).read("c.txt") == b"3"


def test_a_branch_with_commits_of_its_own_goes_on_at_them(history, person, cause):
    person.push({"a.txt": b"1"})
    first = history.record(put(b="2"), branch="conveyor/shop", message="x", because=cause("one"))
    main = person.push({"c.txt": b"3"})
    commit = history.record(put(b="3"), branch="conveyor/shop", message="x", because=cause("two"))
    assert history.is_ancestor(first, commit)
    assert not history.is_ancestor(main, commit)

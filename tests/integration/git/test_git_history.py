"""The Git history under faults, races and hostile repositories."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conveyor.data.git import GitHistory, GitSettings
from conveyor.errors import Conflict, NotFound, Rejected, Unavailable


@pytest.fixture
def history(repository, tmp_path):
    return GitHistory(str(repository.bare), tmp_path / "cache")


def record(history, event, **files):
    changes = {f"{name}.txt": text.encode() for name, text in files.items()}
    return history.record(lambda _: changes, branch="main", message="Record", because=event)


def test_sixteen_writers_with_caches_of_their_own_all_land_once(repository, tmp_path, cause):
    repository.push(a="1")
    histories = [GitHistory(str(repository.bare), tmp_path / f"cache{n}") for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        writers = [
            pool.submit(record, history, cause(f"event-{n}"), **{f"file{n}": str(n)})
            for n, history in enumerate(histories)
        ]
        commits = {writer.result() for writer in writers}
    causes = histories[0].causes("", histories[0].head("main"))
    assert len(commits) == 16
    assert sorted(causes) == sorted(["", *(f"event-{n}" for n in range(16))])


def test_eight_writers_of_the_same_event_make_one_commit(repository, tmp_path, cause):
    repository.push(a="1")
    histories = [GitHistory(str(repository.bare), tmp_path / f"cache{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        commits = set(pool.map(lambda history: record(history, cause(), a="2"), histories))
    assert len(commits) == 1
    assert histories[0].causes("", histories[0].head("main")) == ["", "one"]


def test_threads_that_share_one_history_all_land(repository, history, cause):
    repository.push(a="1")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record(history, cause(f"e{n}"), **{f"f{n}": "x"}), range(8)))
    assert len(history.causes("", history.head("main"))) == 9


def test_a_remote_that_is_away_is_unavailable_and_works_when_it_is_back(
    repository, history, cause, tmp_path
):
    head = repository.push(a="1")
    repository.bare.rename(tmp_path / "gone")
    for attempt in (
        lambda: history.head("main"),
        history.tags,
        lambda: record(history, cause(), a="2"),
    ):
        with pytest.raises(Unavailable):
            attempt()
    (tmp_path / "gone").rename(repository.bare)
    assert history.head("main") == head
    assert history.tree(record(history, cause(), a="2")).read("a.txt") == b"2"


def test_a_push_that_a_hook_refuses_is_rejected_with_the_hooks_words(repository, history, cause):
    head = repository.push(a="1")
    repository.hook("pre-receive", "echo 'reviews first, please' >&2; exit 1")
    with pytest.raises(Rejected, match=r"reviews first, please.*write: branch"):
        record(history, cause(), a="2")
    assert history.head("main") == head


def test_a_remote_that_hangs_is_unavailable_in_time(repository, tmp_path, cause):
    repository.push(a="1")
    history = GitHistory(
        str(repository.bare), tmp_path / "cache", settings=GitSettings(timeout=1.0)
    )
    history.tags()
    repository.hook("pre-receive", f"sleep 2; touch {tmp_path}/went-on")
    with pytest.raises(Unavailable, match=r"within 1 s"):
        record(history, cause(), a="2")
    time.sleep(1.5)
    assert not (tmp_path / "went-on").exists(), "what git started was not ended with it"


def test_a_branch_that_always_moves_is_unavailable_in_the_end(repository, tmp_path, cause):
    repository.push(a="1")
    settings = GitSettings(attempts=3, pause=0.001)
    history = GitHistory(str(repository.bare), tmp_path / "cache", settings=settings)
    numbers = iter(range(9))

    def edit(_):
        repository.push(b=str(next(numbers)))
        return {"a.txt": b"2"}

    with pytest.raises(Unavailable, match="3 times in a row"):
        history.record(edit, branch="main", message="x", because=cause())


@pytest.mark.parametrize(
    "message",
    [
        "please skip\n\nConveyor-Event: one\n\nand more words",
        "in the text: Conveyor-Event: one",
        "a real trailer\n\nConveyor-Event: one",
        "two\n\nConveyor-Event: one\nConveyor-Event: one",
    ],
)
def test_a_trailer_that_a_person_writes_is_not_believed(repository, history, cause, message):
    repository.push(message, a="1")
    assert history.causes("", history.head("main")) == [""]
    commit = record(history, cause(), a="2")
    assert history.causes("", commit) == ["", "one"]


def test_a_message_cannot_forge_another_events_trailer(repository, history, cause):
    repository.push(a="1")
    forged = "Bad\n\nConveyor-Event: other\n\nConveyor-Event: third\0"
    commit = history.record(
        lambda _: {"a.txt": b"2"}, branch="main", message=forged, because=cause()
    )
    assert history.causes("", commit) == ["", "one"]


def test_our_commit_that_a_person_picks_or_amends_counts_as_theirs(repository, history, cause):
    repository.push(a="1")
    ours = record(history, cause(), a="2")
    repository.git("fetch", "-q")
    repository.git("checkout", "-q", "-b", "side")
    repository.git("commit", "-q", "--allow-empty", "-m", "first")
    repository.git("cherry-pick", ours)
    repository.git("push", "-q", "origin", "side")
    assert history.causes("", history.head("side")) == ["", "", ""]


@pytest.mark.parametrize("event_id", ["two words", "new\nline", "ü", "x" * 500])
def test_an_event_with_a_strange_id_is_still_recorded_once(repository, history, cause, event_id):
    repository.push(a="1")
    first = record(history, cause(event_id), a="2")
    assert record(history, cause(event_id), a="3") == first


def test_a_new_cache_finds_what_was_recorded_before(repository, history, tmp_path, cause):
    repository.push(a="1")
    first = record(history, cause(), a="2")
    other = GitHistory(str(repository.bare), tmp_path / "other")
    assert record(other, cause(), a="3") == first


@pytest.mark.parametrize(
    "breakage",
    [
        lambda mirror: (mirror / "refs/heads/main.lock").write_text(""),
        lambda mirror: (mirror / "HEAD").unlink(),
        lambda mirror: shutil.rmtree(mirror / "objects"),
        lambda mirror: (mirror / "packed-refs").write_text("rubbish"),
        shutil.rmtree,
    ],
    ids=["stale lock", "no head", "no objects", "rubbish", "gone"],
)
def test_a_broken_cache_mends_itself(repository, history, tmp_path, cause, breakage):
    repository.push(a="1")
    record(history, cause("one"), a="2")
    repository.git("pull", "-q", "origin", "main")
    repository.push(b="1")
    breakage(tmp_path / "cache" / "mirror.git")
    commit = record(history, cause("two"), a="3")
    assert history.tree(commit).read("a.txt") == b"3"
    assert history.causes("", commit) == ["", "one", "", "two"]


def test_what_is_fetched_comes_as_a_whole_and_never_half(repository, history, tmp_path):
    """As a pack: loose objects come one by one, a commit before its files."""
    commit = repository.push(**{f"file{number}": str(number) for number in range(5)})
    history.tree(commit)
    objects = tmp_path / "cache" / "mirror.git" / "objects"
    assert list(objects.glob("pack/*.idx"))
    assert not list(objects.glob("??/*"))


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../x", ".git/config", "a/.GIT/x", "", "a//b", "a\0b", "."]
)
def test_a_path_that_leaves_the_repository_is_rejected(repository, history, cause, path):
    repository.push(a="1")
    with pytest.raises(Rejected, match="no path inside"):
        history.record(lambda _: {path: b"x"}, branch="main", message="x", because=cause())


@pytest.mark.parametrize(
    "path",
    ["two words.dvc", 'quo"te\\.dvc', "tab\tnew\nline.dvc", "ünïcode/ß.dvc", "-n", "x" * 200],
)
def test_strange_names_survive(repository, history, cause, path):
    repository.push(a="1")
    commit = history.record(lambda _: {path: b"x"}, branch="main", message="x", because=cause())
    assert path in history.tree(commit).blobs()
    assert path in history.changed("", commit)
    assert history.tree(commit).read(path) == b"x"


def test_links_are_neither_followed_nor_written_through(repository, history, cause, tmp_path):
    (repository.clone / "link.txt").symlink_to("/etc/passwd")
    (repository.clone / "folder").symlink_to(tmp_path)
    head = repository.push(a="1")
    tree = history.tree(head)
    assert set(tree.blobs()) == {"a.txt"}
    for path in ("link.txt", "folder"):
        with pytest.raises(NotFound, match="symbolic link"):
            tree.read(path)
    with pytest.raises(Conflict, match="in the way"):
        history.record(lambda _: {"folder/x": b"x"}, branch="main", message="x", because=cause())


def test_an_export_lays_out_exactly_the_files_of_the_commit(repository, history, tmp_path):
    script = repository.clone / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (repository.clone / "link").symlink_to("a.txt")
    (repository.clone / ".gitattributes").write_text("a.txt export-ignore filter=evil\n")
    first = repository.push(a="1")
    repository.push(a="2")
    history.export(first, tmp_path / "out")
    assert (tmp_path / "out/a.txt").read_text() == "1"
    assert (tmp_path / "out/link").readlink().name == "a.txt"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not (tmp_path / "out/.git").exists()


def test_an_export_into_a_folder_with_something_in_it_is_a_conflict(repository, history, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(Conflict, match="not empty"):
        history.export(repository.push(a="1"), tmp_path)


@pytest.mark.parametrize("target", ["/etc", "..", "../x", "deep/../../x", "a/..", "deep/er/up/.."])
def test_an_export_with_a_link_that_may_leave_is_rejected(repository, history, tmp_path, target):
    (repository.clone / "deep" / "er").mkdir(parents=True)
    (repository.clone / "deep" / "er" / "up").symlink_to("../..")
    (repository.clone / "link").symlink_to(target)
    with pytest.raises(Rejected, match="may lie outside"):
        history.export(repository.push(a="1"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("remote", ["ext::sh -c id", "--upload-pack=id", "fd::17", "a\nb"])
def test_a_remote_that_would_run_something_is_rejected(tmp_path, remote):
    with pytest.raises(Rejected, match="no Git remote"):
        GitHistory(remote, tmp_path)


def test_the_name_of_a_repository_has_no_credentials(tmp_path):
    history = GitHistory("https://bot:secret@git.shop.example/line.git", tmp_path)
    assert history.repository == "https://git.shop.example/line.git"


def test_an_author_that_is_none_is_rejected(tmp_path):
    with pytest.raises(Rejected, match="no author"):
        GitHistory("/x", tmp_path, author="Conveyor")


def test_hooks_and_settings_of_the_machine_are_not_used(repository, tmp_path, cause):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Evil\n[core]\nhooksPath = /nowhere\n[broken")
    history = GitHistory(
        str(repository.bare),
        tmp_path / "cache",
        environment={"HOME": str(home), "PATH": os.environ["PATH"], "GIT_DIR": "/nowhere"},
    )
    repository.push(a="1")
    commit = record(history, cause(), a="2")
    shown = subprocess.run(
        ["git", "-C", repository.bare, "log", "-1", "--format=%an %cI", commit],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == "Conveyor 2026-11-21T03:00:00+00:00"


@pytest.mark.parametrize("name", ["two words", "..", "-x", "a~b", "", "x.lock", "a\nb"])
def test_a_bad_tag_name_is_rejected(repository, history, name):
    with pytest.raises(Rejected, match="no tag name"):
        history.tag(name, repository.push(a="1"), "one")


def test_two_who_take_the_same_tag_for_different_commits_leave_one(repository, tmp_path):
    commits = [repository.push(a=str(n)) for n in range(4)]
    histories = [GitHistory(str(repository.bare), tmp_path / f"cache{n}") for n in range(4)]

    def take(pair):
        try:
            pair[0].tag("wine@v1.0.0", pair[1], "one")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take, zip(histories, commits, strict=True)))
    assert sum(taken) == 1
    assert histories[0].tags()[0].commit == commits[taken.index(True)]


def test_lightweight_tags_of_people_are_left_out(repository, history):
    repository.push(a="1")
    repository.git("tag", "plain")
    repository.git("push", "-q", "origin", "plain")
    assert history.tags() == ()

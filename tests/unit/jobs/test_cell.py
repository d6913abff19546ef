from conveyor.jobs.cell import size_of
from conveyor.runs import tail_of


def test_the_end_of_a_log_is_at_most_16_kib(tmp_path):
    (tmp_path / "log").write_text("x" * 2**20 + "the end")
    tail = tail_of(tmp_path / "log")
    assert len(tail) == 16 * 2**10
    assert tail.endswith("the end")


def test_a_log_cannot_steer_a_terminal(tmp_path):
    (tmp_path / "log").write_bytes(b"\x1b[31mred\x1b[0m\rover\x07\xff\n")
    assert tail_of(tmp_path / "log") == "red\nover\ufffd\n"


def test_no_log_has_no_end(tmp_path):
    assert tail_of(tmp_path / "log") == ""


def test_sparse_files_and_links_count_as_what_they_take(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "full").write_bytes(b"x" * 2**20)
    assert 2**20 <= size_of(tmp_path) < 2**21

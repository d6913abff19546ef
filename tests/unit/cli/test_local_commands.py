import json

from click.testing import CliRunner

from conveyor.cli.main import cli


def run(*arguments):
    return CliRunner().invoke(cli, arguments)


def test_init_makes_a_line_that_validates(tmp_path):
    made = run("init", str(tmp_path / "My Shop!"), "--json")
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    assert told["name"] == "my-shop"
    assert "conveyor.yaml" in told["created"]
    checked = run("validate", told["directory"])
    assert (checked.exit_code, "can run" in checked.output) == (0, True)


def test_init_never_overwrites(tmp_path):
    (tmp_path / "conveyor.yaml").write_text("mine")
    answer = run("init", str(tmp_path), "--name", "shop")
    assert answer.exit_code == 1
    assert (tmp_path / "conveyor.yaml").read_text() == "mine"


def test_validate_names_file_and_line_of_each_problem_and_ends_with_1(tmp_path):
    (tmp_path / "conveyor.yaml").write_text("line: shop\nmodells: {}\n")
    answer = run("validate", str(tmp_path), "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["problems"][0].startswith("conveyor.yaml:2:")
    assert "conveyor.yaml:2:" in run("validate", str(tmp_path)).output


def test_up_without_a_line_says_how_to_make_one(tmp_path):
    answer = run("up", "--line", str(tmp_path), "--state", str(tmp_path / "state"))
    assert answer.exit_code == 1
    assert "conveyor init" in answer.stderr


def test_init_ends_with_what_to_type_up_to_the_first_prediction(tmp_path):
    output = run("init", str(tmp_path / "my shop")).output
    assert "my shop'" in output
    assert "conveyor put data/examples/first.csv my-shop/my-shop.csv --wait" in output
    assert "conveyor predict my-shop --rows data/holdout.csv" in output

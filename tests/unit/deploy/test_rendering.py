from pathlib import Path

import pytest

from conveyor.deploy import rendering
from conveyor.deploy.wishes import Namespaces, Wish
from conveyor.errors import Rejected

DEMO = Namespaces(line="demo")


def test_the_manifests_of_a_checkout_are_found():
    assert (rendering.manifests() / "functions" / "receive" / "service.yaml").is_file()


def test_an_unknown_overlay_is_refused_with_those_that_are_there():
    with pytest.raises(Rejected, match="dev, gpu, kafka, prod"):
        rendering.overlay_folder(Wish(namespaces=DEMO, overlay="staging"))


def test_an_overlay_of_ones_own_is_a_folder(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("")
    wish = Wish(namespaces=DEMO, overlay=str(tmp_path))
    assert rendering.overlay_folder(wish) == tmp_path.resolve()


def test_settings_are_laid_over_the_overlay_and_the_image_is_put_last():
    text = rendering.top("../dev", "../..")
    assert "resources: [../dev]" in text
    assert text.count("behavior: merge") == 3
    assert text.endswith("transformers: [../../knative/images]\n")


def test_a_setting_is_one_line_of_the_file():
    assert rendering.environment_file({"B": "2", "A": "x y"}) == "A=x y\nB=2\n"


def test_what_is_no_yaml_is_refused():
    with pytest.raises(Rejected, match="cannot be read"):
        rendering.read_objects("a: [")


def test_documents_that_are_empty_are_left_out():
    assert rendering.read_objects("---\n---\na: 1\n") == ({"a": 1},)


def test_the_dockerfile_is_beside_the_manifests():
    assert Path(rendering.manifests(), "functions", "Dockerfile").is_file()

from pathlib import Path

import pytest

from conveyor.api.openapi import template
from conveyor.api.routes import ROUTES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_document_names_every_route_with_its_parameters(route):
    query = "&".join(["after"] * ("after" in route.query))
    line = f"`{route.method} {template(route.path)}"
    rows = [row for row in (DOCS / "api.md").read_text().splitlines() if line in row]
    assert rows
    assert query in rows[0]
    assert all(name in rows[0] for name in route.query)

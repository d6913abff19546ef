import io
import json
import math

import pytest
from jsonschema import Draft202012Validator

from conveyor.api.app import WAITING, create_api, status_of
from conveyor.api.openapi import template
from conveyor.api.route import MAX_BODY, Route, Rule
from conveyor.api.routes import ROUTES
from conveyor.errors import Busy, Conflict, NotFound, Rejected, Unauthorized, Unavailable

GUARDED = [route for route in ROUTES if route.rule is Rule.TOKEN]


def called(client, route, headers=None):
    path = template(route.path).replace("{", "").replace("}", "")
    return client.open(path, method=route.method, headers=headers)


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
@pytest.mark.parametrize(
    "credential",
    [
        None,
        "Bearer ",
        "Bearer wrong",
        "Basic YTpi",
        "bearer a token that only tests know",
        "Bearer ü",
    ],
)
def test_a_guarded_route_without_the_right_token_is_401_and_says_so(client, route, credential):
    headers = {} if credential is None else {"Authorization": credential}
    answer = called(client, route, headers)
    assert answer.status_code == 401
    assert answer.json["kind"] == "Unauthorized"


def test_every_registered_route_comes_from_the_table_and_only_two_are_open(app):
    names = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert names == {route.name for route in ROUTES} | {"openapi"}
    assert {r.name for r in ROUTES if r.rule is not Rule.TOKEN} == {"healthz", "events.take"}


def test_a_route_that_was_added_past_the_table_needs_the_token(app, client):
    app.add_url_rule("/secret", view_func=lambda: "it")
    assert client.get("/secret").status_code == 401


def test_an_unknown_path_says_nothing_without_the_token(client, trusted):
    assert client.get("/api/v1/nothing").status_code == 401
    assert client.get("/api/v1/nothing", headers=trusted).json["kind"] == "NotFound"


def test_healthz_needs_no_token(client):
    assert client.get("/healthz").json == {"ok": True}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7070", 200),
        ("127.0.0.1:7070", 200),
        ("[::1]:7070", 200),
        ("line.example", 200),
        ("evil.example:7070", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_only_our_own_names_reach_the_api_so_that_no_page_can_rebind_its_name(client, host, status):
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_answers_are_never_cached_sniffed_or_shared_with_other_origins(client, trusted):
    headers = client.get("/api/v1/status", headers={**trusted, "Origin": "http://x"}).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_a_body_over_the_cap_is_413(client, trusted):
    answer = client.post("/api/v1/reconcile", data=b" " * (MAX_BODY + 1), headers=trusted)
    assert answer.status_code == 413
    assert answer.json["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"\xff", b'{"a":' * 5000])
def test_a_body_that_is_no_json_object_is_refused(client, trusted, body):
    answer = client.post("/api/v1/reconcile", data=body, headers=trusted)
    assert answer.status_code == 422
    assert answer.json["kind"] == "Rejected"


@pytest.mark.parametrize("query", ["after=x", "after=-2", "limit=100000", "wait=31"])
def test_a_query_out_of_bounds_is_refused_with_its_name(client, trusted, query):
    answer = client.get(f"/api/v1/events?{query}", headers=trusted)
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFound, 404), (Conflict, 409), (Unauthorized, 401), (Busy, 503), (Unavailable, 503)],
)
def test_each_error_has_one_status(error, status):
    assert status_of(error("it")) == status


def test_an_unexpected_error_is_500_and_tells_no_secret(world, trusted):
    def fails(_desk, _asked):
        message = "password=hunter2"
        raise ValueError(message)

    broken = Route(
        method="GET", path="/x", name="x", summary="x", handler=fails, answer={"type": "object"}
    )
    answer = (
        create_api(world.desk, token=trusted["Authorization"][7:], routes=[broken])
        .test_client()
        .get("/x", headers=trusted)
    )
    assert answer.status_code == 500
    assert "hunter2" not in answer.text


def test_an_api_without_a_token_does_not_start(world):
    with pytest.raises(Rejected, match="token"):
        create_api(world.desk, token="")


def test_the_description_has_every_route_and_is_open_api_3_1(client, trusted):
    document = client.get("/api/v1/openapi.json", headers=trusted).json
    described = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert {(route.method, template(route.path)) for route in ROUTES} < described
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        for operation in item.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for answer in operation["responses"].values():
                schema = answer["content"]["application/json"]["schema"]
                Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "name", ["status", "events.list", "rollouts", "releases", "runs", "dead-letters"]
)
def test_what_is_answered_fits_its_description(client, trusted, name):
    route = next(route for route in ROUTES if route.name == name)
    answer = called(client, route, trusted)
    assert answer.status_code == route.status
    Draft202012Validator(dict(route.answer)).validate(answer.json)


def test_more_long_polls_than_may_wait_are_answered_at_once(world, trusted):
    waited = []

    def handler(_desk, asked):
        waited.append(asked.wait().total_seconds())
        if len(waited) <= WAITING:
            nested.get("/x?wait=9", headers=trusted)
        return {}

    route = Route(
        method="GET",
        path="/x",
        name="x",
        summary="x",
        handler=handler,
        answer={},
        query={"wait": {}},
    )
    app = create_api(world.desk, token=trusted["Authorization"][7:], routes=[route])
    nested = app.test_client()
    nested.get("/x?wait=9", headers=trusted)
    assert waited == [9] * WAITING + [0]


def test_an_upload_lands_in_the_bucket_and_wakes_the_look(client, trusted, world):
    answer = client.put("/api/v1/objects/wine/wine.csv", data=b"a,b\n", headers=trusted)
    told = {"key": "wine/wine.csv", "size": 4, "after": 0, "taker": "wine", "waits": ""}
    assert answer.json == told
    assert world.hands.objects.read("wine/wine.csv") == b"a,b\n"
    assert world.looks


@pytest.mark.parametrize(
    "key",
    ["_conveyor/x", "_CONVEYOR/x", "a/../b", "a//b", "%2e%2e/x", ".hidden", "a/", "a%00", "a%1bb"],
)
def test_an_unsafe_or_reserved_key_is_refused_and_nothing_is_stored(client, trusted, world, key):
    answer = client.put(f"/api/v1/objects/{key}", data=io.BytesIO(b"x"), headers=trusted)
    assert answer.status_code == 422
    assert not world.hands.objects.stored


def test_json_answers_hold_no_nan(client, trusted, world):
    world.complaints.append(str(math.nan))
    json.loads(client.get("/api/v1/status", headers=trusted).text, parse_constant=pytest.fail)


def test_a_wrong_token_is_told_apart_from_none(client):
    wrong = client.get("/api/v1/status", headers={"Authorization": "Bearer nonsense"})
    assert "the token is wrong" in wrong.json["error"]
    assert "needs the token" in client.get("/api/v1/status").json["error"]

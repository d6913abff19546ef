"""Models asked through the API of a cluster: what goes on to them, and what does not."""

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from servers.ports import free_port

from conveyor.api.app import open_routes
from conveyor.cluster.predictions import routes
from conveyor.codec import SERVE, UNCOUNTED, Keyring, is_marked
from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import FIRST, Release
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.played import Controllers
from conveyor.knative.services import KnativeServices
from conveyor.knative.settings import ServicesSettings
from conveyor.serving.settings import MAX_BODY

TOKEN = secrets.token_hex(16)
KEYS = Keyring({SERVE: [secrets.token_hex(16)]})
WINE = Release(model="Red Wine", version=FIRST, digest="a" * 64, onnx="o" * 64, commit="c")
INFER = "/v2/models/Red Wine/infer"
ANSWER = {"outputs": [{"name": "label", "data": [1.0]}]}
TRUSTED = {"Authorization": f"Bearer {TOKEN}"}


class Gateway(ThreadingHTTPServer):
    """What leads to models by the Host header; keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Model)
        self.asked, self.answer = [], (200, "application/json", json.dumps(ANSWER).encode())
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, dict(self.headers), body))
        status, kind, answer = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def gateway():
    server = Gateway()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def serving(gateway):
    """Return model services behind a gateway, or none where the port is given."""

    def begin(port=gateway.server_port):
        settings = ServicesSettings(
            namespace="models",
            line="shop",
            image="serve:1",
            ingress=f"http://127.0.0.1:{port}",
            keyring=KEYS,
        )
        return KnativeServices(MemoryCluster(Controllers()), settings)

    return begin


def place(services):
    services.ensure(WINE, Line(name="shop"))
    services.apply(WINE.model, Traffic(((WINE.digest, 100),)), expected=Traffic())


def client(services):
    api = open_routes(None, routes(services), token=TOKEN, is_ours=lambda _host: True)
    return api.test_client()


@pytest.fixture
def api(serving):
    services = serving()
    place(services)
    return client(services)


def test_a_request_is_passed_on_to_the_models_own_name_without_the_token(api, gateway):
    mine = {**TRUSTED, "Content-Type": "application/json", "Conveyor-Uncounted": "1"}
    told = api.post(INFER, data=b'{"inputs": []}', headers={**mine, "X-Request-Id": "seven"})
    assert (told.status_code, told.json) == (200, ANSWER)
    ((path, headers, body),) = gateway.asked
    assert (path, body) == ("/v2/models/Red%20Wine/infer", b'{"inputs": []}')
    told = {name.lower(): value for name, value in headers.items()}
    assert told["host"].startswith("red-wine-")
    assert told["x-request-id"] == "seven"
    assert not {"authorization", "conveyor-uncounted"} & told.keys()


def test_a_models_metadata_and_its_errors_come_back_as_they_are(api, gateway):
    assert api.get("/v2/models/Red Wine", headers=TRUSTED).json == ANSWER
    gateway.answer = (400, "application/json", b'{"error": "no input x"}')
    told = api.post(INFER, data=b"{}", headers=TRUSTED)
    assert (told.status_code, told.json) == (400, {"error": "no input x"})


def test_a_large_answer_arrives_whole(api, gateway):
    gateway.answer = (200, "application/json", json.dumps(["x" * 1000] * 1000).encode())
    assert len(api.post(INFER, data=b"{}", headers=TRUSTED).json) == 1000


def test_without_the_token_nobody_asks_a_model_through_the_api(api, gateway):
    assert api.post(INFER, data=b"{}").status_code == 401
    assert api.get("/v2/models/Red Wine").status_code == 401
    assert gateway.asked == []


def test_a_body_over_the_models_limit_is_refused_before_it_is_passed_on(api, gateway):
    assert api.post(INFER, data=b" " * (MAX_BODY + 1), headers=TRUSTED).status_code == 413
    assert gateway.asked == []


@pytest.mark.parametrize("model", ["beer", "..", "red-wine", "x" * 300])
def test_only_models_of_the_line_that_serve_can_be_asked(api, gateway, model):
    told = api.post(f"/v2/models/{model}/infer", data=b"{}", headers=TRUSTED)
    assert told.status_code == 404
    assert gateway.asked == []


def test_a_release_that_proves_itself_is_not_asked_yet(serving, gateway):
    services = serving()
    services.ensure(WINE, Line(name="shop"))
    told = client(services).post(INFER, data=b"{}", headers=TRUSTED)
    assert (told.status_code, told.json["kind"]) == (404, "NotFound")
    assert gateway.asked == []


def test_a_gateway_that_does_not_know_the_name_yet_or_is_away_is_503(api, gateway, serving):
    gateway.answer = (404, "text/plain", b"not found")
    assert api.post(INFER, data=b"{}", headers=TRUSTED).status_code == 503
    away = serving(free_port())
    place(away)
    assert client(away).post(INFER, data=b"{}", headers=TRUSTED).status_code == 503


def test_a_model_that_serves_says_where(serving):
    services = serving()
    place(services)
    assert services.url("Red Wine").endswith(".models.example.com/v2/models/Red%20Wine")


def test_what_is_asked_for_no_traffic_bears_the_seal_of_its_release_and_body(serving, gateway):
    services = serving()
    place(services)
    assert json.loads(services.infer("Red Wine", WINE.digest, b'{"inputs": []}')) == ANSWER
    ((_, headers, body),) = gateway.asked
    told = {name.lower(): value for name, value in headers.items()}
    assert told["host"].startswith("r-aaaaaaaaaaaa-red-wine-")
    assert is_marked(KEYS, WINE.digest, body, told[UNCOUNTED])

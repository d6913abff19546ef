import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conveyor.errors import NotFound, Rejected, Superseded, Unavailable
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.resources import ALL, JOB, POD


@pytest.fixture
def server():
    """An HTTP server that answers what `answers` says and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            self.server.asked.append((self.command, self.path, self.rfile.read(length)))
            status, body = self.server.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = answer  # noqa: N815  (names that http.server looks for)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.answers, http.asked = [], []
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


@pytest.fixture
def cluster(server, tmp_path):
    file = tmp_path / "kubeconfig"
    host = f"http://127.0.0.1:{server.server_port}"
    file.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": host}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
            }
        )
    )
    opened = KubernetesCluster(
        ClusterSettings(kubeconfig=file, timeout=timedelta(milliseconds=500))
    )
    yield opened
    opened.close()


def test_settings_need_a_kubeconfig_or_a_pod():
    assert ClusterSettings.from_env({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).kubeconfig is None
    assert ClusterSettings.from_env({"KUBECONFIG": "/k"}).kubeconfig.name == "k"
    with pytest.raises(Rejected, match="KUBECONFIG"):
        ClusterSettings.from_env({})


@pytest.mark.parametrize("content", [None, "", "{}", "[broken"])
def test_a_kubeconfig_that_is_absent_or_broken_is_named(tmp_path, content):
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Rejected, match=str(file)):
        KubernetesCluster(ClusterSettings(kubeconfig=file))


def test_an_object_is_asked_for_by_its_path(cluster, server):
    server.answers.append((200, b'{"kind": "Job"}'))
    assert cluster.get(JOB, "n", "train") == {"kind": "Job"}
    assert server.asked == [("GET", "/apis/batch/v1/namespaces/n/jobs/train", b"")]


def test_refusals_are_ours(cluster, server):
    server.answers.append((404, b'{"message": "pods x not found"}'))
    with pytest.raises(NotFound, match="pods x not found"):
        cluster.get(POD, "n", "x")


@pytest.mark.parametrize("answer", [(200, b"no json"), (503, b"")])
def test_an_api_that_talks_nonsense_or_is_down_is_unavailable(cluster, server, answer):
    server.answers.append(answer)
    with pytest.raises(Unavailable):
        cluster.get(POD, "n", "x")


def test_an_api_that_is_away_is_unavailable(cluster, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(Unavailable, match="did not answer GET"):
        cluster.get(POD, "n", "x")


def test_deleting_what_is_gone_is_success(cluster, server):
    server.answers.append((404, b"{}"))
    cluster.delete(JOB, "n", "train")
    assert json.loads(server.asked[0][2])["propagationPolicy"] == "Background"


def test_a_watch_yields_one_change_a_line_and_says_when_it_is_too_far_behind(cluster, server):
    pod = {"metadata": {"name": "x", "resourceVersion": "7"}}
    lines = [
        {"type": "ADDED", "object": pod},
        {"type": "ERROR", "object": {"code": 410, "message": "too old"}},
    ]
    server.answers.append((200, b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"))
    changes = cluster.watch(POD, "n", ALL, since="1", seconds=1)
    assert next(changes).version == "7"
    with pytest.raises(Superseded):
        next(changes)


def test_the_end_of_a_log_is_read(cluster, server):
    server.answers.append((200, b"0123456789"))
    assert cluster.log("n", "x", "main", limit=4) == "6789"
    assert server.asked[0][1] == "/api/v1/namespaces/n/pods/x/log?container=main&tailLines=200"

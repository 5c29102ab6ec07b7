"""A real MLflow server of the tests' own that keeps artifacts in an S3 store, and a door before it that can be shut."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

USER: Final = "ann"
PASSWORD: Final = "open sesame/ö"
_BUCKET: Final = "artifacts"
_START_S: Final = 180.0
_HOPS: Final = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "authorization"}


@dataclass
class MlflowServer:
    """The server's process and its S3 store."""

    folder: Path
    port: int
    store: Any
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    @classmethod
    def create(cls, folder: Path) -> MlflowServer:
        """Start both, and wait until the server answers; skip the test where there is no S3 store to be had."""
        moto = pytest.importorskip("moto.server", reason="moto, an S3 store, is not installed (pip install '.[dev]')")
        boto3 = pytest.importorskip("boto3", reason="boto3 is not installed (pip install '.[dev]')")
        store = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        store.start()
        endpoint = "http://{}:{}".format(*store.get_host_and_port())
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        names = ("aws_access_key_id", "aws_secret_access_key", "region_name")
        client = boto3.client("s3", endpoint_url=endpoint, **dict(zip(names, keys.values(), strict=True)))
        client.create_bucket(Bucket=_BUCKET)
        environment = {**os.environ, **keys, "MLFLOW_S3_ENDPOINT_URL": endpoint, "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        server = cls(folder, _free_port(), store, environment)
        server.start()
        return server

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
            *("--serve-artifacts", "--artifacts-destination", f"s3://{_BUCKET}/studies"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--uvicorn-opts", "--log-level warning"),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait(self.folder / "log")

    def kill(self) -> None:
        """End it in the midst of whatever it does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/health")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.1)  # another process comes up; nothing else tells when
            finally:
                connection.close()
        raise AssertionError(f"the MLflow server does not answer: {log.read_text()}")

    def delete(self) -> None:
        """End both."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)
        self.store.stop()


@dataclass
class Door:
    """Hands requests on to the server of `port`, or not; it asks for a user and a password where it has them."""

    port: int
    password: str = ""
    is_open: bool = True
    requests: list[str] = field(default_factory=list)
    """Methods and paths of those that came while it was open."""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """What it says itself, by path."""

    def __post_init__(self) -> None:
        door = self

        class Handler(_Handler):
            pass

        Handler.door = door
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listener.daemon_threads = True
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown()
        self._listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    door: Door

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.close_connection = True

    def _pass_on(self) -> None:
        door = self.door
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not door.is_open:
            return  # nothing is answered, and the connection ends
        path = self.path.partition("?")[0]
        wanted = "Basic " + base64.b64encode(f"{USER}:{door.password}".encode()).decode()
        if door.password and self.headers.get("Authorization") != wanted:
            self._answer(401, {}, b"You are not authenticated.")
            return
        door.requests.append(f"{self.command} {path}")
        if path in door.answers:
            self._answer(door.answers[path][0], {}, door.answers[path][1])
            return
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOPS}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        self._answer(answer.status, dict(answer.getheaders()), data)
        connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815, http.server's names

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in (*_HOPS, "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

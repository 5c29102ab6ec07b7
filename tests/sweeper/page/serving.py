"""A real server of the live page, in a thread of the test's process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from sweeper.page.access import VISIT, Secrets
from sweeper.page.live import Studies
from sweeper.page.server import Site, make_app
from sweeper.study.finished import STUDIES


@contextmanager
def serve(folder: Path, *data: Path) -> Iterator[str]:
    """Serve the studies in a folder within the block, and what `data` holds to start others; the link to it."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = int(place.getsockname()[1])
        own, host = Secrets(), f"127.0.0.1:{port}"
        site = Site(studies=Studies(folder, folder / STUDIES), own=own, hosts=[host], port=port, data=data)
        config = uvicorn.Config(make_app(site), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run([place]))
        thread.start()
        try:
            yield f"http://{host}/?{VISIT}={own.token}"
        finally:
            server.should_exit = True
            thread.join()

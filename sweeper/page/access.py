"""Who may ask the server: whoever has the token of its link, from a page of its own, by one of its own names.

As Jupyter does it: the command prints a link with a token; the first visit makes a cookie of it, which no other site's
page can send (SameSite). A POST says a second token, which only our own pages can read, and comes from our own origin.
A Host that is none of the server's names is refused, or a page of another site could reach it by a name of its own
(DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VISIT: Final = "open"
"""The link's parameter: one called token would be hidden where the command prints it (`foundation.secrets`)."""
CSRF_HEADER: Final = "X-Sweeper-Token"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_SAFE: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Secrets:
    """A server's own, new each time that it is started."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """In the link, and in the cookie."""

    @property
    def csrf(self) -> str:
        """What our own pages say with a POST: it follows from the token, and tells nothing of it."""
        return hmac.new(self.token.encode(), b"post", hashlib.sha256).hexdigest()


class Guard:
    """Lets requests through to `app` that may be answered; `hosts` are the server's names with their port.

    Every answer carries the policy of content and its kin.
    """

    def __init__(self, app: ASGIApp, own: Secrets, hosts: Sequence[str], port: int) -> None:
        self._app = app
        self._own = own
        self._hosts = frozenset(hosts)
        self._cookie = f"sweeper-{port}"  # cookies know no ports: two servers would take one another's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._answer_to(Request(scope, receive))
        await (refusal or self._app)(scope, receive, send_guarded)

    def _answer_to(self, request: Request) -> Response | None:
        """What to answer in the application's place; None where that may."""
        if request.headers.get("host", "") not in self._hosts:
            return PlainTextResponse("this server does not go by that name", 403)
        said = request.query_params.get(VISIT)
        if said is not None and request.method == "GET" and request.url.path == "/":
            if not _same(said, self._own.token):
                return _no_token()
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, said, httponly=True, samesite="strict")
            return answer
        if not _same(request.cookies.get(self._cookie, ""), self._own.token):
            return _no_token()
        if request.method not in _SAFE and not self._is_ours(request.headers):
            return PlainTextResponse("only a page of this server may do that", 403)
        return None

    def _is_ours(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc not in self._hosts:
            return False
        return _same(headers.get(CSRF_HEADER, ""), self._own.csrf)


def _no_token() -> Response:
    return PlainTextResponse(
        "open the link that `sweeper dashboard` printed: it holds the token that is wanted here", 403
    )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())

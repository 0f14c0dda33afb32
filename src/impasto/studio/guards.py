"""Who may ask: known hosts, our own pages, whoever has the token. Pure ASGI, around everything that is served."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from impasto.studio.config import LOOPBACK, StudioConfig

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "impasto"
SAFE = ("GET", "HEAD")
UPLOADS = "/api/v1/images"
OPEN = ("/login", "/api/v1/login", "/static/")
"""What is served to those who haven't the token yet."""

HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), payment=(), usb=()",
}


class Session:
    """Whether a token or a cookie is right, told in the same time whatever it is; the tries of an address are limited.

    Of one address alone, so that nobody else's tries keep out who has the token.
    """

    def __init__(self, config: StudioConfig, salt: str) -> None:
        self._token, self._most = config.token, config.limits.login_tries
        self._tries: dict[str, deque[float]] = {}
        self.cookie = hmac.new((config.token or "").encode(), salt.encode(), hashlib.sha256).hexdigest()

    @property
    def needed(self) -> bool:
        """Whether a token is needed at all."""
        return self._token is not None

    def may_try(self, address: str) -> bool:
        """Whether another token may be tried from there this minute."""
        long_ago = time.monotonic() - 60
        self._tries = {whose: tries for whose, tries in self._tries.items() if tries[-1] > long_ago}
        tries = self._tries.get(address, ())
        return sum(when > long_ago for when in tries) < self._most

    def is_token(self, given: str, address: str) -> bool:
        """Whether this is the token; a wrong one counts as a try."""
        right = hmac.compare_digest(given.encode(), (self._token or "").encode()) and self.needed
        if not right:
            self._tries.setdefault(address, deque(maxlen=self._most)).append(time.monotonic())
        return right

    def is_open(self, headers: dict[str, str], address: str) -> bool:
        """Whether a request carries the cookie, or the token as a bearer's."""
        if not self.needed:
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.may_try(address) and self.is_token(token.strip(), address)
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self.cookie.encode())


class Guard:
    """Refuses other hosts, other origins, too much, and those without the token; adds headers to every answer."""

    def __init__(self, app: App, config: StudioConfig, session: Session) -> None:
        self.app, self.config, self.session = app, config, session
        self.hosts = frozenset(_hosts(config))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        if (wrong := self._refusal(scope, headers)) is not None:
            if wrong[0] == 401 and scope["path"] == "/":
                await answer({"type": "http.response.start", "status": 303, "headers": [(b"location", b"/login")]})
                await answer({"type": "http.response.body", "body": b""})
                return
            await _refuse(answer, *wrong)
            return
        limit = None if scope["path"] == UPLOADS else self.config.limits.body_bytes
        await self.app(scope, receive if limit is None else _limited(receive, limit), answer)

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """Status, fault and cure, None for what may pass."""
        host, path, method = headers.get("host", "").lower(), scope["path"], scope["method"]
        if _without_port(host) not in self.hosts:
            return 421, "This address isn't one of the studio's", "open it by the one that it printed"
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            return 403, "The request comes from another page", "use the studio's own"
        if (
            origin is None
            and method not in SAFE
            and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        ):
            return 403, "The request comes from another page", "use the studio's own"
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, "The request comes from another page", "use the studio's own"
        length = headers.get("content-length", "0")
        most = self.config.limits.upload_bytes if path == UPLOADS else self.config.limits.body_bytes
        if not length.isdecimal() or len(length) > 20 or int(length) > most:
            return 413, too_long(most), "send less"
        if not path.startswith(OPEN) and not self.session.is_open(headers, address_of(scope)):
            return 401, "The studio asks for its token", "log in"
        return None


def address_of(scope: Message) -> str:
    """Where a request comes from: an address, or nothing where that isn't known."""
    return (scope.get("client") or ("",))[0]


def _hosts(config: StudioConfig) -> Iterable[str]:
    """The names and addresses by which this studio may be asked for."""
    yield from config.names
    if config.host in LOOPBACK:
        yield from ("127.0.0.1", "localhost", "[::1]")
        return
    yield from (
        "127.0.0.1",
        "localhost",
        "[::1]",
        socket.gethostname().lower(),
        f"{socket.gethostname().lower()}.local",
    )
    try:
        wild = ip_address(config.host).is_unspecified
    except ValueError:
        wild = False
    yield from addresses() if wild else (config.host.lower(), f"[{config.host.lower()}]")


def addresses() -> list[str]:
    """This machine's own addresses, as a browser spells them."""
    import psutil

    found = [
        a for each in psutil.net_if_addrs().values() for a in each if a.family in (socket.AF_INET, socket.AF_INET6)
    ]
    plain = [a.address.partition("%")[0] for a in found]
    return [f"[{one}]" if ":" in one else one for one in plain]


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _netloc(origin: str) -> str | None:
    """The host and port of an origin; None of 'null' and what is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def too_long(most: int) -> str:
    """What is wrong with a request that goes on for too long."""
    return f"The request has more than {most:,} bytes"


def _limited(receive: Receive, most: int) -> Receive:
    """The same body, refused where it turns out to be longer than it said."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, f"{too_long(most)}: send less")
        return message

    return counted


async def _refuse(send: Send, status: int, fault: str, cure: str) -> None:
    error = {"message": f"{fault}: {cure}.", "fault": fault, "cure": cure, "knob": None}
    body = json.dumps({"errors": [error]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Running the studio's server: its address, printed with a code for the phone, and its end."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
import webbrowser
from collections.abc import Callable
from ipaddress import ip_address

import segno
import uvicorn

from impasto.errors import SettingsError
from impasto.studio.app import make_app
from impasto.studio.config import LOOPBACK, StudioConfig
from impasto.studio.guards import addresses


def serve(
    config: StudioConfig, *, tell: Callable[[str], None], note: Callable[[str], None], browser: bool = False
) -> int:
    """Serve until it is interrupted; raises `ImpastoError` where the address or the folder can't be had."""
    with _listener(config) as listener:
        app = make_app(config)
        port = listener.getsockname()[1]
        for address in links(config, port):
            tell(address)
        if config.token is not None and config.host not in LOOPBACK:
            code = io.StringIO()
            segno.make(links(config, port)[-1], error="l").terminal(code, compact=True)
            tell(code.getvalue().rstrip("\n"))
        if browser:
            webbrowser.open(links(config, port)[0])
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,  # streams of events end only when they are cut
                timeout_keep_alive=30,
                limit_concurrency=1000,
                h11_max_incomplete_event_size=64_000,
            )
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    note("The studio is closed; what was being painted goes on when it is opened again.")
    return 0


def links(config: StudioConfig, port: int) -> list[str]:
    """Addresses to open, this machine's first; the token is behind a #, which no server and no log ever sees."""
    secret = "" if config.token is None else f"/login#{config.token}"
    if config.host in LOOPBACK:
        host = f"[{config.host}]" if ":" in config.host else config.host
        return [f"http://{host}:{port}{secret}"]
    found = [config.host]
    with contextlib.suppress(ValueError):
        if ip_address(config.host).is_unspecified:
            local = ("127.", "[::1", "[fe80", "169.254.")
            found = ["127.0.0.1", *(one for one in addresses() if not one.startswith(local) and "[" not in one)]
    return [f"http://{host}:{port}{secret}" for host in [*found, *config.names]]


def _listener(config: StudioConfig) -> socket.socket:
    """The socket that it listens on, had before anything is said or made."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(1024)  # whoever reads the address and comes at once waits a moment
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if taken else f"can't be listened on at {config.host} ({error})"
        raise SettingsError(
            f"`port` {config.port} {why}", "choose another, such as 8601, or 0 for any", knob="port", value=config.port
        ) from None
    return listener

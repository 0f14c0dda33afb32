"""A seal that tells what this user's impasto wrote on this machine from what came from elsewhere.

It is an HMAC (RFC 2104) under a key that never leaves the user's own folder. Whoever sends a file can't make one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def seal(data: bytes) -> str:
    """The seal of some bytes; empty where there is no key and none can be kept, so that nothing counts as one's own."""
    key = _key(make=True)
    return "" if key is None else hmac.new(key, data, hashlib.sha256).hexdigest()


def is_sealed(data: bytes, found: str) -> bool:
    """Whether `found` is the seal of these bytes."""
    key = _key(make=False)
    return key is not None and hmac.compare_digest(
        hmac.new(key, data, hashlib.sha256).hexdigest().encode(), found.encode("utf-8", "replace")
    )


def _key(*, make: bool) -> bytes | None:
    import platformdirs

    path = Path(platformdirs.user_data_dir("impasto")) / "seal.key"
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    os.write(file, secrets.token_bytes(KEY_BYTES))
                finally:
                    os.close(file)
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None

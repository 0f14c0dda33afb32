"""Calling Pillow: its errors as `ImageError`, its warnings hushed, one thread at a time."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator

from impasto.errors import ImageError
from impasto.storage.files import reason

_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not find it taken by a thread that it doesn't have
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@contextlib.contextmanager
def errors_as_image_errors(
    name: str, verb: str = "read", cure: str = "use another copy or save it again as PNG"
) -> Iterator[None]:
    """Turn whatever Pillow raises, from SyntaxError to zlib.error, into one `ImageError`; hush its warnings.

    One thread at a time: `catch_warnings` swaps a process-wide list, which two could leave swapped for good.
    """
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(f"{name} needs more memory than there is", "make it smaller") from None
        except Exception as error:
            raise ImageError(f"{name} can't be {verb} ({reason(error)})", cure) from error

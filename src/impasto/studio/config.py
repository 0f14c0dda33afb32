"""What a studio is told when it starts: where it keeps its things, to whom it answers, and its limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError, SettingsError
from impasto.settings.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Addresses that only this machine reaches."""

LEAST_TOKEN = 12
"""Characters of a token that nobody guesses in a life of tries."""


@dataclass(frozen=True)
class Limits:
    """What the studio takes from whoever asks, so that no request harms the machine."""

    upload_bytes: int = 200_000_000
    pixels: int = 100_000_000
    """Of an uploaded picture."""
    film_pixels: int = 9_000_000
    """Of each frame of an uploaded film: 4K, not 8K."""
    film_frames: int = 20_000
    body_bytes: int = 1_000_000
    """Of a request that isn't an upload."""
    queue: int = 500
    """Jobs that wait or run."""
    disk_bytes: int = 20_000_000_000
    """Pictures, runs and uploads together."""
    decoding_seconds: int = 60
    decoding_bytes: int = 4_000_000_000
    """Memory that reading one picture may take beyond what the reader holds already."""
    login_tries: int = 10
    """Wrong tokens in a minute before everybody has to wait."""


@dataclass(frozen=True)
class StudioConfig:
    """A studio's folder, its address and limits; raises `SettingsError` where the address asks for a token."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8600
    token: str | None = None
    names: tuple[str, ...] = ()
    """Names under which browsers may reach it, besides its address."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every job that says nothing else; they may name places on this machine, such as weights."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        Settings(**self.base)
        if self.token is not None and len(self.token) < LEAST_TOKEN:
            raise SettingsError(
                f"`token` has {len(self.token)} characters", f"use {LEAST_TOKEN} or more", knob="token", value="…"
            )
        if self.token is None and self.host not in LOOPBACK:
            raise SettingsError(
                f"`host` is {self.host!r}, which other machines reach",
                "give a `token` that they have to know, or leave `host` out",
                knob="host",
                value=self.host,
            )

    @property
    def database(self) -> Path:
        """The file of jobs and images."""
        return self.data / "studio.sqlite"

    def prepare(self) -> None:
        """Make the folder; raises `ImpastoError` where it can't be written."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people paint is their own affair
            for folder in ("images", "runs"):
                (self.data / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImpastoError(f"{self.data} can't be made ({error.strerror})", "choose another with `data`") from None
        if not os.access(self.data, os.W_OK | os.X_OK):
            raise ImpastoError(f"{self.data} can't be written in", "choose another folder with `data`")


def default_folder() -> Path:
    """Where a studio keeps its things by itself: IMPASTO_STUDIO, or the place that the system has for data."""
    if chosen := os.environ.get("IMPASTO_STUDIO"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("impasto")) / "studio"

"""Every route."""

from __future__ import annotations

from impasto.studio.routes import events, films, groups, images, jobs, others, pages, settings

ROUTERS = tuple(module.router for module in (images, jobs, films, groups, settings, events, others, pages))

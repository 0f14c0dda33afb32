"""Every route."""

from __future__ import annotations

from impasto.studio.routes import events, groups, images, jobs, others, pages, settings

ROUTERS = tuple(module.router for module in (images, jobs, groups, settings, events, others, pages))

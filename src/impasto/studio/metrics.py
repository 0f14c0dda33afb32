"""Numbers for whoever watches the studio as a service, in Prometheus' form."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from impasto.studio.models import Progress, State

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """A studio's own registry, so that several in one process don't mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._jobs = Gauge("impasto_jobs", "Jobs by state", ["state"], registry=self.registry)
        self._ended = Counter("impasto_jobs_ended", "Jobs that ended, by how", ["state"], registry=self.registry)
        self._steps = Counter("impasto_steps", "Optimisation steps taken", registry=self.registry)
        self._step = Histogram("impasto_step_seconds", "Duration of a step", buckets=SECONDS, registry=self.registry)
        self._disk = Gauge("impasto_disk_bytes", "Bytes that the studio keeps", registry=self.registry)
        self._watchers = Gauge("impasto_watchers", "Browsers that watch", registry=self.registry)
        self.uploads = Counter("impasto_uploads", "Pictures taken in", registry=self.registry)
        self._telling = Counter("impasto_telling_seconds", "Previews, progress, listening", registry=self.registry)
        self._painting = Counter("impasto_painting_seconds", "Whole jobs, telling included", registry=self.registry)
        self._last = (0, 0.0)

    def step(self, progress: Progress) -> None:
        """A step was taken."""
        step, seconds = self._last
        if progress.step == step + 1:
            self._step.observe(max(0.0, progress.seconds - seconds))
        self._steps.inc()
        self._last = (progress.step, progress.seconds)

    def spent(self, telling: float = 0.0, painting: float = 0.0) -> None:
        """A job took so many seconds, some of which went into telling of it."""
        self._telling.inc(telling)
        self._painting.inc(painting)

    def ended(self, state: State) -> None:
        """A job ended."""
        self._ended.labels(state).inc()

    def text(self, counts: dict[str, int], disk: int, watchers: int) -> bytes:
        """All of them, with what is asked for at the moment."""
        for state in State:
            self._jobs.labels(state).set(counts.get(state, 0))
        self._disk.set(disk)
        self._watchers.set(watchers)
        return generate_latest(self.registry)

"""What the writer counts: how many jobs each commit carried, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.kernel.histogram import Histogram

JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(slots=True)
class Commits:
    """Written by the writer's thread alone; a reader may be one commit behind."""

    commit_jobs: Histogram = field(default_factory=lambda: Histogram(JOBS))
    commit_s: Histogram = field(default_factory=Histogram)
    commits_failed: int = 0

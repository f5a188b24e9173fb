"""The names of a job's states: one closed set for workers, metrics, API and documents."""

from __future__ import annotations

from typing import Literal, TypeAlias

StateName: TypeAlias = Literal[
    "created",
    "running",
    "degraded",
    "repairing",
    "blocked",
    "paused",
    "completed",
    "completed_with_gaps",
    "failed",
]

Told: TypeAlias = StateName | Literal["deleted"]
"""What a worker tells of its job: a state, or that it is gone for good."""

"""What the log says of itself: the types of its own events, beside those of whoever uses it."""

from __future__ import annotations

from eventstore import projection, retention, upkeep

OWN_TYPES = frozenset(
    {
        projection.SKIPPED,
        projection.REBUILT,
        upkeep.ASKED,
        upkeep.CANCELLED,
        upkeep.ENDED,
        retention.EXPORTED,
        retention.DROPPED,
    }
)

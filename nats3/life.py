"""A life: one existence of a stream. Deleted and made again, or rolled back, is the next one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opening:
    """The whole opening of a life, so that the bucket alone tells the history of a stream.

    `parent` is the uuid of the life that this one branches from (None: no message of it is known), `upto` the last
    seq of the parent that goes on, `equal` the greatest seq that was found equal, `cursor` where archiving starts:
    the seqs equal < seq <= cursor are a gap for a reason unknown. `left` are [seq, fingerprint] pairs of messages that
    a restore brought back below the cursor and that are not archived. `tip` is the hex SHA-256 of the job's last chunk
    before this life, None for its first.
    """

    ordinal: int
    uuid: str
    created: int
    parent: str | None = None
    upto: int = 0
    equal: int = 0
    cursor: int = 0
    left: tuple[tuple[int, str], ...] = ()
    tip: str | None = None

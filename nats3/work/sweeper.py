"""Deletes condemned objects, long after they were condemned; and nothing else.

Condemned is what an event of this run says, by its own actor, never what a listing shows. Before each DELETE the log is asked
again, by another way than the fold: that no event refers to the key. A condemned key is never written again by us; a
writer that froze before may still store it, and then it is condemned anew.
"""

from __future__ import annotations

from nats3.chunk.object_key import parse_key
from nats3.job.storing import ObjectsSwept
from nats3.objects.store import ObjectDiffers, ObjectMissing, ObjectStore
from nats3.work.run import Claimed, StoringRun
from nats3.work.tools import ChunkIndex, Condemned, Due, Lease

BATCH = 100
"""Objects that are deleted before that is recorded."""


class Sweeper:
    """For one activation of a store job."""

    def __init__(
        self,
        claimed: Claimed,
        run: StoringRun,
        objects: ObjectStore,
        condemned: Condemned,
        index: ChunkIndex,
        lease: Lease,
    ) -> None:
        self._claimed = claimed
        self._run = run
        self._objects = objects
        self._condemned = condemned
        self._index = index
        self._lease = lease

    async def sweep(self, grace_s: float) -> int:
        """Delete and record what is due; how many objects that was. Does nothing that it cannot do again."""
        swept = 0
        await self._index.fresh()
        while self._lease.valid():
            due = await self._condemned.due(self._claimed.job_id, grace_s, BATCH)
            gone = [each for each in due if await self._delete(each)]
            for bucket in dict.fromkeys(each.bucket for each in gone):
                keys = tuple(each.key for each in gone if each.bucket == bucket)
                await self._run.emit(ObjectsSwept(bucket, keys))
            swept += len(gone)
            if len(gone) < BATCH:  # the last ones, or some that may not go
                break
            await self._index.fresh()
        return swept

    async def _delete(self, due: Due) -> bool:
        """Whether the object is gone. One that is recorded after all, or is not what its name says, stays."""
        if not await self._may_go(due):
            return False
        try:
            head = await self._objects.head(due.bucket, due.key)
            if not _is_named_so(due.key, head.sha256):
                return False
            await self._objects.delete(due.bucket, due.key, head.etag)
        except ObjectMissing:
            return True
        except ObjectDiffers:
            return False
        return True

    async def _may_go(self, due: Due) -> bool:
        """This actor has condemned it, and no event of any job refers to it."""
        condemned = due.key in self._run.state.condemned
        return condemned and not await self._index.recorded(due.bucket, [due.key])


def _is_named_so(key: str, sha256: str | None) -> bool:
    """Whether the object may be the one that was condemned: the name of a chunk begins its hash."""
    parsed = parse_key(key)
    return parsed is None or sha256 is None or sha256.startswith(parsed.sha16)

"""Who comes after a process that died: what he may end, and what not."""

from __future__ import annotations

from contextlib import AsyncExitStack

from eventstore import Claims


async def test_a_successor_ends_the_lease_of_his_own_name_and_no_other(log_url: str) -> None:
    """The dead one listened where he listens now; the living one has the same node name and another address."""
    async with AsyncExitStack() as stack:
        dead, living, after = (Claims(log_url) for _ in range(3))
        for claims in (dead, living, after):
            stack.push_async_callback(claims.close)
        await dead.register("n at 127.0.0.1:1 in here")
        await living.register("n at 127.0.0.1:2 in here")
        assert [claim.entity_id for claim in await dead.take(["run/a", "run/b"], 2)] == ["run/a", "run/b"]
        assert [claim.entity_id for claim in await living.take(["run/c"], 1)] == ["run/c"]
        await after.succeed("n at 127.0.0.1:1 in here")
        await after.register("n at 127.0.0.1:1 in here")
        taken = await after.take(["run/a", "run/b", "run/c"], 3)
        assert [claim.entity_id for claim in taken] == ["run/a", "run/b"]
        assert [(node.node_id, node.alive) for node in await after.nodes()] == [(living.node, True), (after.node, True)]
        assert await living.renew()
        assert not await dead.renew()

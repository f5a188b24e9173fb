"""nats3 itself dies, freezes, is ended politely, or is there twice."""

from __future__ import annotations

import asyncio
from time import monotonic

from tests.faults import checker
from tests.faults.registry import row
from tests.faults.world import Failed, World


@row("F01", "F02", "F04", "F07", "F08", sample=True, within=90)
async def killed_in_the_middle_of_a_store_three_times(world: World) -> None:
    """At moments of chance; the failpoints name each arrow."""
    await world.make_stream()
    await world.publish(6000)
    job = await world.store(max_count=100)
    for n in range(3):
        await world.until_stored(job, 200 + 1500 * n, 40)
        await world.node.kill()
        began = monotonic()
        await world.node.start()
        before = (await world.job(job))["progress"]["messages"]
        if before < len(world.ledger.entries):
            await world.until_stored(job, before + 1)
            world.note(f"flows {monotonic() - began:.1f} s after the start")
        await world.publish(200)
    await world.until_stored(job, within=60)
    await world.check_store(job)


async def _killed_while_consuming(world: World, retention: str) -> None:
    """The stream forgets what is acknowledged: whatever was, must be in the log."""
    await world.make_stream(retention=retention)
    job = await world.store(max_count=50, drain=retention == "workqueue")
    await world.until_bound()
    for n in range(4):
        await world.publish(3000)
        await world.until_stored(job, 3000 * n + 100, 40)
        await world.node.kill()
        await world.node.start()
    await world.until_stored(job, within=60)
    await world.check_store(job, stream=False)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    await world.until("all is acknowledged", empty, 20)


@row("F07", "F08", within=150)
async def killed_in_the_middle_of_draining_a_work_queue(world: World) -> None:
    await _killed_while_consuming(world, "workqueue")


@row("F07", "F08", within=150)
async def killed_in_the_middle_of_storing_an_interest_stream(world: World) -> None:
    await _killed_while_consuming(world, "interest")


@row("F10", sample=True, within=120)
async def killed_in_the_middle_of_a_load_four_times(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(12_000)
    job = await world.store(max_count=500)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    kills = 0
    for n in range(4):
        await world.until_count(world.target, 1 + 2800 * n, 40)
        if await world.word(load, "load") == "Success":
            break
        await world.node.kill()
        kills += 1
        await world.node.start()
    world.note(f"{kills} kills")
    await world.until_word(load, "load", "Success", 60)
    await world.check_load(checker.plan_of(found))


@row("F10", within=150)
async def killed_in_the_middle_of_an_atomic_load_four_times(world: World) -> None:
    """What the target's marker says counts, not what the log says: `kills` strikes at every arrow in between."""
    await world.make_stream()
    await world.make_target(subjects=[world.write_subject, "nats3.mark.>"], allow_atomic=True)
    await world.publish(12_000)
    job = await world.store(max_count=500)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load(mode="atomic")
    for n in range(4):
        await world.until_count(world.target, 1 + 2800 * n, 40)
        await world.node.kill()
        await world.node.start()
    await world.until_word(load, "load", "Success", 60)
    await world.check_load(checker.plan_of(found))


@row("F12", sample=True)
async def sigterm_flushes_and_exits_0(world: World) -> None:
    """Messages that lie in an open chunk are recorded before it is gone."""
    await world.make_stream()
    await world.publish(1050)
    job = await world.store(max_count=1000, max_age="1h")
    await world.until_stored(job, 1000)
    began = monotonic()
    await world.node.stop()
    status = await world.node.ended()
    world.note(f"exit {status} after {monotonic() - began:.1f} s")
    world.verdict.need(status == 0, f"exit status {status}")
    world.verdict.need(monotonic() - began < 30, "it took 30 s and more")
    await world.check_store(job)


@row("F12")
async def sigterm_twice_while_a_load_runs(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(10_000)
    job = await world.store(max_count=500)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    for n in range(2):
        await world.until_count(world.target, 1 + 3000 * n)
        await world.node.stop()
        status = await world.node.ended()
        world.verdict.need(status == 0, f"exit status {status}")
        await world.node.start()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row("F47", within=120)
async def frozen_longer_than_its_lease_during_a_store(world: World) -> None:
    await world.make_stream()
    await world.publish(8000)
    job = await world.store(max_count=100)
    await world.until_stored(job, 300)
    world.node.pause()
    await asyncio.sleep(20)
    world.node.resume()
    await world.publish(500)
    took = await world.until_stored(job, within=60)
    world.note(f"all stored {took:.1f} s after the thaw")
    await world.check_store(job)


@row("F47", within=120)
async def frozen_longer_than_its_lease_during_a_load(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(12_000)
    job = await world.store(max_count=500)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_count(world.target, 500)
    world.node.pause()
    await asyncio.sleep(20)
    world.node.resume()
    took = await world.until_word(load, "load", "Success", 60)
    world.note(f"done {took:.1f} s after the thaw")
    await world.check_load(checker.plan_of(found))


@row("F47", "F49", sample=True, within=120)
async def taken_over_while_frozen_and_woken_again(world: World) -> None:
    await world.make_stream()
    await world.publish(5000)
    job = await world.store(max_count=50)
    await world.until_stored(job, 200)
    world.node.pause()
    second = world.node_over()
    await second.start()
    world.nodes.reverse()  # asked from now on
    await world.publish(500)
    began = monotonic()
    await world.until_stored(job, within=60)
    world.note(f"taken over and all stored {monotonic() - began:.1f} s after the second node stood")
    world.nodes[1].resume()
    await world.publish(500)
    await world.until_stored(job, within=40)
    await asyncio.sleep(3)
    await world.check_store(job)


@row("F47", "F49", within=120)
async def a_load_is_taken_over_while_frozen_and_its_owner_woken_again(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(12_000)
    job = await world.store(max_count=500)
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_count(world.target, 500)
    world.node.pause()
    second = world.node_over()
    await second.start()
    world.nodes.reverse()
    await world.until_word(load, "load", "Success", 60)
    world.nodes[1].resume()
    await asyncio.sleep(3)
    await world.check_load(checker.plan_of(found))


@row("F49", within=90)
async def two_servers_one_owner(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    second = world.node_over()
    await second.start()
    jobs = [await world.store(max_count=100, subject=f"s.{world.name}.{n}") for n in range(4)]
    await world.publish(7000)
    for n, job in enumerate(jobs):
        await world.until_stored(job, sum(e.subject.endswith(b"%d" % n) for e in world.ledger.entries))
    nodes = [{event["node"] for event in world.log.events(f"run/{job}")} for job in jobs]
    world.verdict.need(all(len(each) == 1 for each in nodes), "a job was run by two nodes")
    world.verdict.need(len(set.union(*nodes)) == 2, "the jobs are not shared between two nodes")
    await world.node.kill()
    world.nodes.reverse()
    began = monotonic()
    await world.publish(700)
    for n, job in enumerate(jobs):
        await world.until_stored(job, sum(e.subject.endswith(b"%d" % n) for e in world.ledger.entries), 40)
    world.note(f"taken over within {monotonic() - began:.1f} s")
    for n, job in enumerate(jobs):
        mine = [e for e in world.ledger.entries if e.subject.endswith(b"%d" % n)]
        checker.stored(mine, world.archive(job), world.verdict)
    world.hold()


@row("F49")
async def the_second_server_answers_for_what_the_first_runs(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    second = world.node_over()
    await second.start()
    answer = await world.call("GET", f"/api/v2/jobs/{job}", node=second)
    if answer["progress"]["messages"] != 500:
        raise Failed(str(answer))
    await world.call("POST", f"/store/job/pause?job_id={job}", node=second)
    await world.until_word(job, "store", "Paused")
    await world.publish(100)
    await world.call("POST", f"/store/job/resume?job_id={job}", node=second)
    await world.until_stored(job)
    await world.check_store(job)

"""No fault at all: what must hold on a good day."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.faults import checker
from tests.faults.checker import given_back
from tests.faults.registry import row
from tests.faults.world import Failed, World


@row(sample=True)
async def twenty_thousand_messages_in_chunks_of_a_thousand(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(20_000)
    job = await world.store(max_count=1000)
    took = await world.until_stored(job)
    world.note(f"stored in {took:.1f} s")
    found = await world.check_store(job)
    load = await world.load()
    took = await world.until_word(load, "load", "Success", 60)
    world.note(f"loaded in {took:.1f} s")
    await world.check_load(checker.plan_of(found))


@row()
async def below_a_prefix_by_version_1(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(2500)
    order = {"stream": world.source, "subject": world.filter, "bucket": world.bucket_name, "prefix": "a/b c/ü"}
    job = (await world.call("POST", "/store/job", order))["id"]
    await world.until_stored(job)
    found = await world.check_store(job)
    strangers = [key for key in world.bucket.keys(world.bucket_name) if not key.startswith("a/b c/ü/")]
    world.verdict.none(strangers, "objects outside of the prefix")
    order = {
        "bucket": world.bucket_name,
        "read_stream": world.source,
        "read_subject": world.filter,
        "write_subject": world.write_subject,
        "prefix": "a/b c/ü",
    }
    load = (await world.call("POST", "/api/v1/load/job", order))["id"]
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))
    nothing = (await world.call("POST", "/load/job", {**order, "prefix": "a"}))["id"]
    await world.until_word(nothing, "load", "Success")
    world.verdict.need(await world.count(world.target) == len(found.messages), "another prefix found chunks")
    world.hold()


@row()
async def json_codec(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(1500)
    job = await world.store(codec="json")
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row(sample=True)
async def wildcards_and_times_choose_single_messages(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(1000)
    job = await world.store(max_count=400)
    await world.until_stored(job)
    found = await world.check_store(job)
    kept = await world.read(world.source)
    first, last = kept[333].time, kept[777].time
    order = {"from_time": _rfc3339(first), "to_time": _rfc3339(last), "read_subject": f"s.{world.name}.*"}
    load = await world.load(**order)
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found, lambda m: first <= m.time < last))
    await (await world.nats()).api(f"STREAM.PURGE.{world.target}")
    load = await world.load(read_subject=f"s.{world.name}.3")
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found, lambda m: m.subject.endswith(b".3")))


@row(sample=True)
async def a_work_queue_is_drained_by_a_version_1_order(world: World) -> None:
    await world.make_stream(retention="workqueue")
    await world.publish(1000)
    before = await world.read(world.source)
    order = {"stream": world.source, "subject": world.filter, "bucket": world.bucket_name}
    answer = await world.call("POST", "/store/job", order)
    world.verdict.need(answer.get("warnings"), "no warning that the work queue is drained")
    job = answer["id"]
    await world.until_stored(job)
    await world.publish(1500)
    await world.until_stored(job)
    found = await world.check_store(job, stream=False)
    checker.as_in_stream(before, found, world.verdict)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    await world.until("the work queue is empty", empty, 20)
    world.hold()


@row()
async def a_work_queue_is_refused_by_a_version_2_order(world: World) -> None:
    await world.make_stream(retention="workqueue")
    await world.publish(100)
    job = await world.store()
    await world.until_word(job, "store", "Failure")
    reason = (await world.job(job))["reason"]
    world.verdict.need("mirror" in reason and "drain" in reason, f"the reason names no way out: {reason}")
    world.verdict.need(await world.count(world.source) == 100, "messages were consumed")
    world.hold()


@row(sample=True)
async def an_interest_stream_loses_nothing_from_the_order_on(world: World) -> None:
    await world.make_stream(retention="interest")
    job = await world.store()
    nats = await world.nats()

    async def bound() -> bool:
        return (await nats.api(f"STREAM.INFO.{world.source}"))["state"]["consumer_count"] > 0

    await world.until("there is a consumer", bound)
    await world.publish(3000)
    await world.until_stored(job)
    await world.check_store(job, stream=False)

    async def empty() -> bool:
        return await world.count(world.source) == 0

    await world.until("all is acknowledged", empty, 20)


@row(sample=True)
async def two_jobs_with_overlapping_filters(world: World) -> None:
    """Each keeps what its filter says; a load of the wider one publishes every message once."""
    await world.make_stream(subjects=["a.>"])
    await world.make_target()
    nats = await world.nats()
    raw = [(b"a.%b.%d" % (b"xy"[i % 2 : i % 2 + 1], i % 3), None, b"%d" % i) for i in range(1200)]
    await world.ledger.publish(nats, raw)
    narrow, wide = await world.store(subject="a.*.0"), await world.store(subject="a.>")
    await world.until_stored(wide)
    await world.until_stored(narrow, 400)
    archive = world.archive(narrow)
    checker.stored([e for e in world.ledger.entries if e.subject.endswith(b"0")], archive, world.verdict)
    found = await world.check_store(wide)
    load = await world.load(read_subject="a.>")
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))
    await nats.api(f"STREAM.PURGE.{world.target}")
    load = await world.load(read_subject="a.*.0")
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(archive))


@row()
async def replay_under_the_original_subjects(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    nats = await world.nats()
    await nats.api(f"STREAM.DELETE.{world.source}")
    await world.make_target(subjects=[world.filter])
    load = await world.load(write_subject=None)
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found), same=True)


@row(sample=True)
async def a_polling_load_publishes_each_new_chunk_once(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(300)
    job = await world.store(max_age="200ms")
    await world.until_stored(job)
    load = await world.load(poll_interval="200ms")
    for _ in range(4):
        await world.until_count(world.target, len(world.ledger.entries))
        await world.publish(250)
        await world.until_stored(job)
    await world.until_count(world.target, len(world.ledger.entries))
    world.verdict.need(await world.word(load, "load") == "Running", "a polling load has ended")
    found = await world.check_store(job)
    await world.check_load(checker.plan_of(found))


@row(sample=True)
async def delete_chunks_empties_the_bucket_after_the_load(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(1000)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load(delete_chunks=True)
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))

    async def gone() -> bool:
        left = world.bucket.keys(world.bucket_name)
        if left:
            raise Failed(f"{len(left)} objects are left")
        return True

    await world.until("the bucket is empty", gone, 10)
    again = await world.load()
    await world.until_word(again, "load", "Success")
    world.verdict.need(await world.count(world.target) == 1000, "deleted chunks were planned again")
    world.hold()


@row(sample=True)
async def pause_and_resume_many_times(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    await world.publish(10_000)
    job = await world.store(max_count=50)
    for _ in range(6):
        await world.call("POST", f"/store/job/pause?job_id={job}")
        await world.until_word(job, "store", "Paused")
        await world.publish(300)
        await world.call("POST", f"/store/job/resume?job_id={job}")
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    for _ in range(6):
        try:
            await world.call("POST", f"/load/job/pause?job_id={load}")
            await world.call("POST", f"/load/job/resume?job_id={load}")
        except Failed as refused:  # it may have ended meanwhile, and then no command but retry makes sense
            world.verdict.need("completed" in str(refused), str(refused))
            break
    await world.until_word(load, "load", "Success")
    await world.check_load(checker.plan_of(found))


@row()
async def no_stream_takes_the_write_subject_until_one_does(world: World) -> None:
    await world.make_stream()
    await world.publish(500)
    job = await world.store()
    await world.until_stored(job)
    found = await world.check_store(job)
    load = await world.load()
    await world.until_word(load, "load", "Failure", 20)
    world.note((await world.job(load))["reason"])
    await world.make_target()
    took = await world.until_word(load, "load", "Success", 70)
    world.note(f"Success {took:.1f} s after the stream was made")
    await world.check_load(checker.plan_of(found))


@row()
async def a_load_of_nothing_is_a_success(world: World) -> None:
    await world.make_stream()
    await world.make_target()
    load = await world.load()
    await world.until_word(load, "load", "Success")
    world.verdict.need(await world.count(world.target) == 0, "something was published")
    world.hold()


def _rfc3339(time: int) -> str:
    return f"{datetime.fromtimestamp(time // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{time % 10**9:09d}Z"


assert given_back(b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n") is None

"""The event log at its size: a start of many long runs, a page of a million chunks, and another event store beside ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from eventstore import PostgresStore, Snapshot, Snapshots, Version, table_of
from eventstore.connection import parameters
from nats3.job import storing
from nats3.job.history import HISTORY, run_entity
from nats3.job.storing import Storing
from nats3.views.chunk_queries import ChunkFilter, Chunks, Scope
from nats3.views.chunks import COLUMNS, ChunksView
from nats3.views.database import Database
from nats3.work.journal import SNAPSHOT_EVERY, FoldedState, RunJournal
from nats3.work.journal import Log as Runs
from tests.bench.figures import Figure, at_most, middle, percentile, ratio
from tests.bench.house import House
from tests.bench.log_rows import BATCH, Log, chunk_said, the_log, write
from tests.bench.rows import Size

LONG = 10_000
"""Events of a run; those before its snapshot are never read, so they are left out of the table."""

CHUNKS = 1_000_000
PAGES = 300
_PAYLOAD = b"x" * 300


async def start(house: House, size: Size) -> list[Figure]:
    """Recovery of every run as a node does it that takes all of them at once."""
    async with the_log(house) as log:
        tail = SNAPSHOT_EVERY // 2
        jobs = [uuid4() for _ in range(size.jobs)]
        await _fill_runs(log, jobs, tail)
        found = [await _recover(log, jobs, tail) for _ in range(size.runs)]
    said = f"{size.jobs} runs of {LONG} events, a snapshot {tail} events before the end of each"
    return [
        middle("start: all runs recovered", [seconds for seconds, _ in found], "s", at_most(2), said=said),
        middle(
            "start: CPU of the node", [cpu for _, cpu in found], "s", said="what an idle machine would take at least"
        ),
    ]


async def _fill_runs(log: Log, jobs: Sequence[UUID], tail: int) -> None:
    """The last events of each run and its snapshot, written by SQL; their hashes are not those of a chain."""
    codec = FoldedState(Storing, storing.FOLD)
    state = storing.evolve(Storing(), HISTORY.decode_data("chunk_flushed", 1, chunk_said(LONG - tail).data))
    async with await psycopg.AsyncConnection.connect(log.url, autocommit=True) as connection:
        rows = (len(jobs) * (tail + 1),)
        await connection.execute("SELECT es.make_partitions(%s)", rows)
        await connection.execute(
            "INSERT INTO es.entity (entity_id, category, version) SELECT unnest(%s::text[]), 'run', %s",
            ([run_entity(job) for job in jobs], LONG),
        )
        await connection.execute(
            "INSERT INTO es.event SELECT nextval('es.position'), e, v, 0, 'chunk_flushed', 1, gen_random_uuid(), now(),"
            " gen_random_uuid(), '', NULL, NULL, %s::jsonb || jsonb_build_object('first', v, 'last', v), ''"
            " FROM generate_series(%s::bigint, %s::bigint) v, unnest(%s::text[]) e",
            (chunk_said(1).text, LONG - tail, LONG, [run_entity(job) for job in jobs]),
        )
        cursor = await connection.execute("SELECT entity_id, position FROM es.event WHERE version = %s", (LONG - tail,))
        positions = dict(await cursor.fetchall())
    snapshots = Snapshots(log.url)
    for job in jobs:
        name = run_entity(job)
        kept = Snapshot(name, Version(LONG - tail), positions[name], codec.version, codec.encode(state))
        await snapshots.save(kept)
    await snapshots.close()


async def _recover(log: Log, jobs: Sequence[UUID], tail: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of a process that has just begun: new connections."""
    store, snapshots, codec = PostgresStore(log.url), Snapshots(log.url), FoldedState(Storing, storing.FOLD)
    runs = Runs(store, log.batcher, HISTORY, snapshots)
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        found = [
            tasks.create_task(RunJournal(run_entity(job), 1, runs, codec, actor="bench").recover()) for job in jobs
        ]
    took = time.perf_counter() - began, time.process_time() - cpu
    assert all(each.result().version == LONG and len(each.result().events) == tail for each in found)
    await store.close()
    await snapshots.close()
    return took


async def page(house: House, size: Size) -> list[Figure]:
    """Pages of a list and of a plan, at places by chance: the statement alone, and through what the API uses."""
    count = CHUNKS if size.warm else size.events
    async with the_log(house) as log:
        await _fill_chunks(log.url, count)
        database = Database(log.url)
        chunks, chance = Chunks(database), Random(1)
        scope = Scope("bench", "kib", count)

        async def listed(position: int) -> None:
            await chunks.page(ChunkFilter(bucket="bench", stream="kib"), 100, position)

        async def planned(position: int) -> None:
            await chunks.planned(scope, 100, (1, 1, position, position))

        figures = [
            *await _paged("list", listed, count, chance),
            *await _paged("plan", planned, count, chance),
            *await _in_sql(log.url, count, chance),
        ]
        await database.close()
    return figures


async def _fill_chunks(url: str, count: int) -> None:
    view = ChunksView()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await view.create(connection)
        await connection.execute(
            f"INSERT INTO {table_of(view)} ({', '.join(COLUMNS)}) SELECT {', '.join(_column(name) for name in COLUMNS)}"
            f" FROM generate_series(1, {count}) n".encode()
        )
        await view.index(connection)
        await connection.execute(f"CREATE VIEW chunks AS SELECT * FROM {table_of(view)}".encode())
        await connection.execute(f"VACUUM ANALYZE {table_of(view)}".encode())


def _column(name: str) -> str:
    """What stands in this column of the n-th chunk."""
    return _OF_N.get(name) or ("'x'" if isinstance(chunk_said(1).data.get(name), str) else "n")


_OF_N = {
    "recorded_at": "now()",
    "job_id": "'00000000-0000-4000-8000-000000000000'::uuid",
    "bucket": "'bench'",
    "stream": "'kib'",
    "key": "'n3v1/kib/life/' || n",
    "consumer": "NULL",
    "life": "'life'",
    "ordinal": "1",
    "created": "1",
    "previous_seq": "n - 1",
    "gaps": "'[]'::jsonb",
    "gap_count": "0",
    "adopted_from": "NULL",
    "deletion": "NULL",
    "deletion_position": "NULL",
}


async def _paged(
    name: str, ask: Callable[[int], Coroutine[object, object, None]], count: int, chance: Random
) -> list[Figure]:
    took: list[float] = []
    for _ in range(PAGES):
        position = chance.randrange(count - 100)
        began = time.perf_counter()
        await ask(position)
        took.append(time.perf_counter() - began)
    said = f"100 of {count} chunks, as objects in the program"
    return [Figure(f"page of a {name}, p99", percentile(took, 0.99) * 1000, "ms", said=said)]


async def _in_sql(url: str, count: int, chance: Random) -> list[Figure]:
    took: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(PAGES):
            cursor = await connection.execute(
                "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM chunks WHERE bucket = 'bench' AND stream = 'kib'"
                " AND deletion IS NULL AND (created, ordinal, first, position) > (1, 1, %s, 0)"
                " ORDER BY created, ordinal, first, position LIMIT 100",
                (chance.randrange(count - 100),),
            )
            (plan,) = await cursor.fetchone() or ()
            took.append(plan[0]["Planning Time"] + plan[0]["Execution Time"])
    said = f"100 of {count} chunks, planning and execution, {PAGES} pages"
    return [Figure("page of a plan in SQL, p99", percentile(took, 0.99), "ms", at_most(10), said=said)]


async def reference(house: House, size: Size) -> list[Figure]:
    """The package eventsourcing on the same Postgres, in turns with ours."""
    calls, batches = max(50, size.events // 20), max(5, size.events // BATCH)
    ours: dict[str, list[float]] = {"one": [], "many": [], "read": []}
    theirs: dict[str, list[float]] = {"one": [], "many": [], "read": []}
    async with the_log(house) as log:
        recorder = await asyncio.to_thread(_recorder, log.url)
        for _ in range(size.runs):
            _into(theirs, await asyncio.to_thread(_theirs, recorder, calls, batches))
            _into(ours, await _ours(log, calls, batches))
        await asyncio.to_thread(recorder.datastore.close)
    said = {"one": "1 event a call", "many": f"batches of {BATCH}", "read": "pages of 1000, in the order of the log"}
    figures: list[Figure] = []
    for key, title in (
        ("one", "append, one after the other"),
        ("many", f"append, batches of {BATCH}"),
        ("read", "read"),
    ):
        figures += [
            middle(f"eventsourcing 9.5: {title}", theirs[key], "ev/s", said=said[key]),
            middle(f"eventstore: {title}", ours[key], "ev/s", said=said[key]),
            ratio(f"eventstore / eventsourcing: {title}", ours[key], theirs[key]),
        ]
    return figures


def _into(rates: dict[str, list[float]], found: dict[str, float]) -> None:
    for key, rate in found.items():
        rates[key].append(rate)


def _recorder(url: str) -> PostgresApplicationRecorder:
    asked = parameters(url)
    datastore = PostgresDatastore(
        asked["dbname"], asked["host"], asked["port"], asked["user"], asked["password"], pool_size=2
    )
    recorder = PostgresApplicationRecorder(datastore)
    recorder.create_table()
    return recorder


def _theirs(recorder: PostgresApplicationRecorder, calls: int, batches: int) -> dict[str, float]:
    one, many = uuid4(), uuid4()
    began = time.perf_counter()
    for version in range(calls):
        recorder.insert_events([StoredEvent(one, version + 1, "noted", _PAYLOAD)])
    alone = time.perf_counter()
    for batch in range(batches):
        recorder.insert_events([StoredEvent(many, batch * BATCH + n + 1, "noted", _PAYLOAD) for n in range(BATCH)])
    together = time.perf_counter()
    seen, cursor = 0, 0
    while page_ := recorder.select_notifications(cursor + 1, 1000):
        seen, cursor = seen + len(page_), page_[-1].id
    return _rates(calls, batches, seen, (began, alone, together, time.perf_counter()))


async def _ours(log: Log, calls: int, batches: int) -> dict[str, float]:
    began = time.perf_counter()
    await write(log, calls, 1)
    alone = time.perf_counter()
    await write(log, batches, BATCH)
    together = time.perf_counter()
    seen, cursor = 0, 0
    while page_ := await log.store.read_log(cursor, 1000):  # type: ignore[arg-type]
        seen, cursor = seen + len(page_), page_[-1].position
    return _rates(calls, batches, seen, (began, alone, together, time.perf_counter()))


def _rates(calls: int, batches: int, seen: int, at: tuple[float, float, float, float]) -> dict[str, float]:
    began, alone, together, ended = at
    return {
        "one": calls / (alone - began),
        "many": batches * BATCH / (together - alone),
        "read": seen / (ended - together),
    }

"""`python -m tests.faults.planted [WORD ...] [--list] [--record]`: take the line of a guarantee out, and see that a test fails.

Each fault is planted alone in a copy of the tree. `--record` writes the table into docs/planted.md. A fault that no test catches, and one whose line is no longer there,
fail the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from time import monotonic

from tests.faults.planted_door import DOOR
from tests.faults.planted_rules import RULES
from tests.faults.planting import Planted

ROOT = Path(__file__).parents[2]
HANGS_S = 180
PARALLEL = 2
PAGE = ROOT / "docs" / "planted.md"
HEAD = "| fault | in | caught by |\n|---|---|---|\n"
COPIED = ("actors", "eventstore", "nats3", "tests")


APPEND = "eventstore/migrations/append.sql"
TAKE = "eventstore/migrations/take.sql"
CONTRACT = "tests/contract/test_eventstore.py"
LIVES = "tests/eventstore/test_lives.py"
BATCHER = "tests/eventstore/test_batcher.py"
TAIL = "tests/eventstore/test_tail.py"
PROJECTION = "tests/eventstore/test_projection.py"
REBUILD = "tests/eventstore/test_rebuild.py"
OWNERS = "tests/eventstore/test_rebuild_owners.py"
STANDBY = "tests/eventstore/test_standby.py"
UPKEEP = "tests/eventstore/test_upkeep.py"
SCHEMA = "tests/eventstore/test_schema.py"
OFFICE = "tests/work/test_office.py"
JOURNAL = "tests/contract/test_run_journal.py"
RETENTION = "tests/contract/test_retention.py"
HELD = "eventstore/migrations/held.sql"
KEEP = "eventstore/migrations/keep_segment.sql"
RUNS = "tests/work/test_snapshots_of_runs.py"
_EVENT_IDS = """\
        if [event.event_id for event in found] != [event.event_id for event in append.events]:
            return outcome
"""
_CHECKPOINT = " WHERE name = %s AND version = %s AND position = %s AND fence = %s"
_VALUES = "(to, view.name, view.version, read_from.position, read_from.fence)"

LOG = (
    Planted("order lock", APPEND, "        PERFORM pg_advisory_xact_lock(7405, 1);\n", "tests/eventstore/test_order.py"),
    Planted("fence check", APPEND, "WHEN coalesce(e.fence, 0) <> s.fence THEN 'refused'", CONTRACT),
    Planted("fence check in memory", "eventstore/memory.py", "if entity.fence != append.fence or", LIVES, "if"),
    Planted(
        "claim before a restart of Postgres",
        APPEND,
        "WHEN s.fence <> 0 AND e.claimed_under IS DISTINCT FROM pg_postmaster_start_time() THEN 'refused'",
        CONTRACT,
    ),
    Planted("version check", APPEND, "WHEN coalesce(e.version, 0) <> s.expected THEN 'conflict'", CONTRACT),
    Planted(
        "version check in memory", "eventstore/memory.py", "if entity.version != append.expected:", LIVES, "if False:"
    ),
    Planted(
        "hash chain check", APPEND, "WHEN coalesce(e.hash, '') <> s.before THEN 'unchained'", "tests/eventstore/test_verify.py"
    ),
    Planted("fences rise", "eventstore/migrations/claim.sql", "greatest(e.fence + 1, excluded.fence)", SCHEMA, "excluded.fence"),
    Planted("notify", APPEND, "        PERFORM pg_notify('es_log', high::text);\n", TAIL),
    Planted(
        "position = what I read",
        "eventstore/projection.py",
        f'{_CHECKPOINT}",\n        {_VALUES}',
        PROJECTION,
        ' WHERE name = %s AND version = %s AND fence = %s",\n'
        "        (to, view.name, view.version, read_from.fence)",
    ),
    Planted(
        "fence of a projection",
        "eventstore/projection.py",
        f'{_CHECKPOINT}",\n        {_VALUES}',
        PROJECTION,
        ' WHERE name = %s AND version = %s AND position = %s",\n'
        "        (to, view.name, view.version, read_from.position)",
    ),
    Planted(
        "effect and checkpoint are one transaction",
        "eventstore/projection.py",
        "        async with connection.transaction():\n            return await advance_within",
        f"{PROJECTION}::test_a_kill_between_checkpoint_effect_and_commit_leaves_neither",
        "        if True:\n            return await advance_within",
    ),
    Planted("event ids after an ambiguous commit", "eventstore/batcher.py", _EVENT_IDS, BATCHER),
    Planted("look after an ambiguous commit", "eventstore/batcher.py", "if doubtful:", LIVES, "if False:"),
    Planted("what a failed call had written is found", "eventstore/batcher.py", "[pending.append], doubtful=True)", BATCHER,
            "[pending.append])"),
    Planted(
        "a frozen node's lost transaction is no poison",
        "eventstore/connection.py",
        "InterfaceError, IdleInTransactionSessionTimeout, ReadOnly",
        "tests/eventstore/test_connection.py",
        "InterfaceError, ReadOnly",
    ),
    Planted("what is too large is no outage", "eventstore/connection.py", "if _is_over_a_limit(fault):",
            "tests/eventstore/test_over_limit.py", "if False:"),
    Planted("a server that is at its limits is an outage", "eventstore/connection.py",
            " and fault.diag.source_file not in _OF_THE_SERVER", "tests/eventstore/test_over_limit.py"),
    Planted("the end waits for a log that is away", "eventstore/batcher.py", "asyncio.timeout(_DRAIN_S)", BATCHER,
            "asyncio.timeout(None)"),
    Planted(
        "a live view is written in one message",
        "eventstore/copying.py",
        "if len(rows) <= IN_ONE_MESSAGE:",
        "tests/eventstore/test_copying.py",
        "if not rows:",
    ),
    Planted(
        "only poison is passed over",
        "eventstore/projector.py",
        "        if position not in stopped:\n",
        "tests/api/test_version_2_log.py",
        "        if False:\n",
    ),
    Planted(
        "a tail goes on behind what it saw",
        "nats3/cli/following.py",
        'headers = {"Last-Event-ID": last} if last else {}',
        "tests/cli/test_audit.py tests/cli/test_with_the_api.py",
        "headers = {}",
    ),
    Planted("back-pressure", "eventstore/batcher.py", "asyncio.Queue(self._limits.queued)", BATCHER, "asyncio.Queue()"),
    Planted(
        "poll after every LISTEN",
        "eventstore/listener.py",
        "            self._backoff.reset()\n            heard()\n",
        TAIL,
        "            self._backoff.reset()\n",
    ),
    Planted(
        "the log is read along its indexes",
        "eventstore/postgres.py",
        "{**SETTINGS, **_IN_ORDER}",
        "tests/eventstore/test_reading.py",
        "SETTINGS",
    ),
    Planted("timer", "eventstore/tail.py", "asyncio.timeout(seconds)", TAIL, "asyncio.timeout(None)"),
    Planted("a log that was put back is noticed", "eventstore/tail.py", "if self._position and not self._is_known(page):", TAIL,
            "if False:"),
    Planted("nothing is followed that was put back", "eventstore/tail.py", " if self._proven >= proof else ()", TAIL),
    Planted(
        "partition guard",
        "eventstore/migrations/make_partitions.sql",
        "EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I\n"
        "                        FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', made);",
        SCHEMA,
    ),
    Planted(
        "lease of the owner",
        TAKE,
        "NOT EXISTS (SELECT FROM es.node n WHERE n.node_id = e.owner AND n.lease_until > clock_timestamp())",
        CONTRACT,
        "true",
    ),
    Planted("lease margin", "nats3/work/lease.py", "MARGIN_S = 2.0", "tests/work/test_lease.py", "MARGIN_S = 0.0"),
    Planted(
        "lease counts from when a renewal was begun",
        "nats3/work/lease.py",
        "self._until = begun + LEASE_S - MARGIN_S",
        "tests/work/test_lease.py",
        "self._until = self._monotonic() + LEASE_S - MARGIN_S",
    ),
    Planted("a lease that ends while a renewal hangs", "nats3/work/lease.py", "        tasks.create_task(_watch(lease, lost))\n",
            OFFICE),
    Planted("a lease that was ended stops the runs", "nats3/work/lease.py", "                if regained:\n"
            "                    await lost()\n", OFFICE),
    Planted("a stop is bounded", "nats3/work/office.py", "await self.system.stop_all(STOP_S)", OFFICE,
            "await self.system.stop_all(10**6)"),
    Planted("claims are given back at the end", "nats3/work/office.py", "                await self.claims.leave()\n", OFFICE,
            "                pass\n"),
    Planted("one hand-over in ten seconds", "nats3/work/share.py", " or now < self._next_hand_over", OFFICE),
    Planted("the share of a node", "nats3/work/office.py", "        self._hand_over(share, tasks)\n", OFFICE),
    Planted("a successor ends his own name's lease alone", "eventstore/claims.py", "if node.name == name and ",
            "tests/eventstore/test_claims.py", "if "),
    Planted("swap no lower than the old", "eventstore/rebuild.py", "while at.position < goal:", REBUILD, "while False:"),
    Planted(
        "swap shuts out the old", "eventstore/projection.py", "status = 'retired', fence = fence + 1, owner = NULL",
        REBUILD, "status = 'retired'",
    ),
    Planted(
        "a swap does not wait for readers",
        "eventstore/rebuild.py",
        """            await connection.execute(f"SET LOCAL lock_timeout = '{SWAP_WAIT_S}s'".encode())\n""",
        REBUILD,
    ),
    Planted(
        "a rebuild that lost its version does not swap", "eventstore/rebuild.py",
        "        at = await projection.advance_within(folding, view, at, (), at.position)\n", OWNERS,
    ),
    Planted("a version is shown and told at once", "eventstore/rebuild.py",
            "        await decide(connection, self._node, view.name, event, actor)\n", REBUILD,
            "        from eventstore.decisions import record\n        await record(self._store, view.name, event, actor)\n"),
    Planted("who waits for a view is not heard", "eventstore/projector.py", "        self._called.set()\n", PROJECTION),
    Planted("a view that is far behind rests", "eventstore/projector.py", "if len(page) < PAGE:", PROJECTION, "if True:"),
    Planted("each event that nobody waits for is a transaction", "eventstore/projector.py", "await self._rest()", PROJECTION, "pass"),
    Planted("a version that is gone is not shown", "eventstore/projection.py", "    if cursor.rowcount != 1:\n        raise Superseded"
            "(view.name, view.version)\n    # Last:", OWNERS, "    # Last:"),
    Planted("fences of a dropped version are not given again", "eventstore/projection.py",
            '" fence = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"', OWNERS, '" fence = fence + 1"'),
    Planted("what another has begun is not dropped", "eventstore/remains.py", "        if cursor.rowcount != 1:\n", OWNERS,
            "        if False:\n"),
    Planted("what older programs left holds nothing", "eventstore/rebuild.py",
            "                await self._drop(await remains(self._link, self._code, self._node))\n",
            "tests/eventstore/test_remains.py", "                pass\n"),
    Planted("a comparison takes as long as it takes", "eventstore/rebuild.py",
            '            await connection.execute("SET LOCAL statement_timeout = 0")\n', "tests/eventstore/test_comparing.py"),
    Planted(
        "what no index can hold is found",
        "eventstore/rebuild.py",
        "            return await self._catch_up(checked=True)\n",
        REBUILD,
        "            raise\n",
    ),
    Planted(
        "a rebuild goes on where it stopped",
        "eventstore/rebuild.py",
        "        if unfinished is not None:\n            return unfinished\n",
        REBUILD,
    ),
    Planted("who stands by asks nothing by himself", "eventstore/projector.py",
            "await self._standby.until_free(self._code.name, self._code.version)", STANDBY, "await asyncio.sleep(0.01)"),
    Planted("one answer for all who stand by", "eventstore/standby.py", "if self._asked == asked:", STANDBY, "if True:"),
    Planted("a lease that ends is noticed", "eventstore/standby.py", "min(MOST, soonest)", STANDBY, "MOST"),
    Planted("one operation at a time", "eventstore/upkeep.py", "        raise Occupied(operation)", UPKEEP, "        return"),
    Planted("an operation is left to who was asked", "eventstore/upkeep.py", "return not rows", UPKEEP, "return True"),
    Planted(
        "a cancelled operation leaves nothing",
        "eventstore/upkeep.py",
        "            await Rebuild(self._url, self._store, view, node=self._node).discard()\n",
        UPKEEP,
        "            pass\n",
    ),
    Planted("hash of an event", "eventstore/verify.py", "if hash_ != expected:", "tests/eventstore/test_verify.py", "if False:"),
    Planted(
        "a newer snapshot wins",
        "eventstore/snapshots.py",
        " WHERE s.version <= excluded.version RETURNING 1",
        "tests/eventstore/test_snapshots.py",
        " RETURNING 1",
    ),
    Planted(
        "a snapshot is of this history",
        "nats3/work/journal.py",
        "if page and (page[0].version, page[0].position) == (snapshot.version, snapshot.position):",
        JOURNAL,
        "if page:",
    ),
    Planted("a snapshot of another shape", "nats3/work/journal.py", "case [found, kept] if found == self._shape:", RUNS,
            "case [found, kept]:"),
    Planted(
        "one migrator at a time",
        "eventstore/migrate.py",
        '        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))\n',
        f"{SCHEMA}::test_many_that_migrate_at_once_do_it_once",
    ),
    Planted("a partition that may get more events stays", HELD, "WHERE head.reached < part.high", RETENTION, "WHERE false"),
    Planted("the oldest partition goes first", HELD, "AND o.dropped_at IS NULL", RETENTION, "AND false"),
    Planted(
        "nothing is dropped that is not exported whole",
        HELD,
        "HAVING coalesce(max(s.to_position), 0) < min(part.high)",
        RETENTION,
        "HAVING false",
    ),
    Planted("nothing is dropped before its followers", HELD, "WHERE f.position < part.high - 1", RETENTION, "WHERE false"),
    Planted(
        "nothing is dropped of what is open",
        HELD,
        "WHERE e.closed_at IS NULL AND coalesce(s.version, 0) < n.last_version",
        RETENTION,
        "WHERE false",
    ),
    Planted(
        "who goes on after the end is open",
        APPEND,
        "closed_at = CASE WHEN s.closes THEN clock_timestamp() END",
        RETENTION,
        "closed_at = coalesce(e.closed_at, CASE WHEN s.closes THEN clock_timestamp() END)",
    ),
    Planted("segments leave no hole", KEEP, "IF p_from <> ends THEN", RETENTION, "IF false THEN"),
    Planted("a segment has all events of its range", KEEP, " OR found <> p_events THEN", RETENTION, " THEN"),
    Planted(
        "the floor moves with the drop",
        "eventstore/migrations/drop_partition.sql",
        "    UPDATE es.log SET floor = part.to_position;\n",
        RETENTION,
    ),
    Planted(
        "a segment is read back before anything is dropped",
        "eventstore/retention.py",
        "if not (await self._proven(kept) and await self._partitions.keep(kept, spans)):",
        RETENTION,
        "if not await self._partitions.keep(kept, spans):",
    ),
    Planted("a segment is held against the rows", "eventstore/retention.py", "if read != rows:", RETENTION, "if False:"),
    Planted("the export is recorded", "eventstore/retention.py", "        await self._record(partition, 0, EXPORTED)\n", RETENTION),
    Planted("what is young stays", "eventstore/retention.py", "partition.age >= policy.age and ", RETENTION),
    Planted("the newest stay", "eventstore/retention.py", " and partition.behind >= policy.keep", RETENTION),
    Planted(
        "a segment is the one that was written", "eventstore/cold.py", "if sha256(body).hexdigest() != kept.sha256:",
        RETENTION, "if False:",
    ),
    Planted(
        "segments are read without a hole", "eventstore/cold.py",
        "if not kept.from_position <= (edge - 1 if newest_first else edge) < kept.to_position:", RETENTION, "if False:",
    ),
    Planted(
        "everything that follows is in the rule", "eventstore/migrations/following.sql",
        "FROM es.projection;", "tests/eventstore/test_retention.py", "FROM es.projection WHERE false;",
    ),
    Planted("a newer schema is refused", "eventstore/migrate.py", "        raise SchemaNewer(found, newest)\n", SCHEMA,
            "        pass\n"),
)  # fmt: skip


FAULTS = (*LOG, *RULES, *DOOR)


@dataclass(frozen=True)
class Verdict:
    fault: Planted
    said: str
    by: str
    seconds: float


_RUNNING: set[int] = set()
"""Process groups that play a fault now."""


def main(words: list[str]) -> int:
    names = [word for word in words if word[:2] != "--"]
    wanted = [each for each in FAULTS if not names or any(name in each.name for name in names)]
    if "--list" in words:
        print(*(each.name for each in FAULTS), sep="\n")
        return 0
    if not wanted:
        print(f"no planted fault has {' or '.join(names)} in its name; --list says which there are")
        return 2
    signal.signal(signal.SIGTERM, _end_all)
    with tempfile.TemporaryDirectory(prefix="nats3-planted-") as directory, ThreadPoolExecutor(PARALLEL) as pool:
        trees: Queue[Path] = Queue()
        for number in range(PARALLEL):
            trees.put(_copied(Path(directory) / str(number)))
        verdicts = list(pool.map(partial(_judge, trees), wanted))
    caught = sum(verdict.said == "caught" for verdict in verdicts)
    print(f"{caught} of {len(wanted)} planted faults caught")
    if "--record" in words and caught == len(FAULTS):
        _record(verdicts)
    return 0 if caught == len(wanted) else 1


def _copied(tree: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def _judge(trees: Queue[Path], fault: Planted) -> Verdict:
    """Plant it in a tree of our own for the time being."""
    tree = trees.get()
    file = tree / fault.file
    whole = file.read_text("utf-8")
    began = monotonic()
    said, by = "line not found", ""
    if fault.line in whole:
        file.write_text(whole.replace(fault.line, fault.instead, 1), "utf-8")
        said, by = _run(tree, fault.tests)
        file.write_text(whole, "utf-8")
    trees.put(tree)
    verdict = Verdict(fault, said, by, monotonic() - began)
    print(f"| {fault.name:46} | {said:14} | {verdict.seconds:5.1f} s | {by} |", flush=True)
    return verdict


def _record(verdicts: Sequence[Verdict]) -> None:
    """Write what was found where it can be read."""
    text = PAGE.read_text("utf-8")
    head = text[: text.index(HEAD)]
    rows = [f"| {each.fault.name} | `{each.fault.file}` | `{each.by}` |" for each in verdicts]
    PAGE.write_text(head + HEAD + "\n".join(rows) + "\n", "utf-8")


def _run(tree: Path, tests: str) -> tuple[str, str]:
    """Whether the tests failed, and the first that did."""
    if tests.startswith("row:"):
        return _play(tree, tests[4:])
    options = ("-q", "-x", "--no-header", "--durations=0", "-p", "no:cacheprovider")
    code, said = _bounded([sys.executable, "-m", "pytest", *options, *tests.split()], tree)
    failed = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR tests/"))]
    name = failed[0].partition(" ")[2].partition(" - ")[0].partition("[")[0] if failed else ""
    match code:
        case 0:
            return "SURVIVED", ""
        case None:
            return "caught", tests  # they hang
        case 1 if failed:
            return "caught", name
        case _:
            return f"pytest ended {code}", said[-300:]


def _play(tree: Path, row: str) -> tuple[str, str]:
    """The same by a row of the matrix, on servers of its own."""
    code, said = _bounded([sys.executable, "-m", "tests.faults", row], tree)
    if f"  failed: {row}" in said:
        return "caught", next(
            f"{path.relative_to(tree)}::{row}"
            for path in (tree / "tests/faults/rows").glob("*.py")
            if f"def {row}(" in path.read_text("utf-8")
        )
    return ("SURVIVED", "") if code == 0 else (f"it ended {code}", said[-300:])


def _end_all(number: int, frame: object) -> None:
    """What was planted may loop for ever: it does not outlive the one who planted it."""
    del frame
    for group in list(_RUNNING):
        os.killpg(group, signal.SIGKILL)
    os._exit(128 + number)


def _bounded(command: list[str], tree: Path) -> tuple[int | None, str]:
    """Exit code (None: it hung and was killed with all it had started) and what it printed."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree), "FAULTS_PYTHONPATH": str(tree)},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _RUNNING.add(process.pid)
        try:
            code = process.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        finally:
            _RUNNING.discard(process.pid)
        said.seek(0)
        return code, said.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What keeps the door of a node, each turned round: bodies that cost, a Postgres that hangs, tokens."""

from __future__ import annotations

from tests.faults.planting import Planted

DOOR = (
    Planted(
        "a large body is judged on the loop",
        "nats3/api/reading.py",
        "    if len(body) <= _AT_ONCE:\n",
        "tests/api/test_hostile_bodies.py -k off_the_loop",
        "    if True:\n",
    ),
    Planted(
        "every fault of a body is told",
        "nats3/api/errors.py",
        "tuple(faults[:MOST_FAULTS])",
        "tests/api/test_hostile_bodies.py -k counted",
        "tuple(faults)",
    ),
    Planted(
        "a list in a body has no end",
        "nats3/api/v2_orders.py",
        "    read_subjects: list[Filter] = Field(default_factory=list, max_length=MAX_LISTED)\n",
        "tests/api/test_hostile_bodies.py -k largest_length",
        "    read_subjects: list[Filter] = Field(default_factory=list)\n",
    ),
    Planted(
        "the query has no bound",
        "nats3/api/guard.py",
        'len(scope["path"]) + len(scope["query_string"])',
        "tests/api/test_guard.py -k one_bound",
        'len(scope["path"])',
    ),
    Planted(
        "who stands in line for Postgres tries in turn",
        "eventstore/connection.py",
        "            if self._silent_at > asked:\n",
        "tests/eventstore/test_connection.py -k in_line",
        "            if False:\n",
    ),
    Planted(
        "a probe waits for a Postgres that hangs",
        "nats3/api/door.py",
        "            async with asyncio.timeout(ADMISSION_S):\n",
        "tests/api/test_postgres_away.py -k probe",
        "            if True:\n",
    ),
    Planted(
        "any token may be the first",
        "nats3/api/v2_tokens.py",
        "    if first and not faults:\n",
        "tests/api/test_tokens.py -k can_make_another",
        "    if False:\n",
    ),
    Planted(
        "who guesses shuts out who has a token",
        "nats3/api/entrance.py",
        "        if wait and not await self._known.opens(bearer, cookie, self.now()):\n",
        "tests/api/test_rates.py -k guesses",
        "        if wait:\n",
    ),
    Planted(
        "what comes while a node begins is refused at once",
        "nats3/api/waiting.py",
        '        if not self._open.is_set() and scope.get("path") not in _OF_THE_PROCESS:\n',
        "tests/api/test_waiting.py -k answered_by_the_node",
        "        if False:\n",
    ),
)

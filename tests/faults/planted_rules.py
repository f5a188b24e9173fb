"""The safety rules of store, load and lease, each turned round: what tests/faults/planted.py plants beside those of the log."""

from __future__ import annotations

from tests.faults.planting import Planted

STORE = "tests/sim/test_store_lives.py -k on_record"
LOAD = "tests/sim/test_load_lives.py -k arrives_once"
FLOW = "nats3/work/store_flow.py"
BIND = "nats3/work/bind.py"
LOAD_FLOW = "nats3/work/load_flow.py"
SOURCE = "nats3/jetstream/source.py"
S3 = "nats3/objects/s3.py"
OUTGOING = "nats3/work/outgoing.py"
ORDER = "tests/sim/test_load_order.py"
REFUSALS = "tests/sim/test_load_refusals.py"
HEADERS = "tests/pure/test_headers.py"
OLDER = "tests/work/test_older_nodes.py"
NEWER = "tests/work/test_newer_events.py"

_STORED = """\
        for each in shipped:
            await each.stored
"""

RULES = (
    Planted("acknowledge before it is stored", FLOW, _STORED, STORE, "        await self._acknowledge(shipped)\n" + _STORED),
    Planted("append before the PUT is done", FLOW, _STORED, STORE),
    Planted("a chunk that was stored and not recorded is forgotten", BIND, "        await self._adopt()\n", STORE),
    Planted(
        "adopt without a link",
        "nats3/job/storing.py",
        "return candidate.previous_sha256 == state.tip and candidate.previous_seq >= state.cursor",
        STORE,
        "return True",
    ),
    Planted(
        "the stream is believed to be the same",
        "nats3/job/storing.py",
        "return seen.last >= state.cursor and seen.equal is not False",
        STORE,
        "return True",
    ),
    Planted(
        "a restored stream is believed to be the same",
        "nats3/job/storing.py",
        "return seen.newest == state.cursor and seen.equal is True and not seen.ahead",
        STORE,
        "return True",
    ),
    Planted("no gap at a bind", BIND, "        await self._run.emit(gap)\n", STORE),
    Planted(
        "no gap while running",
        "nats3/work/shipping.py",
        "gaps = () if self._bound.filtered else gaps_within(self._seen, sealed.batch.seqs)",
        STORE,
        "gaps = ()",
    ),
    Planted(
        "a consumer is used again",
        BIND,
        'name=f"{base}-{life.ordinal}-{self._claimed.fence}-{self._bind}"',
        STORE,
        "name=base",
    ),
    Planted(
        "whatever is delivered again is believed",
        FLOW,
        "            await self._require_the_same(last)\n",
        "tests/sim/test_store_binds.py",
        "            pass\n",
    ),
    Planted(
        "what may be missing of a part is not looked for",
        FLOW,
        "possible = await self._drops.over([each.chunk.header for each in shipped])",
        "tests/sim/test_store_binds.py",
        "possible: list[PossibleGap] = []",
    ),
    Planted(
        "whatever the consumer gives is believed",
        "nats3/work/shipping.py",
        "        await self._bound.consumer.require_unchanged()\n",
        "tests/sim/test_store_binds.py",
    ),
    Planted(
        "a late consumer stays",
        "nats3/work/own_consumer.py",
        "        await self._delete_older_of(there)\n",
        "tests/sim/test_store_binds.py",
    ),
    Planted(
        "a stream has room for one more consumer",
        BIND,
        "            if refused.code != ConsumerRefused.NO_ROOM:\n",
        "tests/sim/test_store_binds.py",
        "            if True:\n",
    ),
    Planted(
        "what is settled is not looked for in a redelivery",
        "nats3/work/intake.py",
        "        await self._drop_settled(known)\n",
        "row:killed_in_the_middle_of_draining_a_work_queue",
        "",
    ),
    Planted(
        "a chunk that cannot be compared ends the job",
        "nats3/work/archive.py",
        "await _confirmed(lambda: self.chunk(flushed), flushed.key, sleep)",
        "tests/sim/test_store_binds.py",
        "await self.chunk(flushed)",
    ),
    Planted(
        "an object key without activation and bind",
        "nats3/chunk/object_key.py",
        "{sha256[:16]}-{origin.activation}-{origin.bind}",
        "tests/chunk/test_object_key.py",
        "{sha256[:16]}-1-1",
    ),
    Planted("a lost delivery is not seen", SOURCE, "if delivery.dseq != self._last_dseq + 1:", "tests/jetstream/test_source.py", "if False:"),
    Planted(
        "a lost delivery is not seen in bulk",
        SOURCE,
        "if not rising or dseqs != list(range(first, first + len(dseqs))):",
        "tests/jetstream/test_source.py",
        "if not rising:",
    ),
    Planted("a 200 is believed", S3, "        await self._prove(upload)\n        self._meter", "tests/objects/test_put_faults.py", "        self._meter"),
    Planted(
        "what has the key already is believed to be ours",
        S3,
        "            await self._prove(upload)\n            return Put.ALREADY_THERE",
        "tests/objects/test_contract.py",
        "            return Put.ALREADY_THERE",
    ),
    Planted(
        "a work queue is drained unasked",
        BIND,
        "            self._require_drain()\n",
        "row:a_work_queue_is_refused_by_a_version_2_order",
    ),
    Planted("a load without message ids", OUTGOING, "Nats-Msg-Id: %b%b:%d", LOAD, "Nats3-Msg-Id: %b%b:%d"),
    Planted(
        "what was sent counts as acknowledged",
        "nats3/work/sent.py",
        "takewhile(lambda sent: sent.end <= acked, self._parts)",
        LOAD,
        "self._parts",
    ),
    Planted(
        "a load is complete before its acknowledgements are there",
        LOAD_FLOW,
        "            await self._publisher.drain()\n",
        "tests/sim/test_load_lives.py -k waited_for",
    ),
    Planted(
        "an exclusive load demands no place",
        "nats3/jetstream/publisher.py",
        "        if self._chain is not None:\n",
        "tests/jetstream",
        "        if False:\n",
    ),
    Planted(
        "a chunk is not the one that was recorded",
        "nats3/work/archive.py",
        "        require_recorded(decoded, flushed)\n",
        "row:a_whole_chunk_of_another_place_is_refused_although_its_hash_fits",
    ),
    Planted(
        "a chunk's hash is not compared",
        "nats3/chunk/decode.py",
        "if sha256 is not None and sha256_of(body).hexdigest() != sha256:",
        "tests/chunk/test_hostile_chunks.py -k recorded",
        "if False:",
    ),
    Planted(
        "the target is bound to nothing",
        "nats3/work/target.py",
        "        if info.created != bound.created:\n",
        "row:the_target_is_deleted_and_made_again_during_a_load",
        "        if False:\n",
    ),
    Planted("control headers act on the target", "nats3/headers.py", 'moved = block.replace(b"\\r\\nNats-", b"\\r\\nNats3-Orig-")', HEADERS, "moved = block"),
    Planted("a message that is too large is sent", OUTGOING, "    if sizes[largest] + limits.added > most:\n", "row:a_target_that_takes_less_than_the_source", "    if False:\n"),
    Planted(
        "any archived subject is published to",
        "nats3/subject.py",
        "def refusal(",
        "tests/pure/test_subject.py",
        "def refusal(*_, **__):\n    return None\n\n\ndef _refusal(",
    ),
    Planted(
        "a stream that was restored is another one",
        "nats3/work/load_plan.py",
        "Lineage(await self._index.lives(jobs)) if len(jobs) > 1 else Lineage()",
        "tests/sim/test_load_restored.py",
        "Lineage()",
    ),
    Planted(
        "what a branch has from before is published again",
        "nats3/work/pieces.py",
        "one.job_id != other.job_id and at_one_time",
        "tests/sim/test_load_restored.py",
        "one.job_id != other.job_id and one.created == other.created",
    ),
    Planted(
        "a store that is away is asked at full length",
        "nats3/objects/patient.py",
        "            self._outage.begin(fault.reason)\n",
        "tests/objects/test_outage.py",
        "            pass\n",
    ),
    Planted(
        "each who waits for a store asks it by himself",
        "nats3/objects/outage.py",
        "if self.is_on and self._questions == before:",
        "tests/objects/test_outage.py",
        "if self.is_on:",
    ),
    Planted(
        "a store that has just come back is waited for at full length",
        "nats3/objects/patient.py",
        "        return self._outage.hurry(self._count - self._before, sends)\n",
        "tests/objects/test_outage.py",
        "        return None\n",
    ),
    Planted(
        "a store that is slow is hurried for ever",
        "nats3/objects/outage.py",
        " or tries >= _HURRIES",
        "tests/objects/test_outage.py",
    ),
    Planted(
        "what a store says itself is an outage",
        "nats3/objects/patient.py",
        "not isinstance(fault, (Rejected, Unclear, _Hurried))",
        "tests/objects/test_outage.py",
        "True",
    ),
    Planted(
        "every job waits for a store by itself",
        "nats3/wiring.py",
        "Patient(s3, heard, outages=outages)",
        "row:jobs_of_one_store_wait_for_it_together",
        "Patient(s3, heard)",
    ),
    Planted(
        "an answer that was lost is looked for at full length",
        "nats3/objects/s3.py",
        "asyncio.timeout(self._settings.look_timeout)",
        "tests/objects/test_put_faults.py",
        "asyncio.timeout(None)",
    ),
    Planted(
        "each busy job asks for what fills its memory",
        "nats3/jetstream/inflow.py",
        "max(self.least, self._most // max(1, len(self._hungry)))",
        "tests/jetstream/test_pulls.py",
        "1 << 40",
    ),
    Planted("an outage ends a job", "nats3/work/endure.py", "    if isinstance(fault, Unavailable):\n", "tests/work/test_endure.py", "    if False:\n"),
    Planted(
        "a claim whose answer was lost is nobody's",
        "nats3/work/claiming.py",
        "            await self._give_back(wanted)\n",
        "tests/work/test_claiming.py",
        "            pass\n",
    ),
    Planted("a lease never ends", "nats3/work/lease.py", "return self._monotonic() < self._until", "tests/work/test_lease.py tests/sim/test_lease_lives.py", "return True"),
    Planted(
        "a node without a lease publishes",
        LOAD_FLOW,
        "        if not self._tools.lease.valid():\n",
        "tests/sim/test_lease_lives.py -k publishes",
        "        if False:\n",
    ),
    Planted("a run goes on under an order of a newer program", "nats3/work/office.py", ' if HISTORY.reads(event) else "handed_over"', OLDER),
    Planted("what a node cannot read it takes again and again", "nats3/work/office.py", " and job_id not in self._left", OLDER),
    Planted(
        "what others cannot read waits for their end",
        "nats3/work/office.py",
        "stranded = self._share.stranded(self.monotonic())",
        OLDER,
        "stranded: list[str] = []",
    ),
    Planted("what others cannot read is handed over to them", "nats3/work/share.py", " if run not in self._beyond", OLDER),
    Planted("an order is run as the view has it", "nats3/work/staff.py", "        await job_of(self.log, self.job_id)\n", NEWER),
    Planted(
        "an event that cannot be read is passed over",
        "nats3/work/journal.py",
        "            raise Unreadable(self._entity_id, fault) from fault\n",
        NEWER,
        "            return ()\n",
    ),
    Planted("a survey that cannot be read keeps others waiting", "nats3/work/surveyor.py", "        self._left.add(survey_id)\n", NEWER),
    Planted(
        "a rebuild writes under an order that it cannot read",
        "nats3/work/history_writer.py",
        "        if not all(map(HISTORY.reads, events)):\n",
        NEWER,
        "        if False:\n",
    ),
    Planted(
        "a view stands at an event of a newer program",
        "eventstore/projector.py",
        "                    await projection.let_go(self._link, view, mine)\n",
        "tests/eventstore/test_projection.py",
    ),
    Planted(
        "an order is changed of which only a newer program knows all",
        "nats3/api/commands.py",
        "            await self._require_readable(target.job_id)\n",
        "tests/api/test_newer_events.py",
    ),
    Planted(
        "a Parquet chunk is read in parts",
        "nats3/work/ranged.py",
        "flushed.codec in _IN_FRAMES and ",
        "tests/work/test_ranged.py",
    ),
    Planted("a target that is busy must be changed", LOAD_FLOW, "    if isinstance(fault, TargetBusy):\n", REFUSALS, "    if False:\n"),
    Planted(
        "what comes before a piece that may not be sent is forgotten",
        LOAD_FLOW,
        "            return Ready(piece, blocked, size_of(piece.batch))\n",
        REFUSALS,
        "            raise\n",
    ),
    Planted(
        "what is known behind what is sent now is not displaced",
        "nats3/work/displaced.py",
        "(run.before > beyond or each.target_seq",
        ORDER,
        "(each.target_seq",
    ),
    Planted("a strict load sends ahead", "nats3/jetstream/server.py", "replace(self._window, messages=1) if strict else ", "tests/jetstream/test_publisher.py"),
    Planted(
        "the last message of a target that stood out of order is believed",
        "nats3/work/target.py",
        " if in_order else Stand(0, 0, 0, -state.published)",
        ORDER,
    ),
    Planted(
        "an atomic batch does not wait for the one before it",
        "nats3/jetstream/atomic.py",
        "        await self._answered()\n        self._under_way = under_way\n",
        "tests/jetstream/test_atomic.py",
        "        self._under_way = under_way\n",
    ),
    Planted(
        "a value that later ones have replaced is published again",
        "nats3/work/present.py",
        "        return Known(seq, 0) if later >= self.per_subject else None\n",
        "tests/sim/test_load_last_values.py -k replaced_is_not",
        "        return None\n",
    ),
)  # fmt: skip

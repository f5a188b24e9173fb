"""What S3 may do wrong, and what an Endpoint makes of it. Rows F37 to F41 and F43 to F45 of the fault matrix."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access
from nats3.errors import Invalid, Unavailable
from nats3.objects.patient import Backoff, Patient
from nats3.objects.s3 import S3Settings, S3Store
from nats3.objects.store import AccessDenied, BucketMissing, ObjectDiffers, ObjectMissing, Put
from tests.faults.s3_proxy import (
    CHECKSUM,
    WEAK,
    Answer,
    Delay,
    FlipBit,
    Hang,
    Late,
    LoseAnswer,
    Rewrite,
    S3Proxy,
    SlowBody,
    Truncate,
    is_get,
    is_head,
    is_put,
)

BODY = random.Random(1).randbytes(100_000)
SHA = sha256(BODY).hexdigest()
PROBE = 12
"""Requests of a probe of a store that can do all."""


@dataclass
class Counting:
    """A Meter."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes_put: int = 0
    bytes_got: int = 0

    def put(self, size: int) -> None:
        self.bytes_put += size

    def got(self, size: int) -> None:
        self.bytes_got += size

    def request(self, operation: str) -> None:
        self.requests[operation] += 1


@dataclass
class Told:
    """A FaultSignal that remembers."""

    failures: list[tuple[str, str, int]] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)

    def failed(self, operation: str, reason: str, attempt: int) -> None:
        self.failures.append((operation, reason, attempt))

    def recovered(self, operation: str) -> None:
        self.recoveries.append(operation)


@dataclass
class Scene:
    """A store that reaches SeaweedFS through the proxy; its bucket is probed and the counters stand at zero."""

    proxy: S3Proxy
    store: S3Store
    bucket: str
    meter: Counting
    told: Told = field(default_factory=Told)
    waits: list[float] = field(default_factory=list)
    while_waiting: Callable[[], object] = lambda: None

    async def put(self, key: str = "k", body: bytes = BODY) -> Put:
        return await self.store.put_new(self.bucket, key, body, sha256(body).hexdigest())

    async def get(self, key: str = "k") -> bytes:
        return await self.store.get(self.bucket, key)

    def patient(self) -> Patient:
        return Patient(self.store, self.told, sleep=self._sleep, chance=lambda: 0.5)

    async def _sleep(self, seconds: float) -> None:
        """No time passes; what the test wants to happen meanwhile does."""
        self.waits.append(seconds)
        happening = self.while_waiting()
        if asyncio.iscoroutine(happening):
            await happening


@asynccontextmanager
async def scene_of(s3: S3Access, *rules: Rewrite, **changes: object) -> AsyncIterator[Scene]:
    async with S3Proxy(s3.endpoint, s3.access, s3.secret) as proxy:
        for rule in rules:
            proxy.always(rule)
        meter = Counting()
        settings = S3Settings(proxy.endpoint, s3.region, s3.access, s3.secret, **changes)
        async with S3Store.open(settings, meter) as store:
            await store.abilities(s3.bucket)
            proxy.requests.clear()
            meter.requests.clear()
            yield Scene(proxy, store, s3.bucket, meter)


@asynccontextmanager
async def unprobed(s3: S3Access) -> AsyncIterator[tuple[S3Proxy, S3Store]]:
    async with (
        S3Proxy(s3.endpoint, s3.access, s3.secret) as proxy,
        S3Store.open(S3Settings(proxy.endpoint, s3.region, s3.access, s3.secret)) as store,
    ):
        yield proxy, store


@pytest.fixture
async def scene(s3: S3Access) -> AsyncIterator[Scene]:
    async with scene_of(s3) as scene:
        yield scene


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own: the bucket is shared."""
    return f"faults/{sha256(request.node.name.encode()).hexdigest()}"


# Requests: how many, and how many at once


async def test_a_put_costs_one_put_and_one_head_and_a_get_one_get(scene: Scene, key: str) -> None:
    await scene.put(key)
    await scene.get(key)
    assert scene.meter.requests == {"put": 1, "head": 1, "get": 1}
    assert [request.method for request in scene.proxy.requests] == ["PUT", "HEAD", "GET"]
    assert (scene.meter.bytes_put, scene.meter.bytes_got) == (len(BODY), len(BODY))


async def test_the_bucket_is_probed_once_also_by_many_at_once(s3: S3Access) -> None:
    async with unprobed(s3) as (proxy, store):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(store.abilities(s3.bucket))
        assert len(proxy.requests) == PROBE


async def test_no_more_requests_are_in_flight_than_allowed(s3: S3Access, key: str) -> None:
    async with scene_of(s3, in_flight=3) as scene:
        await scene.put(key)
        scene.proxy.always(Delay(0.02))
        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(scene.get(key))
        assert scene.proxy.most_at_once == 3


async def test_the_vendor_makes_one_attempt(scene: Scene, key: str) -> None:
    scene.proxy.always(Answer(503, "SlowDown"))
    with pytest.raises(Unavailable, match="503 SlowDown"):
        await scene.get(key)
    assert len(scene.proxy.requests) == 1


async def test_a_body_larger_than_one_put_is_refused_before_anything_is_sent(s3: S3Access, key: str) -> None:
    async with scene_of(s3, largest_put=len(BODY) - 1) as scene:
        with pytest.raises(Invalid, match="order smaller chunks"):
            await scene.put(key)
        assert scene.proxy.requests == []


# F37: 500, 503, 429 at 30 %


async def test_errors_at_thirty_percent_end_in_success_at_a_bounded_rate(scene: Scene, key: str) -> None:
    dice = random.Random(7)
    for answer in (Answer(500, "InternalError"), Answer(503, "SlowDown"), Answer(429, "TooManyRequests")):
        scene.proxy.share(answer, 0.1, dice.random)
    store = scene.patient()
    for number in range(40):
        body = b"%d" % number
        await store.put_new(scene.bucket, f"{key}/{number}", body, sha256(body).hexdigest())
    for number in range(40):
        assert await store.get(scene.bucket, f"{key}/{number}") == b"%d" % number
    assert len(scene.waits) == len(scene.told.failures) > 20
    assert len(scene.proxy.requests) <= 3 * 40 + 3 * len(scene.waits)
    assert max(scene.waits) <= 0.5 * 3.0
    assert len(scene.told.recoveries) <= len(scene.told.failures)


# F38: done, and the answer lost


@pytest.mark.parametrize("fault", [LoseAnswer(), Answer(500, "InternalError", applied=True)])
async def test_a_put_whose_answer_was_lost_is_found_and_not_sent_again(
    scene: Scene, key: str, fault: LoseAnswer | Answer
) -> None:
    scene.proxy.always(fault, when=is_put)
    assert await scene.put(key) is Put.ALREADY_THERE
    assert await scene.get(key) == BODY


async def test_a_put_that_succeeds_and_then_hangs_is_found_after_the_read_timeout(s3: S3Access, key: str) -> None:
    async with scene_of(s3, read_timeout=0.3) as scene:
        scene.proxy.next(Hang(), when=is_put)
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            await scene.put(key)
        assert await scene.put(key) is Put.CREATED


async def test_a_retry_after_a_lost_answer_meets_its_own_success(scene: Scene, key: str) -> None:
    """The answers to the PUT and to the question after it are lost: the retry gets 412 for what it wrote itself."""
    scene.proxy.next(LoseAnswer(), times=2, when=is_put)  # the vendor's pool may send a PUT on a dead connection twice
    scene.proxy.next(Answer(503, "SlowDown"), when=is_head)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.ALREADY_THERE
    assert len(scene.told.failures) == 1
    assert await scene.get(key) == BODY


async def test_a_put_that_arrives_late_changes_nothing_any_more(scene: Scene, key: str) -> None:
    scene.proxy.next(Late(), times=2, when=is_put)
    with pytest.raises(Unavailable):
        await scene.put(key)
    with pytest.raises(ObjectMissing):
        await scene.get(key)
    assert await scene.put(key) is Put.CREATED
    await scene.proxy.land()
    assert await scene.get(key) == BODY


async def test_a_put_that_arrives_late_but_before_the_retry_is_already_there(scene: Scene, key: str) -> None:
    scene.proxy.next(Late(), times=2, when=is_put)
    scene.while_waiting = scene.proxy.land
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.ALREADY_THERE


async def test_a_412_is_compared_and_not_believed(scene: Scene, key: str) -> None:
    await scene.put(key, b"another writer was here")
    with pytest.raises(ObjectDiffers):
        await scene.put(key)
    assert await scene.get(key) == b"another writer was here"


async def test_a_412_without_an_object_is_a_passing_fault(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(412, "PreconditionFailed"), when=is_put)
    with pytest.raises(Unavailable, match="said to be there"):
        await scene.put(key)
    assert await scene.put(key) is Put.CREATED


# F39: a conflict of conditional requests


async def test_a_conflict_of_conditional_requests_is_tried_again(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(409, "ConditionalRequestConflict"), when=is_put)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert scene.told.failures == [("put", "409 ConditionalRequestConflict: ordered by the test", 1)]
    assert scene.told.recoveries == ["put"]


# F40: 200, and other bytes stored


def _truncated(body: bytes) -> bytes:
    return body[:-1]


def _flipped(body: bytes) -> bytes:
    return body[:50_000] + bytes([body[50_000] ^ 4]) + body[50_001:]


def _with_trailer(body: bytes) -> bytes:
    return b"186a0\r\n" + body + b"\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"


def _emptied(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("verify", ["probe", "checksum", "read_back"])
@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("damage", [_truncated, _flipped, _with_trailer, _emptied])
async def test_other_bytes_stored_under_a_200_are_never_a_success(
    s3: S3Access, key: str, damage: Callable[[bytes], bytes], *, echo: bool, verify: str
) -> None:
    async with scene_of(s3, verify=verify) as scene:
        scene.proxy.next(Rewrite(damage, echo=echo), when=is_put)
        with pytest.raises(ObjectDiffers):
            await scene.put(key)
        assert scene.meter.bytes_put == 0


async def test_a_checksum_taken_off_on_the_way_is_made_good_by_reading_back(scene: Scene, key: str) -> None:
    scene.proxy.next(Rewrite(drop=CHECKSUM), when=is_put)
    assert await scene.put(key) is Put.CREATED
    assert [request.method for request in scene.proxy.requests] == ["PUT", "HEAD", "GET"]


async def test_a_body_that_is_not_its_signed_checksum_is_refused_by_the_store(scene: Scene, key: str) -> None:
    with pytest.raises(Unavailable, match="400 BadDigest"):
        await scene.store.put_new(scene.bucket, key, _flipped(BODY), SHA)
    with pytest.raises(ObjectMissing):
        await scene.get(key)


async def test_a_200_without_any_object_is_no_success(scene: Scene, key: str) -> None:
    scene.proxy.next(Answer(200, "OK"), when=is_put)
    with pytest.raises(Unavailable, match="said to be there"):
        await scene.put(key)


# F41: damage on the way down


async def test_a_short_body_is_a_passing_fault_and_never_returned(scene: Scene, key: str) -> None:
    await scene.put(key)
    for keep in (0, 1, 5_000, len(BODY) - 1):
        scene.proxy.next(Truncate(keep), when=is_get)
        with pytest.raises(Unavailable):
            await scene.get(key)
    assert await scene.get(key) == BODY


async def test_a_short_range_with_an_honest_length_is_a_passing_fault(scene: Scene, key: str) -> None:
    await scene.put(key)
    scene.proxy.next(Truncate(10, honest=True), when=is_get)
    with pytest.raises(Unavailable, match="got 10 of 10"):
        await scene.store.get(scene.bucket, key, 100, 50)
    assert await scene.store.get(scene.bucket, key, 100, 50) == BODY[100:150]


@pytest.mark.parametrize("at", [0, 1, 49_999, len(BODY) - 1])
async def test_a_flipped_bit_is_seen_by_whoever_compares_the_hash(scene: Scene, key: str, at: int) -> None:
    await scene.put(key)
    scene.proxy.next(FlipBit(at, bit=at % 8), when=is_get)
    assert sha256(await scene.get(key)).hexdigest() != SHA
    assert sha256(await scene.get(key)).hexdigest() == SHA


async def test_a_flipped_bit_in_the_read_back_is_not_taken_for_proof(s3: S3Access, key: str) -> None:
    async with scene_of(s3, verify="read_back") as scene:
        scene.proxy.next(FlipBit(7), when=is_get)
        with pytest.raises(ObjectDiffers):
            await scene.put(key)


async def test_a_body_that_drips_meets_the_deadline(s3: S3Access, key: str) -> None:
    async with scene_of(s3, deadline=0.4, slowest=1_000_000_000) as scene:
        await scene.put(key)
        scene.proxy.next(SlowBody(piece=100, seconds=0.05), when=is_get)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await scene.get(key)
        assert await scene.get(key) == BODY


# F43: what is not allowed


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (403, "AnythingElse"),
        (401, "Unauthorized"),
    ],
)
async def test_what_is_denied_says_why_is_not_retried_and_resumes(
    scene: Scene, key: str, status: int, code: str
) -> None:
    scene.proxy.always(Answer(status, code))
    with pytest.raises(AccessDenied, match=code) as denied:
        await scene.patient().put_new(scene.bucket, key, BODY, SHA)
    assert (denied.value.bucket, denied.value.action) == (scene.bucket, "put")
    assert (len(scene.proxy.requests), scene.waits) == (1, [])
    scene.proxy.clear()
    assert await scene.put(key) is Put.CREATED


async def test_a_wrong_secret_is_denied_by_the_real_server(s3: S3Access) -> None:
    async with S3Store.open(S3Settings(s3.endpoint, s3.region, s3.access, "wrong")) as store:
        with pytest.raises(AccessDenied, match="SignatureDoesNotMatch"):
            await store.get(s3.bucket, "k")
        with pytest.raises(AccessDenied):
            await store.bucket_exists(s3.bucket)


async def test_the_credential_chain_is_asked_when_no_keys_are_given(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    async with S3Store.open(S3Settings(s3.endpoint, s3.region)) as store:
        assert await store.bucket_exists(s3.bucket)


async def test_no_credentials_anywhere_is_denied(s3: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    async with S3Store.open(S3Settings(s3.endpoint, s3.region)) as store:
        with pytest.raises(AccessDenied, match="credentials"):
            await store.get(s3.bucket, "k")


async def test_a_bucket_that_is_gone_is_named(scene: Scene, key: str) -> None:
    scene.proxy.always(Answer(404, "NoSuchBucket"))
    with pytest.raises(BucketMissing):
        await scene.put(key)


# F44: a store without conditions and checksums


@asynccontextmanager
async def weak_scene_of(s3: S3Access) -> AsyncIterator[Scene]:
    async with scene_of(s3, Rewrite(drop=WEAK)) as scene:
        yield scene


async def test_the_probe_finds_out_what_a_store_ignores(s3: S3Access) -> None:
    async with scene_of(s3) as strong, weak_scene_of(s3) as weak:
        can, cannot = await strong.store.abilities(s3.bucket), await weak.store.abilities(s3.bucket)
    assert (can.conditions, can.checksums, can.told, can.reads_own_writes, can.deletes) == (True,) * 5
    assert (cannot.conditions, cannot.checksums, cannot.told) == (False,) * 3
    assert (can.must_read_back, cannot.must_read_back) == (False, True)


async def test_a_weak_store_is_read_back_and_not_overwritten(s3: S3Access, key: str) -> None:
    async with weak_scene_of(s3) as scene:
        assert await scene.put(key) is Put.CREATED
        assert [request.method for request in scene.proxy.requests] == ["GET", "PUT", "GET"]
        assert await scene.put(key) is Put.ALREADY_THERE
        with pytest.raises(ObjectDiffers):
            await scene.put(key, b"other")
        assert await scene.get(key) == BODY


async def test_a_store_that_refuses_the_guards_outright_is_not_sent_them(s3: S3Access, key: str) -> None:
    async with unprobed(s3) as (proxy, store):
        for guard in ("if-none-match", "x-amz-checksum-sha256"):
            proxy.always(Answer(501, "NotImplemented"), when=lambda request, guard=guard: bool(request.header(guard)))
        assert await store.put_new(s3.bucket, key, BODY, SHA) is Put.CREATED


async def test_an_outage_during_the_probe_teaches_nothing(s3: S3Access, key: str) -> None:
    async with unprobed(s3) as (proxy, store):
        for position in range(1, PROBE + 1):
            bad = len(proxy.requests) + position
            proxy.next(Answer(503, "SlowDown"), when=lambda _, bad=bad: len(proxy.requests) == bad)
            with pytest.raises(Unavailable):
                await store.put_new(s3.bucket, key, BODY, SHA)
        assert (await store.abilities(s3.bucket)).conditions


# F45 and outages


@pytest.mark.parametrize(
    "answer", [Answer(507, "InsufficientStorage"), Answer(429, "TooManyRequests"), Answer(400, "RequestTimeout")]
)
async def test_what_passes_is_waited_out(scene: Scene, key: str, answer: Answer) -> None:
    scene.proxy.next(answer, times=5, when=is_put)
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert [attempt for _, _, attempt in scene.told.failures] == [1, 2, 3, 4, 5]
    assert scene.told.recoveries == ["put"]


async def test_an_endpoint_that_is_away_is_waited_for_and_found_again(scene: Scene, key: str) -> None:
    await scene.proxy.refuse()

    async def back_after_ten() -> None:
        if len(scene.waits) == 10:
            await scene.proxy.accept()

    scene.while_waiting = back_after_ten
    assert await scene.patient().put_new(scene.bucket, key, BODY, SHA) is Put.CREATED
    assert len(scene.told.failures) == 10


def test_no_wait_is_longer_than_recovery_may_take() -> None:
    """Within 5 s of the store's return: the wait that was just begun, and one connection attempt that hung."""
    longest = max(Backoff().wait(attempt, 0.999999) for attempt in range(1, 10_000))
    assert longest + S3Settings().connect_timeout <= 5.0

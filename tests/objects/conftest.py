"""One bucket for each file of this room: SeaweedFS gives every bucket volumes of its own, and those are counted."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

import pytest

from nats3.dev.s3_server import S3Access, S3Server
from tests.conftest import Keeper
from tests.objects.scene import Scene, scene_of


@pytest.fixture(scope="module")
def shared_bucket(keeper: Keeper, session_s3: S3Server) -> str:
    bucket = f"objects-{uuid.uuid4().hex}"
    keeper.run(session_s3.make_bucket(bucket))
    return bucket


@pytest.fixture
def s3(shared_bucket: str, session_s3: S3Server) -> S3Access:
    return replace(session_s3.access, bucket=shared_bucket)


@pytest.fixture
async def scene(s3: S3Access) -> AsyncIterator[Scene]:
    async with scene_of(s3) as scene:
        yield scene


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own: the bucket is shared."""
    return f"faults/{sha256(request.node.name.encode()).hexdigest()}"

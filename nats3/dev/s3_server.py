"""SeaweedFS as one process out of its wheel: master, volume, filer and the S3 gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from nats3.dev import binaries, sigv4
from nats3.dev.errors import NotReady
from nats3.dev.ports import GRPC_OFFSET, LOOPBACK, free_port
from nats3.dev.process import Command
from nats3.dev.server import Server, own_secret

REGION = "us-east-1"
ACCESS = "nats3"
PARTS = ("master", "volume", "filer", "admin")
"""The admin part listens for gRPC even when its pages are off."""
OFF = ("-admin.ui=false", "-webdav=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
"""Parts that nobody asked for; the telemetry would tell its makers of every start."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach an S3 endpoint. `bucket` exists."""

    endpoint: str
    region: str
    access: str
    secret: str
    bucket: str = ""


class S3Server(Server):
    """An S3 endpoint with one key that may do everything."""

    name: ClassVar[str] = "seaweedfs"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._part_ports: dict[str, int] = {}

    @property
    def access(self) -> S3Access:
        return S3Access(f"http://{LOOPBACK}:{self.port}", REGION, ACCESS, own_secret(self.directory))

    async def make_bucket(self, name: str) -> None:
        """Nothing happens when it is there."""
        status = await sigv4.request(self.access, "PUT", f"/{name}")
        if status not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
            raise NotReady(f"PUT /{name} answered {status}")

    @override
    def _choose_ports(self) -> None:
        """All of them ours: left to itself it looks for free ones too, and two that start at once find the same."""
        self.port = free_port(GRPC_OFFSET)
        self._part_ports = {part: free_port(GRPC_OFFSET) for part in PARTS}

    @override
    def _ports(self) -> Sequence[int]:
        return [port + offset for port in (self.port, *self._part_ports.values()) for offset in (0, GRPC_OFFSET)]

    @override
    def _command(self) -> Command:
        ports = {"s3": self.port, **self._part_ports}
        return Command(
            binaries.weed(),
            (
                "mini",
                *("-dir", str(self.directory), "-ip", LOOPBACK, "-ip.bind", LOOPBACK, *OFF),
                *(f"-{part}.port={port}" for part, port in ports.items()),
                *(f"-{part}.port.grpc={port + GRPC_OFFSET}" for part, port in ports.items()),
                f"-filer.localSocket={self.directory / 'filer.sock'}",
                # Each bucket takes volumes of its own; with the default of a small disk PUT fails at about 75 buckets.
                "-volume.max=5000",
            ),
            directory=self.directory,
            log=self.log,
            environment={
                "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": own_secret(self.directory),
                "HOME": str(self.directory),
                "TMPDIR": str(self.directory),
            },
        )

    @override
    async def _ask(self) -> None:
        """ListBuckets. The key tells whether this is not another's server on our port."""
        status = await sigv4.request(self.access, "GET", "/")
        if status != HTTPStatus.OK:
            raise NotReady(f"ListBuckets answered {status}")

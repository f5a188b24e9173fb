"""Free ports of 127.0.0.1, below the range from which the system takes ports for outgoing connections.

A server that comes back wants its old port, so it keeps a sign on it while it is down: a name in Linux' abstract
namespace of sockets, which every process sees and which goes with its owner.
"""

from __future__ import annotations

import os
import socket
import sys
import weakref
from collections.abc import Iterable
from random import SystemRandom

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 10_240, 22_000
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC that far above each of its HTTP ports."""

_ATTEMPTS = 1_000
_chance = SystemRandom()


def free_port(*offsets: int) -> int:
    """A port such that it, and each port `offsets` above it, has no listener now and is nobody's that is down.

    Another process may take it before its server does: every server proves that it is itself when it says ready.
    """
    for _ in range(_ATTEMPTS):
        port = _chance.randrange(LOWEST, HIGHEST)
        if all(is_free(port + offset) and not is_kept(port + offset) for offset in (0, *offsets)):
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST} on {LOOPBACK}")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def own_port(owner: object) -> int:
    """A free port with a sign on it for as long as `owner` lives."""
    while not keep([port := free_port()], owner):
        pass
    return port


def keep(ports: Iterable[int], owner: object) -> bool:
    """Put signs on all of them for as long as `owner` lives; False, and none, where another one's sign is."""
    signs: list[int] = []
    for port in ports:
        sign = _sign(port)
        if sign is None:
            for each in signs:
                os.close(each)
            return False
        signs += sign
    for each in signs:
        weakref.finalize(owner, os.close, each)
    return True


def is_kept(port: int) -> bool:
    """Whether a server that may be down just now wants to come back there."""
    sign = _sign(port)
    for each in sign or ():
        os.close(each)
    return sign is None


def _sign(port: int) -> list[int] | None:
    """A descriptor that holds the name of the port, none where the system has no such names; None when it is taken."""
    if sys.platform != "linux":
        return []
    with socket.socket(socket.AF_UNIX) as sign:
        try:
            sign.bind(f"\0nats3-port-{port}")
        except OSError:
            return None
        return [sign.detach()]

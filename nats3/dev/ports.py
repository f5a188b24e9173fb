"""Free ports of 127.0.0.1, below the range from which the system takes ports for outgoing connections."""

from __future__ import annotations

import socket
from random import SystemRandom

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 10_240, 22_000
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC that far above each of its HTTP ports."""

_ATTEMPTS = 1_000
_chance = SystemRandom()


def free_port(*offsets: int) -> int:
    """A port such that it, and each port `offsets` above it, has no listener now.

    Another process may take it before its server does: every server proves that it is itself when it says ready.
    """
    for _ in range(_ATTEMPTS):
        port = _chance.randrange(LOWEST, HIGHEST)
        if all(is_free(port + offset) for offset in (0, *offsets)):
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

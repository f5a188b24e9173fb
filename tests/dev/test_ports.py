"""Ports of servers: nobody's outgoing connection sits on them, and one that is down finds its own again."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nats3.dev import ports
from nats3.dev.ports import GRPC_OFFSET, HIGHEST, LOOPBACK, LOWEST, free_port, is_kept, keep, own_port

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Owner:
    """Of a port; it may be down."""


@pytest.fixture
def only_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """The one that `free_port` may choose."""
    port = free_port()
    monkeypatch.setattr(ports, "LOWEST", port)
    monkeypatch.setattr(ports, "HIGHEST", port + 1)
    return port


@pytest.mark.skipif(not OUTGOING.exists(), reason="only Linux says which ports it takes for outgoing connections")
def test_no_outgoing_connection_can_sit_on_a_port_of_a_server() -> None:
    first, last = map(int, OUTGOING.read_text("ascii").split())
    assert first >= HIGHEST + GRPC_OFFSET or last < LOWEST


def test_a_port_with_a_listener_is_not_offered(only_port: int) -> None:
    assert free_port() == only_port
    with socket.create_server((LOOPBACK, only_port)), pytest.raises(OSError, match="no free port"):
        free_port()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that go with their owner")
def test_a_port_whose_server_is_down_is_offered_to_nobody_while_its_owner_lives(only_port: int) -> None:
    owner = Owner()
    assert keep([only_port], owner)
    assert not keep([only_port], Owner())
    with pytest.raises(OSError, match="no free port"):
        free_port()
    asked = subprocess.run(
        [sys.executable, "-c", f"from nats3.dev.ports import is_kept; print(is_kept({only_port}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout == "True\n"
    del owner
    assert free_port() == only_port


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that go with their owner")
def test_a_port_of_one_s_own_is_kept() -> None:
    owner = Owner()
    assert is_kept(own_port(owner))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that go with their owner")
def test_of_several_ports_all_are_kept_or_none(only_port: int) -> None:
    owner = Owner()
    assert keep([only_port + 1], owner)
    assert not keep([only_port, only_port + 1], Owner())
    assert not is_kept(only_port)

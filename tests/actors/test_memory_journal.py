from __future__ import annotations

from actors.journal import Journal
from actors.testing import MemoryLog
from tests.contract.journal_contract import Event, JournalContract


class TestMemoryJournal(JournalContract):
    def setup_method(self) -> None:
        self.log: MemoryLog[Event] = MemoryLog()

    async def claim(self, entity: str) -> Journal[Event]:
        return self.log.claim(entity)

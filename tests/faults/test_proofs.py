"""The proofs themselves, in small: `make faults` plays them at the size that counts."""

from __future__ import annotations

import pytest

from tests.faults.proofs import PROOFS, Size, Spell, _judge_spells


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_every_proof_runs() -> None:
    said = {name: await proof(7, Size(events=4000, lives=20)) for name, proof in PROOFS.items()}
    assert said["order"].startswith("4000 events")
    assert said["log-lives"].startswith("20 lives from seed 7, none wrong")


@pytest.mark.parametrize(
    "spells",
    [
        [Spell(0.0, 1.0, 5, 6), Spell(2.0, 3.0, 1, 2)],
        [Spell(0.0, 3.0, 1, 9), Spell(1.0, 2.0, 4, 5)],
    ],
)
def test_positions_out_of_the_order_of_commits_are_noticed(spells: list[Spell]) -> None:
    with pytest.raises(AssertionError):
        _judge_spells(spells)

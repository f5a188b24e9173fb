"""`python -m tests.faults [sim|log|kills|rows|api|planted|swarm|figures|fuzz|report]`: the proof, whole or one part of it.

Without a part all are run, one after the other; another word plays the rows that it names. Each part prints its seed,
its count and its duration. `--keep` writes what was found into tests/faults/results.json, `report` puts that into the page.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.faults import api_part, figures, kills, matrix, planted, proofs, results, rows_part, simulate
from tests.faults.registry import ROWS
from tests.fuzz import __main__ as fuzz

HISTORIES = 1_000_000
REQUESTS = 200_000
FUZZ_MINUTES = 5.0
say = partial(print, flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.replace("`", ""))
    made.add_argument(
        "words", nargs="*", metavar="PART|ROW", help=f"{', '.join(PARTS)}; or rows, by name, number or module"
    )
    made.add_argument("--seed", type=int, help="of everything that is left to chance; printed in any case")
    made.add_argument("--list", action="store_true", help="what there is to play")
    made.add_argument("--keep", action="store_true", help="write the result into tests/faults/results.json")
    made.add_argument("--count", type=int, default=HISTORIES, help="sim: histories")
    made.add_argument("--replay", metavar="KIND/SEED", help="sim: one history again, told line by line")
    made.add_argument("--rounds", type=int, default=kills.ROUNDS, help="kills: how often every combination is played")
    made.add_argument("--share", type=float, help="kills: a sample instead, in percent of a whole run")
    made.add_argument("--only", help="kills: scenes that begin so")
    made.add_argument(
        "--minutes", type=float, help="how long it goes on: swarm 1, fuzz 5 unless said; kills and sim at most"
    )
    made.add_argument("--requests", type=int, default=REQUESTS, help="api: how many are asked")
    made.add_argument("--samples", type=int, default=20, help="figures: of each kind")
    return made


def sim(given: argparse.Namespace) -> int:
    if given.replay:
        return 1 if simulate.replay(given.replay, say) else 0
    say(f"sim: seed {given.seed}, {given.count} histories")
    done = simulate.simulate(given.count, given.seed, say, given.minutes * 60)
    say(simulate.told(done))
    rows = [
        _row(f"simulated histories: {kind}", count, _bad(done, kind), given.seed, done.seconds)
        for kind, count in sorted(done.counts.items())
    ]
    _keep(given, "sim", {"rows": rows})
    return 1 if done.wrong else 0


def _bad(done: simulate.Simulated, kind: str) -> int:
    return sum(each[0] == kind for each in done.wrong)


def run_kills(given: argparse.Namespace) -> int:
    chance = random.Random(given.seed)
    worlds = kills.sample(chance, given.share / 100) if given.share else kills.planned(chance, given.rounds)
    worlds = [each for each in worlds if each[0].startswith(given.only or "")]
    say(f"kills: seed {given.seed}, {sum(len(strikes) for _, strikes in worlds)} strikes in {len(worlds)} worlds")
    tally = asyncio.run(kills.run(worlds, given.seed, say, within_s=given.minutes * 60))
    say(kills.told(tally))
    rows = [
        _row(f"strikes: {action}", count, 0, given.seed, tally.seconds)
        for action, count in sorted(tally.strikes.items())
    ]
    acknowledged, published = tally.counts["acknowledged"], tally.counts["published"]
    rows += [
        _row("worlds of strikes, each checked whole", tally.worlds, len(tally.failures), given.seed, tally.seconds),
        _row(
            "messages acknowledged to a producer and looked for after the strikes",
            acknowledged,
            0,
            given.seed,
            tally.seconds,
        ),
        _row("messages published by loads and compared with their plan", published, 0, given.seed, tally.seconds),
    ]
    _keep(given, "kills", {"rows": rows})
    return 1 if tally.failures else 0


def rows(given: argparse.Namespace) -> int:
    return rows_part.run(given.words, given.seed, given.keep)


def run_planted(given: argparse.Namespace) -> int:
    return planted.main([*given.words, *(["--record"] if given.keep else [])])


def api(given: argparse.Namespace) -> int:
    say(f"api: seed {given.seed}, {given.requests} requests")
    asked = api_part.ask(given.requests, given.seed, say)
    what = "requests by every role to every route, held against the OpenAPI document"
    _keep(given, "api", {"rows": [_row(what, asked.requests, len(asked.faults), given.seed, asked.seconds)]})
    return 1 if asked.faults else 0


def log(given: argparse.Namespace) -> int:
    return asyncio.run(proofs.main([*given.words, "--seed", str(given.seed)]))


def swarm(given: argparse.Namespace) -> int:
    return rows_part.run_swarm(1.0 if given.minutes == math.inf else given.minutes, given.seed, given.keep)


def run_figures(given: argparse.Namespace) -> int:
    say(f"figures: seed {given.seed}, {given.samples} samples of each")
    found = asyncio.run(figures.measure(given.samples, given.seed, say))
    _keep(given, "figures", {"rows": [], "figures": found})
    return 0 if all(each["holds"] for each in found) else 1


def run_fuzz(given: argparse.Namespace) -> int:
    """Coverage-guided, so its seed is the corpus: `seed` says nothing here."""
    if not fuzz.available():
        say(f"fuzz: skipped, {fuzz.MISSING}")
        return 0
    minutes = FUZZ_MINUTES if math.isinf(given.minutes) else given.minutes
    each = max(1, round(60 * minutes / len(fuzz.NAMES)))
    found, failed = [], 0
    for name in fuzz.NAMES:
        withstood, said = fuzz.apart(name, each)
        say(f"fuzz: {name}: {fuzz.inputs_of(said)} inputs, {'withstood' if withstood else said[-3000:]}")
        failed += not withstood
        found.append(_row(f"fuzzed: {name}", fuzz.inputs_of(said), int(not withstood), 0, each))
    _keep(given, "fuzz", {"rows": found})
    return 1 if failed else 0


def report(given: argparse.Namespace) -> int:
    del given
    results.write_page()
    say(results.table())
    return 0


PARTS: dict[str, Callable[[argparse.Namespace], int]] = {
    "sim": sim,
    "kills": run_kills,
    "rows": rows,
    "api": api,
    "log": log,
    "planted": run_planted,
    "swarm": swarm,
    "figures": run_figures,
    "fuzz": run_fuzz,
    "report": report,
}
WHOLE = ("rows", "kills", "api", "planted", "swarm", "figures", "log", "fuzz", "sim")


def _row(what: str, trials: int, failures: int, seed: int, seconds: float) -> dict[str, Any]:
    return {"what": what, "trials": trials, "failures": failures, "seed": seed, "seconds": round(seconds)}


def _keep(given: argparse.Namespace, part: str, found: dict[str, Any]) -> None:
    if given.keep:
        results.keep(part, found)


def listed() -> str:
    lines = [f"part       {name}" for name in PARTS]
    lines += [f"{each.room:10} {each.name}  {' '.join(each.covers)}" for each in ROWS.values()]
    return "\n".join([*lines, matrix.table({})])


def main(words: list[str]) -> int:
    given = parser().parse_args(words)
    given.minutes = math.inf if given.minutes is None else given.minutes
    given.seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    if given.list:
        print(listed())
        return 0
    if not given.words:
        return max([PARTS[name](given) for name in WHOLE])
    if given.words[0] in PARTS:
        part = given.words.pop(0)
        return PARTS[part](given)
    return rows(given)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)

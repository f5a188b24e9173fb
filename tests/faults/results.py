"""What the last runs found, kept beside the tests: docs/guarantees.md prints it, and nobody writes numbers by hand.

One JSON object, a member per part: seed, trials, failures, seconds, and what else the part has to say.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from time import gmtime, strftime
from typing import Any

FILE = Path(__file__).with_name("results.json")
GUARANTEES = Path(__file__).parents[2] / "docs/guarantees.md"
BEGIN, END = "<!-- trials: begin -->", "<!-- trials: end -->"


def known() -> dict[str, Any]:
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}


def keep(part: str, found: dict[str, Any]) -> None:
    """Only a run that was asked to (`--keep`) changes the file; what ran, and when, it says by itself."""
    found = {**found, "commit": _commit(), "date": strftime("%Y-%m-%d", gmtime())}
    FILE.write_text(json.dumps({**known(), part: found}, indent=1, sort_keys=True) + "\n", "utf-8")


def _commit() -> str:
    """The commit of the tree that ran, with a + where it was changed."""
    asked = ("git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+")
    return subprocess.run(asked, cwd=FILE.parent, capture_output=True, text=True, check=True).stdout.strip()


def bound(trials: int) -> str:
    """No failure in n trials: with 95 % confidence the chance of one is below 3/n."""
    return f"{3 / trials:.1e}" if trials else "-"


def table() -> str:
    """As docs/guarantees.md has it between its marks."""
    lines = [
        "| what was tried | trials | failures | below, with 95 % confidence | seed | took | commit, date |",
        "|---|---|---|---|---|---|---|",
    ]
    for part, row in ((each, row) for each in known().values() for row in each["rows"]):
        limit = bound(row["trials"]) if not row["failures"] else "-"
        lines.append(
            f"| {row['what']} | {row['trials']:,} | {row['failures']} | {limit} | {row['seed']} | {row['seconds']:.0f} s"
            f" | {part.get('commit', '')}, {part.get('date', '')} |"
        )
    figures = [row for part in known().values() for row in part.get("figures", [])]
    if figures:
        lines += [
            "",
            "| back to flowing after | samples | p50 | p90 | p99 | longest | goal |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {each['what']} | {each['samples']} | {each['p50']:.1f} s | {each['p90']:.1f} s | {each['p99']:.1f} s"
            f" | {each['longest']:.1f} s | {each['goal']} |"
            for each in figures
        ]
    return "\n".join(lines)


def write_page() -> None:
    """Put the table into the page."""
    text = GUARANTEES.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    GUARANTEES.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", "utf-8")

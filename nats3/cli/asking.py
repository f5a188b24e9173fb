"""`--interactive`: ask for what was not given. Questions go to stderr, since stdout carries data alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nats3.cli.exits import Exit, Refused
from nats3.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

Interactive = Annotated[bool, Parameter(name=("--interactive", "-i"), negative=(), help="Ask for what is not given.")]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for a field; where it is not needed, Enter leaves it out."""

    field: str
    text: str
    needed: bool = False
    choices: tuple[str, ...] = ()


def answers(output: Output, questions: Sequence[Question]) -> dict[str, str]:
    """What was answered, by field. Raises Refused when the answers end."""
    from rich.console import Console  # noqa: PLC0415 - only who is asked pays for it

    console = Console(file=output.stderr, highlight=False, no_color=not output.stderr.isatty())
    try:
        told = {each.field: _answer(console, each) for each in questions}
    except EOFError:
        raise Refused(Exit.USAGE, "the answers ended before all was asked") from None
    return {field: answer for field, answer in told.items() if answer}


def _answer(console: Console, question: Question) -> str:
    from rich.prompt import Prompt  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    text = Text(question.text if question.needed else f"{question.text} (optional)")
    while True:
        answer = Prompt.ask(text, console=console, show_choices=False, default="", show_default=False).strip()
        if question.choices and answer and answer not in question.choices:
            console.print(Text(f"give one of {', '.join(question.choices)}"))
        elif answer or not question.needed:
            return answer

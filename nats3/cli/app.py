"""The command line: global options before or after the command, every command loaded when it is called."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

from nats3 import __version__
from nats3.cli import preferences
from nats3.cli.exits import Exit, Refused
from nats3.cli.output import FORMS, Form, standard
from nats3.cli.session import Session
from nats3.errors import Nats3Error

DEFAULT_SERVER = "http://127.0.0.1:8080"
SERVER_HELP = f"URL of the server; else NATS3_URL, else what `config set server-url` kept, else {DEFAULT_SERVER}."
FILE_HELP = "File that holds the token to show to the server; else NATS3_TOKEN."
OUTPUT_HELP = "Form of data; else NATS3_OUTPUT, else what `config set output-format` kept, else table."
HELP = "Keep NATS JetStream messages in S3 for good, and play them back exactly."

# Loaded by name: the help and the commands that speak HTTP import no server code.
COMMANDS = (
    ("store", "nats3.cli.store:app", "Order and steer store jobs: from a stream into a bucket."),
    ("load", "nats3.cli.load:app", "Order and steer load jobs: from a bucket into a stream."),
    ("job", "nats3.cli.audit:job", "What happened to a job."),
    ("events", "nats3.cli.audit:events", "Read the event log."),
    ("chunks", "nats3.cli.chunks:app", "What lies in the buckets, and what is in it."),
    ("streams", "nats3.cli.streams:app", "Streams of NATS, and what of each is archived."),
    ("nodes", "nats3.cli.nodes:app", "The processes that run jobs."),
    ("log", "nats3.cli.log:app", "What of the event log is in Postgres, and what moved into a bucket."),
    ("projections", "nats3.cli.projections:app", "The tables made from the event log."),
    ("archive", "nats3.cli.archive:app", "Hold buckets and index together: verify, rebuild the index."),
    ("db", "nats3.cli.database:app", "The schema of the event log in Postgres."),
    ("token", "nats3.cli.token:app", "Make, list and revoke tokens."),
    ("config", "nats3.cli.settings:app", "Show and check the settings of the server; keep some for this command line."),
    ("completion", "nats3.cli.completion:completion", "Complete commands and options in bash, zsh or fish."),
    ("serve", "nats3.cli.serving:serve", "Run the server."),
    ("dev", "nats3.dev.command:dev", "Run the server with a NATS, a Postgres and an S3 of its own."),
    ("demo", "nats3.dev.command:demo", "See a year of flights leave a stream for S3 and come back."),
)

app = App(
    name="nats3",
    help=HELP,
    version=__version__,
    help_format="plaintext",
    print_error=False,
    exit_on_error=False,
)
app.meta.suppress_keyboard_interrupt = False  # `main` gives the exit code
for _name, _path, _help in COMMANDS:
    app.command(_path, name=_name, help=_help)


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    server: Annotated[str | None, Parameter(help=SERVER_HELP)] = None,
    output: Annotated[Form | None, Parameter(name=("--output", "-o"), help=OUTPUT_HELP)] = None,
    token_file: Annotated[Path | None, Parameter(help=FILE_HELP)] = None,
) -> int:
    """Find the command, give it the session, run it."""
    command, bound, ignored = app.parse_args(tokens)
    if not ignored and (server or output or token_file):
        raise Refused(Exit.USAGE, "--server, --output and --token-file mean nothing to this command")
    given = {name: _session(server, output, token_file) for name in ignored}
    result: object = command(*bound.args, **bound.kwargs, **given)
    return result if isinstance(result, int) else Exit.OK


def _session(server: str | None, output: str | None, token_file: Path | None) -> Session:
    form, url = output or os.environ.get("NATS3_OUTPUT"), server or os.environ.get("NATS3_URL")
    kept = {} if form and url else preferences.read(os.environ)
    form = form or kept.get("output-format", "table")
    if form not in FORMS:
        raise Refused(Exit.USAGE, f"NATS3_OUTPUT: {form} is none of {', '.join(FORMS)}")
    return Session(url or kept.get("server-url", DEFAULT_SERVER), standard(form), _token(token_file))


def _token(file: Path | None) -> str | None:
    """Never an option: other users of a machine can read command lines, and shells remember them."""
    named = file or (Path(os.environ["NATS3_TOKEN_FILE"]) if os.environ.get("NATS3_TOKEN_FILE") else None)
    if named is None:
        return os.environ.get("NATS3_TOKEN") or None
    try:
        return named.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise Refused(Exit.USAGE, f"the token cannot be read from {named}: {fault}") from None


def main() -> int:
    """Run the command of this process and give its exit code. Errors are one line on stderr, never a traceback."""
    try:
        return int(app.meta(sys.argv[1:], result_action="return_value") or 0)
    except (CycloptsError, Nats3Error) as error:
        code, text = _verdict(error)
        sys.stderr.write(f"nats3: {text}\n")
        return code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough; without this Python complains once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _verdict(error: CycloptsError | Nats3Error) -> tuple[Exit, str]:
    from nats3.config import Misconfigured  # noqa: PLC0415 - `--help` and most calls read no settings

    match error:
        case UnknownCommandError() if error.app is app and error.unused_tokens:
            return Exit.USAGE, _unknown(error.unused_tokens[0])
        case CycloptsError() | Misconfigured():
            return Exit.USAGE, str(error)
        case Refused():
            return error.code, str(error)
        case _:
            return Exit.FAILURE, str(error)


def _unknown(word: str) -> str:
    """Said here and not by cyclopts, which would import every command to find the nearest one."""
    names = [name for name, _, _ in COMMANDS]
    near = get_close_matches(word, names, n=1)
    return f"there is no command {word}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}")

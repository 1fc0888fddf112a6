"""The commands, and how every one of them fails: one clear line, and an exit status that says it.

0 is success, 1 a failure, 2 bad usage, 130 an interruption.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from importlib.metadata import version
from itertools import pairwise
from typing import Annotated

import typer

from ponder.cli.collector import collect_seldom
from ponder.cli.compare import compare_runs
from ponder.cli.demo import demo
from ponder.cli.doctor import doctor
from ponder.cli.eval_verifier import eval_verifier
from ponder.cli.fit import fit_policy
from ponder.cli.grade import grade
from ponder.cli.label import label
from ponder.cli.merge import merge
from ponder.cli.pool import export, import_
from ponder.cli.report import report
from ponder.cli.run import run
from ponder.cli.score import score
from ponder.cli.show import show
from ponder.cli.solve import solve
from ponder.cli.terminal import errors, output
from ponder.cli.train_verifier import train_verifier
from ponder.errors import PonderError, UsageError

app = typer.Typer(
    help="Make small language models think longer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo)
app.command()(run)
app.command()(solve)
app.command()(show)
app.command()(score)
app.command()(eval_verifier)
app.command()(grade)
app.command()(report)
app.command("compare")(compare_runs)
app.command("fit")(fit_policy)
app.command()(label)
app.command()(train_verifier)
app.command("import")(import_)
app.command()(export)
app.command()(merge)
app.command()(doctor)


def _tell_version(asked: bool) -> None:
    if asked:
        output().print(f"ponder {version('ponder')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
    told: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Make small language models think longer."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    if arguments is None:
        collect_seldom()
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    warnings.formatwarning = _warning_line
    try:
        status = app([word for word in words if word != "--debug"], standalone_mode=False)
    except typer.TyperException as error:
        _say(_with_value(error, words), debug=debug)
        sys.exit(2)
    except UsageError as error:
        _say(str(error), debug=debug)
        sys.exit(2)
    except (PonderError, OSError) as error:
        _say(str(error) or type(error).__name__, debug=debug)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted", debug=debug)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _with_value(error: typer.TyperException, words: list[str]) -> str:
    """The parser's message, with the value that it is about, which it does not always name."""
    told = error.format_message().replace(": Value error, ", ": ", 1)
    options = getattr(getattr(error, "param", None), "opts", ())
    values = [after for word, after in pairwise(words) if word in options]
    named = [value for value in values if value not in told]
    return told + (f", got {named[0]!r}" if named else "")


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning as a person is to read it: one line, without the place in the code."""
    return f"ponder: warning: {' '.join(str(message).split())}\n"


def _say(line: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    errors().print(f"ponder: {line}", markup=False, highlight=False, soft_wrap=True)

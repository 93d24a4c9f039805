"""The command ``engine``.

Nothing here imports torch before a command runs: ``engine --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import EngineError
from engine.version import __version__

__all__ = ["app", "main"]

_MISTAKE = 2  # exit code for what the user can mend

app = typer.Typer(
    name="engine",
    help="Train, validate and test PyTorch models; stop anywhere, resume bit-equal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path,
    typer.Argument(
        help="Python file whose variables are the Runner's arguments.",
        show_default=False,
    ),
]
WorkDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder for checkpoints and logs. Default: the config's, else "
        "work_dirs/NAME.",
        show_default=False,
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of a user's mistake.")
]


@contextmanager
def _mistakes(*, debug: bool) -> Iterator[None]:
    """Turn a user's mistake into one message and exit code 2."""
    try:
        yield
    except EngineError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        for note in getattr(error, "__notes__", ()):
            typer.echo(f"  {note}", err=True)
        raise typer.Exit(_MISTAKE) from error


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and leave.",
        ),
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def train(
    config: Config,
    work_dir: WorkDir = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the newest good checkpoint in the work dir, bit-equal to "
            "a run that never stopped; begin anew if there is none.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Train what CONFIG describes, validating as it says."""
    with _mistakes(debug=debug):
        from engine.cli.train import run

        run(config, work_dir=work_dir, resume=resume)


@app.command()
def test(
    config: Config,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="Checkpoint to test. Default: the newest good one in the work dir.",
            show_default=False,
        ),
    ] = None,
    work_dir: WorkDir = None,
    debug: Debug = False,
) -> None:
    """Test a trained model on CONFIG's test data and print the metrics."""
    with _mistakes(debug=debug):
        from engine.cli.test import run

        run(config, checkpoint, work_dir=work_dir)


@app.command()
def env() -> None:
    """Show the versions and devices that a run would use."""
    from engine.cli.env import run

    run()


def main() -> None:
    """Run the command; a user's mistake prints one message and exits with 2."""
    app()

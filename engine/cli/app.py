"""The command ``engine``.

Nothing here imports torch before a command runs: ``engine --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import EngineError, RunInterrupted
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
configs = typer.Typer(
    name="config",
    help="Look at configs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(configs)

Config = Annotated[
    Path,
    typer.Argument(
        help="File (.py, .yaml, .json or .toml) whose entries are the Runner's "
        "arguments.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change an entry of CONFIG, such as train_cfg.max_epochs=3 or "
        "custom_hooks.0.interval=5; may be given several times.",
        show_default=False,
    ),
]
FastDevRun = Annotated[
    int | None,
    typer.Option(
        "--fast-dev-run",
        metavar="N",
        help="Try CONFIG out on N batches of everything, and keep nothing.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint whose weights are used. Default: the newest good one in the "
        "work dir.",
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
    except RunInterrupted as error:  # no mistake: a shell, or a job, asks for the code
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error
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
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="Checkpoint to begin from: its weights, or with --resume all of it.",
            show_default=False,
        ),
    ] = None,
    work_dir: WorkDir = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the newest good checkpoint in the work dir, bit-equal to "
            "a run that never stopped; begin anew if there is none.",
        ),
    ] = False,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    debug: Debug = False,
) -> None:
    """Train what CONFIG describes, validating as it says."""
    with _mistakes(debug=debug):
        from engine.cli.train import run, try_out

        if fast_dev_run is not None:
            try_out(config, batches=fast_dev_run, overrides=changes or ())
        else:
            run(
                config,
                checkpoint,
                work_dir=work_dir,
                resume=resume,
                overrides=changes or (),
            )


@app.command()
def validate(
    config: Config,
    checkpoint: Checkpoint = None,
    work_dir: WorkDir = None,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    debug: Debug = False,
) -> None:
    """Validate a trained model on CONFIG's validation data and print the metrics."""
    with _mistakes(debug=debug):
        if fast_dev_run is not None:
            from engine.cli.train import try_out

            try_out(
                config,
                batches=fast_dev_run,
                overrides=changes or (),
                modes=["val"],
            )
            return
        from engine.cli.evaluate import run

        run("val", config, checkpoint, work_dir=work_dir, overrides=changes or ())


@app.command()
def test(
    config: Config,
    checkpoint: Checkpoint = None,
    work_dir: WorkDir = None,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    debug: Debug = False,
) -> None:
    """Test a trained model on CONFIG's test data and print the metrics."""
    with _mistakes(debug=debug):
        if fast_dev_run is not None:
            from engine.cli.train import try_out

            try_out(
                config,
                batches=fast_dev_run,
                overrides=changes or (),
                modes=["test"],
            )
            return
        from engine.cli.evaluate import run

        run("test", config, checkpoint, work_dir=work_dir, overrides=changes or ())


@configs.command()
def show(config: Config, changes: Set = None, debug: Debug = False) -> None:
    """Print CONFIG as one Python file, with all that it inherits."""
    with _mistakes(debug=debug):
        from engine.cli.config import show as run

        run(config, overrides=changes or ())


@configs.command()
def diff(
    first: Config,
    second: Config,
    debug: Debug = False,
) -> None:
    """Print what differs between two configs, with all that they inherit."""
    with _mistakes(debug=debug):
        from engine.cli.config import diff as run

        run(first, second)


@app.command()
def env() -> None:
    """Show the versions and devices that a run would use."""
    from engine.cli.env import run

    run()


def main() -> None:
    """Run the command; a user's mistake prints one message and exits with 2."""
    app()

"""The command ``engine``.

Nothing here imports torch before a command runs: ``engine --help`` answers at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.among_ranks import Start, among_ranks
from engine.errors import (
    CheckpointError,
    ConfigError,
    EngineError,
    NonFiniteError,
    RankFailedError,
    RunInterrupted,
)
from engine.version import __version__

__all__ = ["app", "main"]

_MISTAKE = 2  # exit code for what the user can mend
_FAILURES = (CheckpointError, NonFiniteError)  # of a run that was well begun
_ON_RANKS = ("train", "validate", "test")  # commands that take --nproc
_FOUND = 1  # exit code of a command that looks for faults and finds one

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
checkpoints = typer.Typer(
    name="ckpt",
    help="Look at checkpoints: what is in them, whether they are good.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(checkpoints)

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
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
        help="Try CONFIG out on N batches of everything, and keep nothing; --work-dir "
        "and --resume are then of no effect.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        metavar="CHECKPOINT",
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
CheckpointFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A checkpoint.", show_default=False)
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run's work dir.", show_default=False)
]
Progress = Annotated[
    bool,
    typer.Option(
        "--progress/--no-progress",
        help="Show progress bars, where this is a terminal.",
    ),
]
Launcher = Annotated[
    str | None,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="Who started this process as one of several: pytorch (torchrun), slurm "
        "(srun), mpi (mpirun). Default: nobody, or torchrun if it did.",
        show_default=False,
    ),
]
Nproc = Annotated[
    int | None,
    typer.Option(
        "--nproc",
        min=1,
        metavar="N",
        help="Start N processes on this machine, and run in all of them.",
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
    except KeyboardInterrupt as error:  # a second one, or one that no run heeds
        for note in ("interrupted", *getattr(error, "__notes__", ())):
            typer.echo(note, err=True)
        raise typer.Exit(128 + signal.SIGINT) from error
    except EngineError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        for note in getattr(error, "__notes__", ()):
            typer.echo(f"  {note}", err=True)
        raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: EngineError) -> int:
    # A wrong loss or a missing metric shows while the run goes, and is a mistake.
    failed = error.while_running and isinstance(error, _FAILURES)
    return 1 if failed or isinstance(error, RankFailedError) else _MISTAKE


@contextmanager
def _on_ranks(
    launcher: str | None, nproc: int | None, *, debug: bool
) -> Iterator[Start]:
    """As :func:`_mistakes`, on one of the ranks that a launcher started.

    Yields:
        How this process was started.
    """
    with _mistakes(debug=debug):
        if launcher is not None and nproc is not None:  # else main() has heeded it
            message = (
                f"--nproc {nproc} starts the ranks itself, and --launcher {launcher} "
                "says that they are started: give one of them"
            )
            raise ConfigError(message)
        with among_ranks(launcher, debug=debug, exit_code=_exit_code) as found:
            yield found


def _leave_with(good: bool) -> None:
    """End with 1 where something is not good."""
    if not good:
        raise typer.Exit(_FOUND)


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
            metavar="CHECKPOINT",
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
            "a run that never stopped; begin anew if there is none. '--resume exact' "
            "refuses what could not be restored to the bit, instead of listing it.",
        ),
    ] = False,
    resume_exactly: Annotated[
        bool, typer.Option("--resume-exact", hidden=True)
    ] = False,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    progress: Progress = True,
    profile_hooks: Annotated[
        bool,
        typer.Option(
            "--profile-hooks",
            help="Measure where the time goes, per hook and event: a table at the end "
            "and timeline.json in the log folder.",
        ),
    ] = False,
    launcher: Launcher = None,
    nproc: Nproc = None,
    debug: Debug = False,
) -> None:
    """Train what CONFIG describes, validating as it says."""
    with _on_ranks(launcher, nproc, debug=debug) as start:
        from engine.cli.train import run, try_out

        if fast_dev_run is not None:
            try_out(
                config,
                checkpoint,
                batches=fast_dev_run,
                overrides=changes or (),
                launcher=start.launcher,
                progress=progress,
            )
        else:
            run(
                config,
                checkpoint,
                work_dir=work_dir,
                resume="exact" if resume_exactly else resume,
                restarted=start.restarted,
                overrides=changes or (),
                launcher=start.launcher,
                progress=progress,
                profile_hooks=profile_hooks,
            )


@app.command()
def validate(
    config: Config,
    checkpoint: Checkpoint = None,
    work_dir: WorkDir = None,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    progress: Progress = True,
    launcher: Launcher = None,
    nproc: Nproc = None,
    debug: Debug = False,
) -> None:
    """Validate a trained model on CONFIG's validation data and print the metrics."""
    with _on_ranks(launcher, nproc, debug=debug) as start:
        if fast_dev_run is not None:
            from engine.cli.train import try_out

            try_out(
                config,
                checkpoint,
                batches=fast_dev_run,
                overrides=changes or (),
                launcher=start.launcher,
                progress=progress,
                modes=["val"],
            )
            return
        from engine.cli.evaluate import run

        run(
            "val",
            config,
            checkpoint,
            work_dir=work_dir,
            overrides=changes or (),
            launcher=start.launcher,
            progress=progress,
        )


@app.command()
def test(
    config: Config,
    checkpoint: Checkpoint = None,
    work_dir: WorkDir = None,
    changes: Set = None,
    fast_dev_run: FastDevRun = None,
    progress: Progress = True,
    launcher: Launcher = None,
    nproc: Nproc = None,
    debug: Debug = False,
) -> None:
    """Test a trained model on CONFIG's test data and print the metrics."""
    with _on_ranks(launcher, nproc, debug=debug) as start:
        if fast_dev_run is not None:
            from engine.cli.train import try_out

            try_out(
                config,
                checkpoint,
                batches=fast_dev_run,
                overrides=changes or (),
                launcher=start.launcher,
                progress=progress,
                modes=["test"],
            )
            return
        from engine.cli.evaluate import run

        run(
            "test",
            config,
            checkpoint,
            work_dir=work_dir,
            overrides=changes or (),
            launcher=start.launcher,
            progress=progress,
        )


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


@configs.command()
def schedule(
    config: Config,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="PNG to write. Default: NAME_schedule.png in the present folder.",
            show_default=False,
        ),
    ] = None,
    changes: Set = None,
    debug: Debug = False,
) -> None:
    """Draw the learning rate and momentum over CONFIG's run, and print key points.

    Nothing is trained. The training data is opened only if a schedule goes by iteration
    in a run that is bounded by epochs.
    """
    with _mistakes(debug=debug):
        from engine.cli.schedule import run

        run(config, output, overrides=changes or ())


@checkpoints.command("show")
def show_checkpoint(
    file: CheckpointFile,
    list_tensors: Annotated[
        bool, typer.Option("--tensors", help="Also list each tensor.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Print what a checkpoint holds; needs no torch and reads no tensor."""
    with _mistakes(debug=debug):
        from engine.cli.ckpt_show import run

        run(file, list_tensors=list_tensors)


@checkpoints.command()
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR...",
            help="Checkpoints, or folders of them.",
            show_default=False,
        ),
    ],
    debug: Debug = False,
) -> None:
    """Say of each checkpoint whether it is good; exit 1 if one is not."""
    with _mistakes(debug=debug):
        from engine.cli.ckpt import verify as run

        _leave_with(run(files))


@checkpoints.command("diff")
def diff_checkpoints(
    first: CheckpointFile,
    second: CheckpointFile,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Differences that are listed.")
    ] = 10,
    debug: Debug = False,
) -> None:
    """Print where two checkpoints differ, first part first; exit 1 if they do."""
    with _mistakes(debug=debug):
        from engine.cli.ckpt import diff as run

        _leave_with(run(first, second, limit=limit))


@checkpoints.command()
def export(
    file: CheckpointFile,
    out: Annotated[
        Path, typer.Argument(help="File to write, *.pth.", show_default=False)
    ],
    average: Annotated[
        bool, typer.Option("--ema", help="The averages that an EMAHook kept.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="All of it in one file, so that a run can go on from there: what "
            "ranks wrote in pieces is put together.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a checkpoint's trained weights alone."""
    with _mistakes(debug=debug):
        from engine.cli.ckpt import export, export_whole

        if whole:
            export_whole(file, out)
        else:
            export(file, out, average=average)


@app.command("diff-runs")
def diff_runs(
    first: RunFolder,
    second: RunFolder,
    debug: Debug = False,
) -> None:
    """Print the first iteration in which two runs part; exit 1 if they do."""
    with _mistakes(debug=debug):
        from engine.cli.diff_runs import run

        _leave_with(run(first, second))


@app.command()
def report(
    work_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="WORK_DIR...",
            help="Work dirs of runs; several are compared.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Page to write. Default: report.html in the work dir, of several runs "
            "in the present folder; none if a picture is asked for.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="FILE",
            help="Picture to write, for papers, and for terminals without a browser.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            help="Verify each checkpoint, which reads all of it.",
        ),
    ] = True,
    debug: Debug = False,
) -> None:
    """Write one page about runs: how they went, curves, time, events, config.

    The page needs no network and no server. A run that is still going is shown as far
    as it is; nothing in the work dirs is changed but the page that is written.
    """
    with _mistakes(debug=debug):
        from engine.cli.report import run

        run(work_dirs, output, picture=picture, verify=verify)


@app.command("verify-resume")
def verify_resume(
    config: Config,
    points: Annotated[
        int, typer.Option(min=1, metavar="N", help="Places at which the run is cut.")
    ] = 4,
    iterations: Annotated[
        int, typer.Option(min=1, metavar="N", help="About how long a trial is.")
    ] = 24,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Loader workers of the resumed runs, in turn. Default: the config's.",
            show_default=False,
        ),
    ] = None,
    changes: Set = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            help="Keep the trials in this folder. Default: they are deleted.",
            show_default=False,
        ),
    ] = None,
    nproc: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Ranks that each trial has."),
    ] = 1,
    debug: Debug = False,
) -> None:
    """Cut a short run of CONFIG at some places, resume, compare; exit 1 if unequal."""
    with _mistakes(debug=debug):
        from engine.cli.verify_resume import run

        same = run(
            config,
            points=points,
            iterations=iterations,
            workers=workers,
            overrides=changes or (),
            work_dir=work_dir,
            nproc=nproc,
        )
        _leave_with(same)


@app.command()
def env() -> None:
    """Show the versions and devices that a run would use."""
    from engine.cli.env import run

    run()


def main() -> None:
    """Run the command; a user's mistake prints one message and exits with 2."""
    words = _one_option(sys.argv[1:])
    count, words = _take_nproc(words)
    if count > 1:
        from engine.cli.local_ranks import start_ranks

        code = start_ranks(count)
        if code is not None:  # else this is one of them
            sys.exit(code)
        words += ["--launcher", "pytorch"]
    app(words)


def _take_nproc(words: Sequence[str]) -> tuple[int, list[str]]:
    """How many ranks are to be started, and what is left of the command line.

    Where it is no number, or the ranks are started already, the words stay as they are,
    for the command to complain.

    >>> _take_nproc(["train", "config.py", "--nproc", "2"])
    (2, ['train', 'config.py'])
    >>> _take_nproc(["train", "config.py"])
    (1, ['train', 'config.py'])
    """
    found = list(words)
    if any(word.partition("=")[0] == "--launcher" for word in words):
        return 1, found
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != "--nproc":
            continue
        until = place + (1 if equals else 2)
        value = value if equals else "".join(words[place + 1 : until])
        if value.isdecimal() and int(value) > 0 and words[0] in _ON_RANKS:
            del found[place:until]
            return int(value), found
    return 1, found


def _one_option(arguments: Sequence[str]) -> list[str]:
    """Let ``--resume`` take a value or none, which typer's options cannot.

    >>> _one_option(["train", "config.py", "--resume", "exact"])
    ['train', 'config.py', '--resume-exact']
    """
    found: list[str] = []
    for argument in arguments:
        if found[-1:] == ["--resume"] and argument == "exact":
            found[-1] = "--resume-exact"
        elif argument == "--resume=exact":
            found.append("--resume-exact")
        else:
            found.append(argument)
    return found

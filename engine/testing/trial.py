"""One trial of ``verify-resume``: a short run of a user's config in a process."""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from attrs import asdict, field, frozen

from engine.config import Config, parse_overrides
from engine.dist.failure import naming_failed_ranks
from engine.dist.launch import leave
from engine.errors import ConfigError, EngineError, RankFailedError
from engine.events import Priority
from engine.hooks import Hook
from engine.runner import Runner
from engine.state import Phase, seed_everything
from engine.testing.trial_ranks import become_ranks
from engine.typing import Stateful

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = [
    "END",
    "RESUMED",
    "Trial",
    "TrialServer",
    "cut_name",
    "perform_anew",
    "perform_one",
    "read_result",
    "serve",
]

END, RESUMED = "end.pth", "resumed.pth"
RESULT, OUTPUT = "result.json", "output.txt"
_TOLD = 2_000  # characters of a trial's output that an error repeats
_EPOCHS = 3  # of a trial that is bounded by them


@frozen(kw_only=True)
class Trial:
    """What a trial does.

    Args:
        config: The user's config file.
        overrides: ``key=value`` texts.
        folder: Gets the run's work dir, the checkpoints of the trial and its result.
        iterations: About how many iterations the run has, at least 1.
        workers: Of the training loader; ``None``: the config's.
        cuts: Places to stop at, save and go on: iterations finished, and whether the
            validation there is done.
        luck: Seeds the global generators before the config is read: what a config
            draws is repeatable, and what a resume does not bring back shows.
        resume_from: A checkpoint to go on from.
        only_resume: Save what the resume brought back, and end.
        ranks: Processes that the run has.
    """

    config: str
    folder: str
    iterations: int
    overrides: list[str] = field(factory=list)
    workers: int | None = None
    cuts: list[tuple[int, bool]] = field(factory=list)
    luck: int = 0
    resume_from: str | None = None
    only_resume: bool = False
    ranks: int = 1

    def write(self) -> Path:
        """Write it into its folder, for another process."""
        path = Path(self.folder) / "trial.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path


def cut_name(number: int) -> str:
    """The file of the ``number``-th cut, from 0."""
    return f"cut_{number}.pth"


class _Enough(BaseException):
    """What was wanted of the run is done."""


class _Watcher(Hook):
    """Stops at the cuts, and notes when validations took place."""

    priority: ClassVar[Priority] = Priority.LOWEST

    def __init__(self, trial: Trial, epochs: int) -> None:
        self.trial = trial
        self.epochs = epochs
        self.batches = max(trial.iterations // epochs, 1)
        self.cuts = {(done, bool(validated)) for done, validated in trial.cuts}
        self.validations: list[int] = []

    def before_run(self, runner: RunContext) -> None:
        # Not before: the parts, schedules above all, are built for the whole length.
        cast("Runner", runner).batch_limit = self.batches

    def before_train(self, runner: RunContext) -> None:
        if self.trial.only_resume:
            runner.save_checkpoint(self.trial.folder, RESUMED)
            raise _Enough

    def after_train_iter(self, runner: RunContext, *_: Any, **__: Any) -> None:
        if (runner.state.iteration, False) in self.cuts:
            runner.trainer.interrupt()

    def after_train_epoch(self, runner: RunContext) -> None:
        if runner.state.limits.max_iters is None and runner.state.epoch >= self.epochs:
            runner.stop("the trial is long enough")

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        done = runner.state.iteration
        if runner.state.outer is Phase.TRAINING:
            self.validations.append(done)
            if (done, True) in self.cuts:
                runner.trainer.interrupt()


# -- the config --------------------------------------------------------------------


def trial_config(trial: Trial) -> Config:
    """The user's config, kept within the trial's folder.

    Raises:
        ConfigError: It cannot be read, or trains nothing.
    """
    config = Config.fromfile(trial.config)
    if trial.overrides:
        config.merge_from_dict(parse_overrides(trial.overrides))
    if config.get("train_cfg") is None:
        message = f"{trial.config}: no train_cfg: there is no training to verify"
        raise ConfigError(message)
    config["work_dir"] = str(Path(trial.folder) / "work_dir")
    config["visualizer"] = {"vis_backends": [{"type": "LocalVisBackend"}]}
    config["launcher"] = "pytorch" if trial.ranks > 1 else "none"
    config["resume"] = trial.resume_from is not None
    if trial.resume_from is not None:
        config["load_from"] = trial.resume_from
    randomness = dict(config.get("randomness") or {})
    if randomness.get("seed") is None:  # each trial would draw another
        config["randomness"] = {**randomness, "seed": 0}
    config["train_cfg"] = _validating(config["train_cfg"], trial.iterations)
    config["default_hooks"] = {
        name: _at_home(hook)
        for name, hook in (config.get("default_hooks") or {}).items()
    } | {"progress": None}
    config["custom_hooks"] = [
        *map(_at_home, config.get("custom_hooks") or ()),
        {"type": "LedgerHook", "out_dir": trial.folder},
    ]
    if trial.workers is not None:
        config["train_dataloader"] = _with_workers(config, trial.workers)
    return config


def _validating(train_cfg: Any, iterations: int) -> Any:
    """Settings of a training loop that validates within a trial's few iterations.

    Its length stays: schedules are built for it. The trial is stopped instead.
    """
    if not isinstance(train_cfg, Mapping):
        return train_cfg  # a finished loop
    short = dict(train_cfg)
    if isinstance(short.get("max_epochs"), int):
        most = min(short["max_epochs"], _EPOCHS)
    elif isinstance(short.get("max_iters"), int):
        most = max(min(short["max_iters"], iterations) // 3, 1)
        if "type" not in short:
            short.setdefault("val_interval", most)
    else:
        return train_cfg
    for name in ("val_begin", "val_interval"):
        if isinstance(short.get(name), int):
            short[name] = min(short[name], most)
    return short


def _at_home(hook: Any) -> Any:
    """A hook's spec that writes into the work dir."""
    if isinstance(hook, Mapping) and hook.get("out_dir") is not None:
        return {key: value for key, value in hook.items() if key != "out_dir"}
    return hook


def _with_workers(config: Config, workers: int) -> dict[str, Any]:
    loader = config.get("train_dataloader")
    if not isinstance(loader, Mapping):
        message = (
            "--workers: train_dataloader is a finished loader, whose workers cannot be "
            "changed. Give its settings as a mapping, or leave --workers out."
        )
        raise ConfigError(message)
    changed = {**loader, "num_workers": workers}
    if workers == 0:
        for name in ("persistent_workers", "prefetch_factor", "timeout"):
            changed.pop(name, None)
    return changed


# -- the run -----------------------------------------------------------------------


def run_trial(trial: Trial) -> dict[str, Any]:
    """Run a trial in this process.

    Returns:
        Facts of the run, as plain data.
    """
    seed_everything(trial.luck)
    config = trial_config(trial)
    runner = Runner.from_cfg(config)
    watcher = _Watcher(trial, _epochs(config))
    runner.register_hook(watcher)
    try:
        _train(runner, trial)
    except _Enough:
        return {"suspects": list(_suspects(runner))}
    runner.save_checkpoint(trial.folder, END)
    state = runner.state
    length = state.data_shape.length or state.limits.epoch_length or state.iteration
    wrapper = config.get("optim_wrapper")
    window = wrapper.get("accumulative_counts", 1) if hasattr(wrapper, "get") else 1
    return {
        "iterations": state.iteration,
        "epoch_length": min(length, watcher.batches),
        "window": window,
        "validations": watcher.validations,
    }


def _epochs(config: Config) -> int:
    bound = config["train_cfg"]
    found = bound.get("max_epochs") if isinstance(bound, Mapping) else None
    return min(found, _EPOCHS) if isinstance(found, int) else 1


def _train(runner: Runner, trial: Trial) -> None:
    """Train to the end; at each cut save, and go on."""
    cuts = list(trial.cuts)
    number = 0
    runner.train()
    while runner.state.phase is Phase.INTERRUPTED:
        if number < len(cuts) and runner.state.iteration == cuts[number][0]:
            runner.save_checkpoint(trial.folder, cut_name(number))
            number += 1
        runner.train()
    if number < len(cuts):
        message = (
            f"the run was not stopped at iteration {cuts[number][0]}, though the "
            "unbroken one came there: it is not the same from start to start"
        )
        raise EngineError(message)


def _suspects(runner: Runner) -> Iterator[str]:
    """What of the user's may have memory that no checkpoint carries."""
    for record in runner.hook_set:
        hook = record.hook
        home = type(hook).__module__
        # A config's own classes live in modules beneath engine.config.
        ours = home.startswith("engine.") and not home.startswith("engine.config.")
        if vars(hook) and not ours and not isinstance(hook, Stateful):
            yield f"hook {record.name!r} has attributes and no state_dict()"
    dataset = getattr(runner.train_dataloader, "dataset", None)
    for name, value in vars(dataset).items() if hasattr(dataset, "__dict__") else ():
        if isinstance(value, torch.Generator | np.random.Generator | random.Random):
            yield (
                f"the dataset's {type(dataset).__name__}.{name} is a generator of its "
                "own: draw from python's, NumPy's or torch's global one"
            )


def perform(trial: Trial) -> None:
    """Run a trial and write its result, or its error, into its folder.

    What the run prints goes into ``output.txt`` there: this process's own standard
    streams are led there for good.
    """
    folder = Path(trial.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / OUTPUT).open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if trial.ranks == 1:
        _write_result(folder / RESULT, _attempt(trial))
        return
    rank = become_ranks(trial.ranks)
    if rank is None:
        _choose_result(folder, trial.ranks)
        return
    result = _attempt(trial)
    _write_result(folder / _result_of(rank), result)
    if "error" in result:  # the others must not wait for it
        os._exit(1)
    leave()


def _choose_result(folder: Path, ranks: int) -> None:
    """Make the result of a trial from those of its ranks; none if a rank left none."""
    results = [
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in map(_result_of, range(ranks))
        if (folder / name).is_file()
    ]
    failed = [one for one in results if "error" in one]
    if failed:  # by itself, rather than for another one
        _write_result(folder / RESULT, min(failed, key=lambda one: one["lost"]))
    elif len(results) == ranks:
        _write_result(folder / RESULT, results[0])


def _attempt(trial: Trial) -> dict[str, Any]:
    try:
        with naming_failed_ranks():
            return run_trial(trial)
    except BaseException as error:  # noqa: BLE001  # told by who reads the result
        return {
            "error": f"{type(error).__name__}: {error}"
            if not isinstance(error, EngineError)
            else str(error),
            "mistake": isinstance(error, EngineError),
            "lost": isinstance(error, RankFailedError),
            "traceback": traceback.format_exc(),
        }


def _result_of(rank: int) -> str:
    return f"result.{rank}.json"


def _write_result(path: Path, result: dict[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    path.write_text(json.dumps(result), encoding="utf-8")


# -- processes ---------------------------------------------------------------------


class TrialServer:
    """Runs each trial in a process that begins with everything imported.

    The server is an interpreter that has run nothing and forks for each trial: nothing
    that a run leaves behind in its process reaches the next one. It lives as long as
    the ``with`` that it is used in.
    """

    def __enter__(self) -> Self:
        self._process = _interpreter("serve", stdin=PIPE, stdout=PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def perform(self, trial: Trial) -> dict[str, Any]:
        """Run a trial; what it wrote down."""
        path = trial.write()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        return read_result(trial, self._process.stdout.readline().strip())


def perform_anew(trial: Trial) -> dict[str, Any]:
    """Run a trial in an interpreter of its own, whose hashes of text differ."""
    process = _interpreter("perform_one", str(trial.write()))
    return read_result(trial, str(process.wait()))


def _interpreter(function: str, *arguments: str, **streams: Any) -> Popen[Any]:
    code = f"from engine.testing.trial import {function}; {function}()"
    return Popen(  # noqa: S603  # our own code
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONHASHSEED": "random"},
        **streams,
    )


def read_result(trial: Trial, code: str) -> dict[str, Any]:
    """What a trial wrote down, or that its process ended with ``code`` without."""
    folder = Path(trial.folder)
    if not (folder / RESULT).is_file():
        return {
            "error": f"its process ended with {code or 'its server'} and left no "
            "result",
            "mistake": False,
            "traceback": (folder / OUTPUT).read_text("utf-8")[-_TOLD:],
        }
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def perform_one() -> None:
    """Run the trial that the file named on the command line describes."""
    perform(_read(sys.argv[1]))


def serve() -> None:
    """Run the trial that each line of the standard input names, and print its code."""
    for line in sys.stdin:
        if hasattr(os, "fork"):
            child = os.fork()
            if child == 0:
                sys.stdin.close()  # the trials to come are not this one's to read
                perform(_read(line.strip()))
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            code = _interpreter("perform_one", line.strip()).wait()
        print(code, flush=True)  # noqa: T201  # what TrialServer reads


def _read(path: str) -> Trial:
    return Trial(**json.loads(Path(path).read_text(encoding="utf-8")))

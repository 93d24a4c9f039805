"""Progress bars as a terminal shows them: a terminal emulator reads what is written."""

from __future__ import annotations

import io
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pyte
import pytest
import torch
from torch import nn

from engine import BaseMetric, Hook, Runner, StepModel
from engine.errors import RunInterrupted
from engine.hooks import LoggerHook, ProgressBarHook

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

TEXTS = (
    "short",
    "long " * 60,
    "wide 日本語 " * 20,
    "two\nlines",
    "[bold]no markup[/bold]",
    "\x1b[31mred\x1b[0m",
    "",
)
BAR = re.compile(r"[━─]{5}")
FAST = {"type": "ProgressBarHook", "interval_seconds": 1e-9, "share": 1.0}


class Terminal(io.StringIO):
    """A stream to an emulated terminal of so many columns."""

    encoding = "utf-8"

    def __init__(self, columns: int, *, is_terminal: bool = True) -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self.screen = pyte.HistoryScreen(columns, 12, history=100_000)
        self.stream = pyte.Stream(self.screen)
        self.bars: list[str] = []  # each that was ever seen

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.stream.feed(text.replace("\n", "\r\n"))
        self.bars += [line for line in self.screen.display if BAR.search(line)]
        return len(text)

    def lines(self) -> list[str]:
        """All lines, those that have gone up too, from the top."""
        columns = range(self.screen.columns)
        gone = [
            "".join(line[column].data for column in columns)
            for line in self.screen.history.top
        ]
        whole = [line.rstrip() for line in [*gone, *self.screen.display]]
        while whole and not whole[-1]:
            whole.pop()
        return whole


class Talks(Hook):
    """Writes to the terminal in each way that there is."""

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        text = TEXTS[runner.iter % len(TEXTS)]
        runner.logger.info("talk", line=text)
        print(text)  # noqa: T201 - as users do
        print("halves", end=" ")  # noqa: T201 - as users do
        print("of a line")  # noqa: T201 - as users do
        print(text, file=sys.stderr)  # noqa: T201 - as users do


class Fails(Hook):
    """Ends the run in an iteration: by an error, a signal, or (``None``) a halt."""

    def __init__(
        self, iteration: int, error: BaseException | signal.Signals | None = None
    ) -> None:
        self.iteration, self.error = iteration, error

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        if runner.iter == self.iteration:
            if isinstance(self.error, BaseException):
                raise self.error
            if self.error is None:
                runner.interrupt()
            else:
                signal.raise_signal(self.error)


class Half(BaseMetric):
    """One half, whatever is evaluated."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0.5)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"acc": results[0]}


def runner(work_dir: Path, *hooks: Hook, progress: Any = FAST, **more: Any) -> Runner:
    """Two epochs of eight batches, with validations of four."""
    batch = (torch.ones(2, 3), torch.ones(2, 1))
    return Runner(
        StepModel(nn.Linear(3, 1), nn.functional.mse_loss),
        work_dir,
        train_dataloader=[batch] * 8,
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        val_dataloader=[batch] * 4,
        val_cfg={},
        val_evaluator=Half(),
        default_hooks={
            "logger": {"interval": 2},
            "checkpoint": more.pop("checkpoint", None),
            "progress": progress,
        },
        custom_hooks=list(hooks),
        visualizer={"vis_backends": []},
        randomness={"seed": 0},
        **more,
    )


def watched(
    monkeypatch: pytest.MonkeyPatch, columns: int = 80, *, is_terminal: bool = True
) -> Terminal:
    """Let the process write to an emulated terminal."""
    terminal = Terminal(columns, is_terminal=is_terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


@pytest.mark.parametrize("columns", [30, 60, 140])
def test_lines_between_bars_read_as_without_them(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is garbled, lost, broken elsewhere or left behind."""
    seen = []
    for is_terminal in (True, False):
        terminal = watched(monkeypatch, columns, is_terminal=is_terminal)
        runner(tmp_path / f"run{is_terminal:d}", Talks()).train()
        seen.append([re.sub(r"\d", "0", line) for line in terminal.lines()])
        assert bool(terminal.bars) is is_terminal
    assert seen[0] == seen[1]
    assert sys.stdout is sys.stderr is terminal


def test_bars_show_what_was_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epoch, batch, rate, time left, loss and metrics; a validation's below it."""
    terminal = watched(monkeypatch, 140)
    runner(tmp_path).train()
    bars = "\n".join(terminal.bars)
    assert re.search(r"train 1/2 ━+─+ [1-7]/8 .* it/s eta 0:00:0\d loss \d", bars)
    assert re.search(r"train 2/2 .* \d/8 .* loss \d\S* acc 0.5", bars)
    assert re.search(r"train 1/2 ━+ 8/8 .*\nval +─+ 0/4", bars)
    assert re.search(r"val ━+─+ [1-3]/4 .* it/s eta", bars)


def test_a_resumed_run_begins_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first bar that is seen shows the resumed iteration."""
    saving = {"interval": 3, "by_epoch": False}
    runner(tmp_path, progress=None, checkpoint=saving).train()
    for newest in (*tmp_path.glob("iter_1[25]*"), *tmp_path.glob("last_checkpoint")):
        newest.unlink()
    terminal = watched(monkeypatch)
    runner(tmp_path, resume=True, load_from=str(tmp_path / "iter_9.pth")).train()
    assert re.match(r"train 2/2 ━+─+ 1/8", terminal.bars[0])


@pytest.mark.parametrize("error", [ValueError("no good"), KeyboardInterrupt(), None])
def test_the_terminal_is_given_back(
    error: BaseException | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error, a second Ctrl-C, or a halt, no bar is left and streams are."""
    terminal = watched(monkeypatch)
    one = runner(tmp_path, Fails(5, error))
    if error is None:
        one.train()
    else:
        with pytest.raises(type(error)):
            one.train()
    assert terminal.bars
    assert not BAR.search("\n".join(terminal.lines()))
    assert sys.stdout is sys.stderr is terminal
    if error is None:  # it goes on, and shows that again
        seen = len(terminal.bars)
        one.train()
        assert len(terminal.bars) > seen


def test_a_terminal_that_is_gone_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a connection is lost: training goes on without bars."""

    class Lost(Terminal):
        def write(self, text: str) -> int:
            if len(self.bars) > 3:
                raise OSError(5, "Input/output error")
            return super().write(text)

    watched(monkeypatch)
    lost = Lost(80)
    monkeypatch.setattr(sys, "stdout", lost)
    monkeypatch.setattr(sys, "stderr", lost)
    one = runner(tmp_path)
    one.train()
    assert one.iter == 16
    assert sys.stdout is sys.stderr is lost


def test_a_runner_on_a_terminal_has_bars_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default on a terminal only; ``progress=None`` turns them off."""

    def has(**default_hooks: Any) -> bool:
        made = Runner(nn.Linear(1, 1), tmp_path, default_hooks=default_hooks)
        return any(isinstance(hook, ProgressBarHook) for hook in made.hooks)

    watched(monkeypatch)
    assert has()
    assert not has(progress=None)
    assert has(progress={"interval_seconds": 1})
    monkeypatch.setenv("TERM", "dumb")
    assert not has()
    watched(monkeypatch, is_terminal=False)
    assert not has()
    assert not has(progress={"interval_seconds": 1})


def test_a_bar_reads_nothing_that_was_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a logger hook there is no loss to show: none is fetched for the bar."""
    terminal = watched(monkeypatch)
    one = runner(tmp_path)
    for record in one.hook_set.release():
        if not isinstance(record.hook, LoggerHook):
            one.register_hook(record.hook, record.priority)
    one.train()
    assert terminal.bars
    assert not any("loss" in line for line in terminal.bars)


def test_interrupted_by_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log lines stand whole, the last one too, and nothing where the bar was."""
    terminal = watched(monkeypatch)
    one = runner(tmp_path, Fails(5, signal.SIGINT), checkpoint={"interval": 1})
    # Tests that run in the background may have been started with it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RunInterrupted):
            one.train()
    finally:
        signal.signal(signal.SIGINT, before)
    shown = "".join(terminal.lines())
    line = r"Epoch\(train\) \[1\]\[6/8\] .* loss: \d\.\d{4}"
    end = r"Training interrupted after 0 epochs, 6 iterations: SIGINT$"
    assert re.search(rf"{line}\d{{4}}-\d\d-\d\d \S+ INFO +{end}", shown)
    assert not BAR.search(shown)

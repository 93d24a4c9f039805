"""Work dirs, whole and broken, read into runs."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from engine.checkpoint import Store, find_latest_checkpoint
from engine.errors import ReportError
from engine.report import checkpoints, read_run, read_runs, render
from engine.report.summary import figures, scores, status
from tests.unit.report.records import (
    begin,
    iterations,
    line,
    save,
    train_lines,
    validate,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
train_cfg = dict(max_epochs=2)
default_hooks = dict(checkpoint=dict(save_best="spread", rule="less"))
"""


def whole(folder: str) -> list[dict[str, object]]:
    """The log of two epochs of four iterations that saved into a folder."""
    return [
        *begin(),
        line("config", text=CONFIG),
        *iterations([2, 4]),
        validate(1, 0.75),
        save(1, 4, folder),
        *iterations([6, 8]),
        validate(2, 0.5),
        save(2, 8, folder),
        line("training_ends", 9, outcome="finished", epoch=2, iter=8),
    ]


def saved(work_dir: Path, *epochs: int, run_id: str = "mine") -> None:
    """Write checkpoints."""
    for epoch in epochs:
        meta = {"epoch": epoch, "iter": 4 * epoch, "run_id": run_id}
        Store(work_dir).write(
            f"epoch_{epoch}.pth", {"meta": meta, "weights": torch.ones(50)}
        )


def test_a_run_is_told_in_one_look(tmp_path: Path) -> None:
    """How it ended, its best, its files."""
    log = whole(str(tmp_path))
    write(tmp_path, log, metrics=train_lines(log))
    saved(tmp_path, 1, 2)
    Store(tmp_path).point_to("epoch_2.pth")
    run = read_run(tmp_path)
    assert status(run).text == "Finished: 2 epochs, 8 iterations."
    told = {one.label: (one.value, one.detail) for one in figures(run)}
    assert told["best accuracy"] == ("0.7500", "epoch 1; last 0.5000")
    assert told["last loss"] == ("0.1250", "from 0.5000; lowest 0.1250")
    assert told["checkpoints"] == ("2", "all verify")
    assert told["warnings"] == ("0", "")
    assert [(one.name, *one.roles) for one in run.checkpoints] == [
        ("epoch_1.pth",),
        ("epoch_2.pth", "newest"),
    ]
    assert run.notes == []


def test_broken_lines_are_notes_and_lose_nothing_else(tmp_path: Path) -> None:
    """In the log and in the metrics file."""
    log = whole(str(tmp_path))
    metrics = train_lines(log)
    write(
        tmp_path,
        [*log[:4], '{"event": "tra\n', *log[4:], '{"timesta'],
        metrics=[*metrics[:2], "\x00\x00\n", "[1, 2]\n", *metrics[2:]],
    )
    run = read_run(tmp_path)
    (loss,) = [one for one in run.curves if one.name == "loss"]
    assert list(loss.places) == [2, 4, 6, 8]
    folder = "20261124_120000"
    assert [one.where for one in run.notes] == [
        f"{folder}/{folder}.log.jsonl:5",
        f"{folder}/{folder}.log.jsonl:14",
        f"{folder}/vis_data/scalars.json:3",
        f"{folder}/vis_data/scalars.json:4",
    ]
    assert "half written" in run.notes[1].text


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path: Path) -> None:
    """A disk that was full, or torn."""
    log = whole(str(tmp_path))
    write(tmp_path, log)
    path = tmp_path / "20261124_120000" / "20261124_120000.log.jsonl"
    path.write_bytes(b"\xff\xfe\x00garbage\n" + path.read_bytes())
    run = read_run(tmp_path)
    assert len(run.notes) == 1
    assert status(run).word == "finished"


def test_an_empty_log_hides_no_metrics(tmp_path: Path) -> None:
    """A disk that was full took the log; the metrics file is shown."""
    log = whole(str(tmp_path))
    write(tmp_path, [], metrics=train_lines(log))
    (loss,) = [one for one in read_run(tmp_path).curves if one.name == "loss"]
    assert list(loss.places) == [2, 4, 6, 8]


def test_a_loss_that_is_no_number_at_the_end_is_told_at_once(tmp_path: Path) -> None:
    """The run came to its bound, but nobody should take it for a good one."""
    log = [
        one | {"loss": "nan"}
        if one["event"] == "train" and one["iter"] in {4, 6, 8}
        else one
        for one in whole(str(tmp_path))
    ]
    write(tmp_path, log)
    found = status(read_run(tmp_path))
    assert (found.word, found.tone) == ("finished", "warn")
    assert found.text.endswith("Its loss is not finite after iteration 2.")


def test_a_run_still_going_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    """Its last line may be half written; nothing says that it is over."""
    write(tmp_path, [*begin(), *iterations([2, 3]), '{"timestamp": "2026'])
    run = read_run(tmp_path)
    told = status(run)
    assert told.word == "no end recorded"
    assert "still running, or was killed" in told.text
    assert "2026-11-24 12:00:03" in told.text
    assert run.iterations == 3


@pytest.mark.parametrize(
    ("last", "word", "text"),
    [
        (
            line("run_failed", 9, error="ValueError: bad", epoch=0, iter=3),
            "failed",
            "Failed after 0 of 2 epochs, 3 iterations: ValueError: bad",
        ),
        (
            line(
                "training_ends",
                outcome="interrupted",
                reason="SIGTERM",
                epoch=0,
                iter=3,
            ),
            "interrupted",
            "Interrupted (SIGTERM) after 0 of 2 epochs, 3 iterations.",
        ),
        (
            line("training_ends", outcome="stopped", reason="no gain", epoch=1, iter=4),
            "stopped early",
            "Stopped after 1 of 2 epochs, 4 iterations: no gain.",
        ),
    ],
)
def test_the_last_line_says_how_it_ended(
    tmp_path: Path, last: dict[str, object], word: str, text: str
) -> None:
    """A failure, a signal, a hook that stopped it."""
    write(tmp_path, [*begin(), *iterations([2, 3]), last])
    told = status(read_run(tmp_path))
    assert told.word == word
    assert told.text.removesuffix(" Go on by --resume.") == text


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    """One flipped bit; the others verify."""
    write(tmp_path, whole(str(tmp_path)))
    saved(tmp_path, 1, 2)
    path = tmp_path / "epoch_1.pth"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))
    run = read_run(tmp_path)
    assert [one.good for one in run.checkpoints] == [False, True]
    assert "not those that were written" in run.checkpoints[0].reason
    (figure,) = [one for one in figures(run) if one.label == "checkpoints"]
    assert (figure.value, figure.tone) == ("1 of 2 bad", "bad")


@pytest.mark.parametrize("verify", [True, False])
def test_a_checkpoint_that_goes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, verify: bool
) -> None:
    """A run that is going on drops old ones while they are looked at."""
    write(tmp_path, whole(str(tmp_path)))
    saved(tmp_path, 1, 2)

    def drops(folder: Path) -> str | None:
        (tmp_path / "epoch_1.pth").unlink()
        return find_latest_checkpoint(folder)

    monkeypatch.setattr(checkpoints, "find_latest_checkpoint", drops)
    (left,) = read_run(tmp_path, verify=verify).checkpoints
    assert left.name == "epoch_2.pth"


def test_nobody_has_to_look(tmp_path: Path) -> None:
    """Verifying reads all of each file, which may be large."""
    write(tmp_path, whole(str(tmp_path)))
    saved(tmp_path, 1)
    run = read_run(tmp_path, verify=False)
    assert [one.good for one in run.checkpoints] == [None]


def test_another_runs_checkpoint_is_told_apart(tmp_path: Path) -> None:
    """By the run that its manifest names."""
    write(tmp_path, whole(str(tmp_path)))
    saved(tmp_path, 1, 2)
    saved(tmp_path, 7, run_id="another")
    run = read_run(tmp_path)
    assert [one.roles for one in run.checkpoints] == [[], [], ["another run's"]]


def test_a_copied_work_dir_shows_its_own_files(tmp_path: Path) -> None:
    """The log names those of the place where it was written."""
    first = tmp_path / "first"
    write(first, whole(str(first)))
    saved(first, 1, 2)
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    names = [one.name for one in read_run(copy).checkpoints]
    assert names == ["epoch_1.pth", "epoch_2.pth"]


def test_checkpoints_elsewhere_are_found_by_the_log(tmp_path: Path) -> None:
    """``out_dir`` of the hook lies outside the work dir."""
    elsewhere = tmp_path / "elsewhere"
    work_dir = write(tmp_path / "work", whole(str(elsewhere)))
    saved(elsewhere, 2)
    names = [one.name for one in read_run(work_dir).checkpoints]
    assert names == [str(elsewhere / "epoch_2.pth")]


def test_the_rule_of_the_config_says_what_is_best(tmp_path: Path) -> None:
    """For a metric whose name does not."""
    log = whole(str(tmp_path))
    for one, value in zip(
        [one for one in log if one["event"] == "val_metrics"], (3, 4), strict=True
    ):
        one["spread"] = value
    write(tmp_path, log)
    told = {one.name: (one.rule, one.best) for one in scores(read_run(tmp_path))}
    assert told == {"accuracy": ("greater", 0.75), "spread": ("less", 3)}


def test_names_of_runs_tell_them_apart(tmp_path: Path) -> None:
    """Two work dirs of the same name get their parents' too."""
    folders = [tmp_path / "a" / "toy", tmp_path / "b" / "toy"]
    for folder in folders:
        write(folder, whole(str(folder)))
    assert [run.name for run in read_runs(folders)] == ["a/toy", "b/toy"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "nothing", "is not there"),
        (lambda folder: folder, "holds no run"),
        (lambda folder: write(folder, []), "holds no run"),
        (
            lambda folder: write(folder, whole("x")) / "20261124_120000",
            "give the work dir that it lies in",
        ),
        (lambda folder: write(folder / "toy", whole("x")).parent, "holds some: toy"),
    ],
)
def test_a_folder_without_a_run_is_one_clear_error(
    tmp_path: Path, make: object, text: str
) -> None:
    """It says what to give instead."""
    folder = make(tmp_path)  # type: ignore[operator]  # a function of the folder
    with pytest.raises(ReportError, match=text):
        read_run(folder)


def test_a_file_is_no_work_dir(tmp_path: Path) -> None:
    """A log, for instance."""
    path = tmp_path / "log.jsonl"
    path.write_text("{}")
    with pytest.raises(ReportError, match="is a file"):
        read_run(path)


def test_a_config_is_never_run(tmp_path: Path) -> None:
    """Neither the logged one nor a file in the work dir."""
    trap = f"open({str(tmp_path / 'trap')!r}, 'w')\nlr = open({str(tmp_path)!r})\n"
    (tmp_path / "config.py").write_text(trap)
    write(tmp_path, [*begin(), *iterations([2])])
    run = read_run(tmp_path)
    assert str(run.settings["lr"]).startswith("open(")
    assert not (tmp_path / "trap").exists()


def test_handlers_are_shown_if_they_were_measured(tmp_path: Path) -> None:
    """Those of ``--profile-hooks``, the longest first; a broken file is a note."""
    write(tmp_path, whole(str(tmp_path)))
    one = {"event": "STARTED", "handler": "A.before_train", "calls": 2, "seconds": 0.5}
    two = {"event": "COMPLETED", "handler": "B.after_train", "calls": 1, "seconds": 1.0}
    path = tmp_path / "20261124_120000" / "timeline.json"
    told = {"modes": {"train": {"seconds": 4.0, "handlers": [one, two]}}}
    path.write_text(json.dumps(told))
    run = read_run(tmp_path)
    assert [(one.name, one.share) for one in run.handlers] == [
        ("B.after_train", 0.25),
        ("A.before_train", 0.125),
    ]
    page = render([run])
    assert "2 handlers, as --profile-hooks measured them" in page
    path.write_text('{"modes": {"train": 3}}')
    run = read_run(tmp_path)
    assert (list(run.handlers), len(run.notes)) == ([], 1)
    assert "timeline.json" in str(run.notes[0])


def test_handlers_of_an_earlier_run_are_not_this_ones(tmp_path: Path) -> None:
    """A new run in the same work dir that did not measure shows none."""
    write(tmp_path, whole(str(tmp_path)), start="20261124_110000")
    one = {"event": "STARTED", "handler": "A.before_train", "calls": 2, "seconds": 0.5}
    told = {"modes": {"train": {"seconds": 4.0, "handlers": [one]}}}
    (tmp_path / "20261124_110000" / "timeline.json").write_text(json.dumps(told))
    assert len(read_run(tmp_path).handlers) == 1
    write(tmp_path, whole(str(tmp_path)))
    assert list(read_run(tmp_path).handlers) == []

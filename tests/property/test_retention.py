"""Retention never drops the newest checkpoint, and keeps as many as were asked for."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint import Store, choose, find_latest_checkpoint
from tests.runs import RunPlan, train

names = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=12)


@given(saved=names, keep=st.integers(-1, 14))
def test_the_newest_stay(saved: list[str], keep: int) -> None:
    """At most ``keep`` of them and at least the newest one; none is named twice."""
    dropped = choose(saved, keep=keep)
    kept = [name for name in saved if name not in dropped]
    assert kept == saved[len(dropped) :], "what goes is older than what stays"
    if saved:
        assert kept[-1] == saved[-1]
    if keep > 0:
        assert len(kept) == min(keep, len(saved))
    if keep == -1:
        assert not dropped


@given(saved=names, keep=st.integers(1, 5))
def test_dropping_after_each_save_ends_as_dropping_once(
    saved: list[str], keep: int
) -> None:
    """A store that drops as it goes holds at any time what one list would keep."""
    held: list[str] = []
    for count, name in enumerate(saved, start=1):
        held.append(name)
        held = [one for one in held if one not in choose(held, keep=keep)]
        assert held == saved[max(count - keep, 0) : count]


@settings(max_examples=8)
@given(keep=st.integers(1, 4), iterations=st.integers(1, 6))
def test_a_run_leaves_its_newest(keep: int, iterations: int) -> None:
    """On disk: the newest ``keep`` files, the pointer on the last one, no leftovers."""
    plan = RunPlan(max_epochs=None, max_iters=iterations, val_interval=None)
    with TemporaryDirectory() as folder:
        hook = {
            "type": "CheckpointHook",
            "by_epoch": False,
            "interval": 1,
            "max_keep_ckpts": keep,
        }
        runner = train(
            plan,
            Path(folder),
            custom_hooks=[],
            default_hooks={"checkpoint": hook, "logger": None},
        )
        kept = range(max(iterations - keep, 0) + 1, iterations + 1)
        names = {f"iter_{number}.pth" for number in kept}
        files = {path.name for path in Path(folder).iterdir() if path.is_file()}
        manifests = {f"{name}.json" for name in names}
        assert files == {*names, *manifests, "last_checkpoint"}
        newest = find_latest_checkpoint(folder)
        assert newest == str(Path(folder) / f"iter_{iterations}.pth")
        found = Store(runner.work_dir).newest_good()
        assert found is not None
        assert found[0] == Path(newest)

"""Break it on purpose and see a test fail: each by itself, in a copy."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from attrs import frozen

from tests import forked

ROOT = Path(__file__).parents[2]

RESUME = "tests/property/test_resume.py::test_every_cut_of_one_run"
GENERATOR = (
    "tests/unit/checkpoint/test_capture.py::test_each_global_generator_comes_back"
)
DRAWING = "tests/laws/test_state_drawing.py"
ORDER = "tests/property/test_handler_order.py"
CURSOR = "tests/property/test_cursor.py::test_every_sampler_reads_from_the_middle"
STOPS = (
    "tests/integration/test_every_stop.py::test_stopped_at_each_safe_point"
    "[validation by epoch]"
)
METRICS = (
    "tests/integration/test_resume_report.py"
    "::test_metrics_go_on_in_the_first_starts_file[iter_3]"
)
PADDED = (
    "tests/unit/evaluator/test_library_metrics.py"
    "::test_padded_samples_are_left_out[ignite: accuracy-17]"
)
FENCE = "tests/integration/test_fence.py::test_training_does_not_depend_on_who_watches"

AHEAD = (
    "tests/property/test_data_resume.py::"
    "test_what_workers_drew_ahead_of_a_stateful_sampler_comes_back[walking]"
)


@frozen
class Mutant:
    """One thing that is broken, and who must notice.

    Args:
        file: Of the package.
        healthy: Text that stands in it once.
        broken: What takes its place.
        tests: Each of them must fail.
    """

    file: str
    healthy: str
    broken: str
    tests: tuple[str, ...]


STOP = "tests/integration/test_stops.py"
LEFT = "tests/unit/dataset/test_worker_signals.py"
BY_TERM = f"map-{signal.SIGTERM:d}"
PATIENCE = "tests/unit/hooks/test_early_stopping.py"
STORE = "tests/unit/checkpoint/test_store.py"
HOOK = "tests/unit/hooks/test_checkpoint.py"
FAULTS = "tests/integration/test_store_faults.py"
RANKS = (
    "tests/distributed/test_every_stop.py::test_ranks_stopped_at_each_safe_point"
    "[validation by epoch-3]"
)
ASKED = (
    "tests/distributed/test_council.py::test_ranks_heed_at_one_place_whoever_was_asked"
)
KILLED = f"{FAULTS}::test_killed_before_any_step_nothing_is_lost"

MUTANTS = {
    "torch's generator is not restored": Mutant(
        "state/randomness.py",
        '    torch.set_rng_state(state["torch"].cpu())\n',
        "",
        (f"{RESUME}[epochs]", f"{GENERATOR}[torch]"),
    ),
    "NumPy's generator is not restored": Mutant(
        "state/randomness.py",
        '    np.random.set_state(_numpy_from_plain(state["numpy"]))\n',
        "",
        (f"{RESUME}[epochs]", f"{GENERATOR}[numpy]"),
    ),
    "python's generator is not restored": Mutant(
        "state/randomness.py",
        '    random.setstate((python["version"], words, python["gauss"]))\n',
        "",
        (f"{RESUME}[epochs]", f"{GENERATOR}[python]"),
    ),
    "the cursor is off by one": Mutant(
        "dataset/draws.py",
        "for number in range(start, self.shape.count):",
        "for number in range(start + 1, self.shape.count):",
        (f"{RESUME}[epochs]", f"{CURSOR}[shuffle]"),
    ),
    "what workers drew ahead of a sampler with a state is dropped": Mutant(
        "dataset/draws.py",
        "if (of_pass, number) >= (data_pass, batch)",
        "if False",
        (AHEAD,),
    ),
    "a hook's state is not put back": Mutant(
        "hooks/hook_set.py",
        "                record.hook.load_state_dict(state_dict[record.name])\n",
        "                continue\n",
        (STOPS,),
    ),
    "gradients of an open window are not put back": Mutant(
        "checkpoint/capture.py",
        '        parts.load_gradients(ours["gradients"])\n',
        "",
        (STOPS,),
    ),
    "one gradient buffer is not put back": Mutant(
        "optim/base_wrapper.py",
        "        for parameter, grad in zip(parameters, state, strict=True):\n"
        "            parameter.grad",
        "        for parameter, grad in [*zip(parameters, state, strict=True)][1:]:\n"
        "            parameter.grad",
        (STOPS,),
    ),
    "metrics files are not cut back": Mutant(
        "visualization/local.py",
        "                    os.truncate(path, size)",
        "                    path.exists()",
        (METRICS,),
    ),
    "validation is not fenced": Mutant(
        "loops/evaluate.py",
        "            fence(),\n            torch.no_grad(),",
        "            torch.no_grad(),",
        (f"{FENCE}[False-1]",),
    ),
    "what a validation gathered is not put back": Mutant(
        "loops/inside.py",
        '    gathered.load_state_dict(place["gathered"])\n',
        "",
        (STOPS,),
    ),
    "a validation goes on with training's generators": Mutant(
        "loops/inside.py",
        '    restore_randomness(place["randomness"])\n',
        "",
        (STOPS,),
    ),
    "hooks see a validation begin twice": Mutant(
        "loops/evaluate.py",
        "        self._again.put_back()",
        "        self._again",
        (STOPS,),
    ),
    "padded samples count": Mutant(
        "evaluator/library_metric.py",
        "        if self._size is None:",
        "        if outputs:",
        (PADDED,),
    ),
    "handlers of a save are not fenced": Mutant(
        "loops/saved.py",
        "        with fence():  # what handlers",
        "        if self.clock:  # what handlers",
        (f"{FENCE}[True-None]",),
    ),
    "handlers of equal priority are swapped": Mutant(
        "events/bus.py",
        "(one.priority, one.serial)",
        "(one.priority, -one.serial)",
        (f"{ORDER}::test_handlers_run_by_priority_then_registration",),
    ),
    "a file is renamed before it is flushed": Mutant(
        "checkpoint/local_storage.py",
        """            file.flush()
            os.fsync(file.fileno())
""",
        """            part.replace(path)
            file.flush()
            os.fsync(file.fileno())
            path.replace(part)
""",
        (f"{STORE}::test_it_is_durable_before_it_is_there", f"{KILLED}[epoch_2.pth]"),
    ),
    "old ones go before the new one is there": Mutant(
        "hooks/saving.py",
        "        owner = self.store.owner(self.name)\n",
        """        owner = self.store.owner(self.name)
        for name in self.drop:
            self.store.drop(name, run_id=run_id)
""",
        (f"{FAULTS}::test_old_ones_go_when_all_else_is_durable",),
    ),
    "the pointer moves before the manifest": Mutant(
        "hooks/saving.py",
        "        self.strategy.write(self.store, self.name, self.checkpoint)\n",
        """        for store, text in self.pointers:
            store.point_to(text)
        self.strategy.write(self.store, self.name, self.checkpoint)
""",
        (f"{KILLED}[epoch_3.pth]",),
    ),
    "the background writer gets the live tensors": Mutant(
        "hooks/checkpoint.py",
        "        return self._host.take(checkpoint)\n",
        "        return checkpoint\n",
        (f"{HOOK}::test_training_goes_on_while_it_writes_and_does_not_change_it",),
    ),
    "a phase move is added to the table": Mutant(
        "state/phase.py",
        "    Phase.FAILED: frozenset(),",
        "    Phase.FAILED: frozenset({Phase.TRAINING}),",
        (f"{DRAWING}::test_the_drawing_shows_each_move_of_the_table_once",),
    ),
    "the frozen copy outlives a newer file": Mutant(
        "loops/rescue.py",
        "        self._frozen = None  # older than this\n",
        "",
        (f"{STOP}::test_a_copy_older_than_the_newest_file_is_not_written",),
    ),
    "the stop's file stays beside a newer one": Mutant(
        "loops/stop_file.py",
        "        return () if name is None else (name,)",
        "        return ()",
        (f"{STOP}::test_a_file_system_of_a_url",),
    ),
    "the work dir does not point to the stop's file": Mutant(
        "loops/stop_file.py",
        "            pointers = hook.pointers(self._context, name)",
        "            pointers = pointers[:1]",
        (f"{STOP}::test_a_file_system_of_a_url",),
    ),
    "a rollback leaves its log lines": Mutant(
        "loops/going_back.py",
        '        self.context.cut_logs_back(checkpoint["meta"])\n',
        "",
        (f"{STOP}::test_a_rollback_leaves_no_trace_of_what_it_took_back",),
    ),
    "batches that are left out are read": Mutant(
        "loops/feed.py",
        "            yield from self._around(items) if self.left_out else items",
        "            yield from items",
        (f"{STOP}::test_a_rollback_leaves_no_trace_of_what_it_took_back",),
    ),
    "loader processes heed signals": Mutant(
        "dataset/worker_signals.py",
        "        signal.signal(number, signal.SIG_IGN)\n",
        "        del number\n",
        (f"{LEFT}::test_training_data_is_read_on[map-{signal.SIGUSR1:d}]",),
    ),
    "signals come while loader processes start": Mutant(
        "dataset/worker_signals.py",
        "signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
        (f"{LEFT}::test_one_that_comes_while_workers_start_is_left_too[{BY_TERM}]",),
    ),
    "DDP's buckets are not laid out as they were": Mutant(
        "model/buckets.py",
        "                _lay_out(wrapper, order)\n",
        "",
        (RANKS,),
    ),
    "what a rank has for itself is not put back": Mutant(
        "checkpoint/ranks.py",
        "        return _patched(mine, patches[get_rank()]), []\n",
        "        return mine, []\n",
        (RANKS,),
    ),
    "what all ranks ask for is heeded a safe point late": Mutant(
        "loops/council.py",
        "            due |= ballots.by_all()\n",
        "            ballots.by_all()\n",
        (ASKED,),
    ),
    "patience begins anew": Mutant(
        "hooks/early_stopping.py",
        '            self.wait_count = int(state_dict["wait_count"])\n',
        "",
        (f"{PATIENCE}::test_its_patience_goes_on",),
    ),
}


def copy_of_the_project(folder: Path) -> None:
    """The package, its tests and what they read, where they can be broken."""
    ignore = shutil.ignore_patterns("__pycache__", "test_mutants.py")
    for name in ("engine", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.cfg", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)


# A broken program's tests may leave threads and queues at which the interpreter's exit
# waits for ever; what pytest found is printed by then.
RUN = """\
import os, sys, pytest
code = pytest.main(sys.argv[1:])
sys.stdout.flush()
os._exit(code)
"""


def outcome(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and output of pytest, on the package in the folder."""
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=line"]
    script = folder / "run_pytest.py"
    script.write_text(RUN)
    done = forked.run(
        script,
        *plain,
        *tests,
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        preload=forked.LIBRARIES,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_a_test_fails(name: str, tmp_path: Path) -> None:
    """Each of the named tests fails, none of them cannot even start."""
    mutant = MUTANTS[name]
    copy_of_the_project(tmp_path)
    path = tmp_path / "engine" / mutant.file
    text = path.read_text()
    assert text.count(mutant.healthy) == 1, "the package has changed: mend the mutant"
    path.write_text(text.replace(mutant.healthy, mutant.broken))
    code, output = outcome(tmp_path, mutant.tests)
    assert code == 1, output
    assert "error" not in output.splitlines()[-1], output
    for test in mutant.tests:
        assert f"FAILED {test}" in output, output


def test_the_copy_is_healthy(tmp_path: Path) -> None:
    """Unbroken, the same tests pass: it is the change that they notice."""
    copy_of_the_project(tmp_path)
    tests = tuple(dict.fromkeys(t for one in MUTANTS.values() for t in one.tests))
    code, output = outcome(tmp_path, tests)
    assert code == 0, output

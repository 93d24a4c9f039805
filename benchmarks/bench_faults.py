"""Does any fault of saving lose a run? Killed, damaged, full, forbidden, shared.

    python benchmarks/bench_faults.py [--quick] [--instants N] [--runs N]

Each row is a fault, how often it was made, how often a resume then found the newest
checkpoint that the fault left whole, and what it said. ``--instants`` moments of a save
are drawn by chance and the process killed there by SIGKILL; so are ``--runs`` moments
of whole runs, each of which is then resumed and compared with the unbroken one, losses
and weights, to the bit. The last line that is printed is JSON. Exit code 1 if anything
was lost.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field, frozen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from engine.checkpoint import Store, read
from engine.errors import CheckpointDamagedError, CheckpointError
from tests.integration.dying_save import checkpoint, save

if TYPE_CHECKING:
    from collections.abc import Callable

FLOATS = 2_000_000  # 8 MB: long enough to be hit while it is written


@define
class Row:
    """A fault and what came of it."""

    fault: str
    tries: int = 0
    survived: int = 0
    said: set[str] = field(factory=set)

    def count(self, *, good: bool, said: list[str]) -> None:
        """One try more."""
        self.tries += 1
        self.survived += good
        self.said.update(said)


def large(number: int) -> dict[str, Any]:
    """A checkpoint whose writing takes a while."""
    made = checkpoint(number)
    made["state_dict"] = {"weight": torch.full((FLOATS,), float(number))}
    return made


def newest(folder: Path) -> tuple[int, list[str]]:
    """The number of the one that a resume takes, and what is said of others."""
    found = Store(folder).newest_good()
    if found is None:
        return 0, []
    return int(found[1]["state_dict"]["weight"][0]), found[2]


def short(remarks: list[str], folder: Path) -> list[str]:
    """What was said, without the folder."""
    return [one.replace(f"{folder}/", "").split(". ")[0] for one in remarks]


def killed_saves(instants: int, chance: random.Random) -> Row:
    """A process saves without end; it is killed at a moment drawn by chance."""
    row = Row("kill -9 at a random instant of a save")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, number = Store(folder), 1
        save(store, "epoch_1.pth", 1)
        while row.tries < instants:
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                _save_on(folder, number, writer)
            os.close(writer)
            os.read(reader, 1)  # it begins now
            time.sleep(chance.uniform(0.0, 0.06))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with os.fdopen(reader, "rb") as pipe:
                told = [int(line) for line in pipe.read().split()]
            durable = told[-1] if told else number
            found, remarks = newest(folder)
            row.count(
                good=found in (durable, durable + 1) and not remarks,
                said=short(remarks, folder),
            )
            number = found
    return row


def _save_on(folder: Path, number: int, writer: int) -> None:
    """In a process of its own: save, tell, save; until it is killed."""
    torch.set_num_threads(1)
    store = Store(folder)
    os.write(writer, b"\n")
    while True:
        new = number + 1
        made = large(new)
        store.write(f"epoch_{new}.pth", made)
        store.point_to(f"epoch_{new}.pth")
        os.write(writer, f"{new}\n".encode())
        store.drop(f"epoch_{number}.pth", run_id=made["meta"]["run_id"])
        number = new


def killed_runs(runs: int, chance: random.Random) -> Row:
    """Whole runs, killed at a moment drawn by chance, resumed to the end.

    A moment is drawn evenly from the time between the unbroken run's first loss and a
    little after its last; ten of eleven lie before the last. It is kept as "so many
    losses told and so long after": it falls at the same place of a slower run.
    What the run told of its losses, before the kill and after the resume, must be what
    the unbroken run told, and all of it.
    """
    row = Row("kill -9 at a random instant of a run, then --resume")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run_killable(folder / "warm")  # compiles and caches
        times = _run_killable(folder / "whole").times
        whole = _weights(folder / "whole" / "run")
        losses = _told(folder / "whole")
        marks = {"before a checkpoint": 0, "in training": 0, "after its last step": 0}
        for number in range(runs):
            place = folder / str(number)
            _run_killable(place, kill=_moment(times, chance.uniform(0.0, 1.1)))
            before = _told(place)
            if len(before) == len(losses):
                marks["after its last step"] += 1
            elif list((place / "run").glob("*.pth")):
                marks["in training"] += 1
            else:
                marks["before a checkpoint"] += 1
            code = _run_killable(place, "--resume").code
            mine = _weights(place / "run")
            told = before | _told(place)
            row.count(
                good=code == 0
                and before.items() <= losses.items()
                and told == losses
                and mine.keys() == whole.keys()
                and all(torch.equal(mine[key], whole[key]) for key in whole),
                said=[],
            )
            shutil.rmtree(place)
    row.said.add("killed " + ", ".join(f"{what}: {n}" for what, n in marks.items()))
    return row


@frozen
class Moment:
    """A moment of a run: so many seconds after it has told so many losses."""

    losses: int
    seconds: float


@frozen
class Ended:
    """How a process ended, and when each of its losses was seen, in seconds."""

    code: int
    times: list[float]


def _moment(times: list[float], share: float) -> Moment:
    """The moment at a share of the time from the first to the last of ``times``."""
    at = times[0] + share * (times[-1] - times[0])
    losses = bisect.bisect_right(times, at)
    return Moment(losses, at - times[losses - 1])


def _run_killable(place: Path, *options: str, kill: Moment | None = None) -> Ended:
    """Train the config in a new process, which is killed at a moment if it is given."""
    config = Path(__file__).parents[1] / "tests" / "integration" / "killable.py"
    place.mkdir(exist_ok=True)
    told = place / "told"
    told.unlink(missing_ok=True)
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "engine", "train", str(config)),
            *("--work-dir", str(place / "run"), *options),
        ],
        env={**os.environ, "TOLD": str(told), "PYTHONPATH": str(config.parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    times: list[float] = []
    while child.poll() is None:
        now = time.perf_counter()
        seen = told.read_bytes().count(b"\n") if told.exists() else 0
        times += [now] * (seen - len(times))
        due = kill and len(times) >= kill.losses
        if kill and due and now - times[kill.losses - 1] >= kill.seconds:
            os.killpg(child.pid, signal.SIGKILL)
            break
        time.sleep(0.0002 if times else 0.002)
    return Ended(child.wait(), times)


def _told(place: Path) -> dict[int, str]:
    """The bits of each iteration's loss, as the run told them; a torn line is none."""
    path = place / "told"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return {int(line.split()[0]): line.split()[1] for line in lines}


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the newest checkpoint; none if there is none."""
    found = Store(folder).newest_good()
    weights: dict[str, torch.Tensor] = {} if found is None else found[1]["state_dict"]
    return weights


def damaged(tries: int, chance: random.Random) -> list[Row]:
    """The newest file truncated, empty, with a flipped bit."""

    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed)

    kinds: dict[str, Callable[[bytes], bytes]] = {
        "the newest file is truncated": lambda one: one[: chance.randrange(len(one))],
        "the newest file is empty": lambda _: b"",
        "the newest file has a flipped bit": flip,
    }
    rows = []
    for fault, change in kinds.items():
        row = Row(fault)
        for _ in range(tries if "empty" not in fault else 1):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                store = Store(folder)
                save(store, "epoch_1.pth", 1)
                save(store, "epoch_2.pth", 2)
                path = folder / "epoch_2.pth"
                path.write_bytes(change(path.read_bytes()))
                found, remarks = newest(folder)
                said = [one.split("bytes): ")[-1] for one in short(remarks, folder)]
                row.count(good=found == 1 and len(remarks) == 1, said=said)
        rows.append(row)
    return rows


def full_disk() -> Row:
    """No file may grow above a limit: as a full disk, in the middle of a save."""
    row = Row("the disk is full")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(Store(folder), "epoch_1.pth", 1)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            try:
                Store(folder).write("epoch_2.pth", large(2))
            except CheckpointError as error:
                (folder / "said").write_text(str(error))
                os._exit(3)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found, remarks = newest(folder)
        left = list(folder.glob("*.part"))
        said = (folder / "said").read_text().replace(f"{folder}/", "")
        row.count(
            good=(code, found, remarks, left) == (3, 1, [], []),
            said=[said.split(" (")[0]],
        )
    return row


def no_permission() -> Row | None:
    """A folder that may not be written; root may write all but an immutable one."""
    row = Row("no permission to write")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        save(Store(folder), "epoch_1.pth", 1)
        chattr = shutil.which("chattr")
        if os.geteuid() == 0:
            if chattr is None:
                return None
            attempt = [chattr, "+i", str(folder)]
            if subprocess.run(attempt, check=False, capture_output=True).returncode:
                return None
        else:
            folder.chmod(0o500)
        try:
            said = []
            try:
                Store(folder).write("epoch_2.pth", checkpoint(2))
            except CheckpointError as error:
                said = short([str(error)], folder)
            row.count(good=newest(folder) == (1, []) and bool(said), said=said)
        finally:
            if os.geteuid() == 0 and chattr is not None:
                subprocess.run([chattr, "-i", str(folder)], check=True)
            folder.chmod(0o700)
    return row


def two_runs(rounds: int) -> Row:
    """Two processes save under the same names at once."""
    row = Row("two runs in one folder")
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            children = []
            for first in (100, 200):
                child = os.fork()
                if child == 0:
                    torch.set_num_threads(1)
                    for number in range(10):
                        save(Store(folder), f"iter_{number % 2}.pth", first + number)
                    os._exit(0)
                children.append(child)
            codes = [os.waitpid(child, 0)[1] for child in children]
            for path in folder.glob("*.pth"):
                read(path)
            found, remarks = newest(folder)
            row.count(
                good=codes == [0, 0] and found in (109, 209) and not remarks,
                said=short(remarks, folder),
            )
    return row


def clock_set_back() -> Row:
    """Files of the future: later ones seem older."""
    row = Row("the clock was set back, the newest is damaged")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in (1, 2, 3):
            save(Store(folder), f"epoch_{number}.pth", number)
            age = 2_000_000_000 - 1_000_000 * number
            os.utime(folder / f"epoch_{number}.pth", (age, age))
        (folder / "epoch_3.pth").write_bytes(b"")
        found, remarks = newest(folder)
        row.count(good=found == 2, said=short(remarks, folder))  # epoch 2
    return row


class Malicious:
    """Unpickled it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        """What pickle would do."""
        return os.mkdir, (str(self.folder),)


def malicious() -> Row:
    """A file that runs code when it is unpickled."""
    row = Row("a malicious pickle")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(Store(folder), "epoch_1.pth", 1)
        bad = {**checkpoint(2), "x": Malicious(folder / "hacked")}
        torch.save(bad, folder / "epoch_2.pth")
        said = []
        try:
            read(folder / "epoch_2.pth")
        except CheckpointDamagedError as error:
            said = [part for part in str(error).split(", ") if "never done" in part]
        ran = (folder / "hacked").exists()
        row.count(good=not ran and newest(folder)[0] == 1 and bool(said), said=said)
    return row


def main() -> int:
    """Make all faults and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few of each: for tests")
    parser.add_argument("--instants", type=int, default=200)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        options.instants, options.runs = 6, 1
    chance = random.Random(options.seed)
    few = options.quick
    made: list[Row] = []
    for make in (  # a long run tells what it has so far
        lambda: [killed_saves(options.instants, chance)],
        lambda: [killed_runs(options.runs, chance)],
        lambda: damaged(3 if few else 50, chance),
        lambda: [full_disk()],
        lambda: [no_permission()],
        lambda: [two_runs(1 if few else 10)],
        lambda: [clock_set_back()],
        lambda: [malicious()],
    ):
        for row in make():
            if row is None:
                print("no permission: skipped, root may write everything here")
                continue
            made.append(row)
            print(f"{row.fault:<52} {row.survived:>4} of {row.tries:<4}")
            for said in sorted(row.said)[:2]:
                print(f"    {said[:100]}", flush=True)
    lost = sum(row.tries - row.survived for row in made)
    facts = {
        "benchmark": "faults",
        "quick": options.quick,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "lost": lost,
        "rows": {row.fault: [row.survived, row.tries] for row in made},
    }
    print(json.dumps(facts))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

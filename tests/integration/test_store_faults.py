"""Faults of saving, real ones: killed at each step, damaged files, a full disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.checkpoint import Store, read
from engine.errors import CheckpointDamagedError
from tests import forked
from tests.integration import dying_save
from tests.integration.dying_save import save

SCRIPT = Path(dying_save.__file__)
KILLED = -signal.SIGKILL % 256


def before(folder: Path) -> Store:
    """A store with two checkpoints."""
    store = Store(folder)
    save(store, "epoch_1.pth", 1)
    save(store, "epoch_2.pth", 2)
    return store


def newest(folder: Path) -> tuple[float, list[str]]:
    """Which checkpoint a resume takes, and what is said of others."""
    found = Store(folder).newest_good()
    assert found is not None
    return float(found[1]["state_dict"]["weight"][0]), found[2]


@pytest.mark.parametrize("name", ["epoch_3.pth", "epoch_2.pth"])
def test_killed_before_any_step_nothing_is_lost(tmp_path: Path, name: str) -> None:
    """A new file or one that replaces another: the old or the new one, undamaged."""
    seen, step = set(), 0
    while True:
        step += 1
        folder = tmp_path / str(step)
        before(folder)
        done = forked.run(SCRIPT, folder, name, str(step), cwd=tmp_path)
        number, remarks = newest(folder)
        assert remarks == [], f"before step {step} a file seems damaged"
        seen.add(number)
        if done.returncode == 0:
            break
        assert done.returncode == KILLED, done.stderr
        for path in folder.glob("*.pth"):
            read(path)
        # The run that is resumed saves again; nothing of the killed one is in its way.
        save(Store(folder), name, 3, drop=("epoch_1.pth",))
        Store(folder).prove()
        names = {"epoch_2.pth", name}
        left = {path.name for path in folder.iterdir()}
        assert left == {*names, *(f"{n}.json" for n in names), "last_checkpoint"}
        assert newest(folder) == (3.0, [])
    assert step > 20, "each step was tried"
    assert seen == {2.0, 3.0}, "killed early the old one is newest, late the new one"


def test_old_ones_go_when_all_else_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each deletion the new file, its manifest and the pointer are there."""
    store = before(tmp_path)
    there: list[tuple[str, set[str], str]] = []
    healthy = os.unlink

    def unlink(path: Path) -> None:
        names = {one.name for one in tmp_path.iterdir()}
        there.append((path.name, names, (tmp_path / "last_checkpoint").read_text()))
        healthy(path)

    monkeypatch.setattr(os, "unlink", unlink)
    save(store, "epoch_3.pth", 3, drop=("epoch_1.pth",))
    assert [name for name, _, _ in there] == ["epoch_1.pth", "epoch_1.pth.json"]
    for _, names, pointer in there:
        assert {"epoch_3.pth", "epoch_3.pth.json"} <= names
        assert pointer == "epoch_3.pth"


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "gone", "longer"])
@pytest.mark.parametrize("manifest", [True, False])
def test_damage_is_told_and_the_one_before_is_used(
    tmp_path: Path, damage: str, *, manifest: bool
) -> None:
    """One message for the damaged file, whether or not it has a manifest."""
    before(tmp_path)
    path = tmp_path / "epoch_2.pth"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    lengths = {"empty": 0, "cut": len(content) // 3}
    content = content[: lengths.get(damage, len(content))]
    if damage == "longer":
        content = content[: len(content) // 2] + b"x" + content[len(content) // 2 :]
    path.write_bytes(content)
    if damage == "gone":
        path.unlink()
    if not manifest:
        (tmp_path / "epoch_2.pth.json").unlink()
    number, (remark,) = newest(tmp_path)
    assert number == 1.0
    assert str(path) in remark


def test_each_flipped_bit_of_a_file_is_found(tmp_path: Path) -> None:
    """By the manifest, wherever it is: the zip's own sums leave its headers out."""
    before(tmp_path)
    path = tmp_path / "epoch_2.pth"
    healthy = path.read_bytes()
    chance = random.Random(5)
    for _ in range(150):
        content = bytearray(healthy)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        with pytest.raises(CheckpointDamagedError, match=r"epoch_2\.pth: cannot be"):
            read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"check": 1}', "\x00\xff"])
def test_a_damaged_manifest_costs_no_checkpoint(tmp_path: Path, text: str) -> None:
    """The file is checked by its own checksums then."""
    before(tmp_path)
    path = tmp_path / "epoch_2.pth.json"
    path.write_text(text)
    assert newest(tmp_path) == (2.0, [])


def test_a_flipped_bit_of_a_manifest_costs_no_checkpoint(tmp_path: Path) -> None:
    """Nor does a digest that is a digit off: the manifest has a checksum of its own."""
    before(tmp_path)
    path = tmp_path / "epoch_2.pth.json"
    text = path.read_text()
    digest = text.split('"digest": "')[1][0]
    path.write_text(text.replace(f'"{digest}', f'"{"1" if digest != "1" else "2"}'))
    assert newest(tmp_path) == (2.0, [])


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    """The last one written is newest, also by names and times that say otherwise."""
    store = before(tmp_path)
    save(store, "epoch_3.pth", 3)
    for number, age in ((1, 3_000), (2, 2_000), (3, 1_000)):
        path = tmp_path / f"epoch_{number}.pth"
        os.utime(path, (age, age))
    (tmp_path / "epoch_3.pth").write_bytes(b"")
    assert newest(tmp_path)[0] == 2.0
    (tmp_path / "last_checkpoint").unlink()
    assert newest(tmp_path)[0] == 2.0


BOTH = """
import sys
from engine.checkpoint import Store
from tests.integration.dying_save import save
store = Store(sys.argv[1])
for number in range(int(sys.argv[2]), 40, 2):
    save(store, "iter_1.pth", number)
"""


def test_two_processes_may_write_the_same_name(tmp_path: Path) -> None:
    """Whoever comes last: file, manifest and pointer are whole and fit each other."""
    root = SCRIPT.parents[2]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, str(tmp_path), str(number)], cwd=root
        )
        for number in (0, 1)
    ]
    assert [one.wait() for one in both] == [0, 0]
    number, remarks = newest(tmp_path)
    assert number in (38.0, 39.0)
    assert remarks == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "iter_1.pth",
        "iter_1.pth.json",
        "last_checkpoint",
    }


def test_a_run_deletes_only_what_it_wrote(tmp_path: Path) -> None:
    """A file of the same name from another run stays."""
    store = before(tmp_path)
    assert not store.drop("epoch_1.pth", run_id="another")
    assert (tmp_path / "epoch_1.pth").exists()
    assert store.drop("epoch_1.pth", run_id=dying_save.RUN)
    assert not (tmp_path / "epoch_1.pth").exists()
    assert not (tmp_path / "epoch_1.pth.json").exists()


def test_what_changes_after_the_write_is_not_in_the_file(tmp_path: Path) -> None:
    """The digest is of the bytes that were written."""
    store = before(tmp_path)
    torch.manual_seed(0)
    content = dying_save.checkpoint(4)
    content["state_dict"] = {"weight": torch.rand(300_000)}
    store.write("epoch_4.pth", content)
    content["state_dict"]["weight"].zero_()
    assert read(tmp_path / "epoch_4.pth")["state_dict"]["weight"].max() > 0

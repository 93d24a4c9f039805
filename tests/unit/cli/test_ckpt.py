"""``engine ckpt show|verify|diff|export``."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from engine.checkpoint import read
from engine.cli.app import app
from engine.cli.checkpoint_index import read_index, tensors
from engine.hooks import EMAHook
from tests.runs import RunPlan, train

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a run with averages."""
    folder = tmp_path_factory.mktemp("run")
    train(RunPlan(max_epochs=2), folder, custom_hooks=[EMAHook()], default_hooks=None)
    return folder


def call(*arguments: object) -> tuple[int, list[str]]:
    """Exit code and lines of ``engine ckpt ARGUMENTS``."""
    done = RUNNER.invoke(app, ["ckpt", *map(str, arguments)])
    return done.exit_code, done.output.splitlines()


# -- show ------------------------------------------------------------------------------


def test_show_needs_no_torch(run: Path) -> None:
    """In a real process that would fail if it imported torch, NumPy or Ignite."""
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'ignite'):\n    sys.modules[name] = None\n"
        "from engine.cli.app import app\n"
        f"app(['ckpt', 'show', {str(run / 'epoch_2.pth')!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 2, iteration 6, optimizer steps 6, samples 18" in done.stdout


def test_show_says_what_is_in_a_file(run: Path) -> None:
    """Place, seed, versions, and each part with its size and hooks by name."""
    code, lines = call("show", run / "epoch_2.pth")
    assert code == 0
    words = [" ".join(line.split()) for line in lines]
    checkpoint = read(run / "epoch_2.pth")
    weights = checkpoint["state_dict"].values()
    count = sum(value.numel() for value in weights)
    size = sum(value.numel() * value.element_size() for value in weights)
    assert f"state_dict {len(weights)} tensors, {count} numbers, {size} B, f" in str(
        words
    )
    assert "seed 7" in words
    assert "at safe point yes" in words
    assert any(line.startswith("environment python 3.") for line in words)
    assert any(line.startswith("hook 'checkpoint' ") for line in words)
    assert any(line.startswith("ema_state_dict ") for line in words)


def test_the_index_is_what_torch_reads(run: Path) -> None:
    """Each tensor with its place, shape and dtype; each plain value."""
    checkpoint = read(run / "epoch_2.pth")
    index = read_index(run / "epoch_2.pth")
    assert index.foreign == []
    assert stubs_of(checkpoint) == index.tree
    listed = {name: stub.elements for name, stub in tensors(index.tree)}
    assert listed["engine.randomness.torch"] == torch.get_rng_state().numel()
    _, lines = call("show", run / "epoch_2.pth", "--tensors")
    assert any(line.split()[0] == "engine.randomness.torch" for line in lines if line)


def stubs_of(tree: Any) -> Any:
    """What equals the index of a tree: tensors by shape and dtype."""
    if isinstance(tree, torch.Tensor):
        return Like(tree)
    if isinstance(tree, dict):
        return {key: stubs_of(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(stubs_of(value) for value in tree)
    return tree


class Like:
    """Equal to the stub of a tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __eq__(self, stub: object) -> bool:
        found = (getattr(stub, "shape", None), getattr(stub, "dtype", None))
        size = self.tensor.numel() * self.tensor.element_size()
        kind = str(self.tensor.dtype).removeprefix("torch.")
        same = found == (tuple(self.tensor.shape), kind)
        return same and getattr(stub, "size_bytes", None) == size

    __hash__ = None  # type: ignore[assignment]  # equal to what is another kind


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(2, 3),
        torch.zeros(2, dtype=torch.uint16),
        torch.zeros(2, dtype=torch.float8_e4m3fn),
        torch.zeros(4, dtype=torch.complex64),
        torch.ones(2, 3).t(),
        torch.nn.Parameter(torch.zeros(2)),
        torch.zeros(2, dtype=torch.bfloat16),
        torch.zeros(3, dtype=torch.bool),
    ],
    ids=lambda value: f"{value.dtype}-{value.is_contiguous()}",
)
def test_every_kind_of_tensor_has_a_stub(value: torch.Tensor, tmp_path: Path) -> None:
    """Shape, dtype and bytes, whatever torch pickles it as."""
    torch.save({"x": value, "kind": value.dtype}, tmp_path / "x.pth")
    index = read_index(tmp_path / "x.pth")
    assert index.foreign == []
    assert index.tree == {"x": Like(value), "kind": str(value.dtype)}


class Malicious:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> Any:
        return (os.system, ("touch was_run",))


def test_nothing_that_is_pickled_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named instead; ``verify`` calls the file bad."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.zeros(1)}, "x": [Malicious()]}, "bad.pth")
    code, lines = call("show", "bad.pth")
    assert code == 0
    assert any("never unpickled: " in line and "system" in line for line in lines)
    code, lines = call("verify", "bad.pth")
    assert (code, lines[0].startswith("bad.pth: BAD: ")) == (1, True)
    assert not Path("was_run").exists()


def test_show_tells_weights_alone(tmp_path: Path) -> None:
    """One row for all of them."""
    torch.save({"a": torch.zeros(2), "b": torch.zeros(3)}, tmp_path / "w.pth")
    _, lines = call("show", tmp_path / "w.pth")
    words = [" ".join(line.split()) for line in lines]
    assert "written by weights alone: no run of ours can be resumed from it" in words
    assert "weights 2 tensors, 5 numbers, 20 B, float32" in words


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read (0 bytes): it is truncated, damaged, or no checkpoint."),
        (b"PK\x03\x04 and then nothing", "BadZipFile"),
        (pickle.dumps({"a": 1}), "BadZipFile"),
    ],
)
def test_show_of_no_checkpoint_is_a_mistake(
    content: bytes, told: str, tmp_path: Path
) -> None:
    """One message, exit code 2."""
    (tmp_path / "x.pth").write_bytes(content)
    code, lines = call("show", tmp_path / "x.pth")
    assert (code, len(lines)) == (2, 1)
    assert told in lines[0]
    code, lines = call("show", tmp_path / "y.pth")
    assert (code, lines) == (2, [f"error: {tmp_path / 'y.pth'}: there is no such file"])


def test_show_of_another_zip_is_a_mistake(tmp_path: Path) -> None:
    """One that torch did not write, and one with a damaged pickle."""
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("a.txt", "a")
    assert (
        "without data.pkl; it holds ['a.txt']" in call("show", tmp_path / "x.pth")[1][0]
    )
    with zipfile.ZipFile(tmp_path / "y.pth", "w") as archive:
        archive.writestr("y/data.pkl", b"\x80\x02}q\x00(X")
    assert call("show", tmp_path / "y.pth")[0] == 2


# -- verify ----------------------------------------------------------------------------


def test_verify_says_good(run: Path) -> None:
    """Of a file, and of each file of a folder."""
    path = run / "epoch_1.pth"
    assert call("verify", path) == (0, [f"{path}: good: epoch 1, iteration 3"])
    code, lines = call("verify", run)
    assert code == 0
    assert lines[-1] == "2 files, 0 bad"


def test_verify_finds_what_is_bad(run: Path, tmp_path: Path) -> None:
    """A flipped bit, a cut file, a lost part, a pointer that leads nowhere."""
    whole = (run / "epoch_1.pth").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "a_flipped.pth").write_bytes(flipped)
    (tmp_path / "b_cut.pth").write_bytes(whole[:-100])
    lacking = read(run / "epoch_1.pth")
    del lacking["engine"]["hooks"]
    torch.save(lacking, tmp_path / "c_lacking.pth")
    torch.save({"w": torch.zeros(1)}, tmp_path / "d_weights.pth")
    torch.save([1], tmp_path / "e_list.pth")
    (tmp_path / "f_whole.pth").write_bytes(whole)
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        os.utime(path, (number, number))
    (tmp_path / "last_checkpoint").write_text("gone.pth")
    code, lines = call("verify", tmp_path)
    assert code == 1
    told = [line.split(": ", 2)[1] for line in lines[:7]]
    assert told == ["BAD", "BAD", "BAD", "good", "BAD", "good", "BAD"]
    assert lines[2].endswith("damaged: its parts ['hooks'] are missing")
    assert lines[3].endswith("good: weights alone, no run can be resumed from it")
    assert lines[6].endswith("last_checkpoint: BAD: names gone.pth, which is not there")
    assert lines[7] == "6 files, 5 bad"


def test_verify_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    """A path that leads nowhere, a folder without a checkpoint."""
    assert call("verify", tmp_path / "x.pth")[0] == 2
    assert call("verify", tmp_path)[0] == 2


# -- diff ------------------------------------------------------------------------------


def test_diff_of_the_same_run(run: Path) -> None:
    """Exit 0; a folder stands for its newest."""
    code, lines = call("diff", run / "epoch_2.pth", run)
    assert code == 0
    assert lines[0].startswith("equal: place, weights, averages, optimizer, schedules,")
    assert lines[1] == "The two checkpoints hold the same run."


def test_diff_names_the_first_key_and_the_size(run: Path, tmp_path: Path) -> None:
    """Exit 1, so many lines, then how many more; last what is equal."""
    changed = read(run / "epoch_2.pth")
    for name in list(changed["state_dict"])[:3]:
        changed["state_dict"][name] = changed["state_dict"][name] + 1
    torch.save(changed, tmp_path / "changed.pth")
    path = run / "epoch_2.pth"
    code, lines = call("diff", path, tmp_path / "changed.pth", "--limit", 2)
    name = next(iter(changed["state_dict"]))
    assert code == 1
    assert lines[0].startswith(
        f"averages['{name}']: 3 of 3 elements differ, by up to 1"
    )
    assert lines[2] == "... and 1 more"
    assert "weights" in lines[3]
    assert "averages" not in lines[3]


def test_diff_of_what_is_not_there_is_a_mistake(run: Path, tmp_path: Path) -> None:
    """A file, or a checkpoint in the folder."""
    assert call("diff", run / "epoch_2.pth", run / "epoch_9.pth")[0] == 2
    assert call("diff", run / "epoch_2.pth", tmp_path)[0] == 2


# -- export ----------------------------------------------------------------------------


def test_export_writes_weights_alone(run: Path, tmp_path: Path) -> None:
    """The trained ones, or the averages; a plain state dict that torch reads."""
    checkpoint = read(run / "epoch_2.pth")
    for option, key in (([], "ema_state_dict"), (["--ema"], "state_dict")):
        out = tmp_path / "new" / f"{key}.pth"
        code, lines = call("export", run / "epoch_2.pth", out, *option)
        assert (code, lines[0].startswith(f"{out}: ")) == (0, True)
        found = torch.load(out, weights_only=True)
        assert list(found) == list(checkpoint["state_dict"])
        for name, value in found.items():
            prefix = "" if option else "module."
            assert torch.equal(value, checkpoint[key][f"{prefix}{name}"])


def test_export_strips_wrappers_and_what_is_beside(tmp_path: Path) -> None:
    """``module.`` goes; a view does not bring what it is a view of."""
    big = torch.zeros(100_000)
    torch.save({"state_dict": {"module.w": big[:2]}, "x": big}, tmp_path / "in.pth")
    assert call("export", tmp_path / "in.pth", tmp_path / "out.pth")[0] == 0
    assert list(torch.load(tmp_path / "out.pth", weights_only=True)) == ["w"]
    assert (tmp_path / "out.pth").stat().st_size < 10_000
    mine = {"module.w": torch.zeros(1), "head.w": torch.zeros(1)}
    torch.save(mine, tmp_path / "in.pth")
    assert call("export", tmp_path / "in.pth", tmp_path / "out.pth")[0] == 0
    assert list(torch.load(tmp_path / "out.pth", weights_only=True)) == list(mine)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["out.pth", "--ema"], "holds no averages: it was saved without EMAHook"),
        (["out.bin"], "give a file that ends in .pth or .pt"),
    ],
)
def test_export_of_what_is_not_there_is_a_mistake(
    more: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, exit code 2."""
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.zeros(1)}, "in.pth")
    code, lines = call("export", "in.pth", *more)
    assert (code, len(lines)) == (2, 1)
    assert told in lines[0]

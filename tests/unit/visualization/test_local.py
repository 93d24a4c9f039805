"""LocalVisBackend: scalars and config as files."""

from __future__ import annotations

import json
import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine.errors import ConfigError, SerializationError
from engine.registry import VISBACKENDS
from engine.visualization import LocalVisBackend

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalVisBackend]:
    """A backend whose folder is not there yet."""
    made = LocalVisBackend(tmp_path / "run" / "vis_data")
    yield made
    made.close()


def lines(backend: LocalVisBackend, name: str = "scalars.json") -> list[Any]:
    """What the file holds now, a value for each line."""
    text = (backend.save_dir / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_what_comes_after_a_state_is_taken_back(tmp_path: Path) -> None:
    """Also files that are new; one that is shorter stays."""
    backend = LocalVisBackend(tmp_path / "vis")
    backend.add_scalar("loss", 0.5, step=1)
    state = backend.state_dict()
    backend.add_scalars({"loss": 0.25}, step=2, file_path="more.json")
    again = LocalVisBackend(tmp_path / "vis")
    again.load_state_dict(state)
    again.add_scalar("loss", 0.125, step=2)
    again.close()
    text = (tmp_path / "vis" / "scalars.json").read_text()
    assert text == '{"loss": 0.5, "step": 1}\n{"loss": 0.125, "step": 2}\n'
    assert (tmp_path / "vis" / "more.json").read_text() == ""
    (tmp_path / "vis" / "scalars.json").write_text("{}\n")
    LocalVisBackend(tmp_path / "vis").load_state_dict(state)
    assert (tmp_path / "vis" / "scalars.json").read_text() == "{}\n"
    backend.close()


def test_constructing_writes_nothing(backend: LocalVisBackend) -> None:
    """Neither folder nor file is made before it is needed."""
    assert backend.experiment is backend
    assert not backend.save_dir.exists()


def test_a_line_holds_the_scalars_then_the_step(backend: LocalVisBackend) -> None:
    """The bytes are those that readers of MMEngine's file know."""
    backend.add_scalars({"loss": 0.1, "lr": 1e-05}, step=10)
    backend.add_scalar("acc", 1, 11)
    written = (backend.save_dir / "scalars.json").read_bytes()
    assert written == (
        b'{"loss": 0.1, "lr": 1e-05, "step": 10}\n{"acc": 1, "step": 11}\n'
    )


def test_a_line_is_there_before_the_call_returns(backend: LocalVisBackend) -> None:
    """Another process sees each line at once, while the file is still open."""
    for step in range(3):
        backend.add_scalar("loss", 0.5, step)
        assert lines(backend)[-1] == {"loss": 0.5, "step": step}


def test_a_step_among_the_scalars_wins(backend: LocalVisBackend) -> None:
    """Whoever puts a step into the values means that one."""
    scalars = {"step": 9, "loss": 1.5}
    backend.add_scalars(scalars, step=10)
    assert lines(backend) == [{"step": 9, "loss": 1.5}]


def test_the_scalars_are_not_changed(backend: LocalVisBackend) -> None:
    """The caller's dict gains no step."""
    scalars = {"loss": 1.5}
    backend.add_scalars(scalars, step=10)
    assert scalars == {"loss": 1.5}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.tensor(0.1, dtype=torch.float64), 0.1),
        (torch.tensor([3]), 3),
        (torch.tensor(0.1), 0.10000000149011612),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.int64(2**62), 2**62),
        (np.array([[0.25]]), 0.25),
        (True, True),
        (None, None),
        ("text", "text"),
        (torch.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
        ((torch.tensor(1), 2.5), [1, 2.5]),
        ({"cat": np.float32(0.5)}, {"cat": 0.5}),
    ],
    ids=repr,
)
def test_values_become_what_json_has(
    backend: LocalVisBackend, value: Any, expected: Any
) -> None:
    """Numbers in tensors and arrays are taken out; what is larger becomes a list."""
    backend.add_scalar("value", value, 1)
    assert lines(backend) == [{"value": expected, "step": 1}]


def test_values_that_are_not_finite_stay_readable(backend: LocalVisBackend) -> None:
    """A diverged run's lines still load."""
    backend.add_scalars({"a": math.nan, "b": torch.tensor(-math.inf)}, 1)
    (line,) = lines(backend)
    assert math.isnan(line["a"])
    assert line["b"] == -math.inf


def test_a_value_that_json_lacks_is_named(backend: LocalVisBackend) -> None:
    """The key and the type are told, and nothing is written."""
    with pytest.raises(
        SerializationError, match="'cost' is a Decimal, but a scalar is"
    ):
        backend.add_scalars({"loss": 1.0, "cost": Decimal(1)}, 1)
    assert not backend.save_dir.exists()


def test_a_complex_tensor_is_no_scalar(backend: LocalVisBackend) -> None:
    """What comes out of a tensor is looked at too."""
    with pytest.raises(SerializationError, match="'z' is a complex"):
        backend.add_scalar("z", torch.tensor(1j), 1)


def test_a_file_of_its_own_gets_the_line_too(backend: LocalVisBackend) -> None:
    """file_path adds a file and leaves out none."""
    backend.add_scalars({"acc": 0.5}, 1, "val.json")
    assert lines(backend) == lines(backend, "val.json") == [{"acc": 0.5, "step": 1}]


@pytest.mark.parametrize(
    ("file_path", "expected"),
    [
        ("scalars.json", "gets the line anyway"),
        ("val.txt", r"file_path is 'val\.txt'"),
        ("more/val.json", r"a resumed run cuts back only .* a name without '/'"),
        ("/tmp/val.json", "right in the folder"),  # noqa: S108 - nothing is written
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    backend: LocalVisBackend, file_path: str, expected: str
) -> None:
    """Neither the same file again nor another kind of file is taken."""
    with pytest.raises(ConfigError, match=expected):
        backend.add_scalars({"acc": 0.5}, 1, file_path)


def test_a_file_that_is_there_is_gone_on_with(backend: LocalVisBackend) -> None:
    """A second start in the folder appends."""
    backend.add_scalar("loss", 1.0, 1)
    backend.close()
    later = LocalVisBackend(backend.save_dir)
    later.add_scalar("loss", 2.0, 2)
    later.close()
    assert [line["loss"] for line in lines(backend)] == [1.0, 2.0]


def test_half_a_line_does_not_spoil_the_next(backend: LocalVisBackend) -> None:
    """What a killed run left unfinished stays on a line of its own."""
    backend.save_dir.mkdir(parents=True)
    (backend.save_dir / "scalars.json").write_text('{"loss": 1.0, "step": 1}\n{"lo')
    backend.add_scalar("loss", 2.0, 2)
    written = (backend.save_dir / "scalars.json").read_text().splitlines()
    assert written[1:] == ['{"lo', '{"loss": 2.0, "step": 2}']


def test_closing_twice_and_writing_after_it(backend: LocalVisBackend) -> None:
    """A line that comes after close opens the file again."""
    backend.add_scalar("loss", 1.0, 1)
    backend.close()
    backend.close()
    backend.add_scalar("loss", 2.0, 2)
    assert len(lines(backend)) == 2


def test_the_config_is_written_and_replaced(backend: LocalVisBackend) -> None:
    """The last config is the one that the file holds."""

    class Config:
        pretty_text = "lr = 0.1\n"

    backend.add_config({"lr": 1.0, "long": "x" * 100})
    backend.add_config(Config())
    assert (backend.save_dir / "config.py").read_text() == "lr = 0.1\n"


def test_a_config_without_pretty_text_is_written_as_text(
    backend: LocalVisBackend,
) -> None:
    """Anything that str makes readable is a config; letters stay as they are."""
    backend.add_config({"name": "größe"})
    written = (backend.save_dir / "config.py").read_text("utf-8")
    assert written == "{'name': 'größe'}\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Both kinds of writing say which file and why."""
    (tmp_path / "taken").write_text("a file")
    backend = LocalVisBackend(tmp_path / "taken")
    expected = r"cannot write .*taken/scalars\.json: File exists\. .* another save_dir"
    with pytest.raises(ConfigError, match=expected):
        backend.add_scalar("loss", 1.0, 1)
    with pytest.raises(ConfigError, match=r"cannot write .*taken/config\.py"):
        backend.add_config("lr = 1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_told_of(backend: LocalVisBackend) -> None:
    """What only fails when the bytes go out is told with the file's name too."""
    backend.save_dir.mkdir(parents=True)
    (backend.save_dir / "scalars.json").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=r"scalars\.json: No space left .* Make room"):
        backend.add_scalar("loss", 1.0, 1)
    with pytest.raises(ConfigError, match="No space left"):
        backend.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"scalar_save_file": "s.txt"}, r"scalar_save_file is 's\.txt', .*\*\.json"),
        ({"config_save_file": "c.json"}, r"config_save_file is 'c\.json', .*\*\.py"),
    ],
)
def test_files_have_the_ending_of_their_kind(
    arguments: dict[str, str], expected: str
) -> None:
    """An ending that would mislead readers is refused."""
    with pytest.raises(ConfigError, match=expected):
        LocalVisBackend("somewhere", **arguments)


def test_the_backend_is_found_by_name() -> None:
    """A config may say LocalVisBackend."""
    made = VISBACKENDS.build({"type": "LocalVisBackend"}, save_dir="somewhere")
    assert str(made.save_dir) == "somewhere"


def test_pictures_are_files(backend: LocalVisBackend) -> None:
    """Named by what they show and the step; the same one is written anew."""
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = (255, 128, 0)
    backend.add_image("val/cat.jpg", np.ones((2, 3)), 7)
    backend.add_image("val/cat.jpg", image, 7)
    path = backend.save_dir / "vis_image" / "val" / "cat.jpg_7.png"
    pillow = pytest.importorskip("PIL.Image")
    with pillow.open(path) as found:
        assert (np.asarray(found) == image).all()


@pytest.mark.parametrize("name", ["../cat", "/cat"])
def test_a_picture_stays_in_its_folder(backend: LocalVisBackend, name: str) -> None:
    """Names come from data, which may be anybody's."""
    with pytest.raises(ConfigError, match="leads out of"):
        backend.add_image(name, np.zeros((2, 2)), 1)
    assert not backend.save_dir.exists()


def test_a_picture_needs_pillow(
    backend: LocalVisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigError, match=r"'ignite-runner\[image\]'"):
        backend.add_image("cat", np.zeros((2, 2)), 1)

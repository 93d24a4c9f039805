"""Errors say where in a config they belong."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from engine.config import at, located, path_text
from engine.errors import ConfigError, UnknownNameError


class Lines:
    """A config that knows lines."""

    def locate(self, *path: str | int) -> str | None:
        """Where its entry is."""
        return f"toy.yaml:{len(path)}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("model",), "model"),
        (("custom_hooks", 2, "type"), "custom_hooks[2].type"),
        ((0, "lr"), "[0].lr"),
    ],
)
def test_a_path_reads_as_people_write_it(
    path: tuple[str | int, ...], text: str
) -> None:
    """Indices in brackets, names after dots."""
    assert path_text(path) == text


def fail(error: type[Exception], message: str, *path: str | int, cfg: object) -> None:
    """Raise an error at a path of a config."""
    with located(cfg), located(cfg), ExitStack() as stack:
        for part in path:
            stack.enter_context(at(part))
        raise error(message)


def test_errors_get_their_path_and_line() -> None:
    """From the innermost outwards, the line once; the class stays."""
    with pytest.raises(UnknownNameError) as caught:
        fail(
            UnknownNameError,
            "no dataset is called 'X'",
            "train_dataloader",
            "dataset",
            1,
            cfg=Lines(),
        )
    assert (
        str(caught.value)
        == "toy.yaml:3: train_dataloader.dataset[1]: no dataset is called 'X'"
    )


def test_what_a_message_says_already_is_not_said_twice() -> None:
    """Builders may name the part themselves."""
    with pytest.raises(ConfigError, match=r"^train_cfg: give max_epochs$"):
        fail(ConfigError, "train_cfg: give max_epochs", "train_cfg", cfg={})


def test_a_config_without_lines_tells_none() -> None:
    """The path is enough."""
    with pytest.raises(ConfigError, match=r"^model: bad$"):
        fail(ConfigError, "bad", "model", cfg={})


def test_what_a_users_class_raises_is_a_config_error_with_its_cause() -> None:
    """Placed, with its type and where it was raised; outside of a part it stays."""
    with pytest.raises(ConfigError) as caught:
        fail(FileNotFoundError, "no images", "train_dataloader", "dataset", cfg=Lines())
    assert (
        str(caught.value)
        == "toy.yaml:2: train_dataloader.dataset: FileNotFoundError: no images"
    )
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.__notes__[-1].startswith(f"raised in {__file__}:")
    with pytest.raises(FileNotFoundError, match=r"^no images$"):
        fail(FileNotFoundError, "no images", cfg=Lines())

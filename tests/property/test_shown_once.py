"""After any kills and resumes a service has each point of the run, and none twice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services import DOUBLES, REAL, double, real

if TYPE_CHECKING:
    from collections import Counter

    from tests.services import Point, Service

# A validation counts epochs: its step is below those of the training around it, and two
# of one epoch have the same. Values are exact in every format.
CALLS: list[tuple[dict[str, Any], int]] = [
    ({"loss": 2.0, "eta": "1:20"}, 1),
    ({"loss": 1.5, "lr": 0.5}, 2),
    ({"val/acc": 0.25}, 1),
    ({"loss": 1.25, "lr": 0.5}, 3),
    ({"val/acc": 0.5}, 1),
    ({"loss": 1.0, "lr": 0.25, "new": 1.0}, 4),
    ({"val/acc": 0.75}, 2),
]
WHOLE = len(CALLS)


@frozen
class Start:
    """One start of the run.

    Args:
        at: Goes on from the checkpoint after so many calls, if there is one.
        until: Is killed when so many are done.
        closed: Whether its backend was closed before that.
    """

    at: int
    until: int
    closed: bool


starts = st.builds(
    Start, st.integers(0, WHOLE), st.integers(0, WHOLE), closed=st.booleans()
)


def show(service: Service, folder: Path, story: list[Start]) -> Counter[Point]:
    """What the service has after a run with these starts, and one to the end."""
    states: list[dict[str, Any]] = []
    killed = []
    for one in [*story, Start(WHOLE, WHOLE, closed=True)]:
        backend = service.make(folder)
        at = min(one.at, len(states) - 1)  # the newest that is there
        del states[max(at, 0) + 1 :]
        if states:
            backend.load_state_dict(states[-1])
        backend.start()
        states = states or [backend.state_dict()]
        for scalars, step in CALLS[len(states) - 1 : one.until]:
            backend.add_scalars(scalars, step)
            states.append(backend.state_dict())
        if one.closed:
            backend.close()
        else:
            killed.append(backend)
    shown = service.read(folder)
    for backend in killed:  # their files, so that python does not complain of them
        backend.close()
    return shown


def expected(*, once_a_step: bool = False) -> dict[Point, int]:
    """The unbroken run's points."""
    found: dict[Point, int] = {}
    for scalars, step in CALLS:
        for name, value in scalars.items():
            if not isinstance(value, str):
                found[name, step, value] = found.get((name, step, value), 0) + 1
    if once_a_step:  # the later one takes the place
        del found["val/acc", 1, 0.25]
    return found


@pytest.mark.parametrize("name", DOUBLES)
@settings(deadline=None)
@given(story=st.lists(starts, max_size=4))
def test_a_double_is_given_each_point_once(name: str, story: list[Start]) -> None:
    """Whatever the starts, and whether their ends were clean."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        service, _ = double(name, patch)
        assert show(service, Path(folder), story) == expected()


STORIES = {
    "unbroken": [],
    "resumed": [Start(0, 3, closed=True)],
    "replayed": [Start(0, 6, closed=True), Start(2, 4, closed=True)],
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("name", [one for one in REAL if one != "local"])
def test_a_service_has_each_point_once(
    name: str, story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients that are installed, each read back by its own means."""
    service = real(name, monkeypatch, tmp_path)
    shown = show(service, tmp_path / "vis", STORIES[story])
    assert shown == expected(once_a_step=name == "aim")


@given(story=st.lists(starts, max_size=4))
def test_the_local_file_has_each_point_once(story: list[Start]) -> None:
    """Text too, which the services are not given."""
    with tempfile.TemporaryDirectory() as folder:
        shown = show(REAL["local"], Path(folder), story)
    assert shown.pop(("eta", 1, "1:20")) == 1  # type: ignore[arg-type]  # no number
    assert shown == expected()

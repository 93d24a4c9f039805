"""Random generators come back to where they were, and fences keep them there."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SerializationError
from engine.state import (
    GeneratorState,
    capture_randomness,
    derive_seed,
    fence,
    restore_randomness,
    seed_everything,
    seed_host,
)
from tests.strategies import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWS: dict[str, Callable[[], float]] = {
    "python": random.random,
    "python, normal": lambda: random.gauss(0, 1),  # draws two, keeps one
    "numpy": lambda: float(np.random.rand()),
    "numpy, normal": lambda: float(np.random.randn()),  # likewise
    "torch": lambda: torch.rand(()).item(),
    "torch, normal": lambda: torch.randn(3).sum().item(),
}
"""Ways to draw from the global generators."""

SOME_DRAWS = st.lists(st.sampled_from(sorted(DRAWS)), max_size=6)

GENERATORS: dict[str, Callable[[int], Any]] = {
    "torch": lambda seed: torch.Generator().manual_seed(seed),
    "numpy": np.random.default_rng,
    "numpy, Philox": lambda seed: np.random.Generator(np.random.Philox(seed)),
    "numpy, MT19937": lambda seed: np.random.Generator(np.random.MT19937(seed)),
    "numpy, SFC64": lambda seed: np.random.Generator(np.random.SFC64(seed)),
    "python": random.Random,
}
"""Generators of a user's own, by seed."""


@pytest.fixture(autouse=True)
def _own_randomness() -> Any:
    """Leave the generators as they were, whatever these tests do."""
    with fence():
        yield


def draw(names: list[str]) -> list[float]:
    """What the global generators give."""
    return [DRAWS[name]() for name in names]


def draw_from(generator: Any, times: int) -> list[float]:
    """What a generator of a user's own gives; normal values among them."""
    if isinstance(generator, torch.Generator):
        return torch.randn(times, generator=generator).tolist()
    if isinstance(generator, np.random.Generator):
        small = generator.integers(10, size=times, dtype=np.uint32)  # keeps half a word
        return [*generator.normal(size=times).tolist(), *small.tolist()]
    return [generator.gauss(0, 1) for _ in range(times)]


def through_a_file(plain: Any) -> Any:
    """What comes back from a file that is read without running anything in it."""
    file = io.BytesIO()
    torch.save(plain, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@given(seed=seeds(), before=SOME_DRAWS, between=SOME_DRAWS)
def test_restored_generators_repeat_themselves(
    seed: int, before: list[str], between: list[str]
) -> None:
    """What was drawn after the capture is drawn again after the restore."""
    seed_everything(seed)
    draw(before)
    captured = through_a_file(capture_randomness())
    first = draw(sorted(DRAWS) * 2)
    draw(between)
    restore_randomness(captured)
    assert draw(sorted(DRAWS) * 2) == first


@given(between=SOME_DRAWS)
def test_what_was_captured_does_not_change_by_drawing(between: list[str]) -> None:
    """The captured state is a copy, and restoring it twice is fine."""
    captured = capture_randomness()
    first = draw(sorted(DRAWS))
    draw(between)
    for _ in range(2):
        restore_randomness(captured)
        assert draw(sorted(DRAWS)) == first


@given(seed=seeds(), inside=SOME_DRAWS, other=seeds())
def test_a_fence_hides_what_is_drawn_inside(
    seed: int, inside: list[str], other: int
) -> None:
    """Code after the fence sees the numbers it would have seen without it."""
    seed_everything(seed)
    draw(["numpy, normal", "python, normal"])
    expected = draw(sorted(DRAWS))
    seed_everything(seed)
    draw(["numpy, normal", "python, normal"])
    with fence():
        draw(inside)
        seed_everything(other)
    assert draw(sorted(DRAWS)) == expected


def test_a_fence_holds_when_its_body_fails() -> None:
    """Also an error leaves the generators where they were."""
    seed_everything(1)
    expected = draw(sorted(DRAWS))
    seed_everything(1)
    with pytest.raises(ZeroDivisionError), fence():
        _ = draw(sorted(DRAWS))[0] / 0
    assert draw(sorted(DRAWS)) == expected


def test_iterating_a_loader_inside_a_fence_leaves_the_generator() -> None:
    """A DataLoader draws a seed from torch's generator even without shuffling."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(3)))
    before = torch.get_rng_state()
    with fence():
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@given(seed=seeds(), before=SOME_DRAWS)
def test_seeding_forgets_what_was_before(seed: int, before: list[str]) -> None:
    """The same seed gives the same numbers, by either function, whatever was drawn."""
    seed_everything(seed)
    expected = draw(sorted(DRAWS))
    for seed_generators in (seed_everything, seed_host):
        draw(before)
        seed_generators(seed)
        assert draw(sorted(DRAWS)) == expected


@given(seed=seeds(), parts=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))
def test_a_derived_seed_is_a_function_in_range(seed: int, parts: list[int]) -> None:
    """The same numbers give the same seed, and every generator takes it."""
    derived = derive_seed(seed, *parts)
    assert derived == derive_seed(seed, *parts)
    assert 0 <= derived < 2**32
    seed_everything(derived)


def test_derived_seeds_of_neighbours_differ() -> None:
    """Neither neighbouring seeds nor parts, nor their order or number, collide."""
    several = [(a, b, c) for a in range(12) for b in range(12) for c in range(12)]
    derived = {derive_seed(*one) for one in several}
    derived |= {derive_seed(*one[:2]) for one in several}
    derived |= {derive_seed(one[0]) for one in several}
    assert len(derived) == 12**3 + 12**2 + 12


def test_derived_seeds_spread_over_all_bits() -> None:
    """Each bit of the seeds of 2,000 neighbours is set about half of the time."""
    derived = [derive_seed(0, number) for number in range(2000)]
    for bit in range(32):
        share = sum(seed >> bit & 1 for seed in derived) / len(derived)
        assert 0.45 < share < 0.55


@pytest.mark.parametrize("kind", GENERATORS)
@given(seed=seeds(), before=st.integers(0, 5), between=st.integers(0, 5))
def test_a_users_generator_comes_back(
    kind: str, seed: int, before: int, between: int
) -> None:
    """Also into another object, through a file."""
    generator = GENERATORS[kind](seed)
    draw_from(generator, before)
    saved = through_a_file(GeneratorState(generator).state_dict())
    expected = draw_from(generator, 4)
    draw_from(generator, between)
    GeneratorState(generator).load_state_dict(saved)
    assert draw_from(generator, 4) == expected
    another = GENERATORS[kind](0)
    GeneratorState(another).load_state_dict(saved)
    assert draw_from(another, 4) == expected


@pytest.mark.parametrize(
    ("kind", "other"), [("torch", "numpy"), ("numpy", "python"), ("python", "torch")]
)
def test_a_generator_refuses_the_state_of_another_kind(kind: str, other: str) -> None:
    """The error names both kinds."""
    state = GeneratorState(GENERATORS[other](0)).state_dict()
    message = f"a {kind} generator cannot take the state of a {other} generator"
    with pytest.raises(SerializationError, match=message):
        GeneratorState(GENERATORS[kind](0)).load_state_dict(state)


@pytest.mark.parametrize("part", ["format", "python", "numpy", "torch", "cuda"])
def test_captured_state_without_a_part_is_refused(part: str) -> None:
    """A missing part is an error, and no generator is touched."""
    captured = capture_randomness()
    del captured[part]
    random.random(), np.random.rand(), torch.rand(())
    before = draw_after_nothing()
    with pytest.raises(SerializationError, match=r"^random generators: expected"):
        restore_randomness(captured)
    assert draw_after_nothing() == before


def draw_after_nothing() -> list[float]:
    """What the generators would give next; they stay where they are."""
    with fence():
        return draw(sorted(DRAWS))

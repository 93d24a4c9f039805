"""Laws of gradient accumulation."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.optim import OptimWrapper
from engine.optim.accumulation import ends_window, optimizer_steps, window_length

COUNTS = st.integers(1, 7)
LIMITS = st.none() | st.integers(0, 30)


@given(counts=COUNTS, max_iters=LIMITS, iterations=st.integers(0, 40))
def test_steps_in_closed_form_are_the_windows_that_ended(
    counts: int, max_iters: int | None, iterations: int
) -> None:
    """The formula counts what walking through the run counts."""
    walked = sum(
        ends_window(i, counts=counts, max_iters=max_iters) for i in range(iterations)
    )
    assert optimizer_steps(iterations, counts=counts, max_iters=max_iters) == walked


@given(counts=COUNTS, max_iters=st.integers(1, 30))
def test_each_window_of_a_run_is_a_mean(counts: int, max_iters: int) -> None:
    """Windows cover the run, none is longer than ``counts``, and weights sum to 1."""
    ends = [
        i
        for i in range(max_iters)
        if ends_window(i, counts=counts, max_iters=max_iters)
    ]
    assert ends[-1] == max_iters - 1
    for before, end in pairwise([-1, *ends]):
        window = range(before + 1, end + 1)
        assert len(window) <= counts
        weights = [
            Fraction(1, window_length(i, counts=counts, max_iters=max_iters))
            for i in window
        ]
        assert sum(weights) == 1


def toy(seed: int) -> nn.Sequential:
    """A small network, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def data(seed: int, batches: int) -> list[Tensor]:
    """Batches of two samples."""
    generator = torch.Generator().manual_seed(seed)
    return list(
        torch.randn(batches, 2, 3, generator=generator, dtype=torch.float64).unbind()
    )


@given(counts=COUNTS, max_iters=st.integers(1, 12), seed=st.integers(0, 99))
def test_accumulation_equals_one_big_batch(
    counts: int, max_iters: int, seed: int
) -> None:
    """Each window, the short last one too, steps as one batch of all its samples.

    So any split of a batch gives the same update. It steps as often as is computed.
    """
    small, big = toy(seed), toy(seed)
    batches = data(seed, max_iters)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    steps: list[int] = []
    optimizer.register_step_post_hook(lambda *_: steps.append(wrapper.inner_count))
    wrapper = OptimWrapper(optimizer, counts)
    wrapper.initialize_count_status(small, 0, max_iters)
    for batch in batches:
        wrapper.update_params(small(batch).square().mean())
        done = wrapper.inner_count
        assert len(steps) == optimizer_steps(done, counts=counts, max_iters=max_iters)
    bare = torch.optim.SGD(big.parameters(), lr=0.1)
    for start in range(0, max_iters, counts):
        bare.zero_grad()
        joined = torch.cat(batches[start : start + counts])
        big(joined).square().mean().backward()
        bare.step()
    for one, other in zip(small.parameters(), big.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


class Training:
    """A model and its wrapper, with what a checkpoint of them would hold."""

    def __init__(self, seed: int, counts: int, kind: str, *, clip: bool) -> None:
        self.model = toy(seed)
        parameters = self.model.parameters()
        optimizer: torch.optim.Optimizer
        if kind == "SGD":
            optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
        else:
            optimizer = torch.optim.Adam(parameters, lr=0.1)
        clip_grad = {"max_norm": 0.5} if clip else None
        self.wrapper = OptimWrapper(optimizer, counts, clip_grad)

    def train(self, batches: list[Tensor]) -> None:
        for batch in batches:
            self.wrapper.update_params(self.model(batch).square().mean())

    def save(self) -> io.BytesIO:
        file = io.BytesIO()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.wrapper.state_dict(),
            "gradients": self.wrapper.gradient_state(),
            "count": self.wrapper.inner_count,
        }
        torch.save(state, file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO, max_iters: int) -> None:
        state: dict[str, Any] = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.wrapper.load_state_dict(state["optimizer"])
        self.wrapper.initialize_count_status(self.model, state["count"], max_iters)
        self.wrapper.load_gradient_state(state["gradients"])

    def everything(self) -> list[Tensor]:
        states = self.wrapper.state_dict()["state"]
        return [
            *(p.detach() for p in self.model.parameters()),
            *(torch.as_tensor(v) for s in states.values() for v in s.values()),
        ]


@given(counts=st.sampled_from([1, 2, 3, 4, 6, 12]), seed=st.integers(0, 99))
def test_any_split_of_a_batch_gives_its_update(counts: int, seed: int) -> None:
    """Twelve samples, whole and in windows of equal parts."""
    (batch,) = torch.stack(data(seed, 6)).reshape(1, 12, 3)
    models = toy(seed), toy(seed)
    for model, parts in zip(models, (1, counts), strict=True):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-3)
        wrapper = OptimWrapper(optimizer, parts)
        wrapper.initialize_count_status(model, 0, 3 * parts)
        for _ in range(3):
            for part in batch.chunk(parts):
                wrapper.update_params(model(part).square().mean())
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@given(
    counts=COUNTS,
    max_iters=st.integers(1, 12),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["SGD", "Adam"]),
    clip=st.booleans(),
    draw=st.data(),
)
def test_a_run_cut_inside_a_window_goes_on_to_the_bit(
    counts: int,
    max_iters: int,
    seed: int,
    kind: str,
    clip: bool,
    draw: st.DataObject,
) -> None:
    """Saved after any iteration and loaded into a fresh wrapper, nothing differs."""
    cut = draw.draw(st.integers(0, max_iters), label="save after")
    batches = data(seed, max_iters)
    whole = Training(seed, counts, kind, clip=clip)
    whole.wrapper.initialize_count_status(whole.model, 0, max_iters)
    head = Training(seed, counts, kind, clip=clip)
    head.wrapper.initialize_count_status(head.model, 0, max_iters)
    tail = Training(seed + 1, counts, kind, clip=clip)
    whole.train(batches)
    head.train(batches[:cut])
    tail.load(head.save(), max_iters)
    tail.train(batches[cut:])
    pairs = list(zip(whole.everything(), tail.everything(), strict=True))
    assert all(torch.equal(one, other) for one, other in pairs)
    assert tail.wrapper.gradient_state() is None

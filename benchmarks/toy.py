"""The model, data and training step that all contenders of a benchmark share.

Needs torch alone: peers under another Python import it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH, FEATURES, CLASSES = 16, 16, 4
SCENARIOS = {
    "list": "training step, list of batches",
    "loader": "training step, DataLoader over a TensorDataset",
    "noop": "a step that does nothing, list of batches",
}


def make_data(scenario: str, iterations: int) -> Iterable[Any]:
    """Data for so many iterations, the same for each contender."""
    generator = torch.Generator().manual_seed(0)
    if scenario != "loader":
        inputs = torch.randn(BATCH, FEATURES, generator=generator)
        targets = torch.randint(CLASSES, (BATCH,), generator=generator)
        return [(inputs, targets)] * iterations
    size = BATCH * iterations
    inputs = torch.randn(size, FEATURES, generator=generator)
    targets = torch.randint(CLASSES, (size,), generator=generator)
    return DataLoader(TensorDataset(inputs, targets), batch_size=BATCH)


class Toy(nn.Module):
    """A small classifier with the step that loops of this kind call.

    Args:
        scenario: A key of :data:`SCENARIOS`.
        pace: Called first in each step.
    """

    def __init__(self, scenario: str, pace: Callable[[], None]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES)
        )
        self._pace = pace
        self._idle = scenario == "noop"
        self._answer = {"loss": torch.tensor(0.5)}

    def loss(self, data: Any) -> torch.Tensor:
        """The loss of one batch, shape ``()``."""
        inputs, targets = data
        return nn.functional.cross_entropy(self.layers(inputs), targets)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """Train on one batch through an optimizer wrapper, as users write it."""
        self._pace()
        if self._idle:
            return self._answer
        with optim_wrapper.optim_context(self):
            loss = self.loss(data)
        optim_wrapper.update_params(loss)
        return {"loss": loss.detach()}

    def plain_step(
        self, optimizer: torch.optim.Optimizer
    ) -> Callable[[Any], dict[str, torch.Tensor]]:
        """The same step for loops without wrappers."""

        def step(data: Any) -> dict[str, torch.Tensor]:
            self._pace()
            if self._idle:
                return self._answer
            loss = self.loss(data)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return {"loss": loss.detach()}

        return step


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that each contender uses."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def bare_loop(scenario: str) -> Callable[[Callable[[], None], int], None]:
    """The contender that all others are compared with."""

    def run(pace: Callable[[], None], iterations: int) -> None:
        model = Toy(scenario, pace)
        step = model.plain_step(make_optimizer(model))
        for data in make_data(scenario, iterations):
            step(data)

    return run

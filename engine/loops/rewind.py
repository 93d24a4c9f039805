"""What a run remembers, as it was before something that may be cut off."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from engine.state import capture_randomness, restore_randomness, to_plain

if TYPE_CHECKING:
    from engine.checkpoint import Parts
    from engine.hooks import HookSet
    from engine.state import RunState

__all__ = ["Rewind"]


class Rewind:
    """A run's memory at a safe point, before a validation or a save begins.

    Hooks, the message hub and other parts may have noted half of it when it is cut off;
    a resume begins it anew, and must not find that half. Weights and optimizers are no
    part of this: neither a validation nor a save changes them.

    Args:
        state: Where the run is.
        parts: What it is made of.
        hooks: Its hooks.
    """

    def __init__(self, state: RunState, parts: Parts, hooks: HookSet) -> None:
        self._state, self._parts, self._hooks = state, parts, hooks
        self._due = list(state.due)
        self._hub = deepcopy(state.hub.state_dict())
        self._memory = deepcopy(hooks.state_dict())
        self._others = {
            name: deepcopy(part.state_dict())
            for name, part in parts.others.items()
            if not isinstance(part, torch.nn.Module | torch.optim.Optimizer)
        }
        self._randomness = capture_randomness()

    def put_back(self) -> None:
        """Let the run remember what it did then."""
        self._state.due[:] = self._due
        self._state.hub.forget_since(self._hub)
        self._state.hub.load_state_dict(deepcopy(self._hub))
        self._hooks.load_state_dict(deepcopy(self._memory))
        for name, memory in self._others.items():
            self._parts.others[name].load_state_dict(deepcopy(memory))
        restore_randomness(self._randomness)

    def amend(self, checkpoint: dict[str, Any]) -> None:
        """Let a checkpoint that was captured since remember what the run did then.

        A hook that is given its memory back may keep some of the new one; a new process
        does not.
        """
        checkpoint["message_hub"] = self._hub
        ours = checkpoint["engine"]
        ours["run_state"]["due"] = to_plain(self._due)
        ours["hooks"] = self._memory
        ours["parts"].update(self._others)
        ours["randomness"] = self._randomness

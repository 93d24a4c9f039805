"""What DDP wrappers remember, which a resumed run must have again.

DDP sums gradients in buckets, and what of them stands in one bucket decides in which
order three and more ranks add. A process begins with buckets by the order of parameters
and lays them out anew after its first backward, by the order in which gradients became
ready. A resumed process would do its first step with other sums than the run had. So
the order is noted in a run's first backward, and a resumed one lays the buckets out by
a backward of zeros in that order.

After an iteration that ranks did not agree on, in an accumulation window, a wrapper
does not broadcast buffers before the next forward either: that is remembered too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from engine.state import Exactness, PartReport

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Buckets", "ddp_modules", "reduced_parameters"]


def ddp_modules(model: Any) -> dict[str, DistributedDataParallel]:
    """The DDP wrappers in a model, by name; one around it has the name ``""``."""
    if not isinstance(model, nn.Module):
        return {}
    return {
        name: one
        for name, one in model.named_modules()
        if isinstance(one, DistributedDataParallel) and hasattr(one, "reducer")
    }


def reduced_parameters(model: Any) -> set[int]:
    """Ids of the parameters whose gradients DDP wrappers in a model make equal.

    Args:
        model: The model, with its wrappers.
    """
    found = set()
    for wrapper in ddp_modules(model).values():
        ignored = wrapper.parameters_to_ignore
        found |= {
            id(one)
            for name, one in wrapper.module.named_parameters()
            if name not in ignored
        }
    return found


class Buckets:
    """The memory of the DDP wrappers in a model.

    Args:
        model: The model, with its wrappers.
    """

    def __init__(self, model: Any) -> None:
        self._all = ddp_modules(model)
        self._wrappers = {
            name: one for name, one in self._all.items() if _lays_out_anew(one)
        }
        self._orders: dict[str, list[int]] = {name: [] for name in self._wrappers}
        self._watched: dict[str, list[Any]] = {}

    def watch(self) -> None:
        """Note the order of the next backward that reduces, once."""
        for name, wrapper in self._wrappers.items():
            if name in self._watched or self._is_complete(name):
                continue
            self._watched[name] = [
                parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    partial(self._ready, name, index)
                )
                for index, parameter in enumerate(_parameters(wrapper))
            ]

    def _ready(self, name: str, index: int, _: torch.Tensor) -> None:
        order = self._orders[name]
        # What its last forward was prepared for; a backward may run outside no_sync().
        if self._wrappers[name].require_forward_param_sync and index not in order:
            order.append(index)
            if self._is_complete(name):
                for handle in self._watched[name]:
                    handle.remove()

    def report(self, ranks: int) -> list[PartReport]:
        """What of it does not come back.

        Args:
            ranks: In the run; the order of two summands makes no difference.
        """
        fixed = [name for name, one in self._all.items() if one.static_graph]
        if not fixed or ranks <= 2:  # noqa: PLR2004  # a sum of two
            return []
        why = (
            "DDP with static_graph=True does its first step with other buckets than "
            "the run had: sums of three ranks and more may differ in their last bits"
        )
        return [PartReport("gradient buckets", Exactness.BEST_EFFORT, why)]

    def _is_complete(self, name: str) -> bool:
        return len(self._orders[name]) == len(_parameters(self._wrappers[name]))

    def state_dict(self) -> dict[str, Any]:
        """The order of each wrapper that has reduced already, and what comes next."""
        names = filter(self._is_complete, self._orders)
        return {
            "orders": {name: list(self._orders[name]) for name in names},
            "broadcasts": {
                name: one.require_forward_param_sync for name, one in self._all.items()
            },
        }

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        """Lay the buckets out as they were; all ranks do so at once.

        Gradients and generators are left as they are. A wrapper that this process has
        trained with keeps its buckets.
        """
        for name, broadcasts in saved["broadcasts"].items():
            if name in self._all:
                self._all[name].require_forward_param_sync = broadcasts
        for name, order in saved["orders"].items():
            wrapper = self._wrappers.get(name)
            if wrapper is None or self._orders[name] == order:
                continue
            if len(order) == len(_parameters(wrapper)) and not self._orders[name]:
                for handle in self._watched.pop(name, ()):
                    handle.remove()
                self._orders[name] = list(order)
                _lay_out(wrapper, order)


def _lays_out_anew(wrapper: DistributedDataParallel) -> bool:
    # One that looks for unused parameters keeps the buckets it begins with; of a static
    # graph a backward of zeros would teach it another one.
    return not wrapper.find_unused_parameters and not wrapper.static_graph


def _parameters(wrapper: DistributedDataParallel) -> list[nn.Parameter]:
    return [one for one in wrapper.module.parameters() if one.requires_grad]


def _lay_out(wrapper: DistributedDataParallel, order: list[int]) -> None:
    """Let gradients of zero become ready in an order, as in a first backward."""
    parameters = _parameters(wrapper)
    kept = [one.grad for one in parameters]
    for one in parameters:
        one.grad = None
    with torch.enable_grad():
        total = torch.zeros((), device=parameters[0].device)
        # What was made last is ready first.
        for index in reversed(order):
            total = total + (parameters[index].float() * 0).sum()
        wrapper.reducer.prepare_for_backward([])
        total.backward()  # type: ignore[no-untyped-call]
    wrapper.reducer._rebuild_buckets()  # noqa: SLF001  # as its forward does
    for one, grad in zip(parameters, kept, strict=True):
        one.grad = grad

"""Several optimizers of one run, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import OptimizerError, a_type
from engine.optim.base_wrapper import BaseOptimWrapper
from engine.optim.wrapper import OptimWrapper
from engine.registry import OPTIM_WRAPPERS

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView

    from torch.nn import Module

__all__ = ["OptimWrapperDict"]


@OPTIM_WRAPPERS.register_module()
class OptimWrapperDict(OptimWrapper):
    """Optimizer wrappers by name, as a model with several losses steps them.

    A model takes what it needs: ``optim_wrapper["generator"].update_params(loss)``.
    Whether all would step together, and on which loss, nobody could say, so what acts
    on one optimizer is an error here.

    Args:
        optim_wrapper_dict: The wrappers, by name.

    Raises:
        OptimizerError: One is no optimizer wrapper, or there is none.

    >>> import torch
    >>> from engine.optim import OptimWrapper
    >>> def wrapper(lr):
    ...     return OptimWrapper(torch.optim.SGD([torch.zeros(1)], lr=lr))
    >>> OptimWrapperDict(one=wrapper(0.1), other=wrapper(0.2)).get_lr()
    {'one.lr': [0.1], 'other.lr': [0.2]}
    """

    def __init__(self, **optim_wrapper_dict: OptimWrapper) -> None:
        if not optim_wrapper_dict:
            msg = "OptimWrapperDict: give at least one optimizer wrapper, by name."
            raise OptimizerError(msg)
        for name, one in optim_wrapper_dict.items():
            if isinstance(one, OptimWrapperDict) or not isinstance(
                one, BaseOptimWrapper
            ):
                msg = (
                    f"OptimWrapperDict: {name!r} is {a_type(one)}, not an "
                    "OptimWrapper. Wrap each optimizer: OptimWrapper(optimizer)."
                )
                raise OptimizerError(msg)
        self.optim_wrappers = dict(optim_wrapper_dict)
        self._report: Any = None

    @property
    def report(self) -> Any:
        """Called with each norm of a clipping, as ``train/NAME.grad_norm``."""
        return self._report

    @report.setter
    def report(self, report: Any) -> None:
        self._report = report
        for name, one in self.optim_wrappers.items():
            one.report = None if report is None else _under(name, report)

    def update_params(
        self,
        loss: Any,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> NoReturn:
        """Refuse: a loss belongs to one of the optimizers."""
        self._refuse("update_params")

    def scale_loss(self, loss: Any) -> NoReturn:
        """Refuse: a loss belongs to one of the optimizers."""
        self._refuse("scale_loss")

    def backward(self, loss: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a loss belongs to one of the optimizers."""
        self._refuse("backward")

    def step(self, **kwargs: Any) -> NoReturn:
        """Refuse: optimizers step one by one."""
        self._refuse("step")

    def zero_grad(self, **kwargs: Any) -> None:
        """Drop the gradients of all.

        Args:
            kwargs: Arguments of :meth:`torch.optim.Optimizer.zero_grad`.
        """
        for one in self.values():
            one.zero_grad(**kwargs)

    def optim_context(self, model: Module) -> NoReturn:
        """Refuse: each optimizer has windows of its own."""
        self._refuse("optim_context")

    def should_update(self) -> NoReturn:
        """Refuse: each optimizer has windows of its own."""
        self._refuse("should_update")

    def should_sync(self) -> NoReturn:
        """Refuse: each optimizer has windows of its own."""
        self._refuse("should_sync")

    def initialize_count_status(
        self, model: Module | None, init_counts: int, max_counts: int
    ) -> None:
        """Say to each where in the run the next iteration is, and where it ends.

        Args:
            model: As :meth:`OptimWrapper.initialize_count_status`.
            init_counts: Finished iterations, at least 0.
            max_counts: Iterations of the whole run, at least 0; -1 if not known.

        Raises:
            OptimizerError: A number is out of its range.
        """
        for one in self.values():
            one.initialize_count_status(model, init_counts, max_counts)

    @property
    def inner_count(self) -> Any:
        """Iterations that ran backward so far, by name."""
        return {name: one.inner_count for name, one in self.items()}

    @property
    def param_groups(self) -> Any:
        """The parameter groups of each optimizer, by name."""
        return {name: one.param_groups for name, one in self.items()}

    @property
    def defaults(self) -> Any:
        """The default settings of each optimizer, by name."""
        return {name: one.defaults for name, one in self.items()}

    def get_lr(self) -> dict[str, list[float]]:
        """The learning rates of each optimizer, under ``"NAME.lr"``."""
        return {
            f"{n}.{k}": v for n, one in self.items() for k, v in one.get_lr().items()
        }

    def get_momentum(self) -> dict[str, list[float]]:
        """The momenta of each optimizer, under ``"NAME.momentum"``."""
        return {
            f"{name}.{key}": values
            for name, one in self.items()
            for key, values in one.get_momentum().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of each, by name."""
        return {name: one.state_dict() for name, one in self.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of each.

        Raises:
            OptimizerError: The names are other ones; nothing was changed.
        """
        if state_dict.keys() != self.keys():
            msg = (
                f"OptimWrapperDict: the saved state is of {sorted(state_dict)}, these "
                f"are {sorted(self.keys())}. Load it into optimizers of the same names."
            )
            raise OptimizerError(msg)
        for name, one in self.items():
            one.load_state_dict(state_dict[name])

    def gradient_state(self) -> Any:
        """The gradients that each has, by name; ``None`` if none has any."""
        found = {name: one.gradient_state() for name, one in self.items()}
        return None if all(one is None for one in found.values()) else found

    def load_gradient_state(self, state: Any) -> None:
        """Put back what :meth:`gradient_state` gave."""
        for name, one in self.items():
            one.load_gradient_state(None if state is None else state[name])

    def count_state(self) -> Any:
        """How often each ran backward, by name."""
        return {name: one.count_state() for name, one in self.items()}

    def load_count_state(self, state: Any) -> None:
        """Put back what :meth:`count_state` gave."""
        for name, one in self.items():
            one.load_count_state(state[name])

    def items(self) -> ItemsView[str, OptimWrapper]:
        """Names and wrappers."""
        return self.optim_wrappers.items()

    def values(self) -> ValuesView[OptimWrapper]:
        """The wrappers."""
        return self.optim_wrappers.values()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.optim_wrappers.keys()

    def __getitem__(self, name: str) -> OptimWrapper:
        """The wrapper of that name."""
        return self.optim_wrappers[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name."""
        return name in self.optim_wrappers

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.optim_wrappers)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.optim_wrappers)

    def __repr__(self) -> str:
        """Each in its own words."""
        return "\n".join(f"{name}: {one!r}" for name, one in self.items())

    def _refuse(self, method: str) -> NoReturn:
        names = ", ".join(map(repr, self.keys()))
        msg = (
            f"OptimWrapperDict.{method}: there are several optimizers, {names}. Take "
            f"one: optim_wrapper[{next(iter(self.keys()))!r}].{method}(...)"
        )
        raise OptimizerError(msg)


def _under(name: str, report: Any) -> Any:
    """A report whose scalars stand under an optimizer's name."""

    def named(key: str, value: Any) -> None:
        mode, _, rest = key.partition("/")
        report(f"{mode}/{name}.{rest}", value)

    return named

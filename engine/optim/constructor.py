"""From a spec and a model to an optimizer wrapper."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.config import at
from engine.errors import ConfigError, OptimizerError, a_type
from engine.optim.param_groups import check_paramwise_cfg, group_settings
from engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

if TYPE_CHECKING:
    from torch.nn import Module

    from engine.optim.wrapper import OptimWrapper

__all__ = ["DefaultOptimWrapperConstructor"]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Makes an optimizer wrapper, with settings for each parameter if asked to.

    A constructor is any class with these arguments and ``__call__(model)``: name it in
    ``optim_wrapper["constructor"]`` to decide yourself, as for several optimizers.

    Args:
        optim_wrapper_cfg: ``optimizer``, its spec; ``type``, the wrapper's (default
            ``OptimWrapper``), and the wrapper's arguments. It is not changed.
        paramwise_cfg: Rules, or ``None``: all parameters are in one group. With rules
            each parameter that requires grad is a group of its own, others are in none:

            - ``custom_keys``: by a part of a parameter's name, ``lr_mult``,
              ``decay_mult`` and settings of the optimizer, as ``betas``; the longest
              that fits decides alone
            - ``bias_lr_mult``: of the learning rate of biases, not those of norms
            - ``norm_decay_mult``: of the weight decay in norms; else
            - ``bias_decay_mult``: of that of biases; else
            - ``dwconv_decay_mult``: of that of depthwise convolutions; else
            - ``flat_decay_mult``: of that of parameters with one axis
            - ``bypass_duplicate``: whether a parameter that two modules share is left
              out the second time, else an error

    Raises:
        ConfigError: ``optim_wrapper_cfg`` has no ``optimizer``, or is no mapping.
    """

    def __init__(
        self,
        optim_wrapper_cfg: Mapping[str, Any],
        paramwise_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(optim_wrapper_cfg, Mapping):
            message = (
                f"optim_wrapper: expected a mapping, found {a_type(optim_wrapper_cfg)}"
            )
            raise ConfigError(message)
        self.optim_wrapper_cfg = {"type": "OptimWrapper", **optim_wrapper_cfg}
        optimizer = self.optim_wrapper_cfg.pop("optimizer", None)
        if not isinstance(optimizer, Mapping):
            found = f"found {sorted(optim_wrapper_cfg)}"
            if optimizer is not None:
                found = f"found {a_type(optimizer)}"
            message = f"optim_wrapper: needs 'optimizer', the spec of one, {found}"
            raise ConfigError(message)
        self.optimizer_cfg = dict(optimizer)
        self.paramwise_cfg = {} if paramwise_cfg is None else paramwise_cfg
        self.base_lr: float | None = self.optimizer_cfg.get("lr")
        self.base_wd: float | None = self.optimizer_cfg.get("weight_decay")

    def __call__(self, model: Module) -> OptimWrapper:
        """The wrapper of an optimizer of the model's parameters.

        Raises:
            OptimizerError: A rule is unknown, fits nothing, or cannot be followed.
        """
        params: Any = model.parameters()
        if self.paramwise_cfg:
            names = [name for name, _ in model.named_parameters()]
            kind = self.optimizer_cfg.get("type")
            kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
            check_paramwise_cfg(
                self.paramwise_cfg,
                names=names,
                settings=[*inspect.signature(kind).parameters][1:] if kind else (),
                has_lr=self.base_lr is not None,
                has_decay=self.base_wd is not None,
            )
            params = []
            self.add_params(params, model)
        with at("optimizer"):
            optimizer = OPTIMIZERS.build(self.optimizer_cfg, params=params)
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(
            self.optim_wrapper_cfg, optimizer=optimizer
        )
        return wrapper

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: Module,
        prefix: str = "",
        is_dcn_module: object = None,
    ) -> None:
        """Add a group for each parameter of a module and of those in it.

        Args:
            params: Groups so far; those of the module are added.
            module: What is gone through.
            prefix: Its path in the model.
            is_dcn_module: Of no effect: MMEngine's argument.

        Raises:
            OptimizerError: A parameter is there already, and ``bypass_duplicate`` is
                not set.
        """
        taken = {id(one) for group in params for one in group["params"]}
        for name, parameter in module.named_parameters(recurse=False):
            path = f"{prefix}.{name}" if prefix else name
            if not parameter.requires_grad:
                continue
            if id(parameter) in taken:
                self._meet_again(path)
                continue
            settings = group_settings(
                self.paramwise_cfg,
                module,
                parameter,
                path=path,
                lr=self.base_lr,
                weight_decay=self.base_wd,
            )
            params.append({"params": [parameter], **settings})
            taken.add(id(parameter))
        for name, child in module.named_children():
            inner = f"{prefix}.{name}" if prefix else name
            self.add_params(params, child, prefix=inner, is_dcn_module=is_dcn_module)

    def _meet_again(self, path: str) -> None:
        if not self.paramwise_cfg.get("bypass_duplicate", False):
            msg = (
                f"paramwise_cfg: the parameter {path!r} is one that another module has "
                "too. Set bypass_duplicate=True to keep the first one's settings."
            )
            raise OptimizerError(msg)
        warnings.warn(
            f"{path} is a parameter that another module has too: the settings of the "
            "first one are kept",
            stacklevel=4,
        )

"""The strategy from what a config says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import ConfigError, a_type
from engine.registry import STRATEGIES
from engine.strategies import DDPStrategy, Strategy

__all__ = ["build_strategy"]

_FIRST_FSDP = "MMFullyShardedDataParallel"
_OF_DDP = "model_wrapper_cfg, sync_bn and find_unused_parameters"


def build_strategy(
    strategy: Any,
    *,
    model_wrapper_cfg: Any = None,
    sync_bn: str | None = None,
    find_unused_parameters: bool = False,
) -> Strategy:
    """How the model lies on ranks.

    Args:
        strategy: A ``Strategy``, a spec of one, or its name; ``None``: DDP where there
            are several processes.
        model_wrapper_cfg: Spec of DDP's wrapper.
        sync_bn: As for DDP.
        find_unused_parameters: As for DDP, of its default wrapper.

    Raises:
        ConfigError: It is something else, or does not go with the others.
    """
    of_ddp: dict[str, Any] = {"sync_bn": sync_bn}
    if model_wrapper_cfg is not None:
        if not isinstance(model_wrapper_cfg, Mapping):
            message = f"expected a spec of a wrapper, found {a_type(model_wrapper_cfg)}"
            raise ConfigError(message)
        if str(model_wrapper_cfg.get("type")).endswith(_FIRST_FSDP):
            message = (
                f"{_FIRST_FSDP} is torch's first FSDP, which is not here. Write "
                "strategy=dict(type='FSDP2Strategy', ...) instead: auto_wrap_policy "
                "becomes classes, modules or min_params; mixed_precision becomes "
                "param_dtype and reduce_dtype; cpu_offload is True or False."
            )
            raise ConfigError(message)
        of_ddp["wrapper"] = model_wrapper_cfg
    else:
        of_ddp["find_unused_parameters"] = find_unused_parameters
    default = DDPStrategy(**of_ddp)
    if strategy is None:
        return default
    given = {key: value for key, value in of_ddp.items() if value not in (None, False)}
    if isinstance(strategy, str):
        strategy = {"type": strategy}
    if isinstance(strategy, Mapping):
        kind = STRATEGIES.get(strategy.get("type", ""))
        if isinstance(kind, type) and issubclass(kind, DDPStrategy):
            return _checked(STRATEGIES.build(strategy, **given))
        strategy = STRATEGIES.build(strategy)
    if given:
        message = (
            f"{_OF_DDP} are settings of the strategy 'ddp', and this run's is "
            f"{a_type(strategy)}: drop them, or take 'ddp'"
        )
        raise ConfigError(message)
    return _checked(strategy)


def _checked(strategy: Any) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    message = (
        f"strategy: expected 'ddp', 'fsdp2', 'single', a spec, or a Strategy, found "
        f"{a_type(strategy)}"
    )
    raise ConfigError(message)

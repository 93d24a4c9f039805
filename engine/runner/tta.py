"""A Runner that tests with augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.hooks import PrepareTTAHook
from engine.runner.arguments import read_config
from engine.runner.runner import Runner

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["build_runner_with_tta"]


def build_runner_with_tta(cfg: Mapping[str, Any] | str | os.PathLike[str]) -> Runner:
    """A Runner whose tests predict several views of each sample.

    Args:
        cfg: As for ``Runner.from_cfg``; ``tta_model`` is the spec of a
            ``BaseTTAModel``, and ``tta_pipeline``, if it is there, takes the place of
            the test dataset's ``pipeline``, also inside datasets around it. It is not
            changed.

    Raises:
        ConfigError: There is no ``tta_model``, or no ``pipeline`` to replace.
    """
    config = read_config(cfg).copy()
    if "tta_model" not in config:
        message = (
            "build_runner_with_tta: the config has no tta_model: give the spec of a "
            "BaseTTAModel, such as tta_model=dict(type='MeanOfViews')"
        )
        raise ConfigError(message)
    if "tta_pipeline" in config:
        dataset: Any = config.get("test_dataloader", {}).get("dataset", {})
        while isinstance(dataset, dict) and "dataset" in dataset:
            dataset = dataset["dataset"]
        if not isinstance(dataset, dict) or "pipeline" not in dataset:
            message = (
                "build_runner_with_tta: tta_pipeline takes the place of "
                "test_dataloader.dataset.pipeline, but there is none"
            )
            raise ConfigError(message)
        dataset["pipeline"] = config["tta_pipeline"]
    runner = Runner.from_cfg(config)
    runner.register_hook(PrepareTTAHook(tta_cfg=config["tta_model"]))
    return runner

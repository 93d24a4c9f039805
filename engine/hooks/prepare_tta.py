"""Lets tests run on a model for test time augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import HookError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.model import is_model_wrapper
from engine.registry import HOOKS, MODELS

if TYPE_CHECKING:
    from engine.state import RunContext
    from engine.typing import Spec

__all__ = ["PrepareTTAHook"]


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Lets tests run on a model for test time augmentation.

    During a test ``runner.model`` is that model, around the run's own; afterwards it is
    the run's again.

    Args:
        tta_cfg: Spec of a :class:`~engine.model.BaseTTAModel`, without ``module``.
    """

    priority: ClassVar[Priority] = Priority.NORMAL

    def __init__(self, tta_cfg: Spec) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner: RunContext) -> None:
        """Put the model into the place of the run's.

        Raises:
            HookError: It is no Runner's test, so nobody asks for ``runner.model``.
        """
        if not hasattr(runner, "stand_in"):
            message = (
                "PrepareTTAHook works with a Runner: an EvalEngine's step calls its "
                "own model, so let that step call the test_step of a BaseTTAModel"
            )
            raise HookError(message)
        model: Any = runner.model
        module = model.module if is_model_wrapper(model) else model
        around = MODELS.build(dict(self.tta_cfg), module=module)
        around.eval()
        runner.stand_in(around)

    def after_test(self, runner: RunContext) -> None:
        """Put the run's model back."""
        self._put_back(runner)

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Put it back, also when a test fails."""
        self._put_back(runner)

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Put it back, also when a test is left."""
        self._put_back(runner)

    def _put_back(self, runner: RunContext) -> None:
        if hasattr(runner, "stand_in"):
            runner.stand_in(None)

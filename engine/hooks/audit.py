"""Ends a run that keeps memory which no checkpoint carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from engine.errors import HookError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.hooks.memory import changed, remembered
from engine.model import is_model_wrapper
from engine.registry import HOOKS
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.state import RunContext

__all__ = ["AuditHook"]

# What a module keeps beside its own attributes: in its state_dict, or by registration.
_OF_MODULES = frozenset(vars(nn.Module()))


@HOOKS.register_module()
class AuditHook(Hook):
    """Ends a run that keeps memory which no checkpoint carries.

    Switch it on for a short run before a long one: ``custom_hooks=[dict(type=
    "AuditHook")]``. At each safe point it looks for

    - a hook without ``state_dict`` whose attributes changed,
    - a hook with one that did not change while its attributes did,
    - a module of the model whose attributes changed, parameters and buffers apart, and
      that has no ``get_extra_state``.

    What may change and need not be saved, a cache say, stands in the class attribute
    ``transient`` of a hook or a module: a set of names. It costs some microseconds for
    each attribute and iteration.

    Raises:
        HookError: At the first such memory; it names the object and its attributes.
    """

    priority: ClassVar[Priority] = Priority.LOWEST
    transient: ClassVar[frozenset[str]] = frozenset({"_seen"})

    def __init__(self) -> None:
        self._seen: dict[str, tuple[dict[str, Any], Any]] | None = None

    def before_train(self, runner: RunContext) -> None:
        """Forget what another call of ``train()`` saw."""
        self._seen = None

    def on_safe_point(self, runner: RunContext) -> None:
        """Compare with the safe point before."""
        now = dict(self._look(runner))
        before, self._seen = self._seen, now
        for name, (attributes, saved) in (before or {}).items():
            if name not in now or saved != now[name][1]:
                continue  # what changed is in its state
            names = changed(attributes, now[name][0])
            if names:
                message = (
                    f"{name} changed its {', '.join(names)} at iteration "
                    f"{runner.state.iteration}, and no checkpoint carries that: a "
                    "resumed run would differ. Give its class state_dict() and "
                    "load_state_dict() (get_extra_state() and set_extra_state() for a "
                    "module) that hold it, or list it in the class attribute "
                    "'transient' if it is no memory."
                )
                raise HookError(message)

    def _look(
        self, runner: RunContext
    ) -> Iterator[tuple[str, tuple[dict[str, Any], Any]]]:
        for record in runner.hook_set:
            hook = record.hook
            state = hook.state_dict() if isinstance(hook, Stateful) else None
            seen = remembered(hook, leave_out=hook.transient)
            yield f"hook {record.name!r}", (seen, remembered(_Held(state)))
        model = runner.model
        if not isinstance(model, nn.Module):
            return
        if is_model_wrapper(model):
            model = model.module
        for name, module in model.named_modules():
            own = frozenset(getattr(module, "transient", ()))
            seen = remembered(module, leave_out=_OF_MODULES | own)
            state = None
            if type(module).get_extra_state is not nn.Module.get_extra_state:
                state = module.get_extra_state()
            kept = remembered(_Held(state))
            yield f"module {name or type(module).__name__!r}", (seen, kept)


class _Held:
    def __init__(self, state: Any) -> None:
        self.state = state

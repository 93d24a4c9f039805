"""A module around another one, whose names do not show it.

torch calls what is in a wrapper ``module.weight``. Here saving and loading leave the
``module`` out, also inside a further wrapper, so a file of weights does not tell
whether the model was wrapped. Attributes are looked up in the wrapped module too: for
its own methods, and because torch finds parameters by the names that it was given.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from torch.nn import Module

from engine.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["TransparentModule"]


class TransparentModule(Module):
    """Holds a module under its own names.

    Args:
        module: The wrapped module.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped module."""
        return self.module(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Find a part, else an attribute of the wrapped module."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Not self.module: a copy that is being unpickled has no parts yet.
            module = self.__dict__.get("_modules", {}).get("module")
            if module is None or not hasattr(module, name):
                raise
        return getattr(module, name)

    def named_modules(
        self,
        memo: set[Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Module]]:
        """Walk the modules under the wrapped module's own names.

        Names of parameters and buffers follow from it; the root's name is given to
        this module and to the wrapped one.

        Args:
            memo: Modules that were met already.
            prefix: Put before each name.
            remove_duplicate: Whether a module that has several names is met once.
        """
        memo = set() if memo is None else memo
        for name, module in super().named_modules(memo, prefix, remove_duplicate):
            yield _shorter(name, prefix=prefix and f"{prefix}."), module

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped module's state under its own names, and that of other parts.

        Args:
            args: As for :meth:`torch.nn.Module.state_dict`.
            kwargs: As for :meth:`torch.nn.Module.state_dict`.
        """
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        _shorten(state, prefix)
        versions: dict[str, Any] | None = getattr(state, "_metadata", None)
        if versions is not None:
            _shorten(versions, prefix)  # the wrapped module's replaces this one's
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load what this or the wrapped module's ``state_dict`` gave.

        Args:
            state_dict: State by name. It is not changed. Where it has nothing
                of the other parts, they keep what they have.
            strict: Whether a missing or unexpected name is an error.
            assign: Whether tensors are taken over rather than copied from.

        Returns:
            The missing and the unexpected names, as torch does.

        Raises:
            CheckpointError: Under ``strict``, a name is missing or unexpected. What
                fits was loaded, as torch does.
            RuntimeError: A shape differs (torch's own error).
        """
        state = OrderedDict(state_dict)
        # Format versions of modules such as batch norm; torch looks for them here.
        versions: dict[str, Any] | None = getattr(state_dict, "_metadata", None)
        if versions is not None:
            inner = {f"module.{name}".rstrip("."): v for name, v in versions.items()}
            vars(state)["_metadata"] = {**versions, **inner}
        # Not strict: torch's message would have names that no file has.
        found = super().load_state_dict(state, strict=False, assign=assign)
        for names in (found.missing_keys, found.unexpected_keys):
            names[:] = [_shorter(name, prefix="") for name in names]
        if strict and (found.missing_keys or found.unexpected_keys):
            msg = (
                f"the state to load does not fit {type(self.module).__name__} in "
                f"{type(self).__name__}: missing {found.missing_keys}, unexpected "
                f"{found.unexpected_keys}. Load it with strict=False to leave out both."
            )
            raise CheckpointError(msg)
        return found

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        # Also called when a module around this one loads. torch has made a copy.
        own = {f"{prefix}{name}": value for name, value in self._state_beside().items()}
        if not own.keys() & state_dict.keys():
            state_dict.update(own)
        below = [key for key in state_dict if key.startswith(prefix) and key not in own]
        _rename(
            state_dict, below, [f"{prefix}module.{k[len(prefix) :]}" for k in below]
        )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _state_beside(self) -> dict[str, Any]:
        """State of parts beside the wrapped module, by the name it is saved as."""
        return {
            f"{name}.{key}": value
            for name, part in self.named_children()
            if part is not self.module
            for key, value in part.state_dict().items()
        }


def _shorter(name: str, *, prefix: str) -> str:
    """``name`` without the ``module`` that follows ``prefix``.

    >>> [_shorter(name, prefix="a.") for name in ("a", "a.module", "a.module.b", "a.b")]
    ['a', 'a', 'a.b', 'a.b']
    """
    head, _, rest = name[len(prefix) :].partition(".")
    if not name.startswith(prefix) or head != "module":
        return name
    return f"{prefix}{rest}".rstrip(".")


def _shorten(state: dict[str, Any], prefix: str) -> None:
    """Leave the ``module`` out of all names below ``prefix``, in place and in order."""
    below = [key for key in state if key.startswith(prefix)]
    _rename(state, below, [_shorter(key, prefix=prefix) for key in below])


def _rename(state: dict[str, Any], old: list[str], new: list[str]) -> None:
    # All are taken out first: a new name may be another's old one.
    values = [state.pop(key) for key in old]
    state.update(zip(new, values, strict=True))

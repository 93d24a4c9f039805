"""Scalars and facts that the parts of a run hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from engine.errors import SerializationError, a_type, did_you_mean
from engine.state.history import HistoryBuffer, settle
from engine.state.running import Instances, running_run

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["MessageHub"]

_HISTORY = 1_000  # values kept of a scalar unless somebody asks for a longer window


class MessageHub:
    """The notice board of one run.

    Scalars (``update_scalar``) keep a history; facts (``update_info``) keep the last
    value. Two runs never share a hub.

    Args:
        name: The run's name.
        log_scalars: Histories to begin with, by key.
        runtime_info: Facts to begin with, by key.
        resumed_keys: Of those keys, whether a checkpoint carries them; it does where
            nothing is said.
        history: Values kept of each scalar, at least 1; :meth:`reserve` asks for more.

    Raises:
        TypeError: A value of ``log_scalars`` is no ``HistoryBuffer``.
    """

    def __init__(
        self,
        name: str = "engine",
        log_scalars: Mapping[str, HistoryBuffer] | None = None,
        runtime_info: Mapping[str, Any] | None = None,
        resumed_keys: Mapping[str, bool] | None = None,
        *,
        history: int = _HISTORY,
    ) -> None:
        self.name = name
        self._history = history
        self._scalars: dict[str, HistoryBuffer] = dict(log_scalars or {})
        self._info: dict[str, Any] = dict(runtime_info or {})
        self._transient = {
            key for key, resumed in (resumed_keys or {}).items() if not resumed
        }
        for key, buffer in self._scalars.items():
            if not isinstance(buffer, HistoryBuffer):
                message = (
                    f"MessageHub: log_scalars[{key!r}]: expected a HistoryBuffer, "
                    f"found {a_type(buffer)}"
                )
                raise TypeError(message)

    # -- for code that is handed none ---------------------------------------------

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> MessageHub:
        """The running run's hub if it has that name, else one of this context's own.

        Args:
            name: Its name.
            kwargs: Arguments for one that has to be made.
        """
        run = running_run()
        if run is not None and run.message_hub.name == name:
            hub: MessageHub = run.message_hub
            return hub
        return _NAMED.get(name, lambda: cls(name, **kwargs))

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """The running run's hub.

        While none runs: the one that :meth:`get_instance` made last in this context,
        else one called ``engine``, made now. A thread that is started inside a run
        sees that run only if it is started with a copy of the context.
        """
        run = running_run()
        if run is not None:
            hub: MessageHub = run.message_hub
            return hub
        return _NAMED.newest() or cls.get_instance("engine")

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether :meth:`get_instance` would find one of that name."""
        run = running_run()
        return name in _NAMED or (run is not None and run.message_hub.name == name)

    @property
    def instance_name(self) -> str:
        """Its name."""
        return self.name

    # -- scalars ----------------------------------------------------------------

    def update_scalar(
        self,
        key: str,
        value: float | Tensor | np.ndarray[Any, Any],
        count: float = 1,
        resumed: bool = True,
    ) -> None:
        """Add a value to the history of ``key``.

        Args:
            key: Name, by custom with the mode before it: ``train/loss``.
            value: A number, or a tensor or array with one element. Tensors on a
                device are fetched when a statistic is asked for, not now.
            count: How many things the value sums up.
            resumed: Whether a checkpoint carries the history.

        Raises:
            ValueError: A tensor or array has more than one element.
        """
        buffer = self._scalars.get(key)
        if buffer is None or (not resumed and not len(buffer)):
            buffer = self.scalar(key, resumed=resumed)
        if type(value) is not float and not isinstance(value, int):
            value = _scalar(key, value)
        buffer.update(value, count)

    def scalar(self, key: str, *, resumed: bool = True) -> HistoryBuffer:
        """The history of ``key``, begun if there is none; it stays the same object.

        For who records at each iteration: its ``update`` is all that is left to call.

        Args:
            key: Name, by custom with the mode before it: ``train/loss``.
            resumed: Whether a checkpoint carries the history, if it is begun here.
        """
        history = self._scalars.get(key)
        if history is None:
            history = self._scalars[key] = HistoryBuffer(max_length=self._history)
            self._mark(key, resumed=resumed)
        elif not len(history) and not resumed:  # reserved: nobody has said it yet
            self._mark(key, resumed=False)
        return history

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Add several values; one may be ``{"value": ..., "count": ...}``.

        Raises:
            ValueError: A mapping has no ``value``, or a value is no scalar.
        """
        for key, value in log_dict.items():
            if isinstance(value, Mapping):
                if "value" not in value:
                    message = (
                        f"scalar {key!r}: a mapping needs 'value' and may have "
                        f"'count'; found {sorted(value)}"
                    )
                    raise ValueError(message)
                self.update_scalar(key, value["value"], value.get("count", 1), resumed)
            else:
                self.update_scalar(key, value, 1, resumed)

    def get_scalar(self, key: str) -> HistoryBuffer:
        """The history of ``key``.

        Raises:
            LookupError: Nothing was recorded under it.
        """
        if key not in self._scalars:
            message = (
                f"no scalar {key!r} was recorded.{did_you_mean(key, self._scalars)}"
            )
            raise LookupError(message)
        return self._scalars[key]

    def reserve(self, key: str, window: int) -> None:
        """Keep at least ``window`` values of ``key``, recorded yet or not."""
        if key not in self._scalars:
            self._scalars[key] = HistoryBuffer(max_length=max(window, self._history))
        self._scalars[key].reserve(window)

    def settle(self) -> None:
        """Read what was recorded and still lies on a device: all in one transfer."""
        settle(self._scalars.values())

    @property
    def log_scalars(self) -> Mapping[str, HistoryBuffer]:
        """All histories by key, read-only."""
        return MappingProxyType(self._scalars)

    # -- facts ------------------------------------------------------------------

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Note a fact; the last one noted counts.

        Args:
            key: Name.
            value: Anything; only plain data can go into a checkpoint.
            resumed: Whether a checkpoint carries it.
        """
        if key not in self._info:
            self._mark(key, resumed=resumed)
        self._info[key] = value

    def update_info_dict(
        self, info_dict: Mapping[str, Any], resumed: bool = True
    ) -> None:
        """Note several facts."""
        for key, value in info_dict.items():
            self.update_info(key, value, resumed)

    def get_info(self, key: str, default: Any = None) -> Any:
        """The fact, or ``default``. It is not copied."""
        return self._info.get(key, default)

    def pop_info(self, key: str, default: Any = None) -> Any:
        """Take the fact away and return it, or ``default``."""
        return self._info.pop(key, default)

    @property
    def runtime_info(self) -> Mapping[str, Any]:
        """All facts by key, read-only."""
        return MappingProxyType(self._info)

    def _mark(self, key: str, *, resumed: bool) -> None:
        if resumed:
            self._transient.discard(key)
        else:
            self._transient.add(key)

    # -- saving -----------------------------------------------------------------

    def unsaved(self) -> list[str]:
        """Keys of facts that a checkpoint should carry but that are no plain data."""
        return [
            key
            for key, value in self._info.items()
            if key not in self._transient and not _is_plain(value)
        ]

    def state_dict(self) -> dict[str, Any]:
        """What is marked ``resumed``, as plain data; facts that are not, are left out.

        :meth:`unsaved` names those.
        """
        left_out = self._left_out()
        return {
            "format": 1,
            "scalars": {
                key: buffer.state_dict()
                for key, buffer in self._scalars.items()
                if key not in self._transient
            },
            "info": {
                key: _copy(value)
                for key, value in self._info.items()
                if key not in left_out
            },
        }

    def _left_out(self) -> set[str]:
        return self._transient.union(self.unsaved())

    def forget_since(self, state_dict: Plain) -> None:
        """Forget what a state that is to be loaded lacks: a run goes back to it.

        Args:
            state_dict: What :meth:`state_dict` gave then.
        """
        left_out = self._left_out()
        for mine, then in ((self._scalars, "scalars"), (self._info, "info")):
            for key in mine.keys() - state_dict[then].keys() - left_out:
                del mine[key]

    def load_state_dict(self, state_dict: Plain | MessageHub, /) -> None:
        """Take over scalars and facts; keys that the saved hub lacks stay.

        Args:
            state_dict: What :meth:`state_dict` returned, or a hub.

        Raises:
            SerializationError: It was not saved by us.
        """
        if isinstance(state_dict, MessageHub):
            state_dict = state_dict.state_dict()
        expected = {"format", "scalars", "info"}
        if (
            not isinstance(state_dict, Mapping)
            or set(state_dict) != expected
            or state_dict["format"] != 1
        ):
            message = (
                f"a message hub: expected format 1 with the keys {sorted(expected)}, "
                f"found {_describe(state_dict)}"
            )
            raise SerializationError(message)
        for key, saved in state_dict["scalars"].items():
            buffer = self._scalars.setdefault(
                key, HistoryBuffer(max_length=self._history)
            )
            buffer.load_state_dict(saved)
        for key, value in state_dict["info"].items():
            self._info[key] = _copy(value)


_NAMED: Instances[MessageHub] = Instances("message_hub")


def _scalar(key: str, value: Any) -> float | Tensor:
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return value
        found = f"a tensor of shape {tuple(value.shape)}"
    elif (
        isinstance(value, np.ndarray | np.generic | float | int) and np.size(value) == 1
    ):
        return float(np.asarray(value).item())
    else:
        found = f"{type(value).__name__} {value!r}"
    message = f"scalar {key!r}: expected a number or one element, found {found}"
    raise ValueError(message)


def _is_plain(value: Any) -> bool:
    if value is None or type(value) in (bool, int, float, str) or type(value) is Tensor:
        return True
    if type(value) in (list, tuple):
        return all(_is_plain(item) for item in value)
    if type(value) is dict:
        return all(type(key) in (str, int) for key in value) and all(
            _is_plain(item) for item in value.values()
        )
    return False


def _copy(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_copy(item) for item in value)
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return value.detach().clone() if isinstance(value, Tensor) else value


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping with the keys {sorted(map(str, value))}"
    return f"{a_type(value)}"

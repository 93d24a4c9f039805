"""All hooks of a run, by unique name, in order, on the buses of its engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.errors import HookError
from engine.events import Bus, Handle, Priority, describe_priority, get_priority
from engine.hooks.checkpoint import CheckpointHook
from engine.hooks.hook import Hook
from engine.hooks.memory import changed, remembered
from engine.hooks.points import POINTS
from engine.hooks.translate import check_names, register
from engine.state import Exactness, PartReport
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HookRecord", "HookSet"]


@frozen
class HookRecord:
    """One registered hook.

    Args:
        name: Unique in the run; keys its state in checkpoints.
        hook: The hook.
        priority: From 0, the first, to 100.
    """

    name: str
    hook: Hook
    priority: int


class HookSet:
    """The hooks of one run.

    Args:
        context: What hook methods get as ``runner``.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._records: list[HookRecord] = []
        self._buses: dict[str, Bus] = {}
        self._handles: list[Handle] = []
        self._watched: dict[str, dict[str, Any]] = {}

    def add(
        self,
        hook: Hook,
        priority: int | str | Priority | None = None,
        name: str | None = None,
    ) -> HookRecord:
        """Register a hook on every engine of the run.

        Args:
            hook: The hook.
            priority: When it runs; ``None``: the hook's own.
            name: Unique name; ``None``: its class's, numbered if that is taken.

        Raises:
            HookError: It is no hook, is registered already, or a method does not take
                what its event gives.
            PriorityError: The priority is none.
        """
        if not isinstance(hook, Hook):
            hint = " Give an instance, not the class." if isinstance(hook, type) else ""
            message = (
                f"{hook!r} is no hook: expected an object of a class derived from "
                f"Hook.{hint}"
            )
            raise HookError(message)
        if any(record.hook is hook for record in self._records):
            message = f"this {type(hook).__name__} is registered already"
            raise HookError(message)
        check_names(hook)
        number = get_priority(hook.priority if priority is None else priority)
        record = HookRecord(self._unique(name or type(hook).__name__), hook, number)
        for mode, bus in self._buses.items():
            self._handles += register(hook, bus, mode, self._context, number)
        self._records.append(record)
        self._records.sort(key=lambda one: one.priority)  # stable: then registration
        return record

    def connect(self, mode: str, bus: Bus) -> None:
        """Put all hooks, those of now and those to come, on an engine's bus too."""
        self._buses[mode] = bus
        for record in self._records:
            self._handles += register(
                record.hook, bus, mode, self._context, record.priority
            )

    def release(self) -> list[HookRecord]:
        """Let go of all hooks, so that another run can take them; returns them."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        records, self._records = self._records, []
        return records

    def backend_args(self) -> Mapping[str, Any] | None:
        """What finds the URL that this run saves under, for a resume from it."""
        for record in self._records:
            hook = record.hook
            if isinstance(hook, CheckpointHook) and hook.out_dir and hook.backend_args:
                return hook.backend_args
        return None

    def _unique(self, wanted: str) -> str:
        taken = {record.name for record in self._records}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    # -- look-up ----------------------------------------------------------------

    def __iter__(self) -> Iterator[HookRecord]:
        """The records in running order."""
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def hooks(self) -> list[Hook]:
        """The hooks in running order."""
        return [record.hook for record in self._records]

    def name_of(self, hook: object) -> str:
        """The unique name of a registered hook.

        Raises:
            HookError: It is not registered in this run.
        """
        for record in self._records:
            if record.hook is hook:
                return record.name
        message = f"{type(hook).__name__} is not registered in this run"
        raise HookError(message)

    def find(self, name: str) -> Hook | None:
        """The hook of that unique name, if there is one."""
        return next((one.hook for one in self._records if one.name == name), None)

    # -- calls by name ----------------------------------------------------------

    def call(self, name: str, **kwargs: Any) -> None:
        """Call ``name`` on every hook that has it, in order."""
        for record in list(self._records):
            method = getattr(record.hook, name, None)
            if not callable(method):
                continue
            try:
                method(self._context, **kwargs)
            except BaseException as error:
                error.add_note(f"in {type(record.hook).__name__}.{name}")
                raise

    def info(self) -> str:
        """A listing of which hook runs at which event, in order, for people."""
        stages = []
        for point in POINTS:
            lines = [
                f"({describe_priority(record.priority):<12}) "
                f"{type(record.hook).__name__:<35}"
                for record in self._records
                if point in record.hook.get_triggered_stages()
            ]
            if lines:
                stages.append("\n".join([f"{point}:", *lines]))
        return "\n -------------------- \n".join(stages)

    def in_order(self) -> str:
        """The hooks in one line, highest priority first."""
        return ", ".join(
            f"{type(record.hook).__name__} ({describe_priority(record.priority)})"
            for record in self._records
        )

    # -- memory -----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State of each hook that remembers, by unique name."""
        return {
            record.name: record.hook.state_dict()
            for record in self._records
            if isinstance(record.hook, Stateful)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Put states back, of the hooks that have one there; see :meth:`examine`."""
        for record in self._records:
            if isinstance(record.hook, Stateful) and record.name in state_dict:
                record.hook.load_state_dict(state_dict[record.name])

    def watch(self) -> None:
        """Note what hooks without ``state_dict`` hold now: their settings."""
        self._watched = {
            record.name: remembered(record.hook, leave_out=record.hook.transient)
            for record in self._records
            if not isinstance(record.hook, Stateful)
        }

    def forgetful(self) -> dict[str, list[str]]:
        """Hooks without ``state_dict`` that changed since :meth:`watch`.

        Returns:
            Names of the attributes that changed, by the hook's unique name.
        """
        found = {}
        for record in self._records:
            before = self._watched.get(record.name)
            if before is not None:
                now = remembered(record.hook, leave_out=record.hook.transient)
                found[record.name] = changed(before, now)
        return {name: names for name, names in found.items() if names}

    def claims(self, key: str) -> bool:
        """Whether a hook takes that key out of a checkpoint."""
        return any(key in record.hook.claims for record in self._records)

    def examine(self, checkpoint: Mapping[str, Any]) -> list[PartReport]:
        """What of each hook's memory a checkpoint brings back; changes nothing.

        Args:
            checkpoint: As :func:`engine.checkpoint.capture` made it.
        """
        ours = checkpoint["engine"]
        saved, forgets = ours["hooks"], ours.get("forgets", {})
        lost = Exactness.LOST
        found = []
        for record in self._records:
            part, hook = f"hook {record.name!r}", record.hook
            own = getattr(hook, "resume_report", None)  # of what it saves by itself
            if own is not None:
                found.append(own(part, checkpoint))
            elif record.name in forgets:
                names = ", ".join(forgets[record.name])
                why = f"its {names} had changed, and it has no state_dict()"
                found.append(PartReport(part, lost, why))
            elif isinstance(hook, Stateful):
                if record.name in saved:
                    found.append(PartReport(part, Exactness.EXACT))
                else:
                    why = "it is new: it starts without memory"
                    found.append(PartReport(part, lost, why))
        there = {record.name for record in self._records}
        found += [
            PartReport(f"hook {name!r}", lost, "it is gone: its state is dropped")
            for name in saved
            if name not in there
        ]
        return found

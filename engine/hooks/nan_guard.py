"""Keeps a loss or a gradient that is nan or infinite from ruining a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from attrs import frozen
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm

from engine.checkpoint import is_sharded
from engine.dist import any_rank, on_main
from engine.errors import ConfigError, NonFiniteError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS
from engine.state import DueKind, Phase, RunContext, check_format

if TYPE_CHECKING:
    from engine.state import Due
    from engine.typing import Batch, Plain

__all__ = ["NanGuardHook"]

POLICIES = ("stop", "skip", "rollback")


@frozen
class _Seen:
    """What an iteration was like; the flags stay on the device until they are read."""

    iteration: int
    batch: list[int]
    window: list[list[int]]
    loss_is_bad: Tensor
    gradient_is_bad: Tensor | None


@HOOKS.register_module()
class NanGuardHook(Hook):
    """Keeps a loss or a gradient that is nan or infinite from ruining a run.

    The loss is what the step returned as ``"loss"``; gradients are looked at before
    each optimizer step. With ``"stop"`` and ``"rollback"`` the answers stay on the
    device and are read each ``interval`` iterations, and before each save: no
    checkpoint is written of a run that is ruined.

    Args:
        policy: ``"stop"``: an error ends the run; the newest checkpoint is from before.
            ``"skip"``: the optimizer does not step, and the model's buffers are as they
            were before the bad window; this waits for the device at each step.
            ``"rollback"``: the run goes back to the newest checkpoint and leaves the
            bad batch out (with a bad gradient: those of its accumulation window that
            the checkpoint does not have); that is part of the run's state.
        interval: Iterations between two readings, at least 1.
        max_rollbacks: How often a run may go back before it is an error.
        max_skips: How many steps in a row may be left out before it is an error.

    Raises:
        ConfigError: An argument is not one of the above.
    """

    priority: ClassVar[Priority] = Priority.HIGH
    # Set anew by each iteration, read before each save, or the model's own just then.
    transient: ClassVar[frozenset[str]] = frozenset(
        {"_batch", "_buffers", "_gradient_is_bad", "_seen"}
    )

    def __init__(
        self,
        policy: str = "stop",
        interval: int = 50,
        max_rollbacks: int = 3,
        max_skips: int = 10,
    ) -> None:
        if policy not in POLICIES:
            message = (
                f"NanGuardHook: policy={policy!r}: give one of {', '.join(POLICIES)}"
            )
            raise ConfigError(message)
        for name, value in (
            ("interval", interval),
            ("max_rollbacks", max_rollbacks),
            ("max_skips", max_skips),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = (
                    f"NanGuardHook: {name}={value!r}: give a whole number of at least 1"
                )
                raise ConfigError(message)
        self.policy = policy
        self.interval = interval
        self.max_rollbacks = max_rollbacks
        self.max_skips = max_skips
        self.skipped = 0
        """Steps that were left out so far."""
        self._in_a_row = 0
        self._window: list[list[int]] = []  # batches since the last optimizer step
        self._buffers: list[Tensor] | None = None  # as they were then
        self._seen: list[_Seen] = []
        self._batch = [0, 0]
        self._gradient_is_bad: Tensor | None = None

    # -- looking -------------------------------------------------------------------

    def before_train(self, runner: RunContext) -> None:
        """Have something to go back to, and buffers to put back.

        Raises:
            ConfigError: The policy does not work with the loop that turns.
        """
        self._seen, self._gradient_is_bad = [], None
        if self.policy == "skip" and self._buffers is None:
            self._keep_buffers(runner)
        if self.policy == "rollback":
            if runner.trainer.driving:
                message = (
                    "NanGuardHook: policy='rollback' works in the engine's own loops: "
                    "one of your own cannot be led back. Use 'skip' or 'stop'."
                )
                raise ConfigError(message)
            store = runner.trainer.rescue.file.store
            done = runner.state.iteration
            run_id = runner.trainer.run_id
            if not on_main(lambda: bool(store.of_run(run_id, up_to=done))):
                runner.owe(DueKind.SAVE, self)

    def pay(self, runner: RunContext, due: Due) -> None:
        """Save where the run begins, to go back to until there is a checkpoint."""
        del due
        runner.trainer.rescue.save_now()

    def before_train_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Note which batch comes."""
        progress = runner.state.progress
        self._batch = [progress.data_pass, progress.pass_batch]
        self._window.append(self._batch)

    def before_optimizer_step(self, runner: RunContext) -> None:
        """Look at the gradients; with ``"skip"`` leave out a step that is bad.

        Raises:
            NonFiniteError: Too many steps in a row were bad.
        """
        gradients = _gradients(runner)
        bad = _not_finite(gradients)
        if self.policy != "skip":
            if bad is not None and self._gradient_is_bad is not None:
                bad = bad | self._gradient_is_bad  # several optimizers
            self._gradient_is_bad = bad
            return
        if bad is not None and any(map(is_sharded, gradients)):
            bad = any_rank(bad)  # this rank has seen its own pieces
        if bad is not None and bad.item():  # waits for the device
            self._skip(runner)
        else:
            self._in_a_row = 0

    def _skip(self, runner: RunContext) -> None:
        self._in_a_row += 1
        self.skipped += 1
        batches = [tuple(batch) for batch in self._window]
        told = (
            f"a gradient is not finite in iteration {runner.iter} "
            f"((pass, batch): {batches})"
        )
        if self._in_a_row >= self.max_skips:
            message = f"{told}, as in each of the last {self._in_a_row} steps"
            raise NonFiniteError(message)
        # A parameter without gradient is left alone, with all that is kept of it.
        for parameter in _parameters(runner):
            parameter.grad = None
        for buffer, kept in zip(_buffers(runner), self._buffers or (), strict=True):
            buffer.copy_(kept)
        runner.logger.warning(
            "step_left_out",
            line=f"Left out: {told}",
            iteration=runner.iter,
            batches=batches,
        )

    def after_optimizer_step(self, runner: RunContext) -> None:
        """The next window begins from here."""
        if self.policy == "skip":
            self._keep_buffers(runner)

    def _keep_buffers(self, runner: RunContext) -> None:
        now = _buffers(runner)
        if self._buffers is None or len(self._buffers) != len(now):
            self._buffers = [one.clone() for one in now]
        else:
            for kept, buffer in zip(self._buffers, now, strict=True):
                kept.copy_(buffer)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
    ) -> None:
        """Look at the loss, and read what was seen where that is due.

        Raises:
            NonFiniteError: The run is ruined, and this is as far as it goes.
        """
        stepped = runner.trainer.parts.last_step == runner.state.iteration - 1
        if self.policy != "skip":
            self._seen.append(
                _Seen(
                    iteration=runner.iter,
                    batch=self._batch,
                    window=list(self._window) if stepped else [],
                    loss_is_bad=_bad_loss(outputs),
                    gradient_is_bad=self._gradient_is_bad,
                )
            )
            self._gradient_is_bad = None
        if stepped:
            self._window.clear()
        if (runner.iter + 1) % self.interval == 0:
            self._read(runner)

    def before_save_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """Let nothing be saved of a run that is ruined.

        Raises:
            NonFiniteError: It is.
        """
        self._read(runner)
        if self.policy != "skip":
            self._read_open_window(runner)

    def after_train(self, runner: RunContext) -> None:
        """The last iterations count too.

        Raises:
            NonFiniteError: The run is ruined.
        """
        self._read(runner)

    # -- acting --------------------------------------------------------------------

    def _read(self, runner: RunContext) -> None:
        seen, self._seen = self._seen, []
        if not seen:
            return
        none = torch.zeros_like(seen[0].loss_is_bad)
        losses = torch.stack([one.loss_is_bad for one in seen])
        gradients = torch.stack(
            [
                none if one.gradient_is_bad is None else one.gradient_is_bad.to(none)
                for one in seen
            ]
        )
        # One wait for the device, whatever the interval.
        flags = any_rank(torch.stack([losses, gradients], 1))
        for one, bad in zip(seen, flags.tolist(), strict=True):
            # A bad loss is its own batch's; a bad gradient any of its window's.
            if bad[0]:
                self._act(runner, one.iteration, "the loss", [one.batch])
            elif bad[1]:
                self._act(runner, one.iteration, "a gradient", one.window)

    def _read_open_window(self, runner: RunContext) -> None:
        """Look at the gradients that an open accumulation window has so far."""
        scaler = getattr(runner.trainer.parts.optimizer, "loss_scaler", None)
        if not self._window or (scaler is not None and scaler.is_enabled()):
            return  # scaled ones may overflow, and the scaler sees to that
        bad = _not_finite(_gradients(runner))
        if bad is not None and any_rank(bad).item():
            done = runner.state.iteration - 1
            self._act(runner, done, "a gradient", list(self._window))

    def _act(
        self, runner: RunContext, iteration: int, what: str, batches: list[list[int]]
    ) -> None:
        told = (
            f"{what} is not finite in iteration {iteration} "
            f"((pass, batch): {[tuple(one) for one in batches]})"
        )
        ruined = runner.state.phase is Phase.FAILED
        if self.policy == "stop" or ruined:
            message = (
                f"{told}. Nothing was saved since. To leave such batches out, use "
                "NanGuardHook(policy='rollback') or 'skip'."
            )
            raise NonFiniteError(message)
        if runner.state.rollbacks >= self.max_rollbacks:
            message = (
                f"{told}, and the run went back {runner.state.rollbacks} times already "
                f"(max_rollbacks={self.max_rollbacks}). If samples are damaged, mend "
                "them or raise max_rollbacks: each costs one in each pass over the "
                "data. Else look at the learning rate and the model."
            )
            raise NonFiniteError(message)
        runner.trainer.roll_back(
            [tuple(one) for one in batches], before=iteration, reason=told
        )

    # -- memory --------------------------------------------------------------------

    def state_dict(self) -> dict[str, Plain]:
        """What was left out, and what an open accumulation window needs."""
        return {
            "format": 1,
            "skipped": self.skipped,
            "in_a_row": self._in_a_row,
            "window": [list(batch) for batch in self._window],
            "buffers": list(self._buffers or []) if self._window else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Plain], /) -> None:
        """Take over what was saved.

        Raises:
            SerializationError: The format or the keys are not ours.
        """
        check_format("NanGuardHook", state_dict, self.state_dict())
        self.skipped = int(state_dict["skipped"])
        self._in_a_row = int(state_dict["in_a_row"])
        self._window = [list(batch) for batch in state_dict["window"]]
        buffers = state_dict["buffers"]
        self._buffers = None if buffers is None else [one.clone() for one in buffers]


def _parameters(runner: RunContext) -> list[Any]:
    return [
        parameter
        for optimizer in runner.trainer.parts.optimizers()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]


def _gradients(runner: RunContext) -> list[Tensor]:
    found = (parameter.grad for parameter in _parameters(runner))
    return [one for one in found if one is not None]


def _buffers(runner: RunContext) -> list[Tensor]:
    model = runner.trainer.parts.model
    return [] if model is None else list(model.buffers())


def _not_finite(tensors: list[Tensor]) -> Tensor | None:
    """Whether any of them holds nan or inf: a tensor of shape () on their device.

    Of what is cut over ranks, this rank's pieces.
    """
    if not tensors:
        return None
    own: list[Any] = [
        one.to_local() if isinstance(one, DTensor) else one for one in tensors
    ]
    dense = [one.coalesce().values() if one.is_sparse else one for one in own]
    dense = [one for one in dense if one.numel()]
    if not dense:
        return torch.zeros((), dtype=torch.bool, device=own[0].device)
    # The largest one, not the length: that may overflow where none of them does.
    return ~get_total_norm(dense, norm_type=math.inf).isfinite()


def _bad_loss(outputs: Any) -> Tensor:
    """Whether the loss that a step gave is nan or infinite; unknown ones are not."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if isinstance(loss, Tensor):
        return ~loss.detach().isfinite().all()
    if isinstance(loss, float):
        loss = torch.tensor(loss)
        return ~loss.isfinite().all()
    return torch.tensor(data=False)

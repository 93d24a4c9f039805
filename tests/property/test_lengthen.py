"""Laws of ``on_longer``: what schedules do in a resumed run of another length."""

from __future__ import annotations

import tempfile
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from engine import Events, RunState, TrainEngine
from engine.build import build_param_schedulers
from engine.errors import ScheduleError
from engine.hooks import ParamSchedulerHook
from engine.optim import OptimWrapper
from tests.toys import quiet_logger

EPOCH = 3  # iterations

END = 1_000_000_000  # none

# Each is given the run's length where a user would have written it.
KINDS: dict[str, Any] = {
    "ConstantLR": lambda _: {"factor": 0.5},
    "CosineAnnealingLR": lambda length: {"T_max": length},
    "CosineAnnealingMomentum": lambda _: {"eta_min_ratio": 0.1},
    "CosineRestartLR": lambda length: {
        "periods": [2, length],
        "restart_weights": [1, 0.5],
        "eta_min": 0.0,
    },
    "ExponentialLR": lambda _: {"gamma": 0.9},
    "LinearLR": lambda _: {"start_factor": 0.2},
    "MultiStepLR": lambda length: {"milestones": [2, length // 2 + 2]},
    "OneCycleLR": lambda _: {"eta_max": 0.5},
    "PolyLR": lambda _: {"power": 0.9, "eta_min": 1e-4},
    "StepLR": lambda _: {"step_size": 2},
    "torch.optim.lr_scheduler.CosineAnnealingLR": lambda length: {"T_max": length},
    "CyclicLR": lambda length: {
        "base_lr": 0.01,
        "max_lr": 0.2,
        "step_size_up": length,
        "mode": "triangular2",
    },
    "torch.optim.lr_scheduler.PolynomialLR": lambda length: {"total_iters": length},
}

Chain = list[tuple[str, bool, int | None]]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """One or two schedules: class, by epoch, ``end`` (``None``: the run's).

    There may be a warm-up beside them.
    """
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
    chain: Chain = []
    ends = st.sampled_from([None, END])
    for name in names:
        end = None if "." in name or name == "CyclicLR" else draw(ends, label="end")
        chain.append((name, draw(st.booleans(), label="by epoch"), end))
    if draw(st.booleans(), label="warm-up"):
        chain.append(("LinearLR", False, draw(st.integers(2, 8), label="its end")))
    return chain


class Run:
    """A run of so many epochs whose step notes the learning rate and momentum."""

    def __init__(self, chain: Chain, epochs: int, lr: float = 0.1) -> None:
        groups = [
            {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr * (i + 1)}
            for i in range(2)
        ]
        self.optimizer = torch.optim.SGD(groups, momentum=0.9)
        self.noted: list[list[float]] = []
        self.trainer = TrainEngine(
            self._step, RunState(seed=0), facilities={"logger": quiet_logger()}
        )
        self.wrapper = OptimWrapper(self.optimizer)
        specs = [
            {"type": name, "by_epoch": by_epoch}
            | KINDS[name](epochs * (1 if by_epoch else EPOCH))
            | ({} if end is None else {"end": end})
            for name, by_epoch, end in chain
        ]
        self.schedules = build_param_schedulers(
            specs, self.wrapper, max_epochs=epochs, max_iters=epochs * EPOCH
        )
        self.trainer.track(optimizer=self.wrapper, param_schedulers=self.schedules)
        self.trainer.add_hook(ParamSchedulerHook())

    def _step(self, trainer: Any, _: Any) -> None:
        self.optimizer.step()
        self.noted.append(
            [g[key] for g in self.optimizer.param_groups for key in ("lr", "momentum")]
        )

    def go(self, epochs: int, stop_after: int | None = None) -> list[list[float]]:
        """Train to an epoch, or interrupt it after some iterations."""
        if stop_after is not None:

            @self.trainer.on(Events.ITERATION_COMPLETED(once=stop_after))
            def interrupt(trainer: TrainEngine) -> None:
                trainer.interrupt()

        self.trainer.run(max_epochs=epochs, epoch_length=EPOCH)
        return self.noted


def resumed(
    chain: Chain, old: int, new: int, cut: int, on_longer: Any, lr: float = 0.1
) -> Run:
    """A run made for ``new`` epochs that goes on where one for ``old`` was cut."""
    head = Run(chain, old)
    with tempfile.TemporaryDirectory() as folder:
        head.go(old, stop_after=cut if cut < old * EPOCH else None)
        file = head.trainer.save_checkpoint(Path(folder) / "cut.pth")
        rest = Run(chain, new, lr=lr)
        rest.trainer.resume(file, on_longer=on_longer)
    return rest


def flat(rows: list[list[float]]) -> list[float]:
    """All numbers of some rows."""
    return [value for row in rows for value in row]


@given(
    chain=chains(),
    old=st.integers(3, 6),
    new=st.integers(3, 9),
    cut=st.integers(1, 6 * EPOCH),
)
def test_each_policy_gives_its_curve(
    chain: Chain, old: int, new: int, cut: int
) -> None:
    """At every iteration after the cut, longer or shorter, by epoch and by iteration.

    ``stretch`` is a new run of the new length from there on, ``keep`` the old run that
    simply goes on, ``hold`` that one up to its end; without a choice it is an error
    exactly where these differ.
    """
    cut = min(cut, old * EPOCH)
    assume(cut < new * EPOCH and old != new)
    expected = {"stretch": Run(chain, new).go(new)[cut:]}
    going_on = Run(chain, old)
    going_on.go(old)
    if new > old:
        going_on.go(new)
    expected["keep"] = going_on.noted[cut : new * EPOCH]
    end = old * EPOCH - cut
    rows = expected["keep"]
    expected["hold"] = [rows[min(i, end)] for i in range(len(rows))]
    for policy, curve in expected.items():
        found = resumed(chain, old, new, cut, policy).go(new)
        assert flat(found) == pytest.approx(flat(curve), rel=1e-12, abs=1e-15), policy
    same = all(
        flat(curve) == pytest.approx(flat(expected["keep"]), rel=1e-9, abs=1e-15)
        for curve in expected.values()
    )
    without = resumed(chain, old, new, cut, None)
    if same:
        assert flat(without.go(new)) == flat(expected["keep"])
    else:
        with pytest.raises(ScheduleError, match=r"on_longer='\.\.\.' in train_cfg"):
            without.go(new)


@given(chain=chains(), length=st.integers(2, 6), cut=st.integers(1, 6 * EPOCH))
def test_an_equal_length_asks_nothing_and_changes_nothing(
    chain: Chain, length: int, cut: int
) -> None:
    """Whatever ``on_longer`` says, and whatever else the new schedules would do."""
    assume(cut < length * EPOCH)
    whole = Run(chain, length).go(length)
    for policy in (None, "keep", "hold", "stretch"):
        assert (
            resumed(chain, length, length, cut, policy, lr=0.3).go(length)
            == (whole[cut:])
        )


@given(
    chain=chains(),
    policy=st.sampled_from(["hold", "stretch"]),
    cuts=st.lists(st.integers(4, 5 * EPOCH), min_size=2, max_size=2, unique=True),
)
def test_a_choice_once_made_is_saved(
    chain: Chain, policy: str, cuts: list[int]
) -> None:
    """A second resume of the lengthened run asks nothing and goes on the same way."""
    first, second = sorted(cuts)
    whole = resumed(chain, 4, 6, min(first, 11), policy).go(6)
    assume(second > min(first, 11))
    run = resumed(chain, 4, 6, min(first, 11), policy)
    run.go(6, stop_after=second)
    with tempfile.TemporaryDirectory() as folder:
        file = run.trainer.save_checkpoint(Path(folder) / "again.pth")
        again = Run(chain, 6)
        again.trainer.resume(file)
    assert run.noted + again.go(6) == whole


@pytest.mark.parametrize("by_epoch", [True, False], ids=["by epoch", "by iteration"])
@pytest.mark.parametrize("cut", [3, 6], ids=["at the warm-up's end", "mid-cosine"])
def test_golden_curves(cut: int, by_epoch: bool) -> None:
    """A cosine behind a warm-up of 3 iterations, 4 epochs that become 6."""
    chain: Chain = [("LinearLR", False, 3), ("CosineAnnealingLR", by_epoch, None)]
    unit = EPOCH if by_epoch else 1

    def rate(iteration: int, policy: str) -> float:
        length = {"stretch": 18, "keep": 12, "hold": 12}[policy] // unit
        at = iteration // unit
        # Made by the builder, it acts up to the step before the end.
        at = at if policy == "stretch" else min(at, length - 1)
        return 0.1 * (1 + cos(pi * at / length)) / 2

    for policy in ("keep", "hold", "stretch"):
        found = [row[0] for row in resumed(chain, 4, 6, cut, policy).go(6)]
        assert found == pytest.approx([rate(i, policy) for i in range(cut, 18)])


@pytest.mark.parametrize(
    "schedule",
    [
        ("torch.optim.lr_scheduler.CosineAnnealingLR", True, None),
        ("CosineAnnealingLR", True, END),
    ],
    ids=["torch's", "ours"],
)
def test_hold_and_keep_part_where_a_schedule_has_no_end(
    schedule: tuple[str, bool, int | None],
) -> None:
    """A cosine swings back past its T_max; ``hold`` stays at the bottom."""
    keep = resumed([schedule], 4, 6, 4, "keep").go(6)
    hold = resumed([schedule], 4, 6, 4, "hold").go(6)
    rates = [row[0] for row in hold]
    assert rates[8:] == pytest.approx([0.0] * 6, abs=1e-12)
    assert keep[:9] == hold[:9]
    assert keep[-1][0] > 0.01


def test_explicit_milestones_ask_nothing() -> None:
    """Their end is the run's, but the same curve results whatever it is."""
    run = resumed([("StepLR", True, 2), ("MultiStepLR", True, 3)], 4, 6, 8, None)
    assert len(run.go(6)) == 18 - 8


def test_the_error_says_what_differs_and_what_to_choose() -> None:
    """Both lengths, the first place, each choice with its value there, and where."""
    run = resumed([("CosineAnnealingLR", True, None)], 4, 6, 4, None)
    with pytest.raises(ScheduleError) as caught:
        run.go(6)
    text = str(caught.value)
    for word in (
        "max_epochs=4",
        "max_epochs=6",
        "epoch 1",
        "keep ",
        "hold ",
        "stretch ",
        "train_cfg.on_longer",
        "resume()",
    ):
        assert word in text
    assert run.trainer.run_state.limits.max_epochs == 4  # nothing was changed

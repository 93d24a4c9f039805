"""Compare schedules with MMEngine 0.10.7's, as a black box, on random cases.

A script of its own: MMEngine is no dependency of ours, so pytest does not collect it.
Run it in an environment that has ``mmengine==0.10.7``, torch, attrs and structlog::

    python tests/oracle/schedules_against_mmengine.py --cases 600 --seed 0

Each case takes a class in turn and draws an optimizer with one to three groups, one to
three schedules that act on it together, and a number of steps. At each step, every
group's value and every schedule's last value must agree to 1e-12 relative. Each class
is also cut in the middle and resumed: ours from ours, ours from MMEngine's state, both
with ``last_step``.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmengine
import mmengine.optim as theirs
import torch
from mmengine.registry import PARAM_SCHEDULERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import engine.optim as ours

TOLERANCE = 1e-12
LEAST = 30  # cases of each class
RESUMES = ("none", "none", "state", "mmengine state", "last_step")


@dataclass
class Case:
    """What one case does, the same on both sides."""

    optimizer: str
    lrs: list[float]
    momenta: list[float]
    wrapped: bool
    schedules: list[tuple[str, dict[str, Any]]]
    epoch_length: int | None
    steps: int
    resume: str
    cut: int
    scores: list[float]
    tags: set[str] = field(default_factory=set)


Drawn = dict[str, Any]


def _constant(rng: random.Random, given: Drawn) -> Drawn:
    end = {} if "end" in given else {"end": rng.randint(1, 30)}
    return end | rng.choice([{}, {"factor": rng.uniform(1e-3, 1)}])


def _linear(rng: random.Random, given: Drawn) -> Drawn:
    # Over 1e9 steps both would stand still.
    drawn: Drawn = {} if "end" in given else {"end": rng.randint(1, 30)}
    if rng.random() < 0.8:
        drawn["start_factor"] = rng.choice([1.0, rng.uniform(1e-4, 1)])
        drawn["end_factor"] = rng.choice([1.0, 0.0, rng.uniform(0, 1)])
    return drawn


def _poly(rng: random.Random, given: Drawn) -> Drawn:
    end = {} if "end" in given else {"end": rng.randint(1, 30)}
    low = rng.choice([{}, {"eta_min": 1e-4}])
    return end | low | rng.choice([{}, {"power": rng.uniform(0.3, 3)}])


def _cosine(rng: random.Random, given: Drawn) -> Drawn:
    drawn = {}
    if "end" not in given or rng.random() < 0.5:
        drawn["T_max"] = rng.randint(1, 20)  # below, at and above the length
    return drawn | rng.choice([{}, {"eta_min": 1e-3}, {"eta_min_ratio": 0.05}])


def _cosine_restart(rng: random.Random, given: Drawn) -> Drawn:
    count = rng.randint(1, 4)
    low = rng.choice([{"eta_min": 1e-3}, {"eta_min": 0.0}, {"eta_min_ratio": 0.05}])
    return low | {
        "periods": [rng.randint(1, 8) for _ in range(count)],
        "restart_weights": [rng.uniform(0.1, 1) for _ in range(count)],
    }


def _exponential(rng: random.Random, given: Drawn) -> Drawn:
    return {"gamma": rng.uniform(0.5, 1.2)}


def _step(rng: random.Random, given: Drawn) -> Drawn:
    gamma = rng.choice([{}, {"gamma": rng.uniform(0.05, 1.5)}])
    return {"step_size": rng.randint(1, 10)} | gamma


def _multi_step(rng: random.Random, given: Drawn) -> Drawn:
    milestones = sorted(rng.randint(0, 20) for _ in range(rng.randint(1, 4)))
    gamma = rng.choice([{}, {"gamma": rng.uniform(0.05, 1.5)}])
    return {"milestones": milestones} | gamma


def _one_cycle(rng: random.Random, given: Drawn) -> Drawn:
    drawn: Drawn = {"eta_max": rng.uniform(1e-3, 1)}
    if "end" not in given:
        drawn["end"] = rng.randint(3, 60)
    if rng.random() < 0.5:
        length = (given | drawn)["end"] - given.get("begin", 0)
        drawn["total_steps"] = length + rng.randint(0, 20)
    if rng.random() < 0.5:
        drawn["pct_start"] = rng.uniform(0.1, 0.45)
    if rng.random() < 0.5:
        drawn |= {"div_factor": rng.uniform(2, 50), "final_div_factor": 100.0}
    drawn["three_phase"] = rng.random() < 0.5
    drawn["anneal_strategy"] = rng.choice(["cos", "linear"])
    return drawn


def _plateau(rng: random.Random, given: Drawn) -> Drawn:
    drawn: Drawn = {
        "monitor": "score",
        "rule": rng.choice(["less", "greater"]),
        "factor": rng.uniform(0.1, 0.9),
        "patience": rng.randint(0, 3),
        "cooldown": rng.randint(0, 3),
        "threshold": rng.choice([0.0, 1e-4, 0.1]),
        "threshold_rule": rng.choice(["rel", "abs"]),
    }
    if rng.random() < 0.3:
        drawn["min_value"] = 1e-3
    return drawn


SETTINGS = {
    "Constant": _constant,
    "CosineAnnealing": _cosine,
    "CosineRestart": _cosine_restart,
    "Exponential": _exponential,
    "Linear": _linear,
    "MultiStep": _multi_step,
    "OneCycle": _one_cycle,
    "Poly": _poly,
    "ReduceOnPlateau": _plateau,
    "Step": _step,
}
KINDS = tuple(SETTINGS)


def draw_schedule(
    rng: random.Random, param: str, tags: set[str]
) -> tuple[str, dict[str, Any]]:
    """Draw a class's name and arguments; ``param`` is ``LR``, ``Momentum`` or other."""
    return _named(rng, rng.choice(KINDS), param, tags)


def _named(
    rng: random.Random, kind: str, param: str, tags: set[str]
) -> tuple[str, dict[str, Any]]:
    kwargs: dict[str, Any] = {}
    if rng.random() < 0.7:
        kwargs["begin"] = rng.choice([0, 0, rng.randint(1, 12)])
        kwargs["end"] = kwargs["begin"] + rng.randint(1, 25)
        tags.add("begin/end")
    kwargs |= SETTINGS[kind](rng, kwargs)
    tags.add(kind)
    if kind == "OneCycle" and param != "LR":  # MMEngine's moves nothing else
        return "OneCycleParamScheduler", {"param_name": "lr", **kwargs}
    if param in {"LR", "Momentum"}:
        return kind + param, kwargs
    return kind + "ParamScheduler", {"param_name": param, **kwargs}


CLASSES = [
    (kind, param)
    for kind in KINDS
    for param in ("LR", "Momentum", "weight_decay")
    if (kind, param) != ("OneCycle", "Momentum")  # MMEngine has no such name
]


def draw(rng: random.Random, first: tuple[str, str], resume: str) -> Case:
    """Draw one case with a given class in it, and a given way to resume."""
    tags: set[str] = set()
    groups = rng.randint(1, 3)
    optimizer = rng.choice(["SGD", "Adam"])
    params = ["LR", "LR", "Momentum", "weight_decay"]
    kind, scheduled = first
    schedules = [_named(rng, kind, scheduled, tags)]
    for _ in range(rng.choice([0, 1, 1, 2])):
        param = scheduled if rng.random() < 0.8 else rng.choice(params)
        schedules.append(draw_schedule(rng, param, tags))
    rng.shuffle(schedules)
    classic = kind in ("Linear", "CosineAnnealing") and scheduled == "LR"
    if classic and rng.random() < 0.5:  # a warm-up, then a cosine
        warm = rng.randint(1, 8)
        schedules = [
            ("LinearLR", {"start_factor": 0.01, "end": warm}),
            ("CosineAnnealingLR", {"begin": warm, "end": warm + rng.randint(1, 20)}),
        ]
        tags |= {"warm-up + cosine", "Linear", "CosineAnnealing"}
    # MMEngine's cycles share one range, the last one's: one for each value.
    cycles = [one for one in schedules if one[0].startswith("OneCycle")]
    schedules = [one for one in schedules if one not in cycles[1:]]
    if len(schedules) > 1:
        tags.add("chain")
    if groups > 1:
        tags.add("several groups")
    tags.add(optimizer)
    tags.add({"LR": "lr", "Momentum": "momentum"}.get(scheduled, scheduled))
    if resume != "none":
        tags.add(f"resume by {resume}")
    epoch_length = rng.choice([None, None, rng.randint(1, 5)])
    if resume == "last_step":
        epoch_length = None  # it counts what is scheduled, here as there
    if any(name.startswith("ReduceOnPlateau") for name, _ in schedules):
        epoch_length = None  # MMEngine cannot turn this one's epochs into iterations
    if epoch_length is not None:
        tags.add("build_iter_from_epoch")
    steps = rng.randint(5, 45) * (epoch_length or 1)
    return Case(
        optimizer=optimizer,
        lrs=[10 ** rng.uniform(-5, 1) for _ in range(groups)],
        momenta=[rng.uniform(0.1, 0.95) for _ in range(groups)],
        # MMEngine's own wrapper cannot do it with several groups.
        wrapped=rng.random() < 0.5 and resume != "last_step",
        schedules=schedules,
        epoch_length=epoch_length,
        steps=steps,
        resume=resume,
        cut=rng.randint(0, steps),
        scores=[rng.choice([rng.uniform(-1, 3), 1.0]) for _ in range(steps)],
        tags=tags,
    )


class Side:
    """One engine's optimizer and schedules of a case."""

    def __init__(
        self, package: Any, case: Case, state: dict[str, Any] | None = None
    ) -> None:
        self.groups = len(case.lrs)
        parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in case.lrs]
        made = [
            {"params": [p], "lr": lr, "weight_decay": 0.01 * (i + 1)}
            | ({"momentum": m} if case.optimizer == "SGD" else {"betas": (m, 0.99)})
            for i, (p, lr, m) in enumerate(
                zip(parameters, case.lrs, case.momenta, strict=True)
            )
        ]
        kwargs = {"momentum": 0.9} if case.optimizer == "SGD" else {}
        self.optimizer = getattr(torch.optim, case.optimizer)(made, lr=0.1, **kwargs)
        last_steps = [-1 for _ in case.schedules]
        if state is not None and case.resume == "last_step":
            last_steps = state["last_steps"]
            # These need the groups' initial values at birth.
            self.optimizer.load_state_dict(state["optimizer"])
        target = (
            package.OptimWrapper(self.optimizer) if case.wrapped else self.optimizer
        )
        self.schedules: list[Any] = []
        for last_step, (name, arguments) in zip(
            last_steps, case.schedules, strict=True
        ):
            # MMEngine registers some that its package does not name.
            cls = getattr(package, name, None) or PARAM_SCHEDULERS.get(name)
            kwargs = {**arguments, "last_step": last_step}
            if case.epoch_length is None:
                schedule = cls(target, **kwargs)
            else:
                schedule = cls.build_iter_from_epoch(
                    target, **kwargs, epoch_length=case.epoch_length
                )
            self.schedules.append(schedule)
        if state is not None and case.resume != "last_step":
            self.optimizer.load_state_dict(state["optimizer"])
            for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
                schedule.load_state_dict(saved)

    def state(self) -> dict[str, Any]:
        """What a checkpoint would hold."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "last_steps": [schedule.last_step for schedule in self.schedules],
        }

    def step(self, score: float) -> None:
        """One step of everything, then what a validation found."""
        self.optimizer.step()
        for schedule in self.schedules:
            schedule.step()
        for schedule in self.schedules:
            if getattr(schedule, "need_val_args", False):
                schedule.step({"score": score})

    def values(self) -> list[float]:
        """Every number that a schedule could have set, and what schedules report."""
        found: list[float] = []
        for group in self.optimizer.param_groups:
            betas = group.get("betas", (group.get("momentum", 0.0),))
            found += [group["lr"], betas[0], group["weight_decay"]]
        for schedule in self.schedules:
            # MMEngine's wrapper shows one group more than the optimizer has.
            found += schedule.get_last_value()[: self.groups]
            found.append(schedule.last_step)
        return found


def run(
    package: Any, case: Case, foreign: dict[str, Any] | None = None
) -> list[list[float]]:
    """Every value after every step; ``foreign`` is the state to resume from."""
    side = Side(package, case)
    trace = [side.values()]
    for step in range(case.steps):
        if case.resume != "none" and step == case.cut:
            side = Side(package, case, state=foreign or side.state())
            trace.append(side.values())
        side.step(case.scores[step])
        trace.append(side.values())
    return trace


def state_at_cut(package: Any, case: Case) -> dict[str, Any]:
    """The state of a side that ran up to the cut."""
    side = Side(package, case)
    for step in range(case.cut):
        side.step(case.scores[step])
    return side.state()


def attempt(
    package: Any, case: Case, foreign: dict[str, Any] | None = None
) -> tuple[list[list[float]] | None, str]:
    """Run a case, or say which error of its arithmetic ended it."""
    try:
        return run(package, case, foreign), ""
    # Anything: a traceback would show MMEngine's lines, and main() counts the kinds.
    except Exception as error:  # noqa: BLE001
        return None, type(error).__name__


def distance(one: float, other: float) -> float:
    """Relative difference; 0 for two zeros."""
    return abs(one - other) / max(abs(one), abs(other)) if one != other else 0.0


def main() -> int:
    """Run the cases; exit 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    classes: collections.Counter[str] = collections.Counter()
    resumed: collections.Counter[str] = collections.Counter()
    warnings.simplefilter("ignore")  # MMEngine's, of calls in another order
    rng = random.Random(options.seed)
    worst, numbers, failed = 0.0, 0, 0
    tags: collections.Counter[str] = collections.Counter()
    errors: collections.Counter[str] = collections.Counter()
    compared = 0
    while compared < options.cases:
        # Each class in turn, each way to resume with each class.
        turn, which = divmod(compared, len(CLASSES))
        case = draw(rng, CLASSES[which], RESUMES[turn % len(RESUMES)])
        want, error = attempt(theirs, case)
        if want is None:
            errors[error] += 1
            continue
        foreign = None
        if case.resume == "mmengine state":
            foreign = state_at_cut(theirs, case)
        compared += 1
        tags.update(case.tags)
        used = {name for name, _ in case.schedules}
        classes.update(used)
        resumed.update(used if foreign is not None else ())
        got, error = attempt(ours, case, foreign)
        gap = 1.0
        if got is not None and len(got) == len(want):
            pairs = [
                (x, y)
                for mine, other in zip(got, want, strict=True)
                for x, y in zip(mine, other, strict=True)
            ]
            numbers += len(pairs)
            gap = max(distance(x, y) for x, y in pairs)
        worst = max(worst, gap)
        if gap > TOLERANCE:
            failed += 1
            print(f"differs by {gap:.3e} {error}: {case}")  # noqa: T201
    print(  # noqa: T201
        f"mmengine {mmengine.__version__}, torch {torch.__version__}, seed "
        f"{options.seed}: {compared} cases, {numbers} numbers, {failed} cases differ, "
        f"largest relative difference {worst:.1e} (allowed {TOLERANCE:.0e})"
    )
    print("covered:", dict(sorted(tags.items())))  # noqa: T201
    rarest = {name: count for name, count in classes.items() if count < LEAST}
    print("cases of each class:", dict(sorted(classes.items())))  # noqa: T201
    print("resumed from MMEngine's state:", dict(sorted(resumed.items())))  # noqa: T201
    if rarest or len(classes) < len(CLASSES) or len(resumed) < len(CLASSES):
        print(f"too few cases (at least {LEAST} of each class): {rarest}")  # noqa: T201
        failed += 1
    print("left out, MMEngine itself fails:", dict(errors))  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Small named strategies that several tests draw from."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.events import Priority
from engine.state import Due, DueKind, Limits, Phase, Progress, RunState
from tests.toys import ToyPlan

__all__ = [
    "counts",
    "dues",
    "filter_arguments",
    "finite_values",
    "limits",
    "plain_data",
    "priorities",
    "progresses",
    "run_plans",
    "run_states",
    "seeds",
]


def counts(most: int = 1000) -> st.SearchStrategy[int]:
    """Whole numbers from 0 to ``most``."""
    return st.integers(0, most)


def seeds() -> st.SearchStrategy[int]:
    """Seeds that every generator takes: 0 to 2**32 - 1."""
    return st.integers(0, 2**32 - 1)


def finite_values() -> st.SearchStrategy[float]:
    """Floats without NaN and infinity whose squares are finite too."""
    return st.floats(-1e100, 1e100)


def priorities() -> st.SearchStrategy[int | str | Priority]:
    """Priorities in each of their forms: members, names in any case, numbers."""
    names = st.sampled_from(list(Priority.__members__))
    return st.one_of(
        st.integers(0, 100),
        st.sampled_from(Priority),
        names,
        names.map(str.lower),
    )


def filter_arguments() -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of one event filter: ``once``, or ``every``, ``before`` and ``after``.

    Numbers reach a little beyond 60, so that some filters never let an occurrence of
    1 to 60 through.
    """
    number = st.integers(1, 70)
    once = st.one_of(number, st.lists(number, min_size=1, max_size=5))
    bounds = st.fixed_dictionaries(
        {},
        optional={
            "every": st.integers(1, 15),
            "before": st.integers(0, 70),
            "after": st.integers(0, 70),
        },
    ).filter(bool)
    return st.one_of(st.fixed_dictionaries({"once": once}), bounds)


def plain_data() -> st.SearchStrategy[Any]:
    """Plain values of a message hub: numbers, strings, lists and dicts of them."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**40), 2**40),
        st.floats(allow_nan=False),
        st.text(max_size=5),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.text(max_size=3), inner, max_size=3),
        ),
        max_leaves=6,
    )


def progresses() -> st.SearchStrategy[Progress]:
    """Counters of any size, consistent with each other or not."""
    names = (
        "epoch",
        "epoch_iteration",
        "iteration",
        "data_pass",
        "pass_batch",
        "optimizer_steps",
        "samples",
    )
    return st.builds(Progress, **dict.fromkeys(names, counts(2**40)))


def limits() -> st.SearchStrategy[Limits]:
    """Limits by epochs, by iterations, or none yet."""
    bound = st.integers(1, 1000)
    length = st.one_of(st.none(), bound)
    return st.one_of(
        st.builds(Limits, max_epochs=bound, epoch_length=length),
        st.builds(Limits, max_iters=bound, epoch_length=length),
        st.builds(Limits, epoch_length=length),
    )


def dues() -> st.SearchStrategy[list[Due]]:
    """What may be owed at a safe point, in the order of payment."""
    due = st.builds(
        Due, st.sampled_from(DueKind), st.text(max_size=8), st.text(max_size=8)
    )
    return st.lists(due, max_size=3, unique=True).map(
        lambda some: sorted(some, key=lambda one: one.kind)
    )


def run_states() -> st.SearchStrategy[RunState]:
    """States in any phase, with any counters, limits and dues; the hub is empty."""
    return st.builds(
        RunState,
        seed=seeds(),
        phase=st.sampled_from(Phase),
        outer=st.sampled_from((Phase.READY, Phase.TRAINING, Phase.FINISHED)),
        left=st.one_of(st.none(), st.sampled_from(Phase)),
        progress=progresses(),
        limits=limits(),
        due=dues(),
        started=st.booleans(),
        stop_reason=st.one_of(st.none(), st.text(max_size=8)),
        ended=st.booleans(),
        elapsed_seconds=st.floats(0, 1e9),
    )


@st.composite
def run_plans(draw: st.DrawFn, workers: tuple[int, ...] = (0,)) -> ToyPlan:
    """Toy runs of at most a dozen iterations, bounded by epochs or by iterations.

    Args:
        draw: Hypothesis'.
        workers: How many the training loader may have.
    """
    batch_size = draw(st.integers(2, 4), label="batch size")
    drop_last = draw(st.booleans(), label="drop last")
    samples = draw(
        st.integers(batch_size, 4 * batch_size).filter(
            lambda size: drop_last or size % batch_size != 1
        ),
        label="samples",
    )
    by_epoch = draw(st.booleans(), label="by epoch")
    return ToyPlan(
        samples=samples,
        batch_size=batch_size,
        drop_last=drop_last,
        max_epochs=draw(st.integers(1, 3), label="epochs") if by_epoch else 0,
        max_iters=0 if by_epoch else draw(st.integers(1, 10), label="iterations"),
        val_interval=draw(st.integers(0, 3), label="val interval"),
        workers=draw(st.sampled_from(workers), label="workers"),
        seed=draw(st.integers(0, 5), label="seed"),
        shuffle=draw(st.booleans(), label="shuffle"),
        augment=draw(st.booleans(), label="augment"),
    )

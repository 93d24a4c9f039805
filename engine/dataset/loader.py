"""A cursor over a ``DataLoader`` whose dataset is read by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define
from torch.utils.data import BatchSampler, DataLoader

from engine.dataset.draws import Draws, Shape, global_order, open_draws
from engine.dataset.generators import find_generators
from engine.dataset.inner_loader import make_inner
from engine.dataset.length import check_has_batches
from engine.dataset.order import global_position
from engine.dataset.sample_randomness import (
    PlacedDataset,
    SampleKey,
    SampleRandomness,
    draws_nothing,
)
from engine.dataset.worker import Shipping, WorkerStart, freeze, thaw
from engine.dataset.worker_signals import signals_held
from engine.dist import get_dist_info
from engine.errors import DataError
from engine.state import DataShape, Exactness, PartReport, derive_seed
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.typing import Plain

__all__ = ["LoaderCursor", "report_samples"]


@define
class _Plan:
    """Batches of keys, told where to begin; what the inner loader samples from.

    It does not know the cursor: in a cycle of references torch's persistent workers
    are ended by the garbage collector, which takes it five seconds each.

    Args:
        draws: Gives the indices.
        single: Whether a batch is one sample by itself.
        placed: Whether keys tell the place too.
        rank: This process's.
        world: Number of ranks.
        endless: Samples that this rank reads in a pass, where passes are parts of one
            long order; else 0. How long a pass is depends on the ranks, that order
            does not.
    """

    draws: Draws
    single: bool
    placed: bool
    rank: int
    world: int
    endless: int = 0
    data_pass: int = 0
    start: int = 0

    def __iter__(self) -> Iterator[Any]:
        data_pass = self.data_pass
        for position, indices in self.draws.read(data_pass, self.start):
            keys = indices
            if self.placed:
                keys = self._places(data_pass, position, indices)
            yield keys[0] if self.single else keys

    def _places(
        self, data_pass: int, position: int, indices: list[Any]
    ) -> list[SampleKey]:
        if self.endless:
            data_pass, position = 0, data_pass * self.endless + position
        return [
            (
                data_pass,
                global_position(number, rank=self.rank, world=self.world),
                index,
            )
            for number, index in enumerate(indices, position)
        ]


class LoaderCursor:
    """A ``DataLoader`` over a map-style dataset, read by index.

    The user's loader is not iterated: one with the same dataset and settings is, whose
    batches come from a plan. ``shuffle=True`` gives the run's own order; how other
    samplers are read, ``draws.py`` tells. A dataset with ``state_dict`` and
    ``load_state_dict`` is saved as it is in this process and, with as many workers then
    and now, in each worker.

    Args:
        loader: The user's.
        seed: The run's seed.
        randomness: As for :func:`open_cursor`.
        consecutive: Whether passes are read one after another, as training's are.

    Raises:
        DataError: There is no batch.
    """

    exact = True

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        seed: int,
        randomness: SampleRandomness = "sample",
        consecutive: bool = True,
    ) -> None:
        self._loader = loader
        self._seed = seed
        rank, world = get_dist_info()
        self.length = len(loader)
        check_has_batches(loader, self.length)
        self._randomness: SampleRandomness = randomness
        self._placed = randomness != "off" and not draws_nothing(loader.dataset)
        sampler, self._shape = _sampler_and_shape(loader, self.length)
        self.batch_size, self.last_batch_size = _sizes(sampler, self._shape, loader)
        self._draws: Draws = open_draws(
            sampler, seed=seed, shape=self._shape, consecutive=consecutive
        )
        endless = getattr(sampler, "endless", False)
        self._plan = _Plan(
            self._draws,
            loader.batch_sampler is None,
            self._placed,
            rank,
            world,
            self._shape.count * self._shape.size if endless else 0,
        )
        self._workers = _WorkerStates(loader)
        self._inner = self._make_inner({})
        self._lost = ""

    @property
    def shape(self) -> DataShape:
        """How the batches lie on ranks."""
        sampler, _ = _sampler_and_shape(self._loader, self.length)
        return DataShape(
            length=self.length,
            batch_size=self.batch_size,
            ranks=self._plan.world,
            drop_last=self._loader.drop_last,
            **global_order(sampler, ranks=self._plan.world),
        )

    @property
    def is_shared_by_nobody(self) -> bool:
        """Whether each of several ranks reads all of it, in the same order."""
        sampler, _ = _sampler_and_shape(self._loader, self.length)
        alone = global_order(sampler, ranks=1)
        return self._plan.world > 1 and alone != global_order(
            sampler, ranks=self._plan.world
        )

    # -- reading ----------------------------------------------------------------

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: the loader gave fewer batches than its length.
        """
        self._plan.data_pass, self._plan.start = data_pass, batch
        states = self._workers.begin(data_pass, batch)
        if states is not None:
            self._inner = self._make_inner(states)
        # Workers' base seed comes from here, so the global generator stays in place.
        assert self._inner.generator is not None
        self._inner.generator.manual_seed(derive_seed(self._seed, data_pass))
        read = batch
        with signals_held():
            items = iter(self._inner)
        for item in items:
            read += 1
            yield self._workers.take(item) if self._workers.ship else item
        if read < self.length:
            message = (
                f"the loader over {type(self._loader.dataset).__name__} ended after "
                f"{read} of {self.length} batches in pass {data_pass}: its sampler "
                "gives fewer indices than its length says. Mend the sampler's "
                "__len__ or __iter__."
            )
            raise DataError(message)

    def close(self) -> None:
        """Let workers go; see ``Cursor``."""
        self._workers.go()
        self._inner = self._make_inner({})

    def _make_inner(self, states: Mapping[int, bytes]) -> DataLoader[Any]:
        loader = self._loader
        dataset: Any = loader.dataset
        changes: dict[str, Any] = {"batch_sampler": self._plan}
        if loader.batch_sampler is None:
            changes = {"sampler": self._plan, "batch_size": None}
        if self._workers.ship:
            changes["collate_fn"] = Shipping(loader.collate_fn, dataset)
        start = WorkerStart(dataset, loader.worker_init_fn, dict(states))
        if self._placed:
            dataset = PlacedDataset(dataset, self._seed, self._randomness)
        return make_inner(loader, dataset, start, **changes)

    # -- saving -----------------------------------------------------------------

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved to read on from a place; see ``Cursor``."""
        dataset = self._loader.dataset
        found = {
            "order": self._draws.state(data_pass, batch),
            "dataset": (
                dataset.state_dict() if isinstance(dataset, Stateful) else None
            ),
            "workers": self._workers.state(data_pass, batch),
        }
        return found if any(part is not None for part in found.values()) else None

    def load(self, state: Plain) -> None:
        """Get ready to read on from a saved place; see ``Cursor``."""
        dataset = self._loader.dataset
        if state is None:
            stateful = isinstance(dataset, Stateful) or self._draws.state(0, 0)
            self._lost = "the checkpoint holds no state of this data" * bool(stateful)
            return
        if state["order"] is not None:
            self._draws.load(state["order"])
        if state["dataset"] is not None:
            if isinstance(dataset, Stateful):
                dataset.load_state_dict(state["dataset"])
            else:
                self._lost = "the dataset had a state and takes none now"
        self._lost = self._workers.load(state["workers"]) or self._lost

    def resume_report(self) -> list[PartReport]:
        """How exactly this data comes back; see ``Cursor``."""
        loader = self._loader
        report = [
            PartReport("train data: order", self._draws.level, self._draws.reason),
            report_samples(loader, self._randomness),
        ]
        name = type(loader.dataset).__name__
        if self._lost:
            level = Exactness.BEST_EFFORT
            report.append(PartReport("train data: state", level, self._lost))
        elif isinstance(loader.dataset, Stateful):
            reason = f"{name}: its own state is saved"
            if loader.num_workers:
                reason += ", of each worker too; that needs as many workers then"
            report.append(PartReport("train data: state", Exactness.EXACT, reason))
        return report


def report_samples(loader: DataLoader[Any], randomness: SampleRandomness) -> PartReport:
    """How exactly the random numbers in a loader's samples come back."""
    part, name = "train data: samples", type(loader.dataset).__name__
    own = find_generators(loader.dataset)
    if draws_nothing(loader.dataset):
        return PartReport(part, Exactness.EXACT, f"{name} draws no random numbers")
    if own:
        reason = (
            f"{', '.join(own)}: a generator of the dataset's own goes on from where it "
            "was built. Draw from the global generators, or give its owner "
            "set_sample_seed(seed)"
        )
        return PartReport(part, Exactness.SAME_ORDER, reason)
    if randomness == "off":
        if loader.num_workers:
            reason = 'with randomness "off" what workers draw begins anew with them'
            return PartReport(part, Exactness.SAME_ORDER, reason)
        reason = 'with randomness "off" samples draw from training\'s generators'
        return PartReport(part, Exactness.EXACT, reason)
    reason = f"global generators are seeded before each {randomness}, from its place"
    return PartReport(part, Exactness.EXACT, reason)


def _sampler_and_shape(loader: DataLoader[Any], count: int) -> tuple[Any, Shape]:
    """What is to be drawn from, and how its items become batches."""
    ahead = loader.num_workers * (loader.prefetch_factor or 0)
    batches = loader.batch_sampler
    if batches is None:
        return loader.sampler, Shape(size=1, count=count, groups=False, ahead=ahead)
    if type(batches) is BatchSampler:  # it only cuts what its sampler gives
        size = batches.batch_size
        return batches.sampler, Shape(size=size, count=count, groups=False, ahead=ahead)
    return batches, Shape(size=1, count=count, groups=True, ahead=ahead)


def _sizes(sampler: Any, shape: Shape, loader: DataLoader[Any]) -> tuple[int, int]:
    if loader.batch_sampler is None:
        return 1, 1
    if shape.groups:
        return 0, 0
    assert isinstance(loader.batch_sampler, BatchSampler)
    size, samples = shape.size, len(sampler)
    endless = getattr(sampler, "endless", False)
    full = loader.batch_sampler.drop_last or endless or samples % size == 0
    return size, size if full else samples % size


class _WorkerStates:
    """States of the copies of a dataset that loader workers have.

    Batch ``b`` of a pass that was read from its start is loaded by worker ``b % n``. A
    resumed pass begins with worker 0 too, so there each worker plays another one's
    *role*: that of worker ``shift + w``.

    Args:
        loader: The user's.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._count = loader.num_workers
        self._persistent = loader.persistent_workers
        self.ship = self._count > 0 and isinstance(loader.dataset, Stateful)
        self._roles: dict[int, bytes] = {}
        self._given: dict[int, bytes] = {}  # what workers were last started with
        self._shift = self._start = self._pass = 0
        self._restored: Plain = None

    def begin(self, data_pass: int, batch: int) -> Mapping[int, bytes] | None:
        """Begin to read.

        Returns:
            States that new workers must begin with; ``None``: the loader that is there
            will do.
        """
        restored, self._restored = self._restored, None
        shift, given = 0, self._given
        alike = self._persistent  # whether workers keep what they have
        if restored is not None and restored["place"] == [data_pass, batch]:
            roles = restored["roles"].items()
            self._roles = {role: freeze(state) for role, state in roles}
            shift, alike = restored["next"], False
        elif not self._persistent:  # they are copies of this process's dataset
            self._roles = {}
        elif self._shift:  # they go back to roles of their own
            alike = False
        if not alike:
            given = {
                (role - shift) % self._count: state
                for role, state in self._roles.items()
            }
        changed = given != self._given or (self._persistent and bool(given))
        self._pass, self._start, self._shift = data_pass, batch, shift
        self._given = given
        return given if changed and not alike else None

    def go(self) -> None:
        """There are none now: the next ones begin with nothing, or are told."""
        self._given = {}

    def take(self, item: tuple[Any, int, bytes]) -> Any:
        """A batch out of what came with it."""
        batch, worker, state = item
        self._roles[(worker + self._shift) % self._count] = state
        return batch

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved to go on from a place."""
        if not self.ship:
            return None
        if self._restored is not None:
            return self._restored
        roles, following = self._roles, 0
        if data_pass == self._pass:
            following = (self._shift + batch - self._start) % self._count
        elif not self._persistent:
            roles = {}  # each pass begins with copies of this process's dataset
        return {
            "place": [data_pass, batch],
            "count": self._count,
            "next": following,
            "roles": {role: thaw(state) for role, state in roles.items()},
        }

    def load(self, state: Plain) -> str:
        """Take saved states over; returns why that cannot be, or nothing."""
        then = 0 if state is None else state["count"]
        if then == self._count or not (self.ship or then):
            self._restored = state
            return ""
        if state is not None and not state["roles"]:
            return ""
        return (
            f"the dataset's state in {then} workers cannot be given to "
            f"{self._count}: they begin with this process's"
        )

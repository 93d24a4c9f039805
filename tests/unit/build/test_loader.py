"""A dataloader from its spec."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import BatchSampler, DataLoader

from engine.build import build_dataloader
from engine.dataset import DefaultSampler, default_collate, pseudo_collate
from engine.errors import ConfigError
from tests.runs import Samples


def test_a_finished_one_passes_through() -> None:
    """Anything iterable."""
    loader = DataLoader(Samples(3))
    assert build_dataloader(loader, seed=0) is loader


def test_a_spec_is_built_and_stays_as_it_is() -> None:
    """Dataset, sampler with the run's seed, collate function by name."""
    spec: dict[str, Any] = {
        "dataset": {"type": Samples, "size": 6, "augment": True},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": "default_collate",
        "batch_size": 4,
        "drop_last": True,
    }
    before = {
        **spec,
        "dataset": dict(spec["dataset"]),
        "sampler": dict(spec["sampler"]),
    }
    loader = build_dataloader(spec, seed=12)
    assert spec == before
    assert isinstance(loader.dataset, Samples)
    assert isinstance(loader.sampler, DefaultSampler)
    assert (loader.sampler.seed, loader.sampler.shuffle) == (12, False)
    assert loader.collate_fn is default_collate
    assert (loader.batch_size, loader.drop_last, len(loader)) == (4, True, 1)


def test_samples_are_not_stacked_unless_asked_for() -> None:
    """pseudo_collate, as in MMEngine; or a function of the user's."""
    spec = {"dataset": Samples(6)}
    assert build_dataloader(spec, seed=0).collate_fn is pseudo_collate
    assert build_dataloader({**spec, "collate_fn": tuple}, seed=0).collate_fn is tuple


def test_full_init_is_called() -> None:
    """Of datasets that load later."""

    class Lazy(Samples):
        ready = False

        def full_init(self) -> None:
            self.ready = True

    assert build_dataloader({"dataset": Lazy(2)}, seed=0).dataset.ready


def test_a_batch_sampler_is_built_around_the_sampler() -> None:
    """And takes the batch's size over."""
    loader = build_dataloader(
        {
            "dataset": Samples(6),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_sampler": {"type": BatchSampler, "drop_last": False},
            "batch_size": 4,
        },
        seed=0,
    )
    assert list(loader.batch_sampler) == [[0, 1, 2, 3], [4, 5]]


def test_a_batch_sampler_alone_goes_through_the_data_one_by_one() -> None:
    """DataLoader's own defaults: in order, batches of one."""
    loader = build_dataloader(
        {
            "dataset": Samples(3),
            "batch_sampler": {"type": BatchSampler, "drop_last": False},
        },
        seed=0,
    )
    assert list(loader.batch_sampler) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"batch_size": 2},
            r"train_dataloader: needs 'dataset', found \['batch_size'\]",
        ),
        (
            {"dataset": Samples(2), "num_worker": 2},
            "no argument 'num_worker'. Did you mean 'num_workers'?",
        ),
    ],
)
def test_bad_specs(spec: Any, said: str) -> None:
    """Each is named, with the nearest name."""
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        build_dataloader(spec, seed=0, where="train_dataloader")

"""The order of samples: a permutation, shared out among the ranks."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from engine.dataset import (
    DefaultSampler,
    IndexShuffleSampler,
    InfiniteSampler,
    endless_indices,
    global_position,
    open_cursor,
    padded_length,
    permutation,
    rank_indices,
)

lengths = st.integers(1, 60)
seeds = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 50)
worlds = st.integers(1, 9)


@given(length=lengths, seed=seeds, epoch=epochs, world=worlds, data=st.data())
def test_ranks_together_cover_an_epoch_once(
    length: int, seed: int, epoch: int, world: int, data: st.DataObject
) -> None:
    """Dealt out in turn, all ranks' indices are the permutation and its padding."""
    shuffle, round_up = data.draw(st.booleans()), data.draw(st.booleans())
    ranks = [
        rank_indices(
            length,
            seed=seed,
            epoch=epoch,
            shuffle=shuffle,
            rank=rank,
            world=world,
            round_up=round_up,
        )
        for rank in range(world)
    ]
    places: dict[int, int] = {}
    for rank, indices in enumerate(ranks):
        for number, index in enumerate(indices):
            places[global_position(number, rank=rank, world=world)] = index
    total = padded_length(length, world=world, round_up=round_up)
    assert sorted(places) == list(range(total)), "each place belongs to one rank"
    order = [places[place] for place in range(total)]
    assert Counter(order[:length]) == Counter(range(length)), "each sample once"
    assert order == [order[place % length] for place in range(total)], "the padding"
    if round_up:
        assert len({len(indices) for indices in ranks}) == 1
    else:
        assert total == length


@given(length=lengths, seed=st.integers(0, 2**31), epoch=epochs)
def test_default_sampler_follows_the_formula(
    length: int, seed: int, epoch: int
) -> None:
    """The order of epoch e is torch's randperm from a generator seeded seed + e."""
    generator = torch.Generator()
    generator.manual_seed(seed + epoch)
    expected = torch.randperm(length, generator=generator).tolist()
    sampler = DefaultSampler(range(length), seed=seed)
    sampler.set_epoch(epoch)
    assert list(sampler) == expected
    assert permutation(length, seed=seed, epoch=epoch) == expected
    assert len(sampler) == length


@given(length=lengths, seed=seeds, epoch=epochs)
def test_the_order_draws_from_no_global_generator(
    length: int, seed: int, epoch: int
) -> None:
    """It is a function of its arguments, and leaves torch's generator in place."""
    before = torch.get_rng_state()
    first = permutation(length, seed=seed, epoch=epoch)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert permutation(length, seed=seed, epoch=epoch) == first


@given(
    length=st.integers(1, 20),
    seed=seeds,
    world=st.integers(1, 4),
    start=st.integers(0, 50),
    count=st.integers(0, 60),
    shuffle=st.booleans(),
)
def test_an_endless_order_is_one_permutation_after_the_other(
    length: int, seed: int, world: int, start: int, count: int, shuffle: bool
) -> None:
    """Whatever part of it is asked for; ranks take its places in turn."""
    rounds = (start + count) * world // length + 1
    whole: list[int] = []
    for number in range(rounds):
        order = permutation(length, seed=seed, epoch=number)
        whole += order if shuffle else range(length)
    for rank in range(world):
        mine = whole[rank::world]
        assert (
            endless_indices(
                length,
                seed=seed,
                start=start,
                count=count,
                shuffle=shuffle,
                rank=rank,
                world=world,
            )
            == mine[start : start + count]
        )


@given(size=st.integers(1, 12), batch=st.integers(1, 5), data=st.data())
def test_a_cursor_reads_an_endless_sampler_from_any_batch(
    size: int, batch: int, data: st.DataObject
) -> None:
    """Its passes follow one another in the sampler's order, and batches are full."""
    dataset = list(range(size))
    sampler = InfiniteSampler(dataset, seed=5)
    loader: DataLoader[int] = DataLoader(
        dataset,  # type: ignore[arg-type]  # a list is a map-style dataset
        sampler=sampler,
        batch_size=batch,
        collate_fn=list,
    )
    cursor = open_cursor(loader, seed=9)
    number = data.draw(st.integers(0, 3 * len(loader) - 1))
    data_pass, place = divmod(number, len(loader))
    read = next(iter(cursor.read(data_pass, place)))
    assert read == list(islice(sampler, number * batch, (number + 1) * batch))


@given(
    steps=st.integers(1, 6),
    each=st.integers(1, 6),
    worlds=st.tuples(worlds, worlds),
    seed=seeds,
    epoch=epochs,
    sampler=st.sampled_from([DefaultSampler, IndexShuffleSampler, InfiniteSampler]),
)
def test_the_global_order_is_the_same_for_every_world(
    steps: int,
    each: int,
    worlds: tuple[int, int],
    seed: int,
    epoch: int,
    sampler: type[DefaultSampler | IndexShuffleSampler | InfiniteSampler],
) -> None:
    """With world x batch constant each step has the same samples, at the same places.

    Here the global batch divides the epoch, so that padding does not differ.
    """
    first, second = worlds
    together = first * second * each
    length = steps * together

    def step_by_step(world: int) -> list[dict[int, int]]:
        batch = together // world
        found: list[dict[int, int]] = [{} for _ in range(steps)]
        for rank in range(world):
            one = sampler(range(length), seed=seed)
            one.rank, one.world_size = rank, world
            for step in range(steps):
                start = step * batch
                for number, index in enumerate(one.indices_at(epoch, start, batch)):
                    place = global_position(start + number, rank=rank, world=world)
                    found[step][place] = index
        return found

    here = step_by_step(first)
    assert here == step_by_step(second)
    assert sum(map(len, here)) == length
    assert {index for step in here for index in step.values()} == set(range(length))


@given(
    length=lengths,
    seed=seeds,
    epoch=epochs,
    world=worlds,
    start=st.integers(0, 60),
    count=st.integers(0, 60),
    shuffle=st.booleans(),
    round_up=st.booleans(),
)
def test_samplers_tell_any_part_of_what_they_give(
    length: int,
    seed: int,
    epoch: int,
    world: int,
    start: int,
    count: int,
    shuffle: bool,
    round_up: bool,
) -> None:
    """indices_at is a slice of the whole, on every rank."""
    for rank in range(world):
        one = DefaultSampler(range(length), shuffle, seed, round_up)
        one.rank, one.world_size = rank, world
        whole = one.indices(epoch)
        assert one.indices_at(epoch, start, count) == whole[start : start + count]
        endless = InfiniteSampler(range(length), shuffle, seed)
        endless.rank, endless.world_size = rank, world
        assert endless.indices_at(0, start, count) == endless.part(start, count)
        assert list(islice(endless, start + count))[start:] == endless.part(
            start, count
        )


@given(
    length=lengths,
    seed=seeds,
    epoch=epochs,
    world=worlds,
    batch=st.integers(1, 7),
    data=st.data(),
)
def test_loaders_of_all_ranks_cover_each_epoch_once(
    length: int,
    seed: int,
    epoch: int,
    world: int,
    batch: int,
    data: st.DataObject,
) -> None:
    """What cursors over all ranks' loaders read, padding aside, is each sample once.

    With drop_last it is that less the last places of the order that fill no batch.
    """
    drop_last, round_up = data.draw(st.booleans()), data.draw(st.booleans())
    pad_to = data.draw(st.sampled_from([None, world, world * batch, 3 * world]))
    kind = data.draw(st.sampled_from([DefaultSampler, IndexShuffleSampler]))
    dataset: Any = list(range(length))
    places: dict[int, int] = {}
    read: list[int] = []
    for rank in range(world):
        sampler = kind(dataset, seed=seed, round_up=round_up)
        sampler.rank, sampler.world_size, sampler.pad_to = rank, world, pad_to
        loader: DataLoader[int] = DataLoader(
            dataset,
            sampler=sampler,
            batch_size=batch,
            drop_last=drop_last,
            collate_fn=list,
        )
        everything = sampler.indices_at(epoch, 0, length + 3 * world * batch)
        assert len(sampler) == len(everything)
        if len(loader) == 0:
            read.append(0)
            continue
        batches = list(open_cursor(loader, seed=seed).read(epoch, 0))
        assert len(batches) == len(loader)
        mine = [index for one in batches for index in one]
        read.append(len(mine))
        for number, index in enumerate(mine):
            places[global_position(number, rank=rank, world=world)] = index
    assert len(places) == sum(read), "no place is read twice"
    total = padded_length(length, world=world, round_up=round_up, multiple=pad_to)
    if not drop_last:
        assert sorted(places) == list(range(total))
        real = [places[place] for place in range(length)]
        assert sorted(real) == dataset, "each sample once"
        padding = [places[place] for place in range(length, total)]
        assert padding == [places[place % length] for place in range(length, total)]
    if round_up:
        assert len(set(read)) == 1, "all ranks have as many"
        full = total // world // batch * batch if drop_last else total // world
        assert read == [full] * world


@given(length=lengths, seed=seeds, world=worlds, batch=st.integers(1, 7), start=epochs)
def test_ranks_share_an_endless_order(
    length: int, seed: int, world: int, batch: int, start: int
) -> None:
    """All ranks' places of an InfiniteSampler are those of one process, each once."""
    whole = InfiniteSampler(range(length), seed=seed)
    count = length * batch
    found = [0] * (count * world)
    for rank in range(world):
        sampler = InfiniteSampler(range(length), seed=seed)
        sampler.rank, sampler.world_size = rank, world
        found[rank::world] = sampler.indices_at(0, start * batch, count)
    assert found == whole.indices_at(0, start * batch * world, count * world)

"""A run composed in code on several ranks: trained under DDP, resumed, compared.

Run:  torchrun --nproc-per-node 2 docs/examples/composed_ranks.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from ignite.metrics import Accuracy
from torch import nn
from torch.distributed import destroy_process_group
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from engine import CheckpointHook, EvalEngine, RunState, TrainEngine
from engine.dataset import DefaultSampler
from engine.dist import get_rank, init_dist, is_main_process


def points(count, seed):
    """Points of the plane, labelled by the pair of quadrants that they lie in."""
    inputs = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, (inputs.prod(dim=1) > 0).long())


def shared(dataset, batch_size, **settings):
    """A loader of this rank's part of a dataset."""
    sampler = DefaultSampler(dataset, **settings)
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler)


def compose(folder):
    """A trainer with a validator inside it, and its model.

    Args:
        folder: Where its checkpoints lie; the same for all ranks.
    """
    torch.manual_seed(0)
    model = DistributedDataParallel(
        nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def train_step(_trainer, batch):
        inputs, targets = batch
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    def val_step(_validator, batch):
        inputs, targets = batch
        return model(inputs), targets

    trainer = TrainEngine(train_step, RunState(seed=1), work_dir=folder)
    trainer.track(model=model, optimizer=optimizer)
    validator = EvalEngine(val_step, metrics={"accuracy": Accuracy()}, model=model)
    # No sample twice: one rank has a batch more, and the metric is that of all samples.
    val_data = shared(points(201, seed=3), 50, shuffle=False, round_up=False)
    trainer.validate_with(validator, val_data)
    trainer.add_hook(CheckpointHook(interval=20, by_epoch=False, save_best="accuracy"))
    return trainer, validator, model


def main():
    """Train, go on from the middle of another epoch, and compare."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "work_dirs/composed_ranks")
    init_dist("pytorch", backend=None)  # nccl where there are GPUs, else gloo
    train_data = points(1000, seed=2)

    whole, validator, model = compose(folder / "whole")
    whole.run(shared(train_data, 20), max_epochs=4)
    if is_main_process():
        print(f"accuracy {validator.metrics['accuracy']:.2f}")

    resumed, _, again = compose(folder / "resumed")
    resumed.resume(folder / "whole" / "iter_40.pth")
    resumed.run(shared(train_data, 20), max_epochs=4)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    print(
        f"rank {get_rank()} is bit-equal after {resumed.run_state.iteration} iterations"
    )
    destroy_process_group()


if __name__ == "__main__":
    main()

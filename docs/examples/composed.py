"""A run composed in code, without a config: trained, cut, resumed, compared.

Run:  python docs/examples/composed.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from ignite.metrics import Accuracy, Loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from engine import CheckpointHook, EvalEngine, Events, Priority, RunState, TrainEngine


def points(count, seed):
    """Points of the plane, labelled by the pair of quadrants that they lie in."""
    inputs = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, (inputs.prod(dim=1) > 0).long())


def compose(folder):
    """A trainer with a validator inside it, and its model.

    Args:
        folder: Where its checkpoints lie.
    """
    torch.manual_seed(0)  # the same first weights each time
    model = nn.Sequential(
        nn.Linear(2, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    loss_of = nn.functional.cross_entropy

    def train_step(_trainer, batch):
        inputs, targets = batch
        loss = loss_of(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    def val_step(_validator, batch):
        inputs, targets = batch
        return model(inputs), targets

    trainer = TrainEngine(train_step, RunState(seed=1), work_dir=folder)
    trainer.track(model=model, optimizer=optimizer, schedule=schedule)
    metrics = {"accuracy": Accuracy(), "loss": Loss(loss_of)}
    validator = EvalEngine(val_step, metrics=metrics, model=model)
    trainer.validate_with(validator, DataLoader(points(200, seed=3), batch_size=100))
    trainer.add_hook(CheckpointHook(interval=20, by_epoch=False, save_best="accuracy"))

    @trainer.on(Events.EPOCH_COMPLETED, priority=Priority.LOW)
    def anneal():
        schedule.step()

    @validator.on(Events.COMPLETED)
    def report(validator):
        values = validator.metrics
        print(
            f"epoch {validator.run_state.epoch}: accuracy {values['accuracy']:.3f}, "
            f"loss {values['loss']:.3f}"
        )

    return trainer, model


def main(folder):
    """Train; train again from the middle of an epoch; compare the weights."""
    data = DataLoader(points(500, seed=2), batch_size=32, shuffle=True)

    trainer, model = compose(folder / "whole")
    trainer.run(data, max_epochs=6)  # 16 iterations each

    resumed, again = compose(folder / "resumed")
    resumed.resume(folder / "whole" / "iter_40.pth")  # inside the third epoch
    print(f"resumed after {resumed.run_state.iteration} iterations")
    resumed.run(data, max_epochs=6)

    weights = again.state_dict()
    same = all(
        torch.equal(value, weights[name]) for name, value in model.state_dict().items()
    )
    print("weights are", "equal to the bit" if same else "DIFFERENT")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "work_dirs/composed")))

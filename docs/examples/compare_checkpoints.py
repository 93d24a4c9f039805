"""Say whether two checkpoints hold the same run, bit for bit.

python docs/examples/compare_checkpoints.py ONE.pth OTHER.pth

Compared are weights, averages of them, optimizer, schedules, counters, generators and
the recorded scalars; not compared are clock times and the names of runs and files.
"""

import sys

import torch

CLOCKS = ("time", "data_time")


def same(one, other):
    """Whether two trees of tensors and plain values are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def parts(path):
    """What is compared, by name."""
    checkpoint = torch.load(path, weights_only=True)
    scalars = checkpoint["message_hub"]["scalars"]
    return {
        "weights": checkpoint["state_dict"],
        "averages": checkpoint.get("ema_state_dict", {}),
        "optimizer": checkpoint["optimizer"],
        "schedules": checkpoint.get("param_schedulers", []),
        "counters": checkpoint["engine"]["run_state"]["progress"],
        "generators": checkpoint["engine"]["randomness"],
        "scalars": {
            name: history
            for name, history in scalars.items()
            if name.rpartition("/")[2] not in CLOCKS
        },
    }


def main(one, other):
    """Print a line for each part; 1 if one differs."""
    theirs = parts(other)
    results = {name: same(mine, theirs[name]) for name, mine in parts(one).items()}
    for name, equal in results.items():
        print(f"{name:<11} {'equal' if equal else 'DIFFERENT'}")
    return int(not all(results.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

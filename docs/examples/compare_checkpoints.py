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
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return alike and torch.equal(octets(one), octets(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # tells -0.0 from 0.0, and takes NaN for itself


def octets(tensor):
    """What a tensor holds, as bytes: for torch NaN differs from itself."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


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

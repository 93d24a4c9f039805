"""Say whether two checkpoints hold the same run, bit for bit.

python docs/examples/compare_checkpoints.py ONE.pth OTHER.pth

Compared are weights, averages of them, optimizer, schedules, counters, generators, the
recorded scalars and hooks' memory; not compared are clock times and the names of runs
and files. ``engine ckpt diff`` does the same and names each key that differs.
"""

import sys

from engine.checkpoint import find_differences, read, split_parts

SHOWN = {
    "weights": "weights",
    "averages": "averages",
    "optimizer": "optimizer",
    "schedules": "schedules",
    "place": "counters",
    "generators": "generators",
    "message hub": "scalars",
}


def main(one, other):
    """Print a line for each part; 1 if one differs."""
    mine, theirs = split_parts(read(one)), split_parts(read(other))
    others = [name for name in {**mine, **theirs} if name not in SHOWN]
    differing = 0
    for part in [*SHOWN, *others]:
        first = next(find_differences(mine.get(part), theirs.get(part)), None)
        differing += first is not None
        if first is not None:
            print(f"{SHOWN.get(part, part):<11} DIFFERENT: {first}")
        elif part in mine and part in SHOWN:
            print(f"{SHOWN[part]:<11} equal")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

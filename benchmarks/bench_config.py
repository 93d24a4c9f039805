"""How long does it take to load and to dump a config of 2,000 lines and 6 bases?

    python benchmarks/bench_config.py [--quick] [--mmengine-python PYTHON]

Both sides get the same files: plain Python configs, no imports. MMEngine runs under a
Python of its own that has it, through its public interface. The last line that is
printed is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

LINES = 2_000
BASES = 6
BUDGET_SECONDS = 1.0


def make_configs(folder: Path) -> tuple[Path, int]:
    """Write a config and its bases; returns its file and the lines of all."""
    each = LINES // (BASES + 1)
    total = 0
    for number in range(BASES + 1):
        lines: list[str] = []
        if number == BASES:
            names = ", ".join(f"'base_{n}.py'" for n in range(BASES))
            lines.append(f"_base_ = [{names}]")
        part = 0
        while len(lines) < each:
            owner = part % BASES if number == BASES else number
            lines += block(f"part_{owner}_{part}", lr=0.1 / (part + 1))
            part += 1
        name = "config.py" if number == BASES else f"base_{number}.py"
        (folder / name).write_text("\n".join(lines) + "\n")
        total += len(lines)
    return folder / "config.py", total


def block(name: str, *, lr: float) -> list[str]:
    """Ten lines of a config as people write it."""
    return [
        f"{name} = dict(",
        "    dataset=dict(type='Images', root='data/images', pipeline=[",
        "        dict(type='Load', to_float32=True, color_type='color'),",
        "        dict(type='Resize', scale=(1333, 800), keep_ratio=True),",
        "        dict(type='Flip', prob=0.5, direction=['horizontal', 'vertical']),",
        "        dict(type='Pack', meta_keys=('img_path', 'ori_shape', 'scale')),",
        "    ]),",
        "    sampler=dict(type='DefaultSampler', shuffle=True, seed=None),",
        f"    optimizer=dict(type='SGD', lr={lr!r}, betas=(0.9, 0.999)),",
        ")",
    ]


def measure(module: str, config: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of each load and each dump, the first of both not counted."""
    config_class = importlib.import_module(module).Config
    found: dict[str, list[float]] = {"load": [], "dump": []}
    for repeat in range(repeats + 1):
        began = perf_counter()
        cfg = config_class.fromfile(str(config))
        loaded = perf_counter()
        text = cfg.pretty_text
        ended = perf_counter()
        assert "part_0_0" in text
        if repeat:
            found["load"].append(loaded - began)
            found["dump"].append(ended - loaded)
    return found


def measure_peer(python: str, config: Path, repeats: int) -> dict[str, Any]:
    """The same in another Python; its version too."""
    command = [python, __file__, "--peer", str(config), "--repeats", str(repeats)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answer


def answer_as_peer(config: Path, repeats: int) -> None:
    """What the other Python prints."""
    with contextlib.redirect_stdout(sys.stderr):
        import mmengine  # type: ignore[import-not-found]  # the peer's Python has it

        found = measure("mmengine.config", config, repeats)
    print(json.dumps({"version": mmengine.__version__, **found}))


def summed(found: dict[str, list[float]]) -> dict[str, float]:
    """Median and quartiles of load and dump together, and the medians of each."""
    whole = [sum(pair) for pair in zip(found["load"], found["dump"], strict=True)]
    low, _, high = statistics.quantiles(whole, n=4) if len(whole) > 1 else whole * 3
    return {
        "load": statistics.median(found["load"]),
        "dump": statistics.median(found["dump"]),
        "both": statistics.median(whole),
        "low": low,
        "high": high,
    }


def main() -> None:
    """Measure, print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument("--mmengine-python", metavar="PYTHON", help="has MMEngine")
    parser.add_argument("--repeats", type=int, help="repeats that count")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    repeats = options.repeats or (2 if options.quick else 20)
    if options.peer is not None:
        answer_as_peer(options.peer, repeats)
        return
    from engine import __version__

    facts = {
        "engine": __version__,
        "python": platform.python_version(),
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        config, lines = make_configs(Path(name))
        rows["engine"] = summed(measure("engine.config", config, repeats))
        if options.mmengine_python is not None:
            answer = measure_peer(options.mmengine_python, config, repeats)
            facts["mmengine"] = answer["version"]
            rows["mmengine"] = summed(answer)
    print("\n".join(f"{what}: {value}" for what, value in facts.items()))
    print(f"\nseconds, {lines} lines in {BASES + 1} files, median of {repeats}")
    print(f"  {'':<10}{'load':>8}{'dump':>8}{'both':>8}   quartiles of both")
    for who, row in rows.items():
        three = "".join(f"{row[what]:>8.3f}" for what in ("load", "dump", "both"))
        print(f"  {who:<10}{three}   {row['low']:.3f} .. {row['high']:.3f}")
    verdict = "pass" if rows["engine"]["both"] <= BUDGET_SECONDS else "FAIL"
    print(f"  well under a second (<= {BUDGET_SECONDS:g} s): {verdict}")
    seconds = {
        who: {what: round(value, 5) for what, value in row.items()}
        for who, row in rows.items()
    }
    summary = {"benchmark": "config", **facts, "quick": options.quick, "lines": lines}
    print(json.dumps({**summary, "seconds": seconds, "verdict": verdict}))


if __name__ == "__main__":
    main()

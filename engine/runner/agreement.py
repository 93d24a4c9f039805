"""What the ranks of a run agree on before any work is done."""

from __future__ import annotations

import hashlib
import re
import socket
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from engine.dist import all_gather_object, get_rank, get_world_size
from engine.errors import ConfigError, amount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config import Config

__all__ = ["check_alike"]

_OWN = ("work_dir",)  # what rank 0 decides, whatever the others were given
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object, in its repr


def check_alike(cfg: Config, versions: Mapping[str, str]) -> None:
    """Raise unless all ranks have the same config and run the same versions.

    Args:
        cfg: This rank's config.
        versions: What it runs, by name.

    Raises:
        ConfigError: Some rank differs from rank 0; the message names both.
    """
    if get_world_size() == 1:
        return
    text = config_text(cfg)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    mine = {"host": socket.gethostname(), "config": digest, "versions": dict(versions)}
    found = all_gather_object(mine)
    others = [rank for rank, each in enumerate(found) if _differs(each, found[0])]
    if not others:
        return
    # Only now, and of two ranks only: a config's text may be long.
    wanted = get_rank() in {0, others[0]}
    texts = all_gather_object(text if wanted else None)
    raise ConfigError(describe_difference(found, others, (texts[0], texts[others[0]])))


def config_text(cfg: Config) -> str:
    """A config's text without what may differ from rank to rank."""
    plain = cfg.copy()
    for name in _OWN:
        plain.pop(name, None)
    return _ADDRESS.sub("", plain.pretty_text) if len(plain) else ""


def describe_difference(
    facts: list[dict[str, Any]], others: list[int], texts: tuple[str, str]
) -> str:
    """How ranks differ from rank 0, for a message.

    Args:
        facts: By rank: ``host``, ``config`` (a digest) and ``versions``.
        others: The ranks that differ.
        texts: The configs of rank 0 and of the first of them.
    """
    first, other = facts[0], facts[others[0]]
    told = [f"rank 0 on {first['host']}", f"rank {others[0]} on {other['host']}"]
    parts = [
        f"{name} is {value} on {told[0]} and {other['versions'].get(name)} on {told[1]}"
        for name, value in first["versions"].items()
        if other["versions"].get(name) != value
    ]
    if first["config"] != other["config"]:
        pairs = zip_longest(*[text.splitlines() for text in texts], fillvalue="")
        one, two = next((a, b) for a, b in pairs if a != b)
        parts.append(
            f"the config has the digest {first['config']} on {told[0]} and "
            f"{other['config']} on {told[1]}; the first line that differs: "
            f"{one.strip()!r} and {two.strip()!r}"
        )
    more = f" (and {amount(len(others) - 1, 'rank')} more)" if others[1:] else ""
    return (
        f"the ranks of this run do not have the same{more}: {'; '.join(parts)}. Start "
        "all of them with the same files and versions"
    )


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(one[name] != other[name] for name in ("config", "versions"))

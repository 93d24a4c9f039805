"""How ranks that differ are described; that they are found is in tests/distributed/."""

from __future__ import annotations

from typing import Any

from engine.config import Config
from engine.runner.agreement import config_text, describe_difference


def facts(host: str, config: str = "c", torch: str = "2") -> dict[str, Any]:
    """What a rank tells."""
    return {"host": host, "config": config, "versions": {"torch": torch}}


def test_another_version_is_named_with_both_ranks() -> None:
    """And their hosts."""
    found = [facts("a"), facts("b"), facts("c", torch="3")]
    told = describe_difference(found, [2], ("", ""))
    assert "torch is 2 on rank 0 on a and 3 on rank 2 on c" in told


def test_another_config_is_named_with_its_first_line() -> None:
    """And with how many ranks more there are that differ."""
    found = [facts("a"), facts("b", config="d"), facts("c", config="d")]
    told = describe_difference(found, [1, 2], ("x = 1\ny = 2", "x = 1\ny = 3"))
    assert "'y = 2' and 'y = 3'" in told
    assert "(and 1 rank more)" in told
    longer = describe_difference(found, [1], ("x = 1", "x = 1\ny = 3"))
    assert "'' and 'y = 3'" in longer


def test_only_what_must_agree_is_compared() -> None:
    """Rank 0 chooses the work dir; an object's address says nothing."""

    class Part:
        __repr__ = object.__repr__

    texts = {
        config_text(Config({"work_dir": folder, "part": str(Part()), "lr": 1}))
        for folder in ("a", "b")
    }
    assert len(texts) == 1
    assert config_text(Config({"lr": 1})) != config_text(Config({"lr": 2}))

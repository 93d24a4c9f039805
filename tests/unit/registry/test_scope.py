"""The default scope, which belongs to the context that set it."""

from __future__ import annotations

import asyncio
import contextvars
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import RegistryError
from engine.registry import DefaultScope, init_default_scope
from engine.registry.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_scope_is_left_behind() -> Iterator[None]:
    with DefaultScope.use(None):
        yield


def test_none_is_in_force_at_first() -> None:
    """Without a default scope the current instance is ``None``."""
    assert DefaultScope.get_current_instance() is None
    assert current_scope() is None


def test_the_latest_made_is_in_force() -> None:
    """Asking for one that is there does not put it in force again."""
    first = DefaultScope.get_instance("run", scope_name="mine")
    second = DefaultScope.get_instance("other", scope_name="yours")
    assert DefaultScope.get_instance("run") is first
    assert DefaultScope.get_current_instance() is second
    assert (second.instance_name, second.scope_name) == ("other", "yours")


def test_made_instances_are_known_by_name() -> None:
    """``check_instance_created`` knows what this context made."""
    DefaultScope.get_instance("run", scope_name="mine")
    assert DefaultScope.check_instance_created("run")
    assert not DefaultScope.check_instance_created("mine")


def test_an_instance_that_has_to_be_made_needs_a_scope() -> None:
    """The message lists those that are there."""
    DefaultScope.get_instance("run", scope_name="mine")
    expected = r"no default scope is called 'ran' .*there are: 'run'.* Give scope_name"
    with pytest.raises(RegistryError, match=expected):
        DefaultScope.get_instance("ran")


def test_one_name_cannot_have_two_scopes() -> None:
    """A second scope for a name is refused, and the first stays."""
    DefaultScope.get_instance("run", scope_name="mine")
    with pytest.raises(RegistryError, match="'run' is 'mine' already"):
        DefaultScope.get_instance("run", scope_name="yours")
    assert current_scope() == "mine"


@pytest.mark.parametrize("scope", ["", 3])
def test_a_scope_is_text(scope: Any) -> None:
    """What is no name of a scope is refused."""
    with pytest.raises(RegistryError, match="scope_name must be text that is not"):
        DefaultScope("run", scope)


def test_overwriting_lasts_for_the_block() -> None:
    """The scope before comes back, after an error too."""
    DefaultScope.get_instance("run", scope_name="mine")

    def fail() -> None:
        with DefaultScope.overwrite_default_scope("x"):
            assert current_scope() == "x"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert current_scope() == "mine"


def test_overwriting_by_none_changes_nothing() -> None:
    """``None`` stands for "as it is"."""
    DefaultScope.get_instance("run", scope_name="mine")
    with DefaultScope.overwrite_default_scope(None):
        assert current_scope() == "mine"


@pytest.mark.parametrize("inner", ["theirs", None])
def test_a_run_sees_its_own_scope_only(inner: str | None) -> None:
    """``use`` hides what is outside, and nothing made inside is left."""
    DefaultScope.get_instance("run", scope_name="mine")
    with DefaultScope.use(inner, name="inner") as scope:
        assert not DefaultScope.check_instance_created("run")
        assert DefaultScope.get_current_instance() is scope
        assert current_scope() == inner
        init_default_scope("left")
    assert current_scope() == "mine"
    assert not DefaultScope.check_instance_created("left")


def test_mmengine_is_our_scope() -> None:
    """Look-ups see our scope's own name; the instance keeps what was written."""
    with DefaultScope.use("mmengine") as scope:
        assert scope is not None
        assert scope.scope_name == "mmengine"
        assert current_scope() == "engine"


def test_init_default_scope_changes_what_is_in_force() -> None:
    """It may be called again, and go back to a scope that was in force before."""
    for scope in ("mine", "mine", "yours", "mine"):
        assert init_default_scope(scope).scope_name == scope
        assert current_scope() == scope


def test_a_new_thread_has_no_scope_and_leaves_none() -> None:
    """What a thread sets stays in it."""
    seen = []

    def run() -> None:
        seen.append(current_scope())
        init_default_scope("thread")
        seen.append(current_scope())

    with DefaultScope.use("mine"):
        # An empty context, as a thread has it that nobody handed one to.
        thread = Thread(target=contextvars.Context().run, args=(run,))
        thread.start()
        thread.join()
        assert current_scope() == "mine"
    assert seen == [None, "thread"]


def test_interleaved_tasks_do_not_see_each_other() -> None:
    """Two runs that take turns keep their own scopes."""
    seen = []

    async def run(scope: str) -> None:
        with DefaultScope.use(scope):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append((scope, current_scope()))

    async def both() -> None:
        await asyncio.gather(run("a"), run("b"))

    asyncio.run(both())
    assert seen == [("a", "a"), ("b", "b")] * 3

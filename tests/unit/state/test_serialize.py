"""Plain data: what the properties in tests/property leave open."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any, ClassVar

import pytest
from attrs import define, field, frozen

from engine.errors import SerializationError
from engine.state import UNSAVED, from_plain, to_plain


class Colour(Enum):
    """By name."""

    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    """By number."""

    SMALL = 1
    LARGE = 2


@frozen
class Wheel:
    """A part of a part."""

    FORMAT: ClassVar[int] = 1
    size: Size


@define(kw_only=True)
class Car:
    """Something with fields of each kind."""

    FORMAT: ClassVar[int] = 1
    colour: Colour
    wheels: list[Wheel]
    owners: tuple[str, ...] = ()
    prices: dict[str, float] = field(factory=dict)
    spare: Wheel | None = None
    _secret: int = 7
    heat: float = field(default=0.0, metadata=UNSAVED)


CAR = Car(
    colour=Colour.BLUE,
    wheels=[Wheel(Size.SMALL), Wheel(Size.LARGE)],
    owners=("a", "b"),
    prices={"new": 3},
    secret=9,
)
PLAIN: dict[str, Any] = {
    "format": 1,
    "colour": "blue",
    "wheels": [{"format": 1, "size": 1}, {"format": 1, "size": 2}],
    "owners": ["a", "b"],
    "prices": {"new": 3},
    "spare": None,
    "_secret": 9,
}


def test_fields_of_each_kind_become_plain_and_come_back() -> None:
    """Enums, nested classes, lists, tuples, dicts, optional and private fields."""
    assert to_plain(CAR) == PLAIN
    loaded = from_plain(Car, PLAIN)
    assert loaded == CAR
    assert type(loaded.prices["new"]) is float
    assert type(loaded.owners) is tuple


def test_plain_data_is_new_throughout() -> None:
    """Changing the object does not reach into what was made of it."""
    car = Car(colour=Colour.RED, wheels=[], prices={})
    plain = to_plain(car)
    car.wheels.append(Wheel(Size.SMALL))
    car.prices["used"] = 1.0
    assert plain["wheels"] == []
    assert plain["prices"] == {}


def test_what_lives_in_memory_only_is_not_saved() -> None:
    """A field marked UNSAVED is neither written nor expected, and keeps its default."""
    car = from_plain(Car, to_plain(Car(colour=Colour.RED, wheels=[], heat=3.0)))
    assert car.heat == 0.0
    with pytest.raises(SerializationError, match=r"Car: unknown key 'heat'"):
        from_plain(Car, {**PLAIN, "heat": 1.0})


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 1j])
def test_what_is_not_plain_cannot_be_saved(value: Any) -> None:
    """The error names the type."""
    message = f"cannot save an? {type(value).__name__}: saved state holds numbers"
    with pytest.raises(SerializationError, match=message):
        to_plain([value])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "colour",
            "green",
            r"Car\.colour: expected one of \['red', 'blue'\], found 'g",
        ),
        ("wheels", {}, r"Car\.wheels: expected a list, found {}"),
        ("owners", [1], r"Car\.owners\[0\]: expected str, found 1"),
        ("prices", [], r"Car\.prices: expected a dict, found \[\]"),
        ("prices", {"a": True}, r"Car\.prices\['a'\]: expected a number, found True"),
        ("spare", 3, r"Car\.spare: expected a mapping, found 3"),
        ("format", None, r"Car\.format: expected the number of its format, found None"),
        ("format", True, r"Car\.format: expected the number of its format, found True"),
    ],
)
def test_a_wrong_value_is_named_with_path_and_what_is_allowed(
    key: str, value: Any, message: str
) -> None:
    """Each kind of field says where, what it takes and what was there."""
    with pytest.raises(SerializationError, match=f"^{message}"):
        from_plain(Car, {**PLAIN, key: value})


def test_a_wrong_value_deep_inside_is_named_with_its_whole_path() -> None:
    """Lists show their index on the way."""
    wheels = [{"format": 1, "size": 1}, {"format": 1, "size": 5}]
    with pytest.raises(
        SerializationError, match=r"^Car\.wheels\[1\]\.size: expected one of \[1, 2\]"
    ):
        from_plain(Car, {**PLAIN, "wheels": wheels})


def test_an_unknown_key_gives_the_nearest_one() -> None:
    """A typo is answered with what was meant."""
    with pytest.raises(
        SerializationError, match=r"^Car: unknown key 'color'\. Did you mean 'colour'\?"
    ):
        from_plain(Car, {**PLAIN, "color": "red"})


def test_something_that_is_no_mapping_is_refused() -> None:
    """As when a file holds something else."""
    with pytest.raises(SerializationError, match=r"^Car: expected a mapping, found \["):
        from_plain(Car, [])

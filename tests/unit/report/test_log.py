"""Log lines folded into a story of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.report.log import Story
from tests.unit.report.records import (
    begin,
    iterations,
    line,
    save,
    train_lines,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def tell(*logs: Iterable[Mapping[str, Any]]) -> Story:
    """The story of some logs, one a folder."""
    story = Story()
    for log in logs:
        story.take_log(log)
    return story


def points(story: Story, mode: str, name: str) -> dict[int, float]:
    """A curve; empty if there is none."""
    for one in story.curves():
        if (one.mode, one.name) == (mode, name):
            return dict(zip(one.places, one.values, strict=True))
    return {}


def test_scalars_become_curves_over_iterations() -> None:
    """Of training and of validations, whose epochs are placed by the saves."""
    log = [
        *begin(),
        *iterations([2, 4]),
        validate(1, 0.5, placed=False),
        save(1, 4),
        *iterations([6, 8]),
        validate(2, 0.75, placed=False),
        save(2, 8),
    ]
    story = tell(log)
    assert points(story, "train", "loss") == {2: 1 / 2, 4: 1 / 4, 6: 1 / 6, 8: 1 / 8}
    assert points(story, "val", "accuracy") == {4: 0.5, 8: 0.75}
    assert points(story, "val", "time") == {}
    assert (story.starts[0].first, story.starts[0].last) == (0, 8)


@pytest.mark.parametrize("placed", [True, False])
def test_a_resume_takes_back_what_was_done_beyond_the_checkpoint(placed: bool) -> None:
    """What a killed process did after the checkpoint is not shown, until redone."""
    killed = [
        *begin(),
        *iterations([2, 4]),
        validate(1, 0.5, placed=placed),
        *iterations([6, 7, 8]),
        validate(2, 0.6, placed=placed),
        *iterations([9]),
    ]
    resumed = [*begin(6, epoch=1), *iterations([8], scale=10)]
    story = tell([*killed, *resumed])
    assert points(story, "train", "loss") == {2: 1 / 2, 4: 1 / 4, 6: 1 / 6, 8: 10 / 8}
    assert list(points(story, "val", "accuracy").values()) == [0.5]
    assert [one.resumed_from for one in story.starts] == ["", "/runs/toy/iter_6.pth"]
    assert [(one.first, one.last) for one in story.starts] == [(0, 9), (6, 8)]


@pytest.mark.parametrize("told", [True, False])
def test_a_process_that_vanished_is_an_event_when_the_next_goes_on(told: bool) -> None:
    """One that said how it ended is none."""
    log = [*begin(), *iterations([2, 4])]
    if told:
        log.append(line("training_ends", 5, outcome="interrupted", epoch=0, iter=4))
    story = tell([*log, *begin(1, second=9)])
    found = [one for one in story.told_events() if one.kind == "process_vanished"]
    assert len(found) == (0 if told else 1)
    for one in found:
        assert one.level == "warning"
        assert "after iteration 4; 3 iterations of its work are done again" in one.text


def test_a_rollback_takes_back_as_well() -> None:
    """The run goes on from a checkpoint without a new process."""
    back = line("rolled_back", path="/runs/toy/iter_2.pth", iteration=2, left_out=[])
    story = tell([*begin(), *iterations([2, 4]), back, *iterations([3])])
    assert list(points(story, "train", "loss")) == [2, 3]
    assert len(story.starts) == 1


def test_a_new_run_in_the_same_work_dir_begins_a_new_story() -> None:
    """The newest run is told, with its own warnings, and not the one before it."""
    old = [*begin(), *iterations([2, 4]), validate(1, 0.9), line("old_warning")]
    mine = [
        line("environment", 9, torch="2.13.0"),
        line("work_dir_in_use", 9, level="warning"),
        line("training_starts", 9, epoch=0, iter=0, seed=8),
        *iterations([3]),
    ]
    story = tell(old, mine)
    assert story.earlier_runs == 1
    assert list(points(story, "train", "loss")) == [3]
    assert points(story, "val", "accuracy") == {}
    assert [one.kind for one in story.told_events()] == [
        "work_dir_in_use",
        "training_starts",
    ]
    assert [one.seed for one in story.starts] == [8]


def test_an_evaluation_later_adds_its_result_alone() -> None:
    """The command ``test`` writes a folder of its own; training stays as it was."""
    trained = [*begin(), line("config", text="a = 1"), *iterations([2]), save(1, 4)]
    tested = [
        line("environment", 60, torch="2.13.0", threads="2"),
        line("config", 60, text="a = 2"),
        line("test_metrics", 61, accuracy=0.5, time=0.1, data_time=0.1),
    ]
    story = tell(trained, tested)
    assert [dict(one.metrics) for one in story.tests] == [{"accuracy": 0.5}]
    assert story.config == "a = 1"
    assert story.starts[-1].ended.startswith("2026-11-24T12:00:04")


def test_values_that_are_not_finite_stay() -> None:
    """A log writes them as text, a metrics file as NaN."""
    log = [*begin(), *iterations([2])]
    log[-1]["loss"] = "nan"
    assert str(points(tell(log), "train", "loss")) == "{2: nan}"


@pytest.mark.parametrize("value", [[1, 2], None, True, "text", {"a": 1}])
def test_what_is_no_number_is_no_curve(value: object) -> None:
    """Whatever a user's hook logs."""
    log = [*begin(), *iterations([2])]
    log[-1]["thing"] = value
    assert points(tell(log), "train", "thing") == {}


def test_lines_in_another_form_are_told_as_they_are() -> None:
    """A line that lacks what its kind has does not stop the report."""
    ended = line("training_ends", outcome=3, epoch=None)
    odd = [line("resumed", iter="four"), line("resume_report", parts=3)]
    story = tell([*begin(), ended, *odd])
    assert [one.text for one in story.told_events()][1:] == [
        "training ends: outcome 3",
        "resumed: iter four",
        "resume report: parts 3",
    ]


def test_other_ranks_tell_only_what_is_wrong() -> None:
    """Their scalars are not this run's curves."""
    others = iterations([3])
    others[0]["rank"] = 1
    warning = line("slow_disk", level="warning", rank=1)
    story = tell([*begin(), *iterations([2]), *others, warning])
    assert list(points(story, "train", "loss")) == [2]
    assert [one.kind for one in story.told_events()] == ["training_starts", "slow_disk"]


def test_repeated_events_are_counted() -> None:
    """A backend that fails at each line is one event."""
    failed = line("backend_failed", level="warning", backend="WandbVisBackend")
    story = tell([*begin(), failed, failed, failed])
    assert [one.count for one in story.told_events()] == [1, 3]


def test_time_is_what_the_run_measured() -> None:
    """The newest measure of each process counts, and they add up."""

    def measured(done: int, step: float) -> dict[str, Any]:
        spent = {"data": 1.0, "step": step, "validation": 0.5, "saving": 0.25}
        (one,) = iterations([done])
        return one | {
            "time_spent": spent | {"training": 10.0, "iterations": 2, "samples": 64}
        }

    log = [*begin(), measured(2, 3.0), measured(4, 6.0), *begin(4), measured(6, 2.0)]
    first, second = [one.spent for one in tell(log).starts]
    assert first is not None
    assert second is not None
    both = first + second
    assert both.measured
    assert (both.data, both.step, both.training) == (2.0, 8.0, 20.0)
    assert both.rest == pytest.approx(20 - 2 - 8 - 1 - 0.5)
    assert (both.iterations, both.samples) == (4, 128)


def test_time_is_estimated_from_the_lines_of_a_run_that_did_not_measure() -> None:
    """Each line's means stand for the iterations since the line before."""
    (start,) = tell(
        [*begin(), *iterations([2, 4]), save(1, 4), *iterations([8])]
    ).starts
    assert start.spent is not None
    assert not start.spent.measured
    assert start.spent.iterations == 8
    assert start.spent.data == pytest.approx(8 * 0.1)
    assert start.spent.step == pytest.approx(8 * 0.4)
    assert start.spent.training == pytest.approx(8)


def test_the_metrics_file_tells_a_run_without_a_log() -> None:
    """As MMEngine's do: validations are the lines without an iteration."""
    story = Story()
    story.take_metrics(
        [
            *train_lines(iterations([2, 4])),
            {"accuracy": 0.5, "time": 0.1, "step": 1},
            *train_lines(iterations([6, 8])),
            {"accuracy": 0.6, "time": 0.1, "step": 2},
        ]
    )
    assert list(points(story, "train", "loss")) == [2, 4, 6, 8]
    assert list(points(story, "val", "accuracy").values()) == [0.5, 0.6]


def test_scalars_of_the_users_own_code_are_curves_of_their_own() -> None:
    """Shown through the visualizer, they stand in the metrics file alone."""
    log = [*begin(), *iterations([2, 4]), validate(1, 0.5)]
    story = tell(log)
    story.take_metrics(
        [
            *train_lines(log),
            {"accuracy": 0.5, "time": 0.1, "step": 1},
            {"sharpness": 3.5, "step": 4},
        ]
    )
    assert points(story, "other", "sharpness") == {4: 3.5}
    assert points(story, "other", "accuracy") == {}


def test_validations_by_iteration_stand_where_they_were() -> None:
    """In a run bounded by iterations the step is one."""
    log = [*begin(max_epochs=None, max_iters=40), *iterations([10, 20], length=100)]
    log += [
        line("val_metrics", 20, step=20, bits=3.0),
        line("val_metrics", 40, step=40, bits=2.0),
    ]
    assert points(tell(log), "val", "bits") == {20: 3.0, 40: 2.0}


def test_a_log_with_hierarchy_tells_the_same_story() -> None:
    """Scalars are named with their mode: ``train/loss``."""

    def deeper(record: Mapping[str, Any]) -> dict[str, Any]:
        mode = {"train": "train/", "val_metrics": "val/"}.get(record["event"], "")
        named = ("loss", "lr", "time", "data_time", "accuracy")
        return {f"{mode if key in named else ''}{key}": record[key] for key in record}

    log = [*begin(), *iterations([2, 4]), validate(1, 0.5)]
    plain, deep = tell(log), tell([deeper(one) for one in log])
    assert deep.curves() == plain.curves()
    assert deep.starts == plain.starts


def test_a_metrics_file_by_iteration_needs_no_epochs() -> None:
    """Its validations stand at their steps."""
    lines = train_lines(iterations([10, 20]))
    for one in lines:
        del one["epoch"]
    story = Story()
    story.take_metrics([*lines, {"bits": 3.0, "step": 20}])
    assert points(story, "val", "bits") == {20: 3.0}

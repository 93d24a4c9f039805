"""Between two log lines nothing is read from the device that a run trains on.

Reading a value (``item``, ``float``, ``bool``, ``tolist``...) makes the host wait for
all that a GPU has been given. On a CPU it costs nothing, but it can be counted, once
tensors are made to say that they lie elsewhere.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from engine import Hook, MessageHub, Runner, StepModel
from engine.optim import AmpOptimWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.state import RunContext

READS = {"item", "tolist", "numpy", "cpu", "nonzero", "__array__"}
READS |= {f"__{kind}__" for kind in ("float", "int", "bool", "index", "format")}
IS_CPU: Any = vars(torch._C.TensorBase)["is_cpu"].__get__
READ = torch.ops.aten._local_scalar_dense.default
ITERATIONS, INTERVAL = 12, 5


class Calls(TorchFunctionMode):
    """Counts what Python code reads; each tensor says that it is not on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func == IS_CPU:  # made anew for each call
            return False
        name = getattr(func, "__name__", "")
        if name in READS:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


class Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Counts what torch's own code reads, below Python's methods."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.reads = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.reads += func is READ
        return func(*args, **(kwargs or {}))


class Reads:
    """Values read so far, as both count them."""

    def __init__(self, calls: Calls, kernels: Kernels) -> None:
        self._calls, self._kernels = calls, kernels

    def taken(self) -> tuple[int, dict[str, int]]:
        """Reads since this was asked last: by kernels, and by methods' names."""
        found = self._kernels.reads, dict(self._calls.seen)
        self._kernels.reads = 0
        self._calls.seen.clear()
        return found


@contextmanager
def counting() -> Iterator[Reads]:
    """Count reads in the body."""
    with ExitStack() as stack:
        yield Reads(stack.enter_context(Calls()), stack.enter_context(Kernels()))


class Watch(Hook):
    """Notes what was read in each iteration."""

    priority = 100  # the last one: what loggers read in an iteration is in it

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.found: dict[int, tuple[int, dict[str, int]]] = {}

    def before_train(self, runner: RunContext) -> None:
        self.reads.taken()  # what building and starting read

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        self.found[runner.iter] = self.reads.taken()


def model() -> StepModel:
    """A small one."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return StepModel(net, nn.functional.mse_loss)


@pytest.mark.parametrize("kind", ["OptimWrapper", "AmpOptimWrapper"])
def test_a_run_reads_nothing_between_log_lines(kind: str, tmp_path: Path) -> None:
    """Neither the norm of gradients, nor losses, nor anything of schedules."""
    batch = (torch.ones(2, 3), torch.ones(2, 1))
    with counting() as reads:
        watch = Watch(reads)
        runner = Runner(
            model(),
            tmp_path,
            train_dataloader=[batch] * ITERATIONS,
            train_cfg={"max_epochs": 1},
            optim_wrapper={
                "type": kind,
                "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
                "accumulative_counts": 2,
                "clip_grad": {"max_norm": 1.0},
            },
            param_scheduler={"type": "LinearLR", "by_epoch": False},
            default_hooks={"logger": {"interval": INTERVAL}, "checkpoint": None},
            custom_hooks=[watch],
            visualizer={"vis_backends": []},
            log_level="ERROR",
            randomness={"seed": 0},
        )
        runner.train()
    assert list(watch.found) == list(range(ITERATIONS))
    reading = [i for i, (kernels, calls) in watch.found.items() if kernels or calls]
    logged = [i for i in range(ITERATIONS) if (i + 1) % INTERVAL == 0]
    assert reading == logged, watch.found
    norms, _ = runner.message_hub.get_scalar("train/grad_norm").data
    assert len(norms) == ITERATIONS // 2


class Parts(nn.Module):
    """A model that logs three values of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 1)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        inputs, targets = data
        loss = nn.functional.mse_loss(self.net(inputs), targets)
        optim_wrapper.update_params(loss)
        size = inputs.sum().half()
        return {"loss": loss, "loss_more": 2 * loss, "size": size}


@pytest.mark.parametrize("interval", [1, 5, 300])
def test_a_log_line_reads_once_whatever_it_shows(interval: int, tmp_path: Path) -> None:
    """All values of all its iterations in one transfer, and none before it."""
    iterations = max(2 * interval, 6)
    batch = (torch.ones(2, 3), torch.ones(2, 1))
    with counting() as reads:
        watch = Watch(reads)
        runner = Runner(
            Parts(),
            tmp_path,
            train_dataloader=[batch] * iterations,
            train_cfg={"max_epochs": 1},
            optim_wrapper={
                "optimizer": {"type": "SGD", "lr": 0.1},
                "clip_grad": {"max_norm": 1.0},
            },
            default_hooks={"logger": {"interval": interval}, "checkpoint": None},
            custom_hooks=[watch],
            log_level="ERROR",
            randomness={"seed": 0},
        )
        runner.train()
    lines = {i: seen for i, seen in watch.found.items() if (i + 1) % interval == 0}
    assert all(seen == (0, {"tolist": 1}) for seen in lines.values()), lines
    others = [seen for i, seen in watch.found.items() if i not in lines]
    assert all(seen == (0, {}) for seen in others), others
    norms, _ = runner.message_hub.get_scalar("train/grad_norm").data
    assert len(norms) == iterations


def test_what_waits_on_a_device_is_what_a_host_would_have() -> None:
    """Of several histories, kinds and shapes, however long nobody asks."""
    hub, plain = MessageHub(), MessageHub()
    with counting() as reads:
        for index in range(700):
            kinds = {"a": torch.tensor(index / 3), "b": torch.full((1, 1), index)}
            kinds["c"] = torch.tensor(index / 7).half() if index % 2 else kinds["a"]
            if index % 5:
                kinds["d"] = torch.tensor(index)
            hub.update_scalars(kinds)
            hub.update_scalar("d", 0.5, count=index)
            for key, value in kinds.items():
                plain.update_scalar(key, float(value))
            reads.taken()
            plain.update_scalar("d", 0.5, count=index)
        hub.settle()
        assert reads.taken() == (0, {"tolist": 1})
    assert {key: len(one) for key, one in hub.log_scalars.items()} == {
        key: len(one) for key, one in plain.log_scalars.items()
    }
    for key, history in hub.log_scalars.items():
        assert history.state_dict()["sum"] == plain.get_scalar(key).state_dict()["sum"]
        assert [column.tolist() for column in history.data] == [
            column.tolist() for column in plain.get_scalar(key).data
        ]


def test_a_scaled_step_reads_once_whether_it_overflowed() -> None:
    """The scaler reads that before a step; clipping and windows read nothing."""
    net = nn.Linear(3, 1)
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        dtype="bfloat16",
        accumulative_counts=3,
        clip_grad={"max_norm": 1.0},
    )
    wrapper.loss_scaler = torch.amp.GradScaler("cpu")  # on, as with float16 on CUDA
    norms: list[Tensor] = []
    wrapper.report = lambda _, norm: norms.append(norm)
    found = []
    with counting() as reads:
        for factor in (1.0, 1.0, 1.0, 1.0, float("inf"), 1.0):
            with wrapper.optim_context(net):
                loss = net(torch.full((1, 3), factor)).sum()
            wrapper.update_params(loss)
            found.append(reads.taken()[0])
    assert found == [0, 0, 1, 0, 0, 1]
    assert [bool(norm.isfinite()) for norm in norms] == [True, False]


def test_reads_are_counted() -> None:
    """The counters see each way to read, or the tests above prove nothing."""
    value = torch.ones(())
    with counting() as reads:
        for read in (float, bool, int, Tensor.item, Tensor.tolist, "{:.1f}".format):
            read(value)
            kernels, calls = reads.taken()
            assert kernels or calls, read
        nn.utils.clip_grad_norm_(_with_gradient(), 1.0, error_if_nonfinite=True)
        assert reads.taken()[0] == 1


def _with_gradient() -> Tensor:
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    return parameter

"""Checkpoints on ``s3://``, against a server on this machine that speaks S3."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec  # type: ignore[import-untyped]  # it ships none
import pytest
import torch
from moto.server import ThreadedMotoServer

from engine import CheckpointHook, Runner
from engine.checkpoint import Store, find_latest_checkpoint, read, verify
from engine.errors import CheckpointDamagedError, CheckpointError
from tests.integration.dying_save import checkpoint
from tests.runs import Recorder, RunPlan, make_runner, story

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

PLAN = RunPlan(max_epochs=3, size=6, batch_size=4)
PART_FLOATS = 14_000_000  # 56 MB: s3fs sends more than 50 in parts


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, Any]]:
    """What s3fs needs to find the server, which listens on a free port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "endpoint_url": f"http://{host}:{port}",
        "key": "nobody",
        "secret": "nothing",
    }
    server.stop()


@pytest.fixture
def system(options: dict[str, Any]) -> Any:
    """The server's file system, beside the one that the engine opens."""
    return fsspec.filesystem("s3", skip_instance_cache=True, **options)


@pytest.fixture
def bucket(system: Any) -> str:
    """A new bucket's URL."""
    name = f"runs-{uuid4().hex}"
    system.mkdir(name)
    return f"s3://{name}"


def names(system: Any, url: str) -> set[str]:
    """Objects below a URL."""
    system.invalidate_cache()
    return {one.rpartition("/")[2] for one in system.find(url)}


def trained(
    work_dir: Path,
    out_dir: str | None = None,
    backend_args: Mapping[str, Any] | None = None,
    *,
    resume: bool = False,
) -> Runner:
    """A run of the plan that saves each epoch and keeps two."""
    hook = CheckpointHook(
        interval=1, max_keep_ckpts=2, out_dir=out_dir, backend_args=backend_args
    )
    runner = make_runner(PLAN, work_dir, custom_hooks=[Recorder(), hook], resume=resume)
    runner.train()
    return runner


def test_a_run_saves_prunes_and_resumes_past_damage(
    bucket: str, system: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    """The newest object lost a bit: the one before it is resumed, and to the bit."""
    whole = trained(tmp_path / "whole")
    trained(tmp_path / "run", bucket, options)
    kept = {"epoch_2.pth", "epoch_2.pth.json", "epoch_3.pth", "epoch_3.pth.json"}
    assert names(system, bucket) == kept | {"last_checkpoint"}
    newest = f"{bucket}/run/epoch_3.pth"
    assert find_latest_checkpoint(tmp_path / "run") == newest
    content = bytearray(system.cat_file(newest))
    content[len(content) // 2] ^= 1
    system.pipe_file(newest, bytes(content))
    with pytest.raises(CheckpointDamagedError):
        verify(newest, backend_args=options)

    again = trained(tmp_path / "run", bucket, options, resume=True)

    assert story(again) == story(whole)
    assert names(system, bucket) == kept | {"last_checkpoint"}
    assert verify(newest, backend_args=options) is not None  # trained and saved anew


def test_an_upload_in_parts_appears_whole_or_not_at_all(
    bucket: str,
    system: Any,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that breaks off leaves the older object, and no parts that cost money."""
    store = Store(f"{bucket}/run", options)
    large = checkpoint(1)
    large["state_dict"] = {"weight": torch.full((PART_FLOATS,), 1.0)}
    store.write("a.pth", large)

    def write_most(_: object, file: Any) -> None:
        file.write(bytes(4 * PART_FLOATS))
        raise RuntimeError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", write_most)
        with pytest.raises(CheckpointError, match=r"a\.pth: could not be written: the"):
            store.write("a.pth", checkpoint(2))
    assert read(f"{bucket}/run/a.pth", backend_args=options)["meta"]["epoch"] == 1
    name = bucket.removeprefix("s3://")
    assert not system.call_s3("list_multipart_uploads", Bucket=name).get("Uploads")


def test_a_refusal_is_told_before_training(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Not after an epoch, and with the URL: here a bucket's name is too short."""
    with pytest.raises(CheckpointError, match="s3://b/run: checkpoints could not be"):
        trained(tmp_path / "run", "s3://b", options)


def test_a_store_that_refuses_does_not_begin_a_new_run(
    bucket: str,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be listed is an error, not an empty folder: here nobody has a key."""
    trained(tmp_path / "run", bucket, options)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CheckpointError, match=f"{bucket}/run: could not be listed: U"):
        trained(tmp_path / "run", bucket, resume=True)

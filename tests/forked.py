"""Commands in processes of their own that begin with everything imported.

Importing torch and Ignite takes seconds, and the tests start some hundred commands as a
user would. :func:`run` asks a server for each: a process that has imported what every
command imports, has run nothing, and forks. What it forks has its own folder,
environment, arguments and standard streams, and ends like any other process.

As a script it is the shell's way to the same server: ``python forked.py -m engine …``.
Tests that kill a process, or ask what it imports, start a real one.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIBRARIES", "client", "run", "variables"]

ROOT = Path(__file__).parents[1]
ADDRESS = "ENGINE_TESTS_SERVER"  # the environment's name for the server's socket
RANKS = {"--nproc", "--launcher", "WORLD_SIZE"}  # a command that has one has ranks
LIBRARIES = ("torch", "ignite.engine", "ignite.metrics", "numpy", "pytest")
"""What another copy of the package can start from: nothing of ours."""
PRELOAD = (
    "engine.runner",
    "engine.cli.app",
    "engine.cli.train",
    "engine.cli.evaluate",
    "engine.cli.config",
    "engine.cli.ckpt",
    "engine.cli.diff_runs",
    "engine.cli.report",
    "engine.cli.verify_resume",
    "torch._dynamo",  # what tensors that lie over ranks import when first used
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "sklearn.datasets",
    "pytest",
    "yaml",
)


def run(
    *arguments: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    preload: tuple[str, ...] = PRELOAD,
) -> subprocess.CompletedProcess[str]:
    """What ``python ARGUMENTS`` does in that folder: a script, or ``-m MODULE``.

    Args:
        arguments: Those of the interpreter, ``-m MODULE`` or a script first.
        cwd: Folder to run in.
        env: Environment; default: ours, with the checkout importable.
        preload: Modules that are imported already.
    """
    address = _server(preload)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with Path(os.devnull).open("rb") as none:
            streams = (none, out, err)
            code = _ask(address, words, cwd, {**environment, ADDRESS: address}, streams)
        return subprocess.CompletedProcess(words, code, _text(out), _text(err))


def client() -> tuple[str, ...]:
    """The words before those for :func:`run`, for who starts a command by a shell."""
    return sys.executable, str(Path(__file__).resolve())


def variables() -> dict[str, str]:
    """What :func:`client` needs in its environment."""
    return {ADDRESS: _server(PRELOAD), "PYTHONPATH": str(ROOT)}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def _server(preload: tuple[str, ...]) -> str:
    """The address of this process's server; it ends when this process does."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", *preload],
        stdin=subprocess.PIPE,  # its end tells the server that we are gone
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        text=True,
    )
    atexit.register(server.communicate)
    assert server.stdout is not None
    return server.stdout.readline().strip()


def _ask(
    address: str,
    words: list[str],
    cwd: Path,
    env: Mapping[str, str],
    streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
) -> int:
    """Have a command run on these streams; its exit code."""
    request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"\0{address}")
        numbers = [stream.fileno() for stream in streams]
        socket.send_fds(server, [len(request).to_bytes(4, "big")], numbers)
        server.sendall(request)
        return int.from_bytes(_exactly(server, 1), "big")


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            message = "the server of forked commands ended"
            raise RuntimeError(message)
        found += more
    return bytes(found)


def _serve(preload: list[str]) -> None:
    """Fork for each request; returns in the forked process only, made ready to run."""
    for name in preload:
        importlib.import_module(name)
    address = f"engine-tests-{os.getpid()}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0{address}")
    listening.listen()
    print(address, flush=True)  # noqa: T201  # what _server reads
    gc.freeze()  # what is imported stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        connection, _ = listening.accept()
        size, numbers, _, _ = socket.recv_fds(connection, 4, 3)
        request = json.loads(_exactly(connection, int.from_bytes(size, "big")))
        if RANKS.intersection([*request["words"], *request["env"]]):
            importlib.import_module("torch._dynamo")  # DDP does, for seconds, each time
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            command = os.fork()
            if command == 0:
                connection.close()
                listening.close()
                return _become(request, numbers)
            code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            connection.sendall(bytes([code % 256]))
            os._exit(0)
        connection.close()
        for number in numbers:
            os.close(number)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Take on a command's streams, folder, environment, arguments and luck."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    sys.argv = request["words"]


def _run() -> None:
    """Run ``sys.argv`` as the interpreter would."""
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2:])
        _run()
    else:
        streams = (sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
        sys.exit(
            _ask(os.environ[ADDRESS], sys.argv[1:], Path.cwd(), os.environ, streams)
        )

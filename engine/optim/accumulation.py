"""Where the windows of gradient accumulation lie in a run.

A run of ``max_iters`` iterations is cut into windows of ``counts``; what is left over
at its end is one shorter window. With ``counts=3, max_iters=8``::

    iteration   0 1 2 | 3 4 5 | 6 7
    divisor     3 3 3   3 3 3   2 2
    step after      *       *     *

Windows are counted over the whole run, across epochs. Iterations past ``max_iters``
(a wrapper that is used twice per iteration, say) are windows of ``counts`` again,
counted from ``max_iters``.
"""

from __future__ import annotations

__all__ = ["ends_window", "optimizer_steps", "window_length"]


def ends_window(iteration: int, *, counts: int, max_iters: int | None = None) -> bool:
    """Whether the optimizer steps after an iteration.

    Args:
        iteration: 0-based index of the iteration, at least 0.
        counts: Iterations in a full window, at least 1.
        max_iters: Iterations of the run, at least 0; ``None`` if not known, then
            every window is full.

    >>> [i for i in range(8) if ends_window(i, counts=3, max_iters=8)]
    [2, 5, 7]
    >>> [i for i in range(8) if ends_window(i, counts=3)]
    [2, 5]
    """
    done = iteration + 1
    if max_iters is None or done < max_iters:
        return done % counts == 0
    return (done - max_iters) % counts == 0


def window_length(iteration: int, *, counts: int, max_iters: int | None = None) -> int:
    """Iterations in the window that holds an iteration: what its loss is divided by.

    Args:
        iteration: 0-based index of the iteration, at least 0.
        counts: Iterations in a full window, at least 1.
        max_iters: Iterations of the run, at least 0; ``None`` if not known, then
            every window is full.

    Returns:
        ``counts``, or the remainder's length for the run's last, shorter window.

    >>> [window_length(i, counts=3, max_iters=8) for i in range(8)]
    [3, 3, 3, 3, 3, 3, 2, 2]
    """
    if max_iters is None:
        return counts
    remainder = max_iters % counts
    in_remainder = max_iters - remainder <= iteration < max_iters
    return remainder if in_remainder else counts


def optimizer_steps(
    iterations: int, *, counts: int, max_iters: int | None = None
) -> int:
    """How often the optimizer has stepped after some finished iterations.

    Args:
        iterations: Finished iterations, at least 0.
        counts: Iterations in a full window, at least 1.
        max_iters: Iterations of the run, at least 0; ``None`` if not known, then
            every window is full.

    >>> [optimizer_steps(n, counts=3, max_iters=8) for n in range(9)]
    [0, 0, 0, 1, 1, 1, 2, 2, 3]
    """
    if max_iters is None or iterations < max_iters:
        return iterations // counts
    # The double minus rounds up: the remainder is a window too.
    return -(-max_iters // counts) + (iterations - max_iters) // counts

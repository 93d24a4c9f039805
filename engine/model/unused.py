"""Which parameters DDP means when it tells of some that got no gradient."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn.parallel import DistributedDataParallel

__all__ = ["name_unused"]

_TOLD = re.compile(r"did not receive grad for rank \d+: ([\d ]+)")


def name_unused(error: RuntimeError, wrapper: DistributedDataParallel) -> None:
    """Note the names of the parameters that an error of DDP tells by number.

    Args:
        error: Any error of a step; others than that one stay as they are.
        wrapper: Whose step it was.
    """
    told = _TOLD.search(str(error))
    if told is None:
        return
    # DDP numbers those that it reduces, in the order of the modules.
    names = [
        name for name, one in wrapper.module.named_parameters() if one.requires_grad
    ]
    unused = [names[int(n)] for n in told[1].split() if int(n) < len(names)]
    error.add_note(
        f"The loss does not depend on {', '.join(unused)}. If it need not in each "
        "iteration, say find_unused_parameters=True, in model_wrapper_cfg or in "
        "strategy={'type': 'DDPStrategy', ...}; else leave them out of the model."
    )

"""`dizuo up`, in a process that gets a signal at a chosen place.

`python -m tests.faults.dying_hub ARGUMENTS…` runs `dizuo ARGUMENTS…`. The environment's `DIE_AT`
names a function, when, and at which call: `package.module:Class.method before 2`; and the signal,
if it is not SIGKILL: `package.module:function after 1 SIGTERM`. The product knows nothing of this:
the function is wrapped here, before the hub starts.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
from functools import wraps
from typing import Any

from dizuo.cli.main import main


def die_at(place: str) -> None:
    """Wrap the function that `place` names."""
    target, when, number, *named = place.split()
    fate = signal.Signals[named[0]] if named else signal.SIGKILL
    module_name, _, path = target.partition(":")
    holder: Any = importlib.import_module(module_name)
    *above, name = path.split(".")
    for part in above:
        holder = getattr(holder, part)
    function, calls, fatal = getattr(holder, name), itertools.count(1), int(number)

    @wraps(function)
    def dying(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == fatal
        if is_last and when == "before":
            os.kill(os.getpid(), fate)
        result = function(*args, **kwargs)
        if is_last and when == "after":
            os.kill(os.getpid(), fate)
        return result

    setattr(holder, name, dying)


if __name__ == "__main__":
    if place := os.environ.get("DIE_AT"):
        die_at(place)
    main()

"""The agent, in a process that dies by SIGKILL at a chosen place, as hubs do in `tests.faults`.

`python -m tests.agent.dying_agent ARGUMENTS…` runs `dizuo ARGUMENTS…`; the environment's `DIE_AT`
names a function, when, and at which call: `package.module:Class.method before 2`.
"""

from __future__ import annotations

import os

from tests.faults.dying_hub import die_at

from dizuo.cli.main import main

if __name__ == "__main__":
    die_at(os.environ["DIE_AT"])
    main()

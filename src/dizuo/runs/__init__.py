"""Where and how work runs: queued, in a process of its own, fenced, resumable, finished once."""

"""Whether a text matches a schema's pattern, within a bounded time.

Python's own `re` goes back without end in patterns like `(a+)+$`, and holds all other threads while
it does. https://pypi.org/project/regex/
"""

from __future__ import annotations

import regex

_MOST_SECONDS = 1.0


def pattern_fault(pattern: str, text: str) -> str:
    """Why a text is not taken by a pattern, which may lie anywhere in it, as the end of a sentence;
    or an empty string. The pattern is one of a schema without a `schema_fault`."""
    try:
        found = regex.search(pattern, text, timeout=_MOST_SECONDS, concurrent=True)
    except TimeoutError:
        return "takes too long to compare with the schema's pattern"
    except regex.error:
        return "cannot be compared with the schema's pattern"
    return "" if found else "does not match the schema's pattern"

"""The error tree is a contract."""

from __future__ import annotations

import json

from dizuo.core.errors import (
    DizuoError,
    InvalidInput,
    NotFound,
    Unavailable,
    error_tree,
)


def test_an_error_is_one_sentence_and_a_next_step() -> None:
    error = NotFound("There is no dataset digits.", next_step="See dizuo data ls.")
    assert str(error) == "There is no dataset digits. See dizuo data ls."
    assert str(NotFound("There is none.")) == "There is none."


def test_the_one_json_shape() -> None:
    error = Unavailable("Not now.", next_step="Try again.")
    assert json.loads(json.dumps(error.as_dict())) == {
        "error": {
            "code": "unavailable",
            "message": "Not now.",
            "next_step": "Try again.",
            "retryable": True,
        }
    }


def test_the_tree_lists_parents_before_children() -> None:
    class Finer(InvalidInput):
        code = "finer"

    tree = error_tree()
    assert tree[0] is DizuoError
    assert tree.index(InvalidInput) < tree.index(Finer)
    assert error_tree(Finer) == [Finer]


def test_every_class_of_the_core_has_a_status_and_a_code_of_its_own() -> None:
    ours = [cls for cls in error_tree() if cls.__module__ == "dizuo.core.errors"]
    assert len({cls.code for cls in ours}) == len(ours) == 9
    assert all(400 <= cls.http_status <= 599 for cls in ours)
    assert [cls for cls in ours if cls.retryable] == [Unavailable]

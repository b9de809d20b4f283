"""Rooms' sentences in Chinese: what is translated is said, and what people can meet is translated.

Both are read from the code: every text in it, with a hole where something is filled in.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

import dizuo
from dizuo.access.model import Role
from dizuo.console import messages, sentences
from dizuo.console.messages import Language, Words
from dizuo.console.sentences import (
    KNOWN,
    MOST_CHARACTERS,
    MOST_PARTS,
    Part,
    Reader,
    Template,
    catalogue,
    error_sentence,
    spoken,
    translated,
)
from dizuo.core.errors import InvalidInput, NotFound
from dizuo.families.validation import RecipePart

SOURCE = Path(str(dizuo.__file__)).parent
ENGLISH, CHINESE = Words(Language.ENGLISH), Words(Language.CHINESE)
HOLE = "\0"
ROOMS = (
    *("access", "audit", "core", "database", "datasets", "stacks", "releases", "sites"),
    *("improvements", "gates", "runs", "families"),
    *("edge/trust.py", "agent/updater.py", "agent/probe.py", "agent/generations.py"),
    *("artifacts/fetch.py", "artifacts/sources.py", "artifacts/disk.py", "artifacts/partial.py"),
    "artifacts/reference.py",
)
"""Where what people meet in the console is said."""
NOT_MET = {
    "access/http.py": "what programs are told that call the API in a wrong way",
    "core/settings.py": "what settings are for, as the command line and the docs say it",
    "families/text/generated_prompts.py": "what models are asked",
    "families/text/parameters.py": "what applications are told that ask a model",
    "families/text/protocol.py": "what applications are told that ask a model",
    "families/vision/protocol.py": "what applications are told that ask a model",
    "releases/cli.py": "what options of the command line are for",
    "releases/server.py": "what agents and other TUF clients are told",
    "runs/events.py": "what programs are told that follow a run's events",
    "sites/edge_api.py": "what agents are told",
}
"""What is said in rooms, but not to people in the console, by module."""
JOINED = {
    f"The {HOLE} run ended as {HOLE}.": "without the message that it ends with otherwise",
}
"""What the code puts together in a way that is not seen here."""

NOT_MET_GATES = (
    "onnx answers 19 of 20 single requests within 5 ms: 7.00 ms over 30 single requests.",
    "accuracy on t@1 is at least 0.9 at 95% confidence: 9 rows cannot tell; a larger suite could.",
    "accuracy on t@1 drops by at most 0.01 from the parent's: 0.02 worse than m:2 (95% interval "
    "0.01 to 0.03, 300 rows).",
    "onnx answers as the trained model did on at least 99.0%: 90 of 100 answers agree (90.0%).",
)
HOSTILE = " ".join(
    f"a{n} is b{n} of c{n}: d{n} on e{n} is at least f{n}, line g{n}: h{n} worse than i{n} (j{n})."
    for n in range(11)
)

WRONG_VALUES: list[tuple[Any, list[Any]]] = [
    (Annotated[int, Field(ge=1, le=9)], [0, 10, "1", 1.5]),
    (Annotated[float, Field(gt=1, lt=9)], [1.0, 9.0, "1"]),
    (Annotated[float, Field(allow_inf_nan=False)], [math.inf]),
    (Annotated[str, Field(min_length=1, max_length=1)], ["", "ab", 1]),
    (Annotated[str, Field(min_length=2, max_length=2)], ["", "abc"]),
    (Annotated[str, Field(pattern="^a$")], ["b"]),
    (bool, [1]),
    (Literal["one", "other"], ["x"]),
    (Annotated[list[int], Field(min_length=1, max_length=1)], [[], [1, 2], 1]),
    (Annotated[list[int], Field(min_length=2, max_length=2)], [[], [1, 2, 3]]),
    (tuple[int, ...], [1]),
    (dict[str, int], [1]),
    (RecipePart, [1]),
]
"""Kinds that recipes have, and what is none."""


def readings(node: ast.AST) -> list[str]:
    """What a node of the code may say, with holes; nothing where it is no text."""
    found: list[str] = []
    match node:
        case ast.Constant(value=str(text)):
            found = [text]
        case ast.JoinedStr(values=parts):
            found = ["".join(said) for said in product(*map(readings, parts))]
        case ast.FormattedValue(value=value):
            found = [HOLE, *choices(value)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = ["".join(said) for said in product(readings(left), readings(right))]
        case ast.AugAssign(op=ast.Add(), value=value):
            found = [HOLE + said for said in readings(value)]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join")):
            found = [HOLE + between + HOLE]
    return found


def choices(value: ast.expr) -> list[str]:
    """What the code itself may put into a hole."""
    match value:
        case ast.BoolOp(values=[*_, ast.Constant(value=str(other))]):
            return [other]
        case ast.IfExp(body=body, orelse=other):
            return [*readings(body), *readings(other)]
    return []


def said_in(path: Path) -> Iterator[str]:
    """Every text of a module that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.BinOp) and readings(node)
        for part in ast.walk(node)
        if part is not node and isinstance(part, ast.Constant)
    }
    for node in ast.walk(tree):
        if node not in docstrings and node not in inner:
            yield from readings(node)


@cache
def said() -> frozenset[str]:
    """What any module says, and what may stand in a hole beside that."""
    code = (one.strip(" ") for path in SOURCE.rglob("*.py") for one in said_in(path))
    return frozenset(["", HOLE, *code])


@cache
def said_by_pydantic() -> list[str]:
    """What recipes are told about values that are of another kind, too large, too few."""
    found = []
    for kind, values in WRONG_VALUES:
        for value in values:
            with pytest.raises(ValidationError) as caught:
                TypeAdapter(kind).validate_python(value, strict=True)
            found.append(caught.value.errors()[0]["msg"])
    return found


def with_holes(english: str) -> str:
    return HOLE.join(Template.of(english, "").literals)


def is_made_of(text: str, literals: tuple[str, ...]) -> bool:
    """Whether a text is a template of the code with other texts of the code in its holes."""
    first, *others = literals
    if not text.startswith(first):
        return False
    rest = text[len(first) :]
    if not others:
        return not rest
    return any(
        rest[:end].strip(" ") in said() and is_made_of(rest[end:], tuple(others))
        for end in range(len(rest) + 1)
    )


def clauses_in(path: Path) -> Iterator[str]:
    """What a module says of which a sentence is made elsewhere: why rows and layers are refused."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="RowRefused" | "_refused"), args=args):
                parts: list[ast.AST] = list(args)
            case ast.FunctionDef(name=name) if re.search("fault|check_row|_lack$", name):
                inner = (one for one in ast.walk(node) if isinstance(one, ast.Return | ast.Yield))
                parts = [value for one in inner if (value := one.value) is not None]
            case _:
                continue
        for part in parts:
            branches = [part.body, part.orelse] if isinstance(part, ast.IfExp) else [part]
            yield from (one for branch in branches for one in readings(branch) if " " in one)


def is_said(text: str) -> bool:
    if text in said() or text in JOINED:
        return True
    of_text = Template(tuple(text.split(HOLE)), (), "")
    if any(of_text.values(one) is not None for one in said_by_pydantic()):
        return True
    return any(HOLE in one and is_made_of(text, tuple(one.split(HOLE))) for one in said())


def sentences_in(path: Path) -> set[str]:
    """What of a module's texts reads as a sentence, and the clauses of which others are made."""
    whole = {one.strip(" ") for one in said_in(path) if re.search(f"[a-z{HOLE}]\\.$", one)}
    return {one for one in whole | {*clauses_in(path)} if " " in one and "\n" not in one}


def modules() -> Iterator[Path]:
    for room in ROOMS:
        place = SOURCE / room
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def test_what_is_translated_is_said_in_the_code() -> None:
    """A sentence that is changed in a room has to be changed here too, or it would be told in
    English."""
    assert [entry["en"] for entry in catalogue() if not is_said(with_holes(entry["en"]))] == []


def test_what_people_can_meet_is_translated() -> None:
    known = {with_holes(entry["en"]) for entry in catalogue()}
    missing = {
        f"{name}: {one.replace(HOLE, '{}')}"
        for path in modules()
        if (name := path.relative_to(SOURCE).as_posix()) not in NOT_MET
        for one in sentences_in(path) - known
        if not any(one in other or is_made_of(other, tuple(one.split(HOLE))) for other in known)
    }
    assert missing == set()


def test_modules_of_which_nothing_is_met_are_there() -> None:
    assert {path.relative_to(SOURCE).as_posix() for path in modules()} >= set(NOT_MET)


def test_each_sentence_is_told_with_what_stands_in_its_fields() -> None:
    assert [entry["en"] for entry in catalogue() if not is_told(entry["en"], entry["zh"])] == []


def is_told(english: str, chinese: str) -> bool:
    """Whether a sentence with anything in its fields is found, and no other sentence for it."""
    fields = [(name, mark) for _, name, mark, _ in Formatter().parse(english) if name is not None]
    filled = {name: sample(mark or "", number) for number, (name, mark) in enumerate(fields)}
    text = re.sub(r"\{(\w+)(:[^}]*)?\}", lambda field: filled[field[1]][0], english)
    expected = chinese.format(**{name: one for name, (_, one) in filled.items()})
    return translated(text) == expected and len(filled) == len(fields)


def test_both_languages_have_the_same_fields() -> None:
    for entry in catalogue():
        assert fields_of(entry["en"]) == fields_of(entry["zh"]), entry["en"]


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def sample(mark: str, number: int) -> tuple[str, str]:
    """What may stand in a field, and how it is said."""
    if mark == KNOWN:
        return "the label", "标签"
    if not mark:
        return f"x{number}", f"x{number}"
    key = next(key for key in messages.catalogue() if key.startswith(mark))
    return key.removeprefix(mark), messages.catalogue()[key]["zh"]


def test_no_sentence_is_there_twice() -> None:
    every = [re.sub(r"\{\w+", "{", entry["en"]) for entry in catalogue()]
    assert len(every) == len(set(every))


def test_a_sentence_that_nobody_says_is_found_out() -> None:
    assert is_said(f"There is no site {HOLE}.")
    assert not is_said(f"There is no site that is called {HOLE}.")
    assert not is_said("There is no sites.")


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("There is no site mill.", "没有站点 mill。"),
        ("There is no site site.", "没有站点 site。"),
        (
            "recipe, line 3 (and 2 more): 'gates' must be a list with one mapping for each gate.",
            "recipe 第 3 行（另有 2 处）：“gates”必须是列表，每条门禁一个映射。",
        ),
        ("A recipe must be a mapping, not nothing.", "配方必须是映射，而不是空值。"),
        (
            "method.rank is wrong: input should be greater than or equal to 1.",
            "method.rank 有误：不能小于 1。",
        ),
        (
            "task.schema is wrong: the schema's keyword 'x' cannot be enforced by the engine.",
            "task.schema 有误：引擎不支持模式的关键字 'x'。",
        ),
        (
            "Row 3 cannot be learned from: the prompt is not a list of 1 to 64 messages.",
            "第 3 行无法用于学习：提示不是由 1 到 64 条消息组成的列表。",
        ),
        (
            'item 2 of "a" of the value is not of type string or null',
            '该值的 "a" 的第 2 项不是 string 类型或 null',
        ),
        (
            "The suite s@1 holds 3 rows of a@1 and 1 near duplicate; its scores would not be "
            "honest.",
            "评测集 s@1 含有 a@1 的 3 行，以及 1 行近似重复，其评分将不可信。",
        ),
        (
            "m:3 has not passed: 1 of 2 gates were met. onnx answers 19 of 20 single requests "
            "within 5 ms: 7.00 ms over 30 single requests.",
            "m:3 未通过：2 条门禁中 1 条达标。onnx 单次请求的 P95 延迟不超过 5 毫秒："
            "30 次单独请求，7.00 毫秒。",
        ),
        (
            "This is tried again: The database cannot be used now. See that it runs and that the "
            "disk is not full, then try again.",
            "将会重试：数据库暂时无法使用。请确认数据库正在运行且磁盘未满，然后重试。",
        ),
        (
            "The rollout ended as failed: mill fell back (disk_full: The disk has no room left "
            "for x.).",
            "灰度结束，状态为“失败”：mill 已回退（磁盘已满：磁盘空间不足，无法写入 x）。",
        ),
        ("The tune run ended as cancelled.", "训练任务结束，状态为“已取消”。"),
        ("Approved by person:mei: fits well", "由 person:mei 批准：fits well"),
    ],
)
def test_sentences_in_sentences_are_told_too(english: str, chinese: str) -> None:
    assert spoken(CHINESE, english) == chinese
    assert spoken(ENGLISH, english) == english


def test_what_is_not_known_stays_as_it_is() -> None:
    for text in ("", "mill", "Nobody has said this.", "Nobody has said this. Add it."):
        assert translated(text) is None
        assert spoken(CHINESE, text) == text
    assert spoken(CHINESE, "Add it.", "Say so.", "Add it.") == "请添加。Say so. 请添加。"


@pytest.mark.parametrize("text", ["is " * 1300, "Add it. " * 499, "item 1 of " * 399, ": " * 1999])
def test_long_texts_take_no_long_time(text: str) -> None:
    assert translated(text) is None
    assert translated(text * MOST_CHARACTERS) is None


def num_parts(text: str) -> int:
    reader = Reader(text)
    reader.said(Part(text))
    return reader.num_parts


def test_gates_that_are_not_met_are_told_apart() -> None:
    text = " ".join(["m:3 has not passed: 0 of 4 gates were met.", *NOT_MET_GATES])
    assert num_parts(text) < 200
    assert spoken(CHINESE, text) == (
        "m:3 未通过：4 条门禁中 0 条达标。"
        "onnx 单次请求的 P95 延迟不超过 5 毫秒：30 次单独请求，7.00 毫秒。"
        "t@1 上的 accuracy 不低于 0.9（置信水平 95%）：9 行不足以判定，需要更大的评测集。"
        "t@1 上的 accuracy 比父栈至多下降 0.01：比 m:2 低 0.02（95% 区间 0.01 至 0.03，300 行）。"
        "onnx 与训练模型的一致率不低于 99.0%：100 个回答中 90 个一致（90.0%）。"
    )


@pytest.mark.parametrize("text", [*NOT_MET_GATES, "recipe, line 3: m:3 is wrong: x lacks y."])
def test_twice_the_text_has_at_most_four_times_the_parts(text: str) -> None:
    assert num_parts(" ".join([text] * 8)) <= 4 * num_parts(" ".join([text] * 4))


def test_a_text_with_too_many_parts_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[Reader] = []

    def noted(text: str) -> Reader:
        readers.append(Reader(text))
        return readers[-1]

    monkeypatch.setattr(sentences, "Reader", noted)
    for _ in range(2):
        assert spoken(CHINESE, HOSTILE) == HOSTILE
    assert [reader.num_parts for reader in readers] == [MOST_PARTS]  # and it is remembered


def test_an_error_is_told_with_what_to_do_and_as_its_kind_where_it_is_not_known() -> None:
    known = NotFound("There is no site mill.", next_step="List them: dizuo site ls.")
    assert error_sentence(CHINESE, known) == "没有站点 mill。查看全部站点：dizuo site ls。"
    assert error_sentence(ENGLISH, known) == str(known)
    half = NotFound("There is no site mill.", next_step="Ask Mei.")
    assert error_sentence(CHINESE, half) == "没有站点 mill。Ask Mei."
    other = InvalidInput("Nobody has said this.", next_step="Say it.")
    assert error_sentence(CHINESE, other) == "输入无效。（Nobody has said this. Say it.）"


@pytest.mark.parametrize("role", list(Role))
def test_words_in_a_sentence_are_those_of_the_pages(role: Role) -> None:
    text = f"This needs the role {role.word}; mei does not have it."
    assert CHINESE(f"role.{role.word}") in spoken(CHINESE, text)

"""What a model that comes without data is asked, so that its answers can be compared later. Light.

Short questions in Chinese and English with short answers that models agree on, always the same
ones. They are no measure of what a model knows; a layer tuned on it is examined on data.
"""

from __future__ import annotations

from typing import Any

from dizuo.families.text import spec

MAX_TOKENS = 8
"""Of each answer: the longer one is, the likelier that rounding turns it."""
PROMPTS: tuple[str, ...] = (
    "法国的首都是哪座城市？只回答城市名。",
    "一加一等于几？只回答数字。",
    "水的化学式是什么？",
    "把“谢谢”翻译成英文，只回答一个词。",
    "一年有多少个月？只回答数字。",
    "“大”的反义词是什么？只回答一个字。",
    "太阳从哪个方向升起？只回答一个字。",
    "请只回答“是”或“否”：猫是动物吗？",
    "重复下面的词，不要说别的：路灯",
    "人民路12号积水，这件事发生在哪条路？",
    "七乘八等于多少？只回答数字。",
    "中国的首都是哪里？只回答城市名。",
    "下列哪个是水果：桌子、苹果、汽车？只回答一个词。",
    "《红楼梦》的作者是谁？只回答姓名。",
    "一周的第一个工作日是星期几？",
    "用一个字概括这句话的情绪：我今天非常高兴！",
    "What is the capital of Italy? Answer with one word.",
    "What is two plus three? Answer with a number only.",
    "Translate “hello” into French. Answer with one word.",
    "What colour is the sky on a clear day? Answer with one word.",
    "How many days are there in a week? Answer with a number only.",
    "What is the opposite of “hot”? Answer with one word.",
    "Answer yes or no: is a dog an animal?",
    "Repeat this word and nothing else: lamp",
    "Which planet do we live on? Answer with one word.",
    "What is 9 times 9? Answer with a number only.",
    "Which is larger, an elephant or a mouse? Answer with one word.",
    "What language is spoken in Japan? Answer with one word.",
    "Complete the sequence with one number: 2, 4, 6, 8,",
    "Who wrote “Romeo and Juliet”? Answer with the name only.",
    "Is this review positive or negative: “I love it!” Answer with one word.",
    "What do bees make? Answer with one word.",
)


def request_for(prompt: str) -> dict[str, Any]:
    """The request that asks one of them, its answer no longer than MAX_TOKENS."""
    return short(spec.request([{"prompt": prompt}]), MAX_TOKENS)


def short(request: dict[str, Any], max_tokens: int | None) -> dict[str, Any]:
    """A batch with answers of at most `max_tokens`; None leaves that to the layer."""
    if max_tokens is None:
        return request
    return {"requests": [{**part, "max_tokens": max_tokens} for part in request["requests"]]}

"""How tickets are phrased: templates of each split, and what says how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dizuo.demo.hotline.model import Language, Split


@dataclass(frozen=True, slots=True)
class Phrasing:
    """What a split may write around place, event and urgency.

    `bodies` have the fields {place}, {event} and sometimes {days}; `orders` list clauses among
    opening, body, urgency and closing.
    """

    bodies: tuple[str, ...]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    orders: tuple[str, ...]


_ORDERS: Mapping[Split, tuple[str, ...]] = MappingProxyType(
    {
        Split.TRAIN: (
            "body urgency",
            "urgency body",
            "opening body urgency",
            "opening urgency body",
            "body urgency closing",
            "opening body urgency closing",
            "body closing urgency",
        ),
        Split.HELDOUT: (
            "urgency body closing",
            "opening body closing urgency",
            "opening urgency body closing",
        ),
    }
)

_CHINESE_TRAIN = Phrasing(
    bodies=(
        "{place}{event}",
        "{place}附近{event}",
        "在{place}，{event}",
        "{event}，地点在{place}",
        "{event}，位置是{place}，已经{days}天了",
        "{place}这边{event}，持续{days}天",
        "我住{place}，这里{event}",
        "路过{place}时发现{event}",
        "反映{place}的问题：{event}",
        "{place}门口{event}，{days}天没人管",
        "从{days}天前开始，{place}{event}",
        "{event}（{place}）",
        "地址：{place}。情况：{event}",
        "想投诉一下，{place}那里{event}",
        "发现{place}里面{event}",
        "{event}，在{place}后面",
        "上周起{place}周围{event}",
        "请核实{place}，{event}",
        "今早在{place}看见{event}",
        "想问问{place}{event}归谁管",
        "{place}的住户说{event}",
        "每天都走{place}，这几天{event}",
    ),
    openings=(
        "您好",
        "你好，我是附近居民",
        "市民来电",
        "工作人员好",
        "热线您好",
        "麻烦记录一下",
        "您好，我姓王",
        "喂，你好",
        "请问是热线吗",
        "下午好",
        "有件事要说",
        "我们是这里的租户",
    ),
    closings=("谢谢", "辛苦了", "请回电", "以上", "麻烦了", "等您消息", "就这些", "拜托了"),
    orders=_ORDERS[Split.TRAIN],
)
_CHINESE_HELDOUT = Phrasing(
    bodies=(
        "今天经过{place}，看到{event}",
        "{event}，具体地址{place}",
        "{place}对面{event}，快{days}天了",
        "家在{place}旁边，最近{event}",
        "情况是{event}，就在{place}",
        "问题地点：{place}；问题：{event}，拖了{days}天",
        "昨天起{place}一带{event}",
    ),
    openings=("早上好", "我想反映个事", "您好，打扰了"),
    closings=("感谢帮忙", "期待答复", "多谢"),
    orders=_ORDERS[Split.HELDOUT],
)
_ENGLISH_TRAIN = Phrasing(
    bodies=(
        "{event} at {place}",
        "{event} near {place}",
        "at {place} {event}",
        "I live at {place} and {event}",
        "{event}, the address is {place}",
        "{event} in front of {place}, for {days} days now",
        "location: {place}. Problem: {event}",
        "we noticed that {event} close to {place}",
        "for {days} days now {event} at {place}",
        "I want to report that {event} at {place}",
        "a complaint about {place}: {event}",
        "{event} ({place})",
        "this began {days} days ago: {event} beside {place}",
        "around {place} {event} and nobody comes",
        "my neighbour at {place} says that {event}",
        "{event} behind {place}",
        "at the corner by {place} {event}",
        "please check {place}: {event}",
        "since last week {event} at {place}",
        "I pass {place} daily and {event}",
        "people at {place} tell me that {event}",
        "who is in charge of {place}, where {event}",
    ),
    openings=(
        "hello",
        "good morning",
        "dear hotline",
        "I am a resident nearby",
        "please take a note",
        "hello, my name is Wang",
        "good afternoon",
        "to whom it may concern",
        "I am calling about a problem",
        "there is something to report",
        "we are tenants here",
    ),
    closings=(
        "thank you",
        "thanks in advance",
        "please call back",
        "that is all",
        "thanks a lot",
        "please let me know",
        "best wishes",
        "this was my message",
    ),
    orders=_ORDERS[Split.TRAIN],
)
_ENGLISH_HELDOUT = Phrasing(
    bodies=(
        "walking past {place} I saw that {event}",
        "{event}, exactly at {place}",
        "opposite {place} {event}, {days} days already",
        "my home is next to {place}, where {event}",
        "the issue is that {event}, right by {place}",
        "where: {place}; what: {event}",
        "as of yesterday {event} outside {place}",
    ),
    openings=("hi there", "good evening", "sorry to trouble you"),
    closings=("many thanks", "looking forward to your answer", "regards"),
    orders=_ORDERS[Split.HELDOUT],
)

PHRASINGS: Mapping[tuple[Language, Split], Phrasing] = MappingProxyType(
    {
        (Language.CHINESE, Split.TRAIN): _CHINESE_TRAIN,
        (Language.CHINESE, Split.HELDOUT): _CHINESE_HELDOUT,
        (Language.ENGLISH, Split.TRAIN): _ENGLISH_TRAIN,
        (Language.ENGLISH, Split.HELDOUT): _ENGLISH_HELDOUT,
    }
)
"""By language and split; the splits have no text in common."""

URGENCY: Mapping[Language, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        Language.CHINESE: MappingProxyType(
            {
                "high": (
                    "非常危险，请马上派人来",
                    "已经有人受伤了",
                    "情况紧急，请立即处理",
                    "十万火急",
                    "再拖就要出事了",
                ),
                "normal": (
                    "希望尽快解决",
                    "请这几天安排处理",
                    "麻烦相关部门跟进一下",
                    "",
                    "请给个说法",
                ),
                "low": (
                    "不着急，有空处理就行",
                    "不急，方便的时候看看",
                    "只是提个建议",
                    "先登记，以后再说",
                    "排期处理即可",
                ),
            }
        ),
        Language.ENGLISH: MappingProxyType(
            {
                "high": (
                    "someone has already been hurt",
                    "this is an emergency",
                    "please send someone at once",
                    "it is very dangerous",
                    "it cannot wait another hour",
                ),
                "normal": (
                    "please fix it soon",
                    "please look into it this week",
                    "we hope for a solution",
                    "",
                    "please follow up",
                ),
                "low": (
                    "there is no hurry",
                    "whenever you have time",
                    "this is only a suggestion",
                    "just put it on record",
                    "next month is fine",
                ),
            }
        ),
    }
)
"""What a ticket says about its urgency; saying nothing is normal."""


def urgency_phrases(language: Language, level: str, category: str, split: Split) -> tuple[str, ...]:
    """The phrases for `level` that `split` may put beside `category`; held out is one in five."""
    turn = sum(category.encode())
    return tuple(
        phrase
        for index, phrase in enumerate(URGENCY[language][level])
        if ((turn + index) % 5 == 0) == (split is Split.HELDOUT)
    )

"""How tickets are phrased: templates of each split, and what says how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dizuo.demo.hotline.model import Language, Split


@dataclass(frozen=True, slots=True)
class Phrasing:
    """What a split may write around place, event and urgency.

    `bodies` have the fields {place}, {event} and sometimes {days}; one of `leads` may stand before
    a body and one of `tails` after it; `orders` list clauses among opening, body, urgency and
    closing.
    """

    bodies: tuple[str, ...]
    leads: tuple[str, ...]
    tails: tuple[str, ...]
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
    leads=(
        "我要反映一下，",
        "最近",
        "这两天",
        "昨天晚上",
        "今天上午",
        "前天开始",
        "每到夜里",
        "一到下雨天",
        "听邻居说",
        "孩子放学时看到",
        "上班路上发现",
        "我妈说",
        "物业不管，",
        "之前打过电话，",
        "微信群里都在说",
        "天气一冷",
        "刚才",
        "周末的时候",
        "连着几天",
        "好几户都说",
        "老人出门不方便，",
        "晚上散步看到",
        "骑车经过时",
        "接孩子的时候",
        "外卖员告诉我",
        "不知道归谁管，",
        "我朋友住那边，",
        "早高峰的时候",
        "中午开始",
        "从上个月起",
        "跟居委会说过，",
        "又来麻烦你们了，",
        "第三次打来了，",
        "听说",
        "好像",
    ),
    tails=(
        "，大家都有意见",
        "，影响出行",
        "，已经跟物业说过了",
        "，一直没人来",
        "，拍了照片可以发",
        "，晚上更严重",
        "，孩子们都害怕",
        "，跟上次一样",
        "，今年第二次了",
        "，邻居也看到了",
        "，不知道找谁",
        "，电话打不通",
        "，商户都在抱怨",
        "，下雨就更麻烦",
        "，来来往往的人很多",
        "，住户都知道",
        "，群里也有人说",
        "，以前不是这样",
        "，前几天还好好的",
        "，有视频",
        "，我就在现场",
        "，麻烦问一下原因",
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
        "你好，打扰一下",
        "我是开店的",
        "我替老人打的",
        "想咨询一个问题",
        "大家好",
        "您好，我在现场",
        "刚才没打通",
        "又是我",
    ),
    closings=(
        "谢谢",
        "辛苦了",
        "请回电",
        "以上",
        "麻烦了",
        "等您消息",
        "就这些",
        "拜托了",
        "再见",
        "先这样",
        "我的电话您有",
        "祝工作顺利",
    ),
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
    leads=(
        "同事说",
        "下班回家时",
        "凌晨的时候",
        "我爸发现",
        "这个月以来",
        "说来也怪，",
        "楼下的都讲",
    ),
    tails=(
        "，谁路过都看得见",
        "，问了几次没结果",
        "，一天比一天差",
        "，门卫也这么说",
        "，我录了音",
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
    leads=(
        "yesterday evening",
        "this morning",
        "once again",
        "for some time",
        "on my way home",
        "after the rain",
        "during the night",
        "as my mother says",
        "so everybody here says",
        "I took a photo,",
        "nobody answers the phone,",
        "I called before,",
        "to be honest",
        "I do not know whom to ask,",
        "on Sunday",
        "every evening",
        "at lunchtime",
        "a colleague says",
        "we all see it,",
        "sorry to ask,",
        "in the early hours",
        "the shopkeeper says",
        "since the holidays",
        "it is the same again,",
        "quite often",
        "my friend lives there,",
        "when I cycled by",
        "with the children",
        "a week ago",
        "on my way to work",
    ),
    tails=(
        ", and everybody complains",
        ", I have pictures",
        ", nobody has come so far",
        ", it is worse at night",
        ", the neighbours saw it too",
        ", it was fine before",
        ", the shops are unhappy",
        ", it is the second time this year",
        ", I told the caretaker",
        ", many people pass here",
        ", people talk about it",
        ", the children are afraid",
        ", I am standing right here",
        ", it gets worse when it rains",
        ", and no one knows why",
        ", I made a video",
        ", the phone is always busy",
        ", it was the same last year",
        ", we have talked about it",
        ", old people have a hard time",
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
        "hello again",
        "good day",
        "I run a shop here",
        "I write for my parents",
        "one question",
        "I could not get through before",
        "greetings",
        "I hope this is the right place",
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
        "goodbye",
        "you have my number",
        "have a nice day",
        "that was it",
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
    leads=(
        "late last night",
        "my son noticed it:",
        "all this month",
        "strangely enough",
        "coming back from work",
        "the guard says",
    ),
    tails=(
        ", anyone passing can see it",
        ", I asked several times",
        ", it gets worse day by day",
        ", the guard says the same",
        ", I have a recording",
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

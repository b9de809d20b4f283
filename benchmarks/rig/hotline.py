"""Made-up tickets read by the demo's Harbin stack, and three ways in which they change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from benchmarks.rig.drifts import Drift
from benchmarks.rig.learning import Course, import_base
from dizuo.demo.hotline.cities import HARBIN
from dizuo.demo.hotline.copying import varied_rows
from dizuo.demo.hotline.government import GOVERNMENT, event
from dizuo.demo.hotline.model import Desk, Language, Phrasing, Split
from dizuo.demo.hotline.story import FULL, NEW_SHARE
from dizuo.demo.hotline.tickets import Loosen, Mix, draw_ticket
from dizuo.families.base import Row

NUM_TEST = 400
NUM_CALLS = 1500
_TARGET = "gguf-f16"

_DIALECT = (
    event(
        "flooding",
        zh=("涵洞|低洼处|车库入口|巷子口", "泡在水里|成了河|水漫上来|水没到膝盖"),
        en=(
            "the tunnel|the dip|the garage ramp|the lane",
            "has turned into a pond|is knee-deep|is awash|has standing water",
        ),
    ),
    event(
        "streetlight",
        zh=("灯杆|高杆灯|灯柱|道灯", "黑着|瞎了|忽明忽暗|点不着"),
        en=(
            "the lantern|the mast light|the light pole|the bulb overhead",
            "has gone dead|is pitch black|blinks all night|gave up",
        ),
    ),
    event(
        "garbage",
        zh=("脏土|泔水桶|破烂|杂物堆", "招苍蝇|没人拉|味儿太大|堵了门"),
        en=(
            "the trash|the dumpster|the junk|the refuse",
            "draws flies|was not hauled away|reeks|blocks the gate",
        ),
    ),
    event(
        "noise",
        zh=("大喇叭|歌厅|电锯|锣鼓队", "闹腾|震耳朵|半夜不停|吵得头疼"),
        en=(
            "the speaker|the karaoke club|the chainsaw|the drum band",
            "makes a racket|rattles the windows|never stops at night|gives us headaches",
        ),
    ),
    event(
        "heating",
        zh=("屋里|地热|管道|炉子", "冻死人|烧不热|跟冰窖似的|半温不火"),
        en=(
            "the flat|the warm water pipe|the boiler|the stove",
            "is ice cold|will not get warm|is like a cellar|is lukewarm at best",
        ),
    ),
    event(
        "road-damage",
        zh=("道牙子|马路牙|油漆路|坡道", "塌了|翘起来|全是坑|裂口子"),
        en=(
            "the kerb|the tarmac|the ramp|the paving",
            "has caved in|sticks up|is all potholes|has split open",
        ),
    ),
)
"""Events that Harbin knows, in words that no training has seen."""

_FORMS: Mapping[Split, Mapping[Language, Phrasing]] = {
    Split.TRAIN: {
        Language.CHINESE: Phrasing(
            bodies=(
                "定位#{place} 内容#{event}",
                "{event} @{place}",
                "地点>{place} 事项>{event} 天数>{days}",
                "标题:{event} 定位:{place}",
            ),
            leads=("[新工单] ", "[转单] ", "[随手拍] "),
            tails=(" +图1", " +图3", " 匿名"),
            openings=("小程序提交", "用户端v3", "网格员代报"),
            closings=("来源:小程序", "状态:待受理"),
            orders=("opening body urgency closing", "body urgency", "urgency body closing"),
        ),
        Language.ENGLISH: Phrasing(
            bodies=(
                "loc#{place} what#{event}",
                "{event} @ {place}",
                "where>{place} what>{event} days>{days}",
                "subject={event} pin={place}",
            ),
            leads=("[new]", "[fwd]", "[snap]"),
            tails=(" +1 photo", " +3 photos", " anon"),
            openings=("sent from the app", "client v3", "via the warden"),
            closings=("src=app", "state=open"),
            orders=("opening body urgency closing", "body urgency", "urgency body closing"),
        ),
    },
    Split.HELDOUT: {
        Language.CHINESE: Phrasing(
            bodies=(
                "位置|{place}|描述|{event}",
                "<{event}> 于 <{place}>",
                "持续{days}天;问题={event};坐标={place}",
            ),
            leads=("(急件) ", "(补充) "),
            tails=(" 附图2张", " 实名"),
            openings=("热线转网页", "网页端提交"),
            closings=("渠道:网页", "进度:未派"),
            orders=("body opening urgency", "urgency opening body", "body closing urgency"),
        ),
        Language.ENGLISH: Phrasing(
            bodies=(
                "place|{place}|problem|{event}",
                "<{event}> at <{place}>",
                "for {days} d; issue: {event}; spot: {place}",
            ),
            leads=("(more)", "(again)"),
            tails=(" 2 images", " named"),
            openings=("from the web form", "web, old layout"),
            closings=("channel: web", "step: none yet"),
            orders=("body opening urgency", "urgency opening body", "body closing urgency"),
        ),
    },
}
"""How tickets look that come from an app, and, for the held-out ones, from a web page."""


@dataclass(frozen=True, slots=True)
class Change:
    """What comes in after it: whose tickets, how many about new events, and how those of a split
    are phrased, where that changes."""

    desk: Desk = HARBIN
    new_share: float = 0.0
    phrasing: Callable[[Split], Loosen] | None = None

    def rows(self, num_rows: int, split: Split, seed: int) -> list[Row]:
        """Tickets, no two with the same text."""
        draw, mix = random.Random(f"change {seed}"), Mix(self.desk, split, self.new_share)
        loose = self.phrasing(split) if self.phrasing else None
        found: dict[str, Row] = {}
        while len(found) < num_rows:
            row = draw_ticket(mix, draw, loose=loose).row
            found.setdefault(row["prompt"], row)
        return list(found.values())


def _dialect() -> Desk:
    told = {one.category: one for one in _DIALECT}
    return replace(HARBIN, events=tuple(told.get(one.category, one) for one in HARBIN.events))


def _as_form(split: Split) -> Loosen:
    return lambda _phrasing, language: _FORMS[split][language]


CHANGES: Mapping[str, Change] = {
    "winter": Change(new_share=NEW_SHARE),
    "dialect": Change(desk=_dialect()),
    "form": Change(phrasing=_as_form),
}
"""`winter` is that of the demo's story: kinds of events that the table did not have. `dialect`: six
of the known ones in other words. `form`: tickets come from an app, the held-out ones from a web
page."""


def drifts(seed: int, folder: Path) -> Iterator[Drift]:
    """Each change over one draw of tickets; one stack for all of them."""
    with as_file(files("dizuo.demo.hotline").joinpath("base")) as committed:
        base = import_base("text", committed, _TARGET, folder / "base")
    industry = Course("government", _TARGET, base).learn(
        list(varied_rows(Mix(GOVERNMENT), FULL.government, seed)), folder / "government"
    )
    usual = list(varied_rows(Mix(HARBIN), FULL.city, seed))
    stack = Course("harbin-hotline", _TARGET, industry).learn(usual, folder / "harbin")
    for name, change in CHANGES.items():
        yield Drift(
            name=name,
            stack=stack,
            course=Course("harbin-hotline-winter", _TARGET, industry, usual),
            usual=Change().rows(NUM_TEST, Split.HELDOUT, seed + 1000),
            changed=change.rows(NUM_TEST, Split.HELDOUT, seed + 1000),
            stream=change.rows(NUM_CALLS, Split.TRAIN, seed + 2000),
        )

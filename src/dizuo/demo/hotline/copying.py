"""Plain copying: what makes a small base able to write a name that it has never read."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice

from dizuo.demo.hotline.cities import DESKS, FESTIVAL
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.model import Language, Row, Split
from dizuo.demo.hotline.phrasing import PHRASINGS, URGENCY
from dizuo.demo.hotline.places import STEM_CHARACTERS, draw_place
from dizuo.demo.hotline.tickets import Mix, ticket_rows

HEADS = ("复述：", "Repeat: ")
_COMMON_CHARACTERS = (
    "的一是不了在人有我他这个们来到时大地为子中你说生国年着就那和要出也得里后自以会家可下而过天去能"
    "对小多然于心学之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行"
    "意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔"
    "点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体"
    "却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直"
    "字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满"
)
_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z][a-z-]*[a-z]")


def copying_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` texts to repeat: train-split places, loose characters, loose words.

    They draw from every character and word that tickets are written in, so that a base knows them
    as a reader knows an alphabet, in no order that a ticket has.
    """
    draw = random.Random(f"copying {seed}")
    for _ in range(num_rows):
        text = _draw_text(draw)
        yield {"prompt": draw.choice(HEADS) + text, "label": text}


def base_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """What the base learns from, in turns: a service desk's ticket, a text to copy."""
    pairs = zip(
        ticket_rows(Mix(FACILITY), num_rows, seed), copying_rows(num_rows, seed), strict=True
    )
    return islice(chain.from_iterable(pairs), num_rows)


def _draw_text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.5:
        language = draw.choice(tuple(Language))
        characters = draw.choice((STEM_CHARACTERS, _characters()))
        return draw_place(language, Split.TRAIN, draw, characters=characters).text
    if kind < 0.75:
        return "".join(draw.choices(_characters(), k=draw.randint(2, 10)))
    number = str(draw.randint(1, 999))
    return " ".join([number, *draw.choices(_words(), k=draw.randint(1, 6))])


def _texts() -> Iterator[str]:
    """Every text that tickets are made from, and every code that labels are made from."""
    for desk in DESKS.values():
        yield from desk.departments
        yield from desk.departments.values()
        for names in (desk.districts or {}).values():
            yield from names
        for event in (*desk.events, *FESTIVAL):
            for wording in event.wordings.values():
                yield from (*wording.subjects, *wording.faults)
    for phrasing in PHRASINGS.values():
        yield from (*phrasing.bodies, *phrasing.openings, *phrasing.closings)
    for levels in URGENCY.values():
        yield from (phrase for phrases in levels.values() for phrase in phrases)


@cache
def _characters() -> str:
    found = _HAN.findall("".join(_texts()))
    return "".join(sorted({*found, *STEM_CHARACTERS, *_COMMON_CHARACTERS}))


@cache
def _words() -> tuple[str, ...]:
    return tuple(sorted({word for text in _texts() for word in _WORD.findall(text)}))

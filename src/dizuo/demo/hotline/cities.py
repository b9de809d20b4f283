"""Two cities: the same events go to other departments, and one city has a winter of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.government import DEPARTMENTS, EVENTS, GOVERNMENT, event
from dizuo.demo.hotline.model import Desk, Event, Language

FESTIVAL: tuple[Event, ...] = (
    event(
        "ice-structure",
        zh=("冰雕|雪雕|冰滑梯|冰墙", "开裂|快塌了|往下掉冰块|融化变形"),
        en=(
            "the ice sculpture|the snow statue|the ice slide|the ice wall",
            "is splitting apart|is about to collapse|sheds chunks of ice|melts out of shape",
        ),
    ),
    event(
        "overcharging",
        zh=("民宿|旅行社|导游|滑雪场", "坐地起价|强制消费|临时涨价|乱收费"),
        en=(
            "the guesthouse|the tour guide|the travel agency|the ski resort",
            "doubled the price|forces us to buy|charges hidden fees|refuses the agreed price",
        ),
    ),
    event(
        "crowding",
        zh=("观景台|索道|检票口|雪圈场", "人挤人|排队三小时|无人疏导|挤得动不了"),
        en=(
            "the viewing platform|the cable car|the ticket office|the sledging hill",
            "is dangerously crowded|has an endless queue|has no stewards|is packed with visitors",
        ),
    ),
)
"""What Harbin's ice and snow festival brings to the telephone."""

_HARBIN: Mapping[str, str] = MappingProxyType(
    {
        **DEPARTMENTS,
        "flooding": "drainage-company",
        "streetlight": "lighting-office",
        "manhole": "drainage-company",
        "noise": "police",
        "garbage": "urban-management",
        "water-outage": "water-company",
        "heating": "heating-office",
        "road-damage": "urban-management",
        "fallen-tree": "forestry-bureau",
        "ice-structure": "culture-bureau",
        "overcharging": "price-inspection",
        "crowding": "festival-office",
    }
)

_SHENZHEN: Mapping[str, str] = MappingProxyType(
    {
        **{category: name for category, name in DEPARTMENTS.items() if category != "heating"},
        "streetlight": "lighting-centre",
        "manhole": "water-bureau",
        "garbage": "urban-management",
        "water-outage": "water-group",
        "unpaid-wages": "labour-inspection",
        "food-safety": "health-commission",
        "road-damage": "transport-bureau",
        "fallen-tree": "urban-management",
        "stray-dogs": "urban-management",
        "elevator": "housing-bureau",
    }
)

HARBIN = Desk(
    "harbin",
    EVENTS,
    _HARBIN,
    new_events=FESTIVAL,
    districts=MappingProxyType(
        {
            Language.CHINESE: ("道里区", "南岗区", "道外区", "香坊区", "平房区", "松北区"),
            Language.ENGLISH: ("Daoli", "Nangang", "Daowai", "Xiangfang", "Pingfang", "Songbei"),
        }
    ),
)
SHENZHEN = Desk(
    "shenzhen",
    tuple(one for one in EVENTS if one.category != "heating"),
    _SHENZHEN,
    districts=MappingProxyType(
        {
            Language.CHINESE: ("福田区", "罗湖区", "南山区", "宝安区", "龙岗区", "盐田区"),
            Language.ENGLISH: ("Futian", "Luohu", "Nanshan", "Baoan", "Longgang", "Yantian"),
        }
    ),
)
DESKS: Mapping[str, Desk] = MappingProxyType(
    {desk.name: desk for desk in (FACILITY, GOVERNMENT, HARBIN, SHENZHEN)}
)
"""Every desk by its name."""

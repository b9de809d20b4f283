"""What people call any city about, and where a city without rules of its own sends it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dizuo.demo.hotline.model import Desk, Event, Language, Wording


def event(category: str, *, zh: tuple[str, str], en: tuple[str, str]) -> Event:
    """An event from its subjects and faults, each a text cut at "|"."""
    wordings = {
        Language.CHINESE: _wording(*zh),
        Language.ENGLISH: _wording(*en),
    }
    return Event(category, MappingProxyType(wordings))


def _wording(subjects: str, faults: str) -> Wording:
    return Wording(tuple(subjects.split("|")), tuple(faults.split("|")))


EVENTS: tuple[Event, ...] = (
    event(
        "flooding",
        zh=("路面|地下通道|桥洞|院子门口", "积水很深|排不出水|被水淹了|积水没过脚踝"),
        en=(
            "the road|the underpass|the crossing|the courtyard",
            "is flooded|is under water|does not drain|has ankle-deep water",
        ),
    ),
    event(
        "streetlight",
        zh=("路灯|街灯|路边的灯|人行道照明灯", "不亮|整夜不亮|一闪一闪|坏了"),
        en=(
            "the streetlight|the lamp post|the street lamp|the footpath light",
            "is out|stays dark at night|keeps flickering|is broken",
        ),
    ),
    event(
        "manhole",
        zh=("井盖|下水道盖子|雨水箅子|检查井盖", "丢失|松动|破损|翻开了"),
        en=(
            "the manhole cover|the drain cover|the sewer lid|the iron grate",
            "is missing|is loose|is cracked|has been removed",
        ),
    ),
    event(
        "noise",
        zh=("广场舞音响|夜间施工|酒吧|装修电钻", "太吵|吵得睡不着|深夜还在响|噪音扰民"),
        en=(
            "the square-dance music|the night construction|the bar|the drilling",
            "is too loud|keeps us awake|goes on past midnight|makes constant noise",
        ),
    ),
    event(
        "garbage",
        zh=("生活垃圾|垃圾桶|建筑垃圾|垃圾点", "没人清运|堆积如山|臭气熏天|满出来了"),
        en=(
            "the rubbish|the bin|the garbage pile|the waste container",
            "is not collected|is overflowing|smells terrible|attracts flies",
        ),
    ),
    event(
        "water-outage",
        zh=("自来水|水龙头|家里的水|高层的水", "停了|放不出来|压力很小|时有时无"),
        en=(
            "the tap water|the water supply|our running water|the mains water",
            "has been cut off|has stopped|has very low pressure|comes and goes",
        ),
    ),
    event(
        "unpaid-wages",
        zh=("工地老板|公司|包工头|餐馆老板", "拖欠工资|不发工钱|欠薪不给|扣着工资不发"),
        en=(
            "my employer|the contractor|the building firm|the restaurant owner",
            "has not paid wages|owes us our pay|withholds salaries|refuses to pay the workers",
        ),
    ),
    event(
        "illegal-parking",
        zh=("私家车|货车|面包车|一排汽车", "违章停车|占了盲道|堵住路口|乱停在人行道"),
        en=(
            "a car|a van|a lorry|a row of cars",
            "is parked illegally|blocks the junction|is parked on the pavement|blocks the drive",
        ),
    ),
    event(
        "heating",
        zh=("暖气|暖气片|供暖|地暖", "不热|冰凉|还没来|温度不达标"),
        en=(
            "the heating|the radiator|the central heating|the floor heating",
            "is cold|is not warm enough|has not been turned on|is only lukewarm",
        ),
    ),
    event(
        "food-safety",
        zh=("学校食堂|小吃店|外卖|超市熟食", "吃出虫子|卖过期食品|让人吃坏肚子|卫生很差"),
        en=(
            "the school canteen|the snack bar|the takeaway|the deli",
            "sells expired food|served spoiled meat|has insects in the food|has a filthy kitchen",
        ),
    ),
    event(
        "road-damage",
        zh=("马路|柏油路|人行道地砖|车行道", "坑坑洼洼|塌陷|裂开大缝|有个大坑"),
        en=(
            "the road surface|the asphalt|the pavement|the carriageway",
            "has a deep pothole|is caving in|is full of holes|has a wide crack",
        ),
    ),
    event(
        "fallen-tree",
        zh=("大树|树枝|行道树|枯树", "倒了|断了|歪了|砸在路上"),
        en=(
            "a tree|a big branch|a dead tree|a street tree",
            "has fallen|is about to fall|leans over the road|has snapped",
        ),
    ),
    event(
        "air-pollution",
        zh=("工厂|烧烤摊|烟囱|化工厂", "冒黑烟|排放刺鼻气味|油烟很大|散发臭味"),
        en=(
            "the factory|the barbecue stall|the chimney|the paint workshop",
            "gives off black smoke|emits a foul smell|releases thick fumes|fills the air with soot",
        ),
    ),
    event(
        "stray-dogs",
        zh=("流浪狗|一群野狗|没拴绳的狗|大型犬", "追着人咬|到处乱跑|吓到小孩|整天狂叫"),
        en=(
            "a stray dog|a pack of dogs|a dog without a leash|an aggressive dog",
            "chases people|roams around|scares children|barks all day",
        ),
    ),
    event(
        "bus",
        zh=("公交车|班车|末班车|夜班公交", "一直不来|甩站不停|总是晚点|提前开走"),
        en=(
            "the bus|the night bus|the last bus|the shuttle bus",
            "never comes|skips the stop|is always late|leaves too early",
        ),
    ),
    event(
        "elevator",
        zh=("电梯|货梯|客梯|单元电梯", "停运|突然下坠|门关不上|经常困人"),
        en=(
            "the lift|the elevator|the service lift|the passenger lift",
            "is out of order|drops suddenly|will not close its doors|keeps trapping people",
        ),
    ),
)

DEPARTMENTS: Mapping[str, str] = MappingProxyType(
    {
        "flooding": "water-bureau",
        "streetlight": "urban-management",
        "manhole": "urban-management",
        "noise": "environment-bureau",
        "garbage": "sanitation-bureau",
        "water-outage": "water-bureau",
        "unpaid-wages": "labour-bureau",
        "illegal-parking": "traffic-police",
        "heating": "housing-bureau",
        "food-safety": "market-regulator",
        "road-damage": "road-bureau",
        "fallen-tree": "parks-bureau",
        "air-pollution": "environment-bureau",
        "stray-dogs": "police",
        "bus": "transport-bureau",
        "elevator": "market-regulator",
    }
)

_CHINESE_DISTRICTS = "东城区|西城区|江北区|河东区|和平区|中山区|高新区|鼓楼区|海淀区|天河区"
_ENGLISH_DISTRICTS = (
    "Dongcheng|Xicheng|Jiangbei|Hedong|Heping|Zhongshan|Gaoxin|Gulou|Haidian|Tianhe"
)

GOVERNMENT = Desk(
    "government",
    EVENTS,
    DEPARTMENTS,
    districts=MappingProxyType(
        {
            Language.CHINESE: tuple(_CHINESE_DISTRICTS.split("|")),
            Language.ENGLISH: tuple(_ENGLISH_DISTRICTS.split("|")),
        }
    ),
)
"""Any city, as L1 learns it."""

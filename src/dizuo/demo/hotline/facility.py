"""What people ask the service desk of a building for: the tickets that the base has seen."""

from __future__ import annotations

from types import MappingProxyType

from dizuo.demo.hotline.government import event
from dizuo.demo.hotline.model import Desk, Event

EVENTS: tuple[Event, ...] = (
    event(
        "printer",
        zh=("打印机|复印机|彩色打印机|扫描仪", "卡纸|没墨了|打不出来|连不上"),
        en=(
            "the printer|the copier|the scanner|the colour printer",
            "has a paper jam|is out of ink|will not print|is offline",
        ),
    ),
    event(
        "network",
        zh=("无线网|网络|办公室的网|宽带", "断了|很慢|老是掉线|上不去"),
        en=(
            "the wifi|the network|the internet|the broadband",
            "keeps dropping|is very slow|cannot be reached|has no signal",
        ),
    ),
    event(
        "air-conditioner",
        zh=("空调|中央空调|冷气|空调外机", "不制冷|漏水|声音很大|开不了机"),
        en=(
            "the air conditioner|the cooler|the ventilation|the fan",
            "does not cool|drips water|rattles loudly|will not start",
        ),
    ),
    event(
        "lost-item",
        zh=("钱包|雨伞|钥匙|背包", "丢了|落下了|找不到了|忘在那里了"),
        en=(
            "my wallet|my umbrella|my key|my bag",
            "is lost|was left behind|has gone missing|cannot be found",
        ),
    ),
    event(
        "door",
        zh=("大门|门锁|门禁|玻璃门", "打不开|关不严|刷卡没反应|坏了"),
        en=(
            "the door|the lock|the gate|the card reader",
            "will not open|is jammed|does not respond|is broken",
        ),
    ),
    event(
        "parcel",
        zh=("快递|包裹|信件|文件袋", "没送到|送错了|被压坏了|被人拿走了"),
        en=(
            "the parcel|the package|the letter|the delivery",
            "has not arrived|went to the wrong desk|was crushed|was taken by someone",
        ),
    ),
    event(
        "canteen",
        zh=("饭菜|午餐|早餐|自助餐", "太咸|是冷的|不新鲜|供应不足"),
        en=(
            "the lunch|the breakfast|the buffet|the soup",
            "is too salty|was cold|is not fresh|runs out early",
        ),
    ),
    event(
        "cleaning",
        zh=("地面|洗手间|走廊|会议桌", "很脏|没人打扫|积了灰|有异味"),
        en=(
            "the floor|the washroom|the corridor|the meeting table",
            "is dirty|was not cleaned|is dusty|is sticky",
        ),
    ),
    event(
        "booking",
        zh=("会议室|活动室|球场|培训教室", "订不上|被重复预订|被人占用|预约不了"),
        en=(
            "the meeting room|the hall|the tennis court|the classroom",
            "is double booked|cannot be booked|was taken by others|shows the wrong time",
        ),
    ),
    event(
        "lamp",
        zh=("灯管|台灯|吊灯|应急灯", "灭了|晃眼|接触不良|发黄"),
        en=(
            "the ceiling lamp|the desk lamp|the bulb|the emergency light",
            "has burnt out|glares|buzzes|blinks",
        ),
    ),
    event(
        "furniture",
        zh=("椅子|办公桌|柜子|沙发", "散架了|摇晃|掉漆|少了螺丝"),
        en=(
            "the chair|the desk|the cabinet|the sofa",
            "is wobbly|has fallen apart|lost a screw|is scratched",
        ),
    ),
    event(
        "alarm",
        zh=("烟感|报警器|监控|广播", "误报|乱响|黑屏|没声音"),
        en=(
            "the smoke detector|the alarm|the camera|the loudspeaker",
            "gives false alarms|beeps nonstop|is silent|needs a battery",
        ),
    ),
)

FACILITY = Desk(
    "facility",
    EVENTS,
    MappingProxyType(
        {
            "printer": "it-desk",
            "network": "it-desk",
            "air-conditioner": "maintenance",
            "lost-item": "reception",
            "door": "security",
            "parcel": "mail-room",
            "canteen": "catering",
            "cleaning": "cleaning-team",
            "booking": "reception",
            "lamp": "maintenance",
            "furniture": "maintenance",
            "alarm": "security",
        }
    ),
)
"""A building's service desk: nothing of it is a city's business."""

"""Days as Chinese names them; traditional characters have become simplified ones before."""

from __future__ import annotations

import re
from datetime import date
from re import Match

from ikkan.apps.meetings.rules.language.dates import days
from ikkan.apps.meetings.rules.language.dates.forms import DASHED, SLASHED, Reckon, Table, form
from ikkan.apps.meetings.rules.language.text import number

_N = r"(?:[0-9]{1,4}|[〇零一二三四五六七八九十百两俩仨]{1,5})"
_NO_DIGIT = r"(?<![0-9一二三四五六七八九十第几数每./:.])"
_WD = r"(?P<wd>[一二三四五六日天1-6])(?![0-9一二三四五六七八九十次]|个|点)"
_W = r"(?:周|星期|礼拜)"
_WEEK = rf"(?P<week>下下个?|下个?|本|这个?|当){_W}"
_MONTH = r"(?P<month>下下个?|下个?|本|这个?|当)月份?"
_HAO = r"[号日](?!会议室|楼|线|厅|桌|机|门|车|院|店|仓|库|方案|文件|选手|码|子|报|程|常|志|期|本|语|元|均|产|活|用)"
_IN = r"(?:之内|以内|内|以后|之后|后|里)"
_PERIOD_END = r"(?:之内|以内|内|里)"


def _steps(said: str) -> int:
    return said.count("下")


def _which(match: Match[str]) -> int:
    said = match["wd"]
    return 6 if said in "日天" else (number(said) or 1) - 1


def _week_day(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, _which(match), _steps(match["week"]))


def _bare_day(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, _which(match))


def _week_at(which: int) -> Reckon:
    return lambda match, held_on: days.weekday(held_on, which, _steps(match["week"]))


def _month_at(day: int) -> Reckon:
    return lambda match, held_on: days.of_month(held_on, _steps(match["month"]), day)


def _month_day(match: Match[str], held_on: date) -> date | None:
    day = number(match["day"])
    return None if day is None else days.of_month(held_on, _steps(match["month"]), day)


def _named(day: int | None = None) -> Reckon:
    def reckon(match: Match[str], held_on: date) -> date | None:
        said = match.groupdict()
        month = number(said["m"])
        which = number(said["day"]) if day is None else day
        year = number(said["y"]) if said.get("y") else None
        if said.get("rel"):
            year = held_on.year + {"今": 0, "本": 0, "明": 1, "后": 2}[said["rel"][0]]
        return None if month is None or which is None else days.named(held_on, month, which, year)

    return reckon


def _nth(match: Match[str], held_on: date) -> date | None:
    nth = 0 if match["nth"] == "最后一" else number(match["nth"][1:])
    return None if nth is None else days.nth_weekday(held_on, _steps(match["month"]), nth, _which(match))


def _count(match: Match[str]) -> int | None:
    return number(match["n"])


_YEAR = rf"(?:(?P<y>{_N})年|(?P<rel>今年|本年|明年|后年)的?)?"
_M = rf"{_NO_DIGIT}{_YEAR}(?P<m>{_N})月份?"
_SUFFIX = rf"(?:[((、]?{_W}[一二三四五六日天][))]?)?"
_END = r"(?:的?(?:最后一天|月底|底|末|下旬)|之内|以内|内|里)"
_PART = (
    r"(?:的?(?:一大早|一早|大清早|早上|早晨|清晨|上午|中午|午前|下午|傍晚|晚上|夜里|午夜|晚些时候|早些时候|"
    r"下班|上班|开会|午饭|晚饭|收工|[0-9一二三四五六七八九十两]{1,3}点(?:半|钟|整|一刻|三刻|"
    r"[0-9一二三四五六七八九十]{1,3}分?)?|[0-9]{1,2}:[0-9]{2}|"
    r"左右|当天|全天))*+"
)
_CLOCK = r"(?:[0-9]{1,2}|[一二三四五六七八九十两]{1,3})点"

TABLE = Table(
    forms=(
        form(
            r"(?:上上个?|上个?|每个?|上一个?|隔){W}(?:[一二三四五六日天])?|(?:上上个?|上个?|每个?|"
            r"上一个?)月(?:份|底|初|末|中旬)?的?(?:{N}[号日])?"
            r"|去年(?:{N}月)?(?:{N}[号日])?|昨[天日晚晨]|前[天日]|大前天|刚才|前几天|前两天|"
            r"每[天日年]".replace("{W}", _W).replace("{N}", _N),
            None,
        ),
        form(rf"(?:周|星期|礼拜)[一二三四五](?:到|至|、|和){_W}?[一二三四五六日天](?!前|之前)", None),
        form(
            rf"{_N}(?:天|周|个?月|年|个?星期|个?礼拜|个?小时)(?:以前|之前|前)(?!交|完|给|发|提|把|要)|"
            rf"提前{_N}(?:天|周|个月)",
            None,
        ),
        form(rf"{_N}个?工作日(?:{_IN})?", None),
        form(rf"一{_W}[一二三四五六]?[次天]|{_N}月份(?=的)|(?:周|星期|礼拜)(?:报|会|例会|期|边|围|到|转|末)", None),
        form(r"今天之?内|今日之?内|本日之?内|今儿个?|今天|今日|本日|当天|当日|今晚|今夜|今早|今晨", days.today),
        form(r"明天之?内|明日之?内|明儿个?|明天|明日|明早|明晚|明晨|翌日|次日|隔天|第二天", days.plus(1)),
        form(r"(?<!大)(?:后天之?内|后天|后日|后儿)", days.plus(2)),
        form(r"大后天之?内|大后天|大后日", days.plus(3)),
        form(r"今明两天之?内?", days.plus(1)),
        form(rf"(?<![上每0-9一二两三四五六七八九十几隔下本这个]){_W}{_WD}(?:之内|以内|内)?", _bare_day, bare="week"),
        form(rf"(?:最近的|即将到来的|接下来的|临近的){_W}{_WD}", _bare_day, bare="week"),
        form(rf"{_WEEK}的?{_W}?{_WD}(?:之内|以内|内)?", _week_day, frame="week"),
        form(rf"{_WEEK}(?:的?最后一天|结束|{_PERIOD_END}|末尾)?", _week_at(days.FRIDAY)),
        form(rf"{_WEEK}的?(?:一开始|刚开始|初|头)", _week_at(0)),
        form(rf"{_WEEK}(?:的?中间|中(?!午|旬)|中段)", _week_at(2)),
        form(r"(?<![一二两三四五六七八九十0-9])周内", lambda match, held_on: days.weekday(held_on, days.FRIDAY, 0)),
        form(rf"{_MONTH}{_END}?", _month_at(31)),
        form(rf"{_MONTH}的?(?:初|月初|头|一开始|伊始)", _month_at(1)),
        form(rf"{_MONTH}的?上旬", _month_at(10)),
        form(rf"{_MONTH}的?(?:中旬|中(?!午)|月中|中间)", _month_at(15)),
        form(rf"(?P<words>{_MONTH}的?(?P<day>{_N}){_HAO}){_SUFFIX}", _month_day, frame="month"),
        form(rf"{_MONTH}的?(?P<nth>第[一二三四五]|最后一)个?{_W}{_WD}", _nth),
        form(
            r"(?<![0-9一二三四五六七八九十个上])(?:月底|月末|月内)",
            lambda match, held_on: days.of_month(held_on, 0, 31),
        ),
        form(
            r"(?<![0-9一二三四五六七八九十个上下本这])(?:月中|中旬)", lambda match, held_on: days.middle(held_on, None)
        ),
        form(rf"(?P<words>{_M}的?(?P<day>{_N})(?:{_HAO})){_SUFFIX}", _named(), frame="month"),
        form(rf"{_M}{_END}", _named(31)),
        form(rf"{_M}的?(?:初|月初|头)", _named(1)),
        form(rf"{_M}的?上旬", _named(10)),
        form(rf"{_M}的?(?:中旬|中|月中)", _named(15)),
        form(f"{SLASHED}{_SUFFIX}", _named()),
        form(f"{DASHED}{_SUFFIX}", _named()),
        form(rf"(?P<words>{_NO_DIGIT}(?P<day>{_N}){_HAO}){_SUFFIX}", days.day_of_month, bare="month"),
        form(
            r"(?:今年|本年)?(?:年底|年末|年内)|今年(?:之内|以内|内|底|末|结束)?|岁末",
            lambda match, held_on: days.year_end(held_on),
        ),
        form(r"明年(?:的?年底|的?年末|之内|以内|内|底|末)?", lambda match, held_on: days.year_end(held_on, 1)),
        form(r"明年的?(?:年初|初|一开始)", lambda match, held_on: date(held_on.year + 1, 1, 1)),
        form(r"(?:本|今)?(?:财年|年度|财政年度)(?:末|底|结束)", None),
        form(
            rf"{_NO_DIGIT}(?P<n>{_N})天(?:时间)?{_IN}|再?过(?P<nn>{_N})天",
            days.counted(lambda match: number(match["n"] or match["nn"])),
        ),
        form(
            rf"{_NO_DIGIT}(?P<n>{_N})个?{_W}(?:时间)?{_IN}|再?过(?P<nn>{_N})个?{_W}",
            days.counted(lambda match: number(match["n"] or match["nn"]), 7),
        ),
        form(rf"半个?月{_IN}", days.plus(15)),
        form(
            rf"{_NO_DIGIT}(?P<n>{_N})个月(?:时间)?{_IN}|再?过(?P<nn>{_N})个月",
            days.counted_months(lambda match: number(match["n"] or match["nn"])),
        ),
        form(rf"半年(?:时间)?{_IN}|再?过半年", lambda match, held_on: days.months_after(held_on, 6)),
        form(rf"{_NO_DIGIT}(?P<n>{_N})年(?:时间)?{_IN}", days.counted_months(_count, each=12)),
        form(rf"{_NO_DIGIT}(?P<n>{_N})个?(?:小时|钟头){_IN}", days.counted_hours(_count)),
        form(rf"{_NO_DIGIT}(?:{_N}分钟|半个?小时|半个?钟头|一刻钟){_IN}", days.today, is_time=True),
        form(
            rf"(?:早上|上午|中午|下午|傍晚|晚上|夜里|凌晨){_CLOCK}(?:半|钟|整|一刻|三刻|"
            rf"[0-9一二三四五六七八九十]{{1,3}}分?)?",
            days.today,
            is_time=True,
        ),
        form(
            rf"(?<![0-9一二三四五六七八九十几有差早晚快慢这那]){_CLOCK}(?:半|钟|整|一刻|三刻|"
            rf"[0-9一二三四五六七八九十]{{2,3}}分?)|"
            rf"(?<![0-9一二三四五六七八九十几有差早晚快慢这那]){_CLOCK}(?=前|之前|以前)",
            days.today,
            is_time=True,
        ),
        form(r"(?<![0-9:])[0-9]{1,2}:[0-9]{2}(?![0-9:])", days.today, is_time=True),
        form(
            r"下班(?!后)|收工|中午|正午|傍晚|晚上|上午|下午|午饭|午夜|晚饭|打烊|天黑|散会(?=前|之前)|"
            r"零点|睡前",
            days.today,
            is_time=True,
        ),
    ),
    nearer=re.compile(r"的?"),
    before_start=re.compile(r"(?:从|自从?|打从?|由|(?:推迟|改|延期|挪|调整?|提前|延|顺延|移|拖|放)(?:到|至))$"),
    after_start=re.compile(rf"{_PART}(?:开始|起(?!草)|之后(?!会)|以后|过后|后(?!台|续|端|面)|生效|上线的|启动的)"),
    before_end=re.compile(
        r"(?:最晚|最迟|截止到?|截至|期限是|不晚于|赶在|不迟于|务必在|必须在|死线是|deadline是|"
        r"争取)[、 ]?$"
    ),
    after_end=re.compile(
        rf"{_PART}(?:的?[^、。,的把给]{{1,8}}?)?(?:之前|以前|前(?!台|端|面|期|提|后|景|沿|年|天|"
        rf"几)|为止|截止|到期|(?<=[天周月年期拜日])(?:之内|以内|内))"
    ),
    after_noun=re.compile(
        rf"{_PART}(?:的(?!时候|话|[^、。]{{1,8}}(?:会|例会|会议|周会)上(?!用|要|说|提|讲|讨论的))"
        r"|(?:例会|会议|周会|早会|晨会|会|评审会|发布会|活动|那天|那个|那次|那场|晚会|年会|版|"
        r"开的|召开|举行|召开的)(?!上?(?:我来|我会|前|之前)))"
    ),
    correction=re.compile(
        r"[^。]{0,16}?。?(?:不对|不是|不、|不,|哦不|噢不|啊不|说错|错了|口误|更正|改成|改到|改为|"
        r"改一下|应该是|而是|还是|准确说|确切地?说|抱歉|对不起|"
        r"不好意思|我是说|记错|看错|算了|、不|哦、|那就|或者说)[^0-9]{0,16}"
    ),
)

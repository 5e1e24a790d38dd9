"""Days as Japanese names them."""

from __future__ import annotations

import re
from datetime import date
from re import Match

from ikkan.apps.meetings.rules.language.dates import days
from ikkan.apps.meetings.rules.language.dates.forms import DASHED, SLASHED, Table, form
from ikkan.apps.meetings.rules.language.text import number

_N = r"(?:[0-9]{1,4}|[〇一二三四五六七八九十百]{1,5})"
_DAY = "月火水木金土日"
_KANA_DAYS = ("げつ", "か", "すい", "もく", "きん", "ど", "にち")
_WD = (
    r"(?:(?P<wd>[月火水木金土日])曜日?|[((](?P<wp>[月火水木金土日])(?:曜日?)?[))]|(?P<wk>げつ|か|"
    r"すい|もく|きん|ど|にち)よう(?:び|日)?)"
)
_BARE = r"(?P<wb>[月火水木金土日])(?=まで|中に|には|の(?:朝|昼|夕|夜|午)|[、。]|$)"
_WEEKS = {
    "今週": 0,
    "来週": 1,
    "翌週": 1,
    "次週": 1,
    "再来週": 2,
    "さ来週": 2,
    "さらいしゅう": 2,
    "らいしゅう": 1,
    "こんしゅう": 0,
}
_MONTHS = {"今月": 0, "当月": 0, "来月": 1, "翌月": 1, "再来月": 2, "さ来月": 2, "らいげつ": 1, "こんげつ": 0}
_WEEK = "(?P<week>" + "|".join(sorted(_WEEKS, key=len, reverse=True)) + ")"
_MONTH = "(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")"
_END = (
    r"(?:の?(?:末日|月末|末|終わり|おわり|最終日|下旬)|"
    r"中(?![旬頃ご身国央止間学小心断核古途級立東南堅継高])|いっぱい|内)"
)
_START = r"(?:の?(?:頭|あたま|初め|始め|はじめ|初旬|月初|アタマ|初日))"
_MID = r"(?:の?(?:中旬|半ば|なかば|中頃|中ごろ|真ん中))"
_SUFFIX = r"(?:[((][月火水木金土日](?:曜日?)?[))]|の?[月火水木金土日]曜日?)?"
_PERIOD = r"(?:間)?(?:の?うち|以内|後|以内)"


def _which(match: Match[str]) -> int:
    said = match.groupdict()
    kanji = said.get("wd") or said.get("wp") or said.get("wb")
    return _DAY.index(kanji) if kanji else _KANA_DAYS.index(said["wk"])


def _week_day(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, _which(match), _WEEKS[match["week"]])


def _bare_day(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, _which(match))


def _same_day(match: Match[str], held_on: date) -> date | None:
    return days.after(held_on, 7 * _WEEKS[match["week"]])


def _friday(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, days.FRIDAY, _WEEKS[match["week"]])


def _in_days(each: int) -> days.Counted:
    return days.counted(lambda match: number(match["n"]), each)


def _month_day(match: Match[str], held_on: date) -> date | None:
    day = number(match["day"])
    return None if day is None else days.of_month(held_on, _MONTHS[match["month"]], day)


def _month_at(day: int) -> days.Counted:
    return lambda match, held_on: days.of_month(held_on, _MONTHS[match["month"]], day)


def _named(day: int | None = None) -> days.Counted:
    def reckon(match: Match[str], held_on: date) -> date | None:
        said = match.groupdict()
        month = number(said["m"])
        which = number(said["day"]) if day is None else day
        year = number(said["y"]) if said.get("y") else None
        if said.get("rel"):
            year = held_on.year + {"今年": 0, "本年": 0, "来年": 1, "翌年": 1, "再来年": 2}[said["rel"]]
        return None if month is None or which is None else days.named(held_on, month, which, year)

    return reckon


def _nth(match: Match[str], held_on: date) -> date | None:
    nth = 0 if match["nth"] == "最終" else number(match["nth"][1:])
    return None if nth is None else days.nth_weekday(held_on, _MONTHS[match["month"]], nth, _which(match))


_YEAR = rf"(?:(?P<y>{_N})年|(?P<rel>今年|本年|来年|翌年|再来年)の?)?"
_M = rf"(?<![0-9一二三四五六七八九十]){_YEAR}(?P<m>{_N})月"
_D = rf"(?P<day>{_N})日(?!間|後|以内|のうち|ほど|程度|ぶり|前|目|分|ごと|おき|本)"
_NOT_IN_NUMBER = r"(?<![0-9一二三四五六七八九十百第数何./:版前.])"
_PART = (
    r"(?:の?(?:朝一番?|朝イチ|朝いち|朝|午前中|午前|午後一番?|午後イチ|午後|お?昼過ぎ|お?昼|正午|"
    r"夕方|夜|晩|深夜|夜中|いっぱい|"
    r"終業時?|定時|業務終了時?|退社時?|[0-9一二三四五六七八九十]{1,3}時(?:半|"
    r"[0-9一二三四五六七八九十]{1,3}分)?|[0-9]{1,2}:[0-9]{2}|"
    r"早め|早い(?:うち|時間)|うち|中|始業時?|頃|ごろ))*+"
)

TABLE = Table(
    forms=(
        form(
            r"(?:先週|前回|先日|先々週|昨日|一昨日|おととい|きのう|前日|先月|先々月|昨年|去年|前週|"
            r"前月|毎週|毎月|毎日|毎年|毎朝|毎晩|隔週|第[0-9一二三四五]+)"
            rf"(?:の)?(?:第?{_N}?[月火水木金土日]曜日?|{_N}日|末|中旬|初め)?",
            None,
        ),
        form(rf"{_N}(?:日|週間|か月|ヶ月|カ月|ヵ月|ケ月|ヵ月|個月|年|時間)前", None),
        form(rf"{_N}(?:営業日|稼働日)(?:以内|後)?", None),
        form(
            r"今日中(?![身国央止間学小心断核古途級立東南堅継高])|"
            r"本日中(?![身国央止間学小心断核古途級立東南堅継高])|今日いっぱい|本日いっぱい|今日のうち|"
            r"本日のうち|きょう中|きょうじゅう|今日|本日|きょう(?!りょく)|今晩|今夜|今夕",
            days.today,
        ),
        form(r"今日明日中|今日明日(?:のうち)?|今明日中?", days.plus(1)),
        form(
            r"(?:明日中(?![身国央止間学小心断核古途級立東南堅継高])|明日|"
            r"(?<![まさらかなわだ])(?:あした中|あした|あす中|あす(?![かけこ]))|みょうにち|翌日中|翌日|"
            r"明朝|明晩|明くる日)(?:いっぱい)?",
            days.plus(1),
        ),
        form(
            r"(?:明後日|あさって|みょうごにち)(?:中(?![身国央止間学小心断核古途級立東南堅継高])|"
            r"いっぱい)?",
            days.plus(2),
        ),
        form(r"(?:明々後日|明明後日|しあさって)(?:中|いっぱい)?", days.plus(3)),
        form(
            rf"(?:(?:次|今度|こんど|来る|きたる|"
            rf"直近)の?)?{_WD}(?:中(?![身国央止間学小心断核古途級立東南堅継高]))?",
            _bare_day,
            bare="week",
        ),
        form(rf"(?:次|今度|こんど|来る)の{_BARE}", _bare_day),
        form(rf"{_WEEK}(?:の|、)?{_WD}(?:中(?![身国央止間学小心断核古途級立東南堅継高]))?", _week_day, frame="week"),
        form(rf"{_WEEK}の?{_BARE}", _week_day),
        form(rf"{_WEEK}の(?:今日|同じ曜日|本日)", _same_day),
        form(rf"{_WEEK}(?:中(?![身国央止間学小心断核古途級立東南堅継高])|いっぱい|内|の?うち|末|の終わり)?", _friday),
        form(r"週内|週中|週の終わり", lambda match, held_on: days.weekday(held_on, days.FRIDAY, 0)),
        form(
            rf"{_WEEK}の?(?:半ば|なかば|中頃|中ごろ)",
            lambda match, held_on: days.weekday(held_on, 2, _WEEKS[match["week"]]),
        ),
        form(
            r"週明け早々|週明け(?:の?(?:月曜日?|[((]月[))]))?|週頭|週のはじめ|週の頭|週初め",
            lambda match, held_on: days.weekday(held_on, 0, 1),
        ),
        form(
            rf"{_WEEK}の?(?:頭|あたま|初め|始め|はじめ|アタマ|早々|初日|前半)",
            lambda match, held_on: days.weekday(held_on, 0, _WEEKS[match["week"]]),
        ),
        form(rf"{_MONTH}(?:{_END}|の?うち)?", _month_at(31)),
        form(rf"{_MONTH}{_START}", _month_at(1)),
        form(rf"{_MONTH}の?上旬", _month_at(10)),
        form(rf"{_MONTH}{_MID}", _month_at(15)),
        form(rf"(?P<words>{_MONTH}の?{_D}){_SUFFIX}", _month_day, frame="month"),
        form(rf"{_MONTH}の?(?P<nth>第[0-9一二三四五]|最終){_WD}", _nth),
        form(
            r"(?<![0-9一二三四五六七八九十])(?:月末|末日|月内|月いっぱい|月の終わり|月の末)",
            lambda match, held_on: days.of_month(held_on, 0, 31),
        ),
        form(
            r"(?<![0-9一二三四五六七八九十])(?:月の?半ば|月の?なかば|中旬)",
            lambda match, held_on: days.middle(held_on, None),
        ),
        form(rf"(?P<words>{_M}(?P<day>{_N})日){_SUFFIX}", _named(), frame="month"),
        form(rf"{_M}(?:{_END}|の?うち)", _named(31)),
        form(rf"{_M}{_START}", _named(1)),
        form(rf"{_M}の?上旬", _named(10)),
        form(rf"{_M}{_MID}", _named(15)),
        form(f"{SLASHED}{_SUFFIX}", _named()),
        form(f"{DASHED}{_SUFFIX}", _named()),
        form(rf"(?P<words>{_NOT_IN_NUMBER}{_D}){_SUFFIX}", days.day_of_month, bare="month"),
        form(
            r"(?:今年|本年)?(?:年内|年末|の?年の瀬)|(?:今年|本年)(?:中|いっぱい|の?末|の?終わり|"
            r"のうち|内)|今年(?=まで|に)",
            lambda match, held_on: days.year_end(held_on),
        ),
        form(r"来年(?:中|いっぱい|の?末|の?終わり|の?年末|内)?", lambda match, held_on: days.year_end(held_on, 1)),
        form(
            r"年明け(?:早々|すぐ)?|来年の?(?:頭|初め|はじめ|始め|早々)",
            lambda match, held_on: date(held_on.year + 1, 1, 1),
        ),
        form(r"(?:今|本)?年度(?:末|中|内|いっぱい|の終わり)", lambda match, held_on: days.fiscal_year_end(held_on)),
        form(
            rf"(?P<y>{_N})年度(?:末|中|内|いっぱい|の終わり)",
            lambda match, held_on: date((number(match["y"]) or 0) + 1, 3, 31),
        ),
        form(r"来年度(?:末|中|内|いっぱい|の終わり)", lambda match, held_on: days.fiscal_year_end(held_on, 1)),
        form(rf"(?<![0-9一二三四五六七八九十第])(?P<n>{_N})日(?:間)?(?:の?うち|以内|後)", _in_days(1)),
        form(
            rf"(?<![0-9一二三四五六七八九十第])(?P<n>{_N})週間?(?:の?うち|以内|後|(?=で|まで|を目途|"
            rf"をめど|を目処))",
            _in_days(7),
        ),
        form(
            rf"(?<![0-9一二三四五六七八九十第])(?P<n>{_N})(?:か|ヶ|カ|ヵ|ケ|ヵ|箇|"
            rf"個)月(?:間)?(?:の?うち|以内|後|(?=で|までに))",
            days.counted_months(lambda match: number(match["n"])),
        ),
        form(
            r"(?:半年|はんとし)(?:間)?(?:の?うち|以内|後|(?=で))", lambda match, held_on: days.months_after(held_on, 6)
        ),
        form(
            rf"(?<![0-9一二三四五六七八九十第])(?P<n>{_N})年(?:間)?(?:の?うち|以内|後)",
            days.counted_months(lambda match: number(match["n"]), each=12),
        ),
        form(
            rf"(?<![0-9一二三四五六七八九十第])(?P<n>{_N})時間(?:の?うち|以内|後)",
            days.counted_hours(lambda match: number(match["n"])),
        ),
        form(rf"(?<![0-9一二三四五六七八九十第])(?:{_N})分(?:の?うち|以内|後)", days.today, is_time=True),
        form(
            r"(?P<words>(?:午前|午後|朝|夜|夕方|お昼の?|深夜)?の?(?:[0-9]{1,2}|"
            r"[一二三四五六七八九十]{1,3})時(?!間|点|期)(?:半|[0-9一二三四五六七八九十]{1,3}分)?)",
            days.today,
            is_time=True,
        ),
        form(r"(?<![0-9:])[0-9]{1,2}:[0-9]{2}(?![0-9:])", days.today, is_time=True),
        form(
            r"正午|お昼過ぎ|お昼|昼過ぎ|昼(?=まで|に|前|休)|昼休み|夕方|終業時?(?:刻|間)?|定時(?=まで|"
            r"に|前)|業務終了時?|退社時?|退勤時?|午前中|午後一番?|午後イチ|午後いち|"
            r"(?:夜|朝|晩|午後)(?=まで|のうち|中)|夜中|深夜|寝る前|帰る?まで(?=に)|就業時間内|"
            r"営業時間内|日付が変わる(?:前|まで)",
            days.today,
            is_time=True,
        ),
    ),
    nearer=re.compile(r"の?|、"),
    before_start=re.compile(r"(?:^|[、。 ])(?:開始日?は|スタートは|(?:発効|施行|適用)(?:日)?は)$"),
    after_start=re.compile(
        rf"{_PART}(?:から|以降|より(?!前|早|後|も|先)|付け?で|を?(?:皮切り|起点)|スタート|開始|"
        rf"(?:に|へ|まで)(?:再?延期|変更|移動|移(?!行作)|移し|ずら|リスケ|前倒し|延ば|繰り[上下])|"
        rf"が?(?:明け|過ぎ)たら)"
    ),
    before_end=re.compile(r"(?:期限は|締め?切りは|納期は|〆切は|デッドラインは|遅くとも|遅くても)[、 ]?$"),
    after_end=re.compile(
        rf"{_PART}(?:の[^、。をがはに]{{1,14}}?)?(?:まで|前に|の前|より前|を目(?:処|途|標)|をめど|"
        r"(?:が|を)?(?:期限|締め?切り?|〆切)|必着|には(?!あ))"
    ),
    after_noun=re.compile(
        rf"{_PART}(?:(?:付|分|版|号|時点|現在|開催|実施|発売|開始|予定|締め|納品|提出|発行)?の"
        r"(?!ところ|間に|予定で|[^、。をがはに]{1,10}で(?!使|出|話|決|配|あ|"
        r"説明した)[^、。]{1,16}(?:ます|ましょう|ください|お願い)[^、。]{0,6}(?:。|$))"
        r"|分|版|号|時点|現在|開催|発売|発行|第[0-9一二三四五六七八九]|に(?:予定|開催|開か|行われ|あった)"
        r"|に[^、。]{0,8}?(?:する|れる|使う|出す|届く|来る|くる|着く|始まる|終わる|行う|ある|開く)"
        r"(?!ように|こと|つもり|予定|と|の(?:で|が)|から|必要|ほう|方|べき|よ|ね|[、。]|$))"
    ),
    correction=re.compile(
        r"[^。]{0,20}?。?(?:いや|いえ|いいえ|じゃな|ではな|でなく|違|ちが|間違|まちが|もとい|訂正|"
        r"失礼|すみません|すいません|ごめん|"
        r"やっぱ|やはり|改め|あらため|というか|ていうか|正しくは|に?変更|ううん|うーん|あ[、 ]|"
        r"あっ|おっと)[^0-9]{0,24}"
    ),
)

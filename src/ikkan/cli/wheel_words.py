"""What the command line says of the wheel, in both languages, and how a decision and a learnable's state look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ikkan.flywheel import Decision, Explanation, Replay, Status, Trial

_WORDS: dict[str, tuple[str, str]] = {
    "reading events": ("reading events", "記録を読んでいます"),
    "training and judging": ("training and judging", "学習して判定しています"),
    "recording": ("recording the decision", "判定を記録しています"),
    "promoted": ("promoted", "昇格"),
    "refused": ("refused", "却下"),
    "installed": ("installed", "最初のモデル"),
    "rolled_back": ("rolled back", "元に戻した"),
    "trying": ("tried on people", "人で試行中"),
    "awaiting": ("waits for a signature", "署名待ち"),
    "kept": ("still good", "昇格後の確認"),
    "drifted": ("drift found", "変化を検知"),
    "shadow": ("in the shadow, seen by nobody", "見えないところで試行中"),
    "canary": ("canary", "一部の人で試行中"),
    "awaiting_signature": ("waits for a signature", "署名待ち"),
    "gain": (
        "  gain {gain}, {level:.4g} % interval {interval}, n = {n}",
        "  良くなった幅 {gain}、{level:.4g}% 区間 {interval}、n = {n}",
    ),
    "sign": ("  ikkan flywheel sign {id} --accept | --reject", "  ikkan flywheel sign {id} --accept | --reject"),
    "champion": ("  champion    {champion}  {known}", "  現行        {champion}  {known}"),
    "known_until": ("learned to {when}", "{when} まで学習"),
    "known_nothing": ("company knowledge only", "会社の知識だけから"),
    "nobody": ("nobody yet", "まだなし"),
    "evidence": (
        "  evidence    {answers:,} answers, {corrections:,} with a reaction, {fresh:,} not learned yet",
        "  証拠        回答 {answers:,} 件、反応・訂正 {corrections:,} 件、うち未学習 {fresh:,} 件",
    ),
    "schedule": (
        "  next look   {when}; {own} of {enough} corrections of our own since the last turn",
        "  次に見る    {when}。前回から自社の訂正 {own} 件（{enough} 件で自動的に回します）",
    ),
    "no_schedule": (
        "  next look   none: no worker has begun, or flywheel_every_s is 0",
        "  次に見る    予定なし（worker が未起動か、flywheel_every_s が 0 です）",
    ),
    "overdue": ("{when}, overdue: is the worker running?", "{when}（過ぎています。worker は動いていますか）"),
    "trial": (
        "  trial       round {round}, {state}, {share:.3g} % of people are given {candidate}",
        "  試行        {round} 回目、{state}。{share:.3g}% の人に {candidate} が答えています",
    ),
    "standing": (
        "              {people} people counted, {with_candidate} with it{gain}",
        "              {people} 人を集計、うち候補 {with_candidate} 人{gain}",
    ),
    "standing_gain": (": {gain} {interval}", "。差 {gain} {interval}"),
    "guard": ("              {name}: {gain} {interval}", "              {name}: {gain} {interval}"),
    "remark": ("  note        {text}", "  備考        {text}"),
    "drift": ("  drift       {reason}", "  変化        {reason}"),
    "no_drift": ("  drift       none found", "  変化        見つかっていません"),
    "cost": (
        "  cost        {yen:.3g} JPY for an answer that went well, last week",
        "  費用        うまくいった回答1件あたり {yen:.3g} 円（直近1週間）",
    ),
    "policy": ("  policy      {policy}", "  方針        {policy}"),
    "reversible": (
        "reversible: what is shown to be better serves by itself, and can be taken back",
        "reversible: 良いと示されたものが自動で昇格し、いつでも戻せます",
    ),
    "regulated": (
        "regulated: a person signs before anyone is served by it",
        "regulated: 人が署名するまで誰にも答えません",
    ),
    "last": ("  last        {decision}: {reason}", "  最後の判定  {decision}: {reason}"),
    "rollback_possible": (
        "  take back   ikkan flywheel rollback {name}",
        "  元に戻す    ikkan flywheel rollback {name}",
    ),
    "no_trial": ("nobody is being tried on people", "人での試行はありません"),
    "trial_over": ("over since {when}", "{when} に終了"),
    "nothing_drifted": (
        "no drift found (or it cannot be said yet)",
        "変化は見つかりません（まだ判断できない場合も含みます）",
    ),
    "same": ("  computed again: the same", "  再計算: 同じ結果"),
    "not_same": ("  computed again: NOT the same: {names}", "  再計算: 違う結果です: {names}"),
    "missing": (
        "  {n} examples can no longer be read: their people were erased or refuse",
        "  {n} 件は読めません（消去された人、または同意しない人のものです）",
    ),
    "own": (
        "  Q {question}\n    before: {before}\n    after:  {after}",
        "  Q {question}\n    前: {before}\n    後: {after}",
    ),
    "when": ("when", "時刻"),
    "decision": ("decision", "判定"),
    "gain_column": ("gain", "良くなった幅"),
    "interval": ("interval", "区間"),
}

Say = Callable[..., str]


def say_in(language: str) -> Say:
    """Keys to texts of this language; a key without words is said as it is.

    >>> say_in("en")("promoted"), say_in("ja")("promoted"), say_in("en")("something.else")
    ('promoted', '昇格', 'something.else')
    """
    place = 1 if language == "ja" else 0

    def say(key: str, **values: Any) -> str:
        text = _WORDS[key][place] if key in _WORDS else key
        return text.format(**values) if values else text

    return say


def told(decision: Decision, language: str) -> str:
    """A decision in a few lines: what, why, how sure, and how to look closer."""
    say = say_in(language)
    lines = [f"{say(decision.decision)}: {decision.reasons.get(language) or decision.reason}"]
    if decision.gain is not None:
        level = 100 * float(decision.numbers.get("level", 0.95))
        interval = span(decision.lower, decision.upper)
        lines.append(say("gain", gain=number(decision.gain), level=level, interval=interval, n=decision.n))
    if decision.decision == "awaiting":
        lines.append(say("sign", id=decision.id))
    lines.append(f"  ikkan flywheel explain {decision.id}")
    return "\n".join(lines)


def told_with_own(explained: Explanation, replay: Replay | None, language: str) -> str:
    """A decision with this house's own corrections, and whether it comes out the same again."""
    say = say_in(language)
    lines = [told(explained.decision, language)]
    lines += [say("own", question=own.question, before=own.before, after=own.after) for own in explained.own]
    if explained.unreadable:
        lines.append(say("missing", n=explained.unreadable))
    if replay is not None:
        lines.append(say("same") if replay.same else say("not_same", names=", ".join(replay.differences) or "–"))
        if replay.missing:
            lines.append(say("missing", n=replay.missing))
    return "\n".join(lines)


def told_status(status: Status, now: datetime, language: str) -> str:
    """Where a learnable stands, for a person at a terminal."""
    say = say_in(language)
    known = say("known_until", when=minute(status.known_until)) if status.known_until else say("known_nothing")
    known = known if status.champion else ""
    lines = [
        status.learnable,
        say("champion", champion=short(status.champion) if status.champion else say("nobody"), known=known),
        say("evidence", answers=status.answers, corrections=status.corrections, fresh=status.fresh),
    ]
    if status.trial is not None:
        lines += told_trial(status.trial, status, language)
    lines.append(_told_next(status, now, say))
    drift = status.drift
    lines.append(say("drift", reason=drift.reasons.get(language) or drift.reason) if drift else say("no_drift"))
    if status.remark:
        lines.append(say("remark", text=status.remark.get(language) or status.remark.get("en", "")))
    if status.yen_per_success is not None:
        lines.append(say("cost", yen=status.yen_per_success))
    lines.append(say("policy", policy=say(status.policy)))
    if status.last is not None:
        reason = status.last.reasons.get(language) or status.last.reason
        lines.append(say("last", decision=say(status.last.decision), reason=reason))
    if status.can_roll_back:
        lines.append(say("rollback_possible", name=status.learnable))
    return "\n".join(lines)


def told_trial(trial: Trial, status: Status | None, language: str) -> list[str]:
    """A trial on people: its stage, and what is known so far."""
    from ikkan.flywheel.words import GUARDS

    say = say_in(language)
    state = say(trial.state) if trial.ended_at is None else say("trial_over", when=minute(trial.ended_at))
    lines = [say("trial", round=trial.round, state=state, share=100 * trial.share, candidate=short(trial.candidate))]
    standing = status.standing if status is not None else None
    if standing is None:
        return lines
    gain = ""
    if standing.gain is not None:
        ends = span(standing.gain.lower, standing.gain.upper)
        gain = say("standing_gain", gain=number(standing.gain.estimate), interval=ends)
    people = {"people": standing.people, "with_candidate": standing.people_with_candidate}
    lines.append(say("standing", **people, gain=gain))
    for name, guard in standing.guards.items():
        ends = span(guard.lower, guard.upper)
        spoken = GUARDS.get(name, {}).get(language, name)
        lines.append(say("guard", name=spoken, gain=number(guard.estimate), interval=ends))
    return lines


def rows(decisions: Sequence[Decision], language: str) -> list[list[object]]:
    """Decisions as rows of a table: when, what, gain, interval, n, id."""
    say = say_in(language)
    return [
        [
            minute(one.decided_at),
            say(one.decision),
            number(one.gain),
            span(one.lower, one.upper),
            one.n,
            one.id,
        ]
        for one in decisions
    ]


def _told_next(status: Status, now: datetime, say: Say) -> str:
    if status.next_look is None:
        return say("no_schedule")
    when = minute(status.next_look)
    late = (now - status.next_look).total_seconds() > 300
    return say("schedule", when=say("overdue", when=when) if late else when, own=status.own_fresh, enough=status.enough)


def minute(moment: datetime | None) -> str:
    """A moment to the minute, UTC."""
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment is not None else "–"


def number(value: float | None) -> str:
    """A gain with its sign.

    >>> number(0.1), number(None)
    ('+0.100', '–')
    """
    return "–" if value is None else f"{value:+.3f}"


def span(lower: float | None, upper: float | None) -> str:
    """An interval."""
    return f"[{number(lower)}, {number(upper)}]"


def short(artifact: str | None) -> str:
    """Enough of an artifact's id to name it."""
    return artifact.removeprefix("sha256:")[:12] if artifact else "–"

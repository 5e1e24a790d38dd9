"""Why, in words: every reason of a decision in Japanese and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REASONS: dict[str, dict[str, str]] = {
    "better": {
        "en": "better on {n} later questions it had never seen, from {people} people: {gain:+.3f} per person,"
        " {level:.4g} % interval [{lower:+.3f}, {upper:+.3f}]; also better than every trivial method",
        "ja": "学習に使っていない後日の質問 {n} 件（{people} 人）で現行より良い結果でした。1人あたり {gain:+.3f}、"
        "{level:.4g}% 区間 [{lower:+.3f}, {upper:+.3f}]。どの単純な方法にも勝っています",
    },
    "worse": {
        "en": "worse on {n} later questions: {gain:+.3f} per person,"
        " {level:.4g} % interval [{lower:+.3f}, {upper:+.3f}]",
        "ja": "後日の質問 {n} 件で現行より悪い結果でした。1人あたり {gain:+.3f}、"
        "{level:.4g}% 区間 [{lower:+.3f}, {upper:+.3f}]",
    },
    "not_shown_better": {
        "en": "not shown to be better: {gain:+.3f} per person on {n} later questions from {people} people, and the"
        " {level:.4g} % interval [{lower:+.3f}, {upper:+.3f}] includes no gain at all",
        "ja": "良くなったとは言えません。後日の質問 {n} 件（{people} 人）で1人あたり {gain:+.3f}、"
        "{level:.4g}% 区間 [{lower:+.3f}, {upper:+.3f}] に「差なし」が含まれます",
    },
    "slice_worse": {
        "en": "better on the whole ({gain:+.3f}), but shown to be worse for {slice}: nobody is to pay for the others",
        "ja": "全体では良くなりました（{gain:+.3f}）が、{slice} では悪くなりました。一部の人に損をさせる昇格はしません",
    },
    "trivial_is_as_good": {
        "en": "better than the champion by {gain:+.3f}, but not shown to be better than the trivial method"
        " “{baseline_en}”: it learned to avoid questions, not to answer them",
        "ja": "現行より {gain:+.3f} 良いものの、単純な方法「{baseline_ja}」より良いとは言えません。"
        "答え方ではなく、避け方を覚えただけです",
    },
    "refit_worse": {
        "en": "the candidate passed, but refitted on everything known now it scores lower ({refit:.3f} after"
        " {candidate_score:.3f}) on the same questions: the latest corrections contradict the earlier ones",
        "ja": "候補は合格しましたが、現在までの全データで学習し直すと同じ質問での点数が下がりました"
        "（{candidate_score:.3f} → {refit:.3f}）。最近の訂正が以前の訂正と食い違っています",
    },
    "too_few_judges": {
        "en": "too little evidence: {n} new questions from {people} people can judge; it takes {need} from"
        " {need_people}",
        "ja": "証拠が足りません。判定に使える新しい質問は {n} 件（{people} 人）です。"
        "{need} 件（{need_people} 人）が必要です",
    },
    "nothing_new": {
        "en": "nothing new: every question was asked before the champion learned, so nothing can judge a"
        " successor fairly",
        "ja": "新しい証拠がありません。質問はすべて現行モデルの学習より前のもので、後継を公平に判定できません",
    },
    "already_judged": {
        "en": "nothing new since this very evidence was judged against this champion; correct or confirm some"
        " answers first",
        "ja": "同じ証拠で、この現行モデルに対する判定はもう済んでいます。まず回答を訂正するか、正しいと伝えてください",
    },
    "nothing_said": {
        "en": "nobody has said anything about an answer yet",
        "ja": "回答について、まだ誰も何も伝えていません",
    },
    "nothing_to_learn": {
        "en": "nothing to learn: before the cut-off nobody corrected or confirmed an answer",
        "ja": "学ぶものがありません。区切りの時点より前に、訂正や確認がありませんでした",
    },
    "not_shown_as_good": {
        "en": "not tried on people: on {n} later questions from {people} people it may be worse by more than"
        " {margin:.3f}: {gain:+.3f} per person, {level:.4g} % interval [{lower:+.3f}, {upper:+.3f}]",
        "ja": "人での試行に進めません。後日の質問 {n} 件（{people} 人）で、現行より {margin:.3f} を超えて悪い可能性が"
        "残ります。1人あたり {gain:+.3f}、{level:.4g}% 区間 [{lower:+.3f}, {upper:+.3f}]",
    },
    "trivial_is_better": {
        "en": "not tried on people: the trivial method “{baseline_en}” is shown to be better",
        "ja": "人での試行に進めません。単純な方法「{baseline_ja}」の方が良いとわかりました",
    },
    "fit_to_try": {
        "en": "on {n} later questions from {people} people not shown to be worse: {gain:+.3f} per person, {level:.4g} %"
        " interval [{lower:+.3f}, {upper:+.3f}]; now it answers in the shadow, unseen, and then a few people",
        "ja": "後日の質問 {n} 件（{people} 人）で悪いとは言えません。1人あたり {gain:+.3f}、{level:.4g}% 区間"
        " [{lower:+.3f}, {upper:+.3f}]。まず見えないところで答え、次に一部の人に答えます",
    },
    "shadowing": {
        "en": "in the shadow: {people} of {need_people} people answered unseen, no guardrail is hurt",
        "ja": "見えないところで試行中です。{need_people} 人のうち {people} 人に答え、守るべき指標に異常はありません",
    },
    "shadow_passed": {
        "en": "the shadow is over: {people} people answered unseen and no guardrail was hurt;"
        " {share_after:.3g} % of people are given the candidate now",
        "ja": "見えないところでの試行が終わりました。{people} 人に答え、守るべき指標に異常はありません。"
        "これから {share_after:.3g}% の人に候補が答えます",
    },
    "shadow_waited": {
        "en": "the shadow is over by time: only {people} people were reported from it and no guardrail was hurt;"
        " {share_after:.3g} % of people are given the candidate now",
        "ja": "見えないところでの試行は時間で終わりました。報告は {people} 人分だけで、守るべき指標に異常はありません。"
        "これから {share_after:.3g}% の人に候補が答えます",
    },
    "collecting": {
        "en": "no verdict yet from {people} people, {people_with_candidate} of them with the candidate:"
        " {gain:+.3f}, between {lower:+.3f} and {upper:+.3f}; {share_after:.3g} % are given it",
        "ja": "{people} 人（うち候補 {people_with_candidate} 人）では、まだ決まりません。差は {gain:+.3f}、"
        "{lower:+.3f} から {upper:+.3f} の間です。{share_after:.3g}% の人に候補が答えています",
    },
    "share_grows": {
        "en": "no harm among {people} people ({gain:+.3f}, between {lower:+.3f} and {upper:+.3f}):"
        " {share_after:.3g} % of people are given the candidate now",
        "ja": "{people} 人に害は見られません（{gain:+.3f}、{lower:+.3f} から {upper:+.3f} の間）。"
        "これから {share_after:.3g}% の人に候補が答えます",
    },
    "live_better": {
        "en": "people fare better with it: {gain:+.3f} among {people} people, at least {lower:+.3f} with {level:.4g} %"
        " confidence however often one looked; a few keep the model before, so that harm would show",
        "ja": "候補を使った人の結果が良くなりました。{people} 人で {gain:+.3f}、何度見ても {level:.4g}% の確かさで"
        " {lower:+.3f} 以上です。害に気づけるよう、一部の人には前のモデルを残します",
    },
    "needs_signature": {
        "en": "people fare better with it: {gain:+.3f} among {people} people, at least {lower:+.3f} with {level:.4g} %"
        " confidence; it waits for a person's signature",
        "ja": "候補を使った人の結果が良くなりました。{people} 人で {gain:+.3f}、{level:.4g}% の確かさで"
        " {lower:+.3f} 以上です。人の署名を待っています",
    },
    "unsigned": {
        "en": "still waiting for a person's signature; {gain:+.3f} among {people} people by now, no guardrail is hurt",
        "ja": "人の署名を待っています。これまで {people} 人で {gain:+.3f}、守るべき指標に異常はありません",
    },
    "signed": {
        "en": "signed for by {who}{because}; {gain:+.3f} among {people} people, at least {lower:+.3f} with"
        " {level:.4g} % confidence",
        "ja": "{who} が署名しました{because}。{people} 人で {gain:+.3f}、{level:.4g}% の確かさで {lower:+.3f} 以上です",
    },
    "signed_after_gate": {
        "en": "signed for by {who}{because}; the gate had shown it to be better on later questions",
        "ja": "{who} が署名しました{because}。後日の質問で良くなったことは関門が確かめています",
    },
    "signature_refused": {
        "en": "{who} did not sign{because}; the champion keeps serving",
        "ja": "{who} が署名しませんでした{because}。現行モデルが続けて答えます",
    },
    "live_not_shown_better": {
        "en": "tried on {people} people and not shown to be better: {gain:+.3f}, between {lower:+.3f} and {upper:+.3f}",
        "ja": "{people} 人で試しましたが、良くなったとは言えません。{gain:+.3f}、"
        "{lower:+.3f} から {upper:+.3f} の間です",
    },
    "live_worse": {
        "en": "taken back: people fare worse with it, {gain:+.3f} among {people} people, at best {upper:+.3f}",
        "ja": "元に戻しました。候補を使った人の結果が悪くなっています。{people} 人で {gain:+.3f}、"
        "良くても {upper:+.3f} です",
    },
    "guardrail_worse": {
        "en": "stopped at once: “{guard}” gets worse with it, {guard_gain:+.3f} of its range among {people} people",
        "ja": "ただちに止めました。守るべき指標「{guard}」が悪くなっています（{people} 人で範囲の {guard_gain:+.3f}）",
    },
    "guardrail_broken": {
        "en": "stopped at once: “{guard}” became intolerable for {harmed} of {people_with_candidate} people",
        "ja": "ただちに止めました。守るべき指標「{guard}」が、候補を使った {people_with_candidate} 人のうち"
        " {harmed} 人で許されない値になりました",
    },
    "holding_back": {
        "en": "after the promotion no harm shows: {gain:+.3f} over the model before, between {lower:+.3f} and"
        " {upper:+.3f} among {people} people",
        "ja": "昇格後の害は見られません。前のモデルとの差は {people} 人で {gain:+.3f}、"
        "{lower:+.3f} から {upper:+.3f} の間です",
    },
    "holdback_over": {
        "en": "the holdback is over: {gain:+.3f} over the model before among {people} people;"
        " everyone is served by the champion",
        "ja": "確認のために前のモデルを残す期間が終わりました。差は {people} 人で {gain:+.3f} です。"
        "全員に現行モデルが答えます",
    },
    "withdrawn": {
        "en": "the trial was ended by a person{because}; the champion keeps serving",
        "ja": "人が試行をやめました{because}。現行モデルが続けて答えます",
    },
    "drifted": {
        "en": "what is served has changed: {found_en}; an evaluation is asked for, nothing is switched",
        "ja": "提供時の状況が変わりました。{found_ja}。評価を依頼します。何も切り替えません",
    },
    "disk_full": {
        "en": "stopped: the disk is full, so nothing new can be kept; the champion keeps serving. Make room, then turn"
        " the wheel again",
        "ja": "停止しました。ディスクに空きがなく、新しいものを保存できません。現行モデルが続けて答えます。"
        "空きを作ってから、もう一度回してください",
    },
    "out_of_memory": {
        "en": "stopped: training needs more memory than there is; the champion keeps serving",
        "ja": "停止しました。学習に必要なメモリが足りません。現行モデルが続けて答えます",
    },
    "diverged": {
        "en": "stopped: training ran away, its numbers are not finite; the champion keeps serving",
        "ja": "停止しました。学習が発散し、数値が有限でなくなりました。現行モデルが続けて答えます",
    },
    "unreadable_examples": {
        "en": "stopped: what was recorded could not be read as examples ({error}); nothing was trained and the champion"
        " keeps serving. The log says which",
        "ja": "停止しました。記録を例として読めませんでした（{error}）。何も学習していません。"
        "現行モデルが続けて答えます。詳しくはログを見てください",
    },
    "trainer_failed": {
        "en": "stopped: training or scoring failed ({error}); the champion keeps serving. The log has the details",
        "ja": "停止しました。学習または採点に失敗しました（{error}）。現行モデルが続けて答えます。"
        "詳しくはログを見てください",
    },
    "forced": {
        "en": "promoted by {who} without the gate's word, because: {because}",
        "ja": "関門の判断によらず {who} が昇格させました。理由: {because}",
    },
    "rebuilt": {
        "en": "a person was erased: made again from the base without them ({gone} examples went, {left} teach),"
        " and not worse than before on {n} questions from {people} people: {gain:+.3f},"
        " between {lower:+.3f} and {upper:+.3f}",
        "ja": "利用者の消去により、その人なしで土台から作り直しました（例 {gone} 件がなくなり、{left} 件で学習）。"
        "質問 {n} 件（{people} 人）で以前より悪くありません。{gain:+.3f}、{lower:+.3f} から {upper:+.3f} の間です",
    },
    "rebuilt_same": {
        "en": "a person was erased: made again without them ({gone} examples went, {left} teach), it is"
        " the same to the last byte, so nothing of them had been in it",
        "ja": "利用者の消去により、その人なしで作り直しましたが（例 {gone} 件がなくなり、{left} 件で学習）、"
        "最後の1バイトまで同じでした。モデルにその人の痕跡はありません",
    },
    "rebuilt_worse": {
        "en": "a person was erased: made again without them, as the law does not wait, but worse on {n} questions from"
        " {people} people: {gain:+.3f}, at best {upper:+.3f}; a turn of the wheel is asked for",
        "ja": "利用者の消去により、その人なしで作り直しました。法は待ちませんが、質問 {n} 件（{people} 人）で"
        "以前より悪くなりました。{gain:+.3f}、良くても {upper:+.3f} です。改善の実行を依頼します",
    },
    "rebuilt_unsure": {
        "en": "a person was erased: made again without them; {n} questions from {people} people are too few to say"
        " that it is as good: {gain:+.3f}, between {lower:+.3f} and {upper:+.3f}; a turn of the wheel is asked for",
        "ja": "利用者の消去により、その人なしで作り直しました。質問 {n} 件（{people} 人）では"
        "以前と同等とは言い切れません。{gain:+.3f}、{lower:+.3f} から {upper:+.3f} の間です。改善の実行を依頼します",
    },
    "rebuilt_as_base": {
        "en": "a person was erased and it could not be made again without them{why}: the first model serves, from what"
        " the company knows and nothing else; a turn of the wheel is asked for",
        "ja": "利用者が消去され、その人なしでは作り直せませんでした{why_ja}。"
        "会社の知識だけから作った最初のモデルに戻します。改善の実行を依頼します",
    },
    "erased_meanwhile": {
        "en": "somebody it learned from was erased while this was being judged; run again",
        "ja": "判定の途中で、学習に使った利用者が消去されました。もう一度実行してください",
    },
    "champion_moved": {
        "en": "the champion changed while this was being judged; run again",
        "ja": "判定の途中で現行モデルが替わりました。もう一度実行してください",
    },
    "installed": {
        "en": "the first model, from what the company knows and nothing else",
        "ja": "最初のモデルです。会社の知識だけから作りました",
    },
    "rolled_back": {
        "en": "taken back by a person{because}",
        "ja": "人が元に戻しました{because}",
    },
}

WAITS = {"en": "; it waits for a person's signature", "ja": "。人の署名を待っています"}
"""Added to the reason of whatever the gate would have promoted by itself."""

WHY_BASE: dict[str, dict[str, str]] = {
    "nothing_left": {"why": ", as nothing is left to learn from", "why_ja": "（学習に使えるものが残っていません）"},
    "error": {"why": ", as training failed", "why_ja": "（学習に失敗しました）"},
}
"""Why the first model serves after an erasure."""

_DRILL = {
    "en": {
        False: "drill with shuffled corrections: refused, as it should be: ",
        True: "drill with shuffled corrections: THE GATE LET IT THROUGH; nothing was changed, but do not trust it: ",
    },
    "ja": {
        False: "でたらめな訂正での試験: 期待どおり却下しました。",
        True: "でたらめな訂正での試験: 関門が通してしまいました。何も替えていませんが、関門を信用しないでください。",
    },
}

BASELINES: dict[str, dict[str, str]] = {
    "majority": {"en": "always the most frequent answer", "ja": "いつも一番多い答え"},
    "never": {"en": "always “I don't know”", "ja": "いつも「わかりません」"},
    "untaught": {"en": "the model before anybody taught it", "ja": "何も学ぶ前のモデル"},
    "by_heart": {"en": "only what was asked word for word", "ja": "一字一句同じ質問だけ答える"},
}
"""Names of the usual trivial methods; one that is not here goes by its own name."""

GUARDS: dict[str, dict[str, str]] = {
    "complaints": {"en": "answers that were turned down", "ja": "間違いとされた回答"},
    "wait_s": {"en": "waiting for an answer", "ja": "回答までの待ち時間"},
    "lookup_s": {"en": "time to look an answer up", "ja": "答えを探す時間"},
}
"""Names of the usual guardrails; one that is not here goes by its own name."""

MEASURES: dict[str, dict[str, str]] = {
    "psi": {
        "en": "“{name}” is distributed differently (PSI {value:.2f}, {limit:.2f} is expected at most)",
        "ja": "「{name}」の分布が違います（PSI {value:.2f}、通常は {limit:.2f} まで）",
    },
    "wasserstein": {
        "en": "“{name}” moved by {value:.3g} ({limit:.3g} is expected at most)",
        "ja": "「{name}」が {value:.3g} ずれました（通常は {limit:.3g} まで）",
    },
    "live_score": {
        "en": "people are served worse than at first, by {value:.3f} of the range",
        "ja": "利用者の結果が当初より範囲の {value:.3f} だけ悪くなっています",
    },
}
"""What drift is measured by."""

RISKS: dict[str, dict[str, str]] = {
    "refit_unjudged": {
        "en": "what serves was refitted on everything known; the interval is of the same recipe one cut-off earlier",
        "ja": "実際に使うのは全データで学習し直したもので、区間は一つ前の区切りで学習した同じ作り方のものです",
    },
    "selected_by_feedback": {
        "en": "only questions somebody reacted to, or let pass, can judge; silence counts for the model that served",
        "ja": "判定できるのは、誰かが反応した質問か、そのまま受け入れた質問だけです。沈黙は現行モデルの得点とします",
    },
    "many_attempts": {
        "en": "this champion was challenged {attempt} times; the interval was widened, so trying often does not help",
        "ja": "この現行モデルへの挑戦は {attempt} 回目です。何度も試すだけで通ることのないよう、区間を広げています",
    },
    "few_people": {
        "en": "fewer than 20 people judged; one more could change much",
        "ja": "判定したのは20人未満です。1人増えるだけで結果が大きく変わることがあります",
    },
}


def reasons(code: str, details: Mapping[str, Any], *, drill: bool | None = None) -> dict[str, str]:
    """The reason in each language. `drill`: None for an ordinary decision, else whether the gate let a drill through.

    >>> reasons("nothing_said", {})["en"]
    'nobody has said anything about an answer yet'
    >>> reasons("slice_worse", {"gain": 0.1, "slice": "ja"}, drill=False)["en"][:44]
    'drill with shuffled corrections: refused, as'
    """
    said = {}
    for lang, template in _REASONS[code].items():
        name = str(details.get("baseline", ""))
        guard = str(details.get("guard", ""))
        words = {**details, f"baseline_{lang}": BASELINES.get(name, {}).get(lang, name)}
        words["guard"] = GUARDS.get(guard, {}).get(lang, guard)
        said[lang] = ("" if drill is None else _DRILL[lang][drill]) + template.format(**words)
    return said

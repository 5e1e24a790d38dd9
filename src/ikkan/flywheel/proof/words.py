"""What the report says, in Japanese and English."""

from __future__ import annotations

Said = dict[str, str]

ARMS: dict[str, Said] = {
    "frozen": {"en": "frozen", "ja": "固定"},
    "flywheel": {"en": "flywheel", "ja": "フライホイール"},
    "no_gate": {"en": "no gate", "ja": "関門なし"},
    "placebo": {"en": "placebo", "ja": "偽薬"},
    "self_training": {"en": "self-training", "ja": "自己学習"},
    "oracle": {"en": "oracle", "ja": "全知"},
    "trivial": {"en": "trivial", "ja": "単純法"},
    "random": {"en": "random", "ja": "でたらめ"},
    "malicious": {"en": "with liars", "ja": "嘘つき混入"},
}
ABOUT: dict[str, Said] = {
    "frozen": {"en": "the first champion, for ever", "ja": "最初のモデルのまま変えない"},
    "flywheel": {"en": "real feedback, gate on: the product", "ja": "本物の訂正と関門。製品そのもの"},
    "no_gate": {"en": "real feedback, every candidate serves", "ja": "本物の訂正、候補は無条件で採用"},
    "placebo": {"en": "the same, with what people said permuted", "ja": "同じ仕組みで、訂正を質問間で入れ替えたもの"},
    "self_training": {
        "en": "its own answers taken for the truth, every candidate serves",
        "ja": "自分の答えを正解とみなし、候補は無条件で採用",
    },
    "oracle": {
        "en": "the truth about every visit, every candidate serves",
        "ja": "すべての正解を知り、候補は無条件で採用",
    },
    "trivial": {"en": "a simple method, on the flywheel's feedback", "ja": "同じ訂正から学ぶ単純な方法"},
    "random": {"en": "answers drawn at random", "ja": "でたらめに答える"},
    "malicious": {
        "en": "the flywheel, where some people always lie",
        "ja": "一部の人が必ず嘘をつく場合のフライホイール",
    },
}
CHECKS: dict[str, Said] = {
    "better_than_frozen": {
        "en": "the flywheel is better than frozen: the lower end of its gain is above zero",
        "ja": "フライホイールは固定より良い（改善幅の下端が 0 より上）",
    },
    "placebo_not_above_frozen": {
        "en": "the placebo is not shown to be better than frozen",
        "ja": "偽薬が固定より良いとは言えない",
    },
    "self_training_not_above_frozen": {
        "en": "self-training is not shown to be better than frozen",
        "ja": "自己学習が固定より良いとは言えない",
    },
    "never_below_frozen": {
        "en": "after no round is the flywheel below frozen by more than is allowed",
        "ja": "どの回の後も、許容を超えて固定を下回らない",
    },
    "liars_do_no_harm": {
        "en": "the same where some people lie",
        "ja": "嘘をつく人がいても同じ",
    },
    "nulls_refused": {
        "en": "of challengers that are no better, no more than allowed are promoted",
        "ja": "差のない挑戦者の昇格は、許容した割合まで",
    },
    "erasure_exact": {
        "en": "what is trained after erasing people is, byte for byte, what is trained where they never were",
        "ja": "消去後に学習したものは、その人たちが初めからいなかった場合と 1 バイトも違わない",
    },
    "more_than_one_seed": {"en": "there is more than one seed", "ja": "乱数の種が 2 つ以上ある"},
}
HEADINGS: dict[str, Said] = {
    "title": {"en": "Does use make it better?", "ja": "使うほど良くなるか"},
    "pass": {"en": "pass", "ja": "合格"},
    "fail": {"en": "fail", "ja": "不合格"},
    "headline": {"en": "Flywheel over frozen, all rounds", "ja": "固定に対するフライホイールの改善（全回）"},
    "interval": {"en": "95 % interval", "ja": "95% 区間"},
    "checks": {"en": "What a pass asks for", "ja": "合格の条件"},
    "gains": {"en": "Each arm over frozen", "ja": "各方式と固定との差"},
    "curves": {"en": "Round by round", "ja": "回ごとの推移"},
    "people_teach": {"en": "What people teach", "ja": "人が教えるもの"},
    "controls": {"en": "Controls", "ja": "対照"},
    "by_round": {"en": "Flywheel over frozen, by round and seed", "ja": "固定との差（回・乱数の種ごと）"},
    "stress": {"en": "Stress", "ja": "耐性"},
    "refusals": {"en": "Every refusal", "ja": "却下のすべて"},
    "promotions": {"en": "Every promotion", "ja": "昇格のすべて"},
    "protocol": {"en": "The protocol", "ja": "実験計画"},
    "arm": {"en": "arm", "ja": "方式"},
    "gain": {"en": "gain", "ja": "差"},
    "person": {"en": "over people", "ja": "人を単位に"},
    "seed_interval": {"en": "over seeds", "ja": "種を単位に"},
    "round": {"en": "round", "ja": "回"},
    "seed": {"en": "seed", "ja": "種"},
    "mean": {"en": "mean", "ja": "平均"},
    "said": {"en": "said", "ja": "発言"},
    "why": {"en": "why", "ja": "理由"},
    "test": {"en": "Test file, scored once", "ja": "テストファイル（一度だけ採点）"},
    "none": {"en": "none", "ja": "なし"},
}
NOTES: dict[str, Said] = {
    "curves": {
        "en": "Each round is measured on visits nobody has learned from, before they teach. Bands: 95 %, over people.",
        "ja": "各回は、まだ誰も学習していない訪問で測ってから学習に使います。帯は人を単位とした 95% 区間です。",
    },
    "gains": {
        "en": "Mean over people and all rounds, the first included, in which nothing had been learned yet. The interval"
        " is as wide as the wider of two at each end: a confidence sequence over people, and Student's over seeds.",
        "ja": "まだ何も学んでいない初回を含む全回、人ごとの平均です。区間は、人を単位とした信頼系列と、種を単位とした"
        " Student の区間の、広い方の端を採ります。",
    },
    "below": {
        "en": "Allowed below frozen after any round, averaged over seeds: {fallen}. Worst seen: {worst}.",
        "ja": "どの回の後も、種の平均で固定を下回ってよいのは {fallen} まで。最悪は {worst} でした。",
    },
    "liars": {
        "en": "{share} of people lie, always and in concert. Worst round against frozen: {worst}.",
        "ja": "{share} の人が、示し合わせて必ず嘘をつきます。固定と比べて最悪の回は {worst} でした。",
    },
    "canary": {
        "en": "{tried} synthetic challengers through screen, canary and spending: {promoted} promoted.",
        "ja": "合成した差のない挑戦者 {tried} 体を審査・カナリア・誤り配分に通し、昇格は {promoted} 体。",
    },
    "gate": {
        "en": "{tried} contests of this proof with each person's two answers exchanged by the toss of a coin, through"
        " the gate: {promoted} promoted.",
        "ja": "この実験の対戦で、人ごとに両者の答えを硬貨投げで入れ替えた {tried} 件を関門に通し、"
        "昇格は {promoted} 件。",
    },
    "erased": {
        "en": "{people} people with {examples} lessons erased. Trained with them: {with_them}. Trained after erasing"
        " them: {after}. Trained where they never were: {without}.",
        "ja": "{people} 人（{examples} 件の教え）を消去。消去前の学習結果 {with_them}、消去後 {after}、"
        "初めからいない場合 {without}。",
    },
    "protocol": {
        "en": "Hashed and printed before anything but the data file's own hash was read of it.",
        "ja": "データからファイル自体のハッシュ以外を読む前に、ハッシュを計算し表示しました。",
    },
    "limits": {
        "en": "People here are drawn, not asked: who corrects, how often and how wrongly stands in the protocol. The"
        " truth reaches the scores and the oracle only.",
        "ja": "ここでの人は模擬です。誰がどれだけ、どのくらい誤って訂正するかは実験計画にあります。"
        "正解は採点と「全知」だけが使います。",
    },
}

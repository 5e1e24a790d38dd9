"""Chinese words of a meeting, found without a dictionary: characters that keep together and stand among many others.

Firm inside, free on both sides: pointwise mutual information at the weakest cut, and entropy of the neighbours. Source:
Chien 1997, keyword extraction for Chinese. Both thresholds were chosen on VCSum (`benchmarks/LOG.md`).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

LONGEST = 5
LEAST = 3
"""Said so often in a meeting, characters may be a word of it."""
FIRM, FREE = 3.0, 1.3
"""Nats of mutual information at the weakest cut, and of entropy among the neighbours of the less free side…"""
FIRM_SHARE, FREE_SHARE = 0.75, 0.85
"""…or this share of the most that so few words, or so few times, can have."""

_RUNS = re.compile(r"[\u3400-\u9fff]+")
_GRAMMAR = frozenset(
    "的了是在我你您他她它们这那就也都很还和与或但而被把让给对从到吗呢吧啊呀嘛哦噢嗯哈么什怎哪谁不没有个些"
    "一二两三几每各某再又才只太更最该想讲说看去来做能可会要以为所其之于因如若则并及且过着得地里第然"
)
"""No word of a title begins or ends with one of these: grammar, fillers, counting."""
_BEGINS = frozenset("会能可要地里为以第过最一三")
"""These begin words all the same, such as 会议, 能源, 可靠性 or 要求."""
_INSIDE = frozenset("的了是我你您他她它们这那吗呢吧啊呀嘛哦噢嗯么就也都很")
"""No word of a title has one of these anywhere."""
_PERSON = ("老师", "先生", "女士", "同学", "总", "教授", "博士", "主任", "经理", "院长", "校长")
"""Who is addressed like this is a person, and no topic."""
_WORDS = """
大家 今天 现在 时候 时间 可能 应该 比如 其实 觉得 知道 问题 东西 情况 方面 事情 非常 可以 里面 起来 出来 谢谢 我们
大概 特别 当然 刚才 以后 之后 之前 包括 相关 基本 基本上 比较 一定 一直 一样 一种 认为 认识 希望 感觉 部分 地方
要求 会有 会在 能够 可能会 要去 要有 会更 会把 能把 各位 同学 朋友 嘉宾 过程 过来 过去 例如 以及 为了 为什 地去
通过 进行 进来 进去 实际 实际上 事实上 目前 首先 最后 最重 直接 完全 已经 开始 需要 还需要 就需要 叫做 所谓 为主
"""
_COMMON = frozenset(_WORDS.split())
"""Words that no meeting is about."""


def phrases(lines: Iterable[str]) -> frozenset[str]:
    """The words that a meeting in Chinese says at least three times, of two to five characters.

    >>> said = ["预算通过后由财务部门汇总，区块链放到下周", "客户反馈区块链速度慢，工厂排期照旧"]
    >>> phrases([*said, "招聘计划推迟到春天，区块链另行讨论", "仓库搬迁由张经理负责，供应商名单月底交"])
    frozenset({'区块链'})
    """
    counts: Counter[str] = Counter()
    before: defaultdict[str, Counter[str]] = defaultdict(Counter)
    after: defaultdict[str, Counter[str]] = defaultdict(Counter)
    edges = 0
    for line in lines:
        for run in _RUNS.findall(line):
            for at in range(len(run)):
                counts[run[at]] += 1
                for length in range(2, min(LONGEST, len(run) - at) + 1):
                    gram = run[at : at + length]
                    counts[gram] += 1
                    # The edge of a run, and grammar, are a neighbour of their own each time: nothing stands freer.
                    edges += 1
                    left, right = run[at - 1 : at], run[at + length : at + length + 1]
                    before[gram][left if left and left not in _INSIDE else f"edge {edges}"] += 1
                    after[gram][right if right and right not in _INSIDE else f"edge {edges}"] += 1
    total = sum(times for gram, times in counts.items() if len(gram) == 1)
    return frozenset(
        gram
        for gram, times in counts.items()
        if times >= LEAST
        and len(gram) > 1
        and may_name(gram)
        and _firmness(gram, counts, total) >= min(FIRM, FIRM_SHARE * math.log(total / times))
        and min(_entropy(before[gram]), _entropy(after[gram])) >= min(FREE, FREE_SHARE * math.log(times))
    )


def may_name(gram: str) -> bool:
    """Whether characters can name what is talked about.

    >>> may_name("会议"), may_name("的上"), may_name("大家"), may_name("王老师")
    (True, False, False, False)
    """
    begins = gram[0] not in _GRAMMAR or gram[0] in _BEGINS
    ends = gram[-1] not in _GRAMMAR and not gram.endswith(_PERSON)
    return begins and ends and gram not in _COMMON and _INSIDE.isdisjoint(gram)


def spoken(text: str, known: frozenset[str]) -> list[str]:
    """The known words of a text, longer ones before what lies within them.

    >>> spoken("讲区块链技术", frozenset({"区块链", "区块", "技术"}))
    ['区块链', '技术']
    """
    found = []
    for run in _RUNS.findall(text):
        at = 0
        while at < len(run):
            length = next((size for size in range(LONGEST, 1, -1) if run[at : at + size] in known), 1)
            if length > 1:
                found.append(run[at : at + length])
            at += length
    return found


def _firmness(gram: str, counts: Counter[str], total: int) -> float:
    whole = math.log(counts[gram] / total)
    return min(
        whole - math.log(counts[gram[:cut]] / total) - math.log(counts[gram[cut:]] / total)
        for cut in range(1, len(gram))
    )


def _entropy(neighbours: Counter[str]) -> float:
    total = sum(neighbours.values())
    return -sum(times / total * math.log(times / total) for times in neighbours.values())

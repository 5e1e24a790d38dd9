"""Marks of a doer in English. Names nobody knows are told by their capital letter."""

from __future__ import annotations

import re
from functools import lru_cache
from re import Pattern

from ikkan.apps.meetings.rules.language.owners.marks import Marks

_TITLE = r"(?:[Mm]r|[Mm]rs|[Mm]s|[Mm]iss|[Dd]r|[Pp]rof|[Pp]rofessor|[Dd]octor)\.? "
_BASE = "(?:[OD]'|Mc|Mac)?[A-Z][a-zà-ÿ]+(?:-[A-Z][a-z]+)?"
_MODAL = (
    r"(?:'ll|(?:'s|'s just| is| are) going to|(?: is|'s) gonna| will| needs? to| has to| have to|"
    r" must| should| shall| ought to| is to| can| could| would| might| may|(?: had|'d) better|"
    r" agreed to| has agreed to|(?:'s| is)(?: just| also| now)? [a-z]+ing\b|"
    r"'s (?:job|task|role|turn|responsibility) (?:is|will be)?| [a-z]+s (?:the|a|an|it|them|this|"
    r"that|our|up|out|in|over|back)\b| volunteered to| has's (?:job|task|role|turn|"
    r"responsibility) (?:is|will be)?| [a-z]+s (?:the|a|an|it|them|this|that|our|up|out|in|over|"
    r"back)\b| volunteered to| takes\b| is taking| owns\b| is responsible| is in charge|"
    r" is on point|'s on point|'s responsible|'s in charge|'s taking|'s doing| is doing|"
    r" is handling|'s handling| handles\b|"
    r" is leading|'s leading| leads\b| gets to| is supposed to| is the owner| to (?!be\b)[a-z]+)"
)


@lru_cache(maxsize=256)
def _name(known: str) -> str:
    return (
        rf"(?P<name>(?:{_TITLE})?(?:(?:{known})\b(?: {_BASE})?|(?!{_STOP}\b)(?!(?:I|We|You|He|She|They|"
        rf"It)\b){_BASE}(?: (?!{_STOP}\b){_BASE})?))(?P<other>(?!))?"
    )


_STOP = (
    r"(?:Over|Get|Have|Anything|Nobody|Whoever|Hang|Hold|Make|Let|Any|Sending|Consider|Dr|Mr|Mrs|"
    r"Ms|Prof|Miss|Can|Could|Would|Will|Shall|Should|Please|Let|Then|And|So|But|Or|Also|Okay|Ok|"
    r"Yes|No|Yeah|Yep|Right|Well|Thanks|Thank|Great|Good|Fine|Sure|Now|Next|First|Second|Finally|"
    r"Hey|Hi|Hello|Alright|All|Sorry|Actually|"
    r"Everyone|Everybody|Someone|Somebody|Anyone|Anybody|Nobody|Folks|Team|Guys|This|That|These|"
    r"Those|There|The|A|An|My|Our|Your|His|Her|Their|Its|If|When|Once|As|By|Before|After|On|In|At|"
    r"For|From|To|With|"
    r"What|Who|Where|Why|How|Which|Whose|Do|Does|Did|Is|Are|Was|Were|Has|Have|Had|May|Might|Must|"
    r"Maybe|Perhaps|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Tomorrow|Today|"
    r"Tonight|January|February|March|"
    r"April|June|July|August|September|October|November|December|Marketing|Sales|Legal|Finance|"
    r"Engineering|Design|Product|Operations|Support|Procurement|Security|Accounting|Management|"
    r"Purchasing|Logistics|Compliance|"
    r"People|Nothing|Something|Everything|One|Two|Three|Each|Either|Both|Another|Let's|We're|I'm|"
    r"I'll|It's|That's|Need|Going|Will|Got|Noted|Understood|Agreed|Decided|Decision|Action|"
    r"Question|Um|Uh|Er|Hmm|Oh|Anyway|"
    r"Quick|Just|Not|Don't|Hopefully|Of|See|Given|Since|Because|While|Until|Unless|Again|Later|"
    r"Soon|Ideally|Apparently|Same|Other|Option|Plan|Version|Phase|Vendor|Company|Customers?|"
    r"Clients?|Users?|IT|HR|QA|PR|CEO|CTO|CFO|English|"
    r"Remember|Remind|Send|Check|Call|Ask|Tell|Make|Get|Take|Give|Book|Call|Update|Review|Prepare|"
    r"Draft|Write|Fix|Share|Sounds|Perfect|Absolutely|Definitely|Cool|Look|Listen|Wait|Hold|"
    r"Speaking|Regarding|About|Any|Some|Most|Many|Much)"
)


def _shown(alias: str, text: str) -> str:
    if len(alias) == 1:
        return ""
    words = re.escape(" ".join(word[:1].upper() + word[1:] for word in alias.split()))
    if not re.fullmatch(rf"(?i:{_STOP})", alias):
        # Some transcripts have no capital letters but that of "I".
        return words if re.search(r"[A-HJ-Z]", text) else f"(?:{re.escape(alias)})"
    # "Will" and "May" are names only where a name can stand.
    return (
        r"(?<!by )(?<!in )(?<!of )(?<!until )(?<!before )(?<!mid-)(?<!early )(?<!late )(?<!this )"
        r"(?<!next )(?<!on )(?<!since )"
        rf"{words}(?! (?:you|we|it|this|that|they|he|she|there|be|the|a|I|[0-9]|[A-Z]))"
    )


@lru_cache(maxsize=256)
def _named(known: str) -> Pattern[str]:
    # The first word of a sentence is a name only where a name's company follows.
    other = rf"(?<![.!?] )(?<!^){_BASE}(?: (?!{_STOP}\b){_BASE})?|{_BASE}(?: (?!{_STOP}\b){_BASE})?(?={_MODAL}|[,:])"
    return re.compile(
        rf"\b(?P<name>(?:{_TITLE})?(?:(?:{known})\b(?: (?!{_STOP}\b){_BASE})?|"
        rf"(?!{_STOP}\b)(?:{other})))"
    )


@lru_cache(maxsize=256)
def _given(known: str) -> tuple[Pattern[str], ...]:
    name = _name(known)
    return tuple(
        map(
            re.compile,
            (
                rf"\b(?i:assigned?|assign|goes|give|gave|falls|delegated?|pass|allocated?|handed|"
                rf"handing|hand|entrusted?)(?: (?:this|that|it|the [a-z ]{{2,30}}?|"
                rf"[a-z ]{{2,30}}?))?(?: one| over)? to {name}(?= |[.,;!?]|$)(?! (?:a|the) )",
                rf"\b(?i:leave)(?: (?:this|that|it|the [a-z ]{{2,30}}?))?(?: one)? (?:to|with|"
                rf"for) {name}(?= |[.,;!?]|$)",
                rf"\b(?i:one (?:is )?for) {name}(?= |[.,;:!?]|$)",
                rf"\b(?i:action(?: item)?|task|todo|homework)(?: is)? (?:for|on) {name}(?= |[.,;:!?]|$)",
                rf"\b(?i:owner|lead|assignee|responsible)(?: is|:| will be| =) {name}(?= |[.,;!?]|$)",
                rf"\b(?i:that's|this is|it's|that one's|this one's|is|that one is|"
                rf"this one is) (?:on|for|up to|over to|down to|yours,?) {name}[.,!]?(?: (?:to|"
                rf"then|by)\b|$)",
                rf"\b(?i:over to you,|over to) {name}",
                rf"\b(?i:like|want|need|expect|trust|count on|rely on|appoint|nominate|counting on|"
                rf"have|get|let|having) (?!to\b){name} (?!know\b|s?aid\b|on the\b|in the\b|"
                rf"here\b)(?:to )?[a-z]+",
            ),
        )
    )


@lru_cache(maxsize=256)
def _doing(known: str) -> tuple[Pattern[str], ...]:
    name = _name(known)
    return tuple(
        map(
            re.compile,
            (
                rf"^(?i:(?:ok(?:ay)?|so|and|then|right|well|yes|yeah|hey|hi|now|great|good|thanks|"
                rf"alright|all right|um|uh|er|fine|sure|also|but|next|finally|perfect|actually|oh|"
                rf"sorry|got it|cool)[,.;!]? ){{0,3}}{name}(?:[,:;!?.]| -|$)",
                rf"(?:[.;!?-]|\bso|\band|\bthen) {name},",
                rf", (?:please )?{name}(?:,? please)?[.?!]?$",
                rf"\b(?i:you|please|thanks|then|it|that|this),? {name}[.?!]?$",
                rf"\b(?i:can|could|would|will|should|shall|might|maybe|perhaps|may|does|doesn't|"
                rf"have|having|that) {name}(?: please| maybe| just| also)? [a-z]+",
                rf"{name}{_MODAL}",
                rf"\b(?i:how about|what about|what if|suggest|propose|recommend) (?:that )?{name}(?:'s)? [a-z]+",
                rf", {name},",
                rf"(?:^|[,;] ){name}(?:,)? (?:please|you|can you|could you|would you|will you)\b",
                rf"^{name} (?:to|by|and) [a-z]+",
            ),
        )
    )


_SAME_SIZE = {ord("\u2019"): "'", ord("\u2018"): "'", ord("\u2013"): "-", ord("\u2014"): "-"}

MARKS = Marks(
    spelled=lambda text: text.translate(_SAME_SIZE),
    named=_named,
    given=_given,
    doing=_doing,
    first_person=re.compile(
        r"\b[Yy]ou(?:'ll| will) (?:have|get|receive)\b|^(?:[Oo]k(?:ay)?,? |[Ss]ure,? )?[Oo]n it\b|"
        r"[Cc]onsider it done|\bI(?:'ll|'m going to|'m gonna| am going to| will| can\b| could\b|"
        r" shall| have to| need to(?! know)| must| should|'ve got to|'d better|'d be happy to|"
        r" ought to| may| might|'m happy to| volunteer|'m on| promise|"
        r"'m taking| am taking|'m sending|'m doing|'m writing|'m calling|'m meeting|'m handling|"
        r"'ve to| plan to| intend to| commit| guarantee| got this| do that| do it| owe|"
        r"'d love to take|'d be glad|'m glad to|'m meant to|'m \w+ing)"
        r"|\b[Ss]h(?:all|ould) I\b|\bi(?:'ll| will|'m gonna)\b|\b(?:[Ll]et me|[Mm]y (?:team|side|"
        r"group|people|department|squad)|with me\b(?= ?[.,!]?$)|on me\b|(?:like|want|"
        r"need) me to\b|count me in|leave (?:it|that|this) (?:to|with) me)"
        r"|\b(?:[Cc]an|[Cc]ould|[Mm]ay|[Mm]ight) I\b"
    ),
    nobody=re.compile(
        r"\b(?:[Ww]e|[Oo]ur team|[Ee]very(?:one|body)|[Ss]ome(?:one|body)|[Aa]ny(?:one|body)|"
        r"[Aa]ll of (?:us|you)|[Ee]ach of|[Oo]ne of (?:us|you)|[Ff]olks|[Yy]ou|[Tt]hey|[Ll]et's|"
        r"[Uu]s)\b|\b[Tt]he [a-z&]+(?: [a-z]+)? (?:team|department|group|folks|people|guys|side|"
        r"office)\b"
        r"|\b(?:[Mm]arketing|[Ss]ales|[Ll]egal|[Ff]inance|[Ee]ngineering|[Dd]esign|[Oo]perations|"
        r"[Ss]upport|[Pp]rocurement|[Ss]ecurity|[Aa]ccounting|[Cc]ompliance|IT|HR|QA|PR)(?:'ll|"
        r" will| needs| has to| should| is going to| must| can)"
    ),
    titles=re.compile(rf"^(?:mr|mrs|ms|miss|dr|prof|professor|doctor)\.? |^{_TITLE}"),
    nicknames=None,
    no_name=re.compile(rf"(?i:{_STOP}|i|we|you|he|she|they|it|us|me|them|you all|you guys)(?: .*)?"),
    shown=_shown,
    joined=False,
)

"""What sentences do in English."""

from __future__ import annotations

import re

from ikkan.apps.meetings.rules.language.cues.rule import Table, action, decision, plain, proposal, question
from ikkan.apps.meetings.rules.language.owners import Doer

_N = r"ɴ+(?: ɴ+)?"
_PEOPLE = (
    r"(?:we|the team|the group|the committee|everyone|everybody|all of us|it's|it is|it was|that's|"
    r"this is|is|are|was|were|stands|has been|have been|be|as a group|the board|management)"
)
_SETTLED = (
    r"(?:decided|agreed|approved|settled|resolved|concluded|voted|chosen|rejected|postponed|"
    r"cancell?ed|called off|confirmed|adopted|accepted|declined|turned down|scrapped|shelved|dropped|"
    r"deferred|unanimous|ratified|finali[sz]ed|greenlit|vetoed|tabled|pushed back|put on hold|carried|"
    r"picked|selected|opted (?:for|to|against)|ruled (?:out|against|in)|gone with|voted|withdrawn|"
    r"denied|abandoned|frozen|awarded|in agreement|on board)"
)
_CHOOSE = (
    r"(?:(?:go(?:ing)? ahead with|cancell?ing|postponing|dropping|scrapping|choosing|picking|"
    r"keeping (?:the|it|this|to|our)|rejecting|approving|adopting|deferring|delaying|shelving|"
    r"parking|skipping|killing|freezing|abandoning|calling (?:it|this|that|the [a-z ]+?)? ?off|"
    r"switching to|moving (?:it|this|the [a-z ]+?) to|pushing (?:it|this|the [a-z ]+?) (?:back|to|"
    r"out)|putting (?:it|this|that|the [a-z ]+?) (?:off|on hold)|discontinuing|stopping|ending|"
    r"closing|staying with|opting for|settling on)|go with|going with|go for|stick with|"
    r"sticking with|stick to|settle on|settle for|opt for|choose|drop|scrap|cancel|postpone|"
    r"push (?:it|this|that|the [a-z ]+?) (?:back|to|out)|hold off|put (?:it|this|that|"
    r"the [a-z ]+?) (?:off|on hold)|call (?:it|this|that|the [a-z ]+?)? ?off|shelve|park|"
    r"defer|delay|adopt|keep (?:the|it|this|to|our)|pick|reject|approve|skip|move (?:it|"
    r"the [a-z ]+?) to|stay with|abandon|kill|freeze|make it|do (?:option|plan|version|monday|"
    r"tuesday|wednesday|thursday|friday|the (?:first|second|third|later|earlier|morning|"
    r"afternoon))|use (?:the|option|plan|version|vendor|[a-z]+ (?:instead|for))|take (?:option|"
    r"plan|version|vendor|the (?:first|second|third|other|cheaper|larger|smaller|bigger|one|blue|"
    r"red|green|later|earlier))|turn(?:ing)? (?:it|this|that|them|the [a-z ]+?)? ?down|declin(?:e|"
    r"ing)|withdraw(?:ing)?|pull(?:ing)? (?:out|the plug)|leav(?:e|ing) (?:it|things|that|"
    r"the [a-z ]+?) (?:as|out)|proceed(?:ing)? with|run(?:ning)? with|mov(?:e|ing) (?:forward|"
    r"ahead) with|switch to|stop|ditch|discontinue|leave it (?:at|as)|not\b)"
)
_MODAL_I = (
    r"(?:'ll|'m going to| am going to|'m gonna| will| can(?! ?not|'t)| shall| have to|'ve got to|"
    r" need to(?! know)| must|'d better| gotta| got to|'m happy to| am happy to| promise to| plan to|"
    r" intend to| commit to| volunteer| aim to)"
)
_COURTESY = (
    r"(?:know|see|hear|think|guess|suppose|believe|hope|wonder|understand|agree|mean|say|admit|"
    r"remember|see if|be honest|be back|be brief|be quick|be out|be away|be on|be late|be there|"
    r"be here|be travelling|be traveling|be in)"
)

TABLE = Table(
    ends=re.compile(
        r"(?<!\bmr)(?<!\bms)(?<!\bdr)(?<!\bmrs)(?<!\bp\.m)(?<!\ba\.m)(?<!\bvs)(?<!\bno)(?<!\bapr)"
        r"(?<!\bjan)(?<!\bfeb)(?<!\bmar)(?<!\baug)(?<!\bsep)(?<!\bsept)(?<!\boct)(?<!\bnov)(?<!\bdec)"
        r"[.!?]+(?=\s|"
        r"$|[\"')])|\n+"
    ),
    therefore=re.compile(r"[,;.]? so (?=i|we|ɴ|let|please|can|could)"),
    joints=re.compile(r",? (?:so|and|then|but)\b,?|[,;:]| - "),
    softeners=re.compile(
        r"(?:^|,? ?)\b(?:um+|uh+|er|erm|hmm+|you know(?! (?:if|who|what|when|where|how|why|"
        r"whether|the|that|about))|basically|i mean|kind of|sort of)\b,?(?:(?<=^um,) )?"
        r"|,? ?\bif (?:you (?:(?:could|can|would)(?=[,.?!]|$)|don't mind|wouldn't mind|"
        r"get a (?:chance|moment|minute)|have (?:a (?:moment|minute|chance|second)|time)|please|"
        r"will)|possible|at all possible|that's (?:ok|okay|alright|all right|fine|possible)|"
        r"that works|it's not too much trouble|you're (?:ok|okay|free|able)|need be|i may|i might|"
        r"we may)\b"
        r"|\bwhen(?:ever)? you (?:get a (?:chance|moment|minute)|have (?:a (?:moment|minute|chance)|time)|can)\b,?"
    ),
    condition=re.compile(
        r"(?<!see )(?<!know )(?<!check )(?<!ask )(?<!out )(?<!wonder )(?<!wondering )(?<!confirm )"
        r"(?<!sure )(?<!as )(?<!what )(?<!whether )(?<!find )(?<!tell )(?<!me )(?<!them )(?<!ɴ )"
        r"(?<!verify )(?<!asking )\bif\b(?! you (?:could|"
        r"can|would) (?!hear|see)[a-z]+| possible)|\b(?:unless|in case|provided(?: that)?|"
        r"assuming|should (?:anything|you (?:have|need|want)|they|the|it)\b|as long as|"
        r"depending on|depends on|in the event|otherwise i|supposing|suppose)\b"
    ),
    habit=re.compile(
        r"\b(?:usually|every (?:day|week|month|year|morning|time|monday|tuesday|wednesday|thursday|"
        r"friday|quarter|sprint|other)|always|typically|normally|generally|whenever|tends? to|"
        r"as a rule|each (?:week|month|day|time)|routinely|on (?:mon|tues|wednes|thurs|fri)days|often|"
        r"in general|by default|once a (?:week|month|year)|used to)\b"
    ),
    rules=(
        plain(
            r"\bshar(?:e|ing) (?:my|the|your) screen\b|\b(?:hear|see) me\b|\bsee (?:my|the|"
            r"this) (?:screen|slide)s?\b|\b(?:on )?mute\b|\bunmute\b|\bnext (?:item|slide|topic|"
            r"point|agenda|question|up)\b|\b(?:move|moving) on\b|"
            r"\blet's (?:start|begin|get (?:started|going|into)|kick (?:off|things)|wrap|"
            r"take (?:a|five|ten|questions)|continue|dive|go (?:around|round|back|through|over)|"
            r"turn|jump|come back|pick (?:this|it|that) (?:up|back)|hear|see|look at|pause|break|"
            r"recap|do (?:a round|introductions|intros)|circle back|get back to|stop here|"
            r"talk about|discuss|call it a day|leave it there|resume|reconvene|finish|"
            r"close (?:the|here)|stay on|focus on)\b|"
            r"\b(?:i'll|i will|let me|i'm going to|i'd like to|i want to|i'll just|let me just|"
            r"we'll|we will) (?:just |quickly |briefly |first |now )*(?:explain|come (?:back )?to|"
            r"get (?:to|into|back to (?:that|this|it|the))|touch|talk(?! to)|walk (?:you|us)|"
            r"go (?:over|through|into|first|next)|show|start|begin|hand (?:over|you|it over)|"
            r"be brief|pause|share (?:my|the) (?:screen|slide)|think|finish|pull up|say|rephrase|"
            r"be clear|add|read|summari[sz]e(?! (?:it|the|this) .* by)|introduce|present|stop|"
            r"recap|repeat|elaborate|jump|leave it there|kick|give you (?:a|some) (?:quick|brief|"
            r"overview|background|context)|return to|cover|discuss|turn to|circle back|"
            r"wrap)\b(?!.*\b(?:by|before) (?:monday|tuesday|wednesday|thursday|friday|tomorrow|"
            r"tonight|the end|noon|next))|"
            r"\b(?:any|other) (?:questions|comments|thoughts|objections)\b|\btake (?:this|that|"
            r"it) offline\b|\bagenda item\b|\bon the agenda\b|\brecord(?:ing)? (?:this|"
            r"the (?:call|meeting))\b|\bgo ahead\b(?=[.,!]?$)|\bwho wants to go first\b|"
            r"\bwelcome (?:everyone|everybody|all|back|to)\b|\bthanks (?:everyone|everybody|all|"
            r"for (?:joining|coming))\b|\bthat's all\b|(?<!get )\bback to you(?=[.,!]?$|, ɴ)|"
            r"\bover to ɴ+[.!]?$|"
            r"\bcan (?:everyone|everybody|you all|you guys) (?:hear|see)\b|"
            r"\b(?:please )?(?:bear with|hold on|one (?:second|moment|at a time)|hang on|wait a|"
            r"give me a (?:second|moment|minute|sec))\b(?!,? no)|\bplease (?:take a seat|"
            r"raise your hand|turn to page|look at|note that|have a look at (?:the )?(?:slide|"
            r"screen))\b|\bturn to (?:page|slide)\b|\b(?:you have|you've got) the floor\b|"
            r"\bbreak for\b|\bcould you (?:repeat|speak up|say that again)\b|\bspeak up\b|"
            r"\bconnection\b.*\b(?:bad|breaking|poor)\b|\bbreaking up\b|\btime check\b|\b(?:can|"
            r"may|could|shall|should) i (?:go on|start|continue|begin|just finish|finish|go first|"
            r"interrupt|jump in|share|take the next|carry on|move on|stop you)\b|\b(?:want|"
            r"like) to (?:start|go first|begin|kick us off)\b|\bwho (?:wants|"
            r"would like) to (?:start|go|begin)\b|\bstill there\?|^hello\?|\blose you\b|"
            r"\b(?:camera|mic|microphone|recording) (?:is )?(?:on|off|working)\b|\b(?:anything|"
            r"anyone|anybody) else\?|\bcall it a day\b|\bdo we have everyone\b|\bif we record\b|"
            r"\bis (?:everyone|everybody) (?:here|ready|back|on|in)\b|\bare we all (?:here|ready|"
            r"set|on)\b|\bis this thing on\b|\bany other business\b|\bwhere were we\b|\b(?:does|"
            r"did) that make sense\b|\bmake sense\?|\bwho(?:'s| is) next\b|\b(?:shall|should|can|"
            r"could) we (?:start|begin|get (?:started|going)|move on|continue|take a (?:short |"
            r"quick )?break|wrap|pause|kick off|stop here|go on|come back to|leave it)\b|"
            r"^(?:ready|all clear|all good|ok|okay|right|yes|really|no (?:objections|questions)|"
            r"any objections|questions|agreed|everyone ok)\?|\bhow are you\b|\bhow(?:'s|"
            r" is) (?:it going|everyone|everybody)\b|\bnext slide\b|\bcan you see\b(?! (?:to|if))|"
            r"\bam i (?:audible|coming through|on mute)\b|\bout of time\b|\bscroll (?:up|down)\b|"
            r"\bzoom in\b",
            is_firm=True,
        ),
        plain(
            r"\b(?:any(?:thing|one)|something|questions|problems|issues|"
            r"you need) .{0,24}\b(?:let me know|reach out|shout|give me a|drop me|call me|ask|"
            r"ping me|feel free|don't hesitate|get in touch)\b|\b(?:feel free|don't hesitate|"
            r"let me know) (?:to|if)\b(?! .*\bby\b)|\bhappy to (?:answer|help)\b|\b(?:my door is|"
            r"always open|any time|anytime)\b|\btake care\b(?! of)|\bhave a (?:good|nice|great)\b|"
            r"\bsafe travels\b"
            r"|\b(?:thank you|thanks|appreciate)\b(?! .*(?:please|could|can you|will|"
            r"'ll))[^.?!]*$|\bsee you (?:all )?(?:on|next|tomorrow|then|there|later|soon|in)\b|"
            r"\btalk (?:to you )?(?:soon|later)\b",
            is_firm=True,
        ),
        plain(
            rf"\b(?:he|she|they|it|somebody|someone|people|{_N}|the (?:client|customer|vendor|"
            rf"supplier|boss|director|team|board|press|article|email|report|ceo|cto|manager)s?|"
            rf"legal|finance|marketing|sales|my (?:boss|manager)|i|we|you)(?:'s|'d|'ve| has| have|"
            rf" had| already| also| just| once| always| keeps?| kept)* (?:said|says|saying|"
            rf"told (?:me|us|him|her|them|you|ɴ+)|mentioned|wrote|claimed|claims|promised(?! to)|"
            rf"quoted|announced|insisted|swore|was like|were like|asked (?:me|us|him|her|them|if|"
            rf"whether|who|what|when|for)|replied|warned|argued|reported that|wants to know|joked|"
            rf"complained)\b"
            r"|\baccording to\b|\bapparently\b|\bquote,? unquote\b|\b(?:i|we) heard\b|\brumou?r\b|"
            r"\bsupposedly\b|\breportedly\b|[\"“][^\"”]{4,}[\"”]"
        ),
        plain(
            r"\b(?:haven't|hasn't|have not|has not|not|never|didn't|isn't|aren't|nothing(?:'s| is|"
            r" has been)?) (?:yet |really |actually |fully |been |even |quite |quite yet |"
            r"formally |officially )*(?:decided|agreed|settled|made up|made a decision|reached|"
            r"finali[sz]ed|chosen|sure|concluded|approved|resolved|confirmed|set in stone|"
            r"clear)\b|\b(?:undecided|up in the air|tbd|to be (?:decided|determined|confirmed|"
            r"discussed)|still (?:open|deciding|discussing|debating|thinking|considering|weighing|"
            r"unclear|unresolved|pending|waiting|looking|in talks|under)|yet to (?:decide|agree|"
            r"settle|be|make|choose|reach)|no (?:decision|consensus|agreement|conclusion)|"
            r"open question|on the fence|jury is (?:still )?out|torn between|under (?:discussion|"
            r"review|consideration)|remains open|can't decide|couldn't (?:decide|agree)|pending)\b"
        ),
        plain(
            r"\b(?:should|would|could|might|must|may|needn't|shouldn't|couldn't|wouldn't)(?:n't|"
            r" not)?(?:'ve| have) [a-z]+|\bi (?:was|were) (?:going|supposed|meant|hoping|planning|"
            r"about) to\b|\b(?:was|were) (?:going|supposed|meant) to\b|\bi wish\b|\bif only\b|"
            r"\bhopefully\b|\b(?:i|we|i'm|we're|i'd|i do) (?:hope|hoping|would love|"
            r"'d love)\b(?! you to| ɴ+ to)|\bwould(?:n't it)? be (?:nice|great|lovely|wonderful|good|"
            r"ideal|amazing|fantastic)\b(?! (?:if you|if ɴ))|\bit'd be (?:nice|great|"
            r"lovely)\b(?! (?:if you|if ɴ))|\b(?:almost|nearly) [a-z]+ed\b|\bone day\b|\bsomeday\b|"
            r"\bfingers crossed\b|\blooking forward\b|\bwould have\b|\bhad (?:planned|intended|hoped|"
            r"wanted)\b|\bideal world\b|\bdream\b"
        ),
        plain(
            rf"\b(?:last (?:week|time|month|meeting|year|quarter|sprint|spring|summer|autumn|fall|"
            rf"winter|monday|tuesday|wednesday|thursday|friday)|yesterday|back in|previous(?:ly)?|"
            rf"earlier (?:this|in)|already|years? ago|months? ago|weeks? ago|days? ago|"
            rf"the other day|at the time|in (?:january|february|march|april|may|june|july|august|"
            rf"september|october|november|december|20[0-9][0-9])(?=,| we)|at the (?:kickoff|retro|"
            rf"offsite))\b[^.?!]*\b{_SETTLED}\b"
            rf"|\b{_SETTLED}\b[^.?!]*\b(?:last (?:week|time|month|meeting|year|quarter|spring|"
            rf"summer|autumn|fall|winter|monday|tuesday|wednesday|thursday|friday)|yesterday|"
            rf"previously|already|(?:years?|months?|weeks?|days?) ago|the other day|back (?:in|"
            rf"then|when)|earlier this (?:year|month|week)|before christmas)\b"
            rf"|\b(?:they|he|she|the (?:client|customer|vendor|supplier|competitor|government|city|"
            rf"council|regulator|bank|landlord|parent company|court|ministry|union|other side|"
            rf"press|market|industry)s?|(?:our|their|one of our) (?:competitor|rival|client|"
            rf"customer|vendor|supplier|landlord|parent company|partner)s?|competitors?|rivals?|"
            rf"[a-z]+ (?:inc|corp|ltd|gmbh)|headquarters|hq|{_N})(?:'ve|'s| have| has| had| also|"
            rf" just| apparently| finally| recently| have just| has just)* {_SETTLED}\b"
        ),
        # Refusals, requests not to, rhetorical questions.
        plain(
            r"^(?:(?:ok(?:ay)?|so|and|but|well|right|please|just|also|oh|no|hey|"
            r"ɴ+)[, ]+)*(?:don't|do not|never|no need|stop|please don't|please do not|"
            r"avoid)\b(?!.*\?)|\b(?:please|kindly|just|so) (?:don't|do not|never|refrain)\b|"
            r"\b(?:i'd|i would) (?:rather|prefer) not\b|\b(?:i|ɴ+)(?:'m| am| is|'s)? (?:can't|"
            r"cannot|can not|won't|will not|couldn't|not going to|not able to|unable to|refuse|"
            r"don't (?:think|want|have|plan|intend)|afraid|not doing|isn't going to|not prepared|"
            r"decline|not willing)\b(?!.*\bi'll\b)|\bi'm (?:not|afraid)\b(?!.*\bi'll\b)|"
            r"\byou (?:don't (?:need|have)|needn't|shouldn't|mustn't|can't|must not)\b|"
            r"\b(?:there's|there is) no (?:need|point|way)\b|\bno need\b|"
            r"\bcould you (?:please )?(?:not|stop|avoid)\b|\bi have to (?:decline|pass|say no)\b|"
            r"\bi'll (?:have to )?pass\b|\bwe (?:must not|mustn't|shouldn't|can't|cannot)\b"
            r"|\bwho (?:on earth|in their right mind|would(?:n't)?|cares|knows|doesn't|needs|"
            r"could)\b|\bwhat's not to\b|\bhow (?:hard|difficult) (?:can|could)\b|"
            r"\bwhy (?:on earth|would (?:anyone|we|i|you|anybody))\b|\bisn't it obvious\b|"
            r"\bcould we possibly\b|\bwhat could (?:possibly )?go wrong\b|\bdo you (?:really|"
            r"honestly|seriously) (?:think|believe|expect)\b|\bsince when\b|\bwhat (?:did|"
            r"do) you expect\b|\bwho am i\b|\b(?:can|could|would) you (?:believe|imagine)\b|"
            r"\bguess what\b|^you know what\?|\bhaven't we (?:been|had|done|already|all|heard)\b|"
            r"\bdidn't (?:i|we) (?:tell|say|warn|just)\b|\bwhat are the odds\b|\bwho's counting\b|"
            r"\bto lose\?|\bwhere would we be\b|\bwhy am i not\b|\bis (?:it|that) (?:so|"
            r"really (?:so|that)|too much to ask)\b|\b(?:was|is) (?:that|this|"
            r"it) (?:really )?necessary\b|\bwhy should (?:i|we|anyone|they) (?:care|bother|"
            r"even)\b|\bhow is (?:that|this) (?:my|our|even)\b|\bwhat's new\b|\bwhere do i even\b|"
            r"\bever heard of\b|\bwho hasn't\b|\bwho isn't\b|\bwhat would we do without\b|"
            r"\bwho(?:'s| has| have)? (?:has |got )?(?:the )?time for\b|\bhow (?:should|"
            r"would) i know\b|\bare you (?:kidding|serious|joking)\b|\b(?:does|do|is) (?:it|this|"
            r"that|we|anyone|they) (?:really|even|actually|ever|honestly) (?:matter|want|need|"
            r"think|care|believe|make|worth)\b|\bwhen (?:has|have|did|does) [a-z]+ ever\b|"
            r"\bwhat (?:good|use) (?:would|does|is|will)\b|\b(?:don't|haven't|aren't) we all\b|"
            r"\bwho ever\b|\bisn't (?:it|that|this) (?:great|funny|nice|ironic|amazing|wonderful|"
            r"crazy|ridiculous|a bit)\b|\bwhat (?:more|else) (?:do|could|can) (?:you|we|they|"
            r"one) (?:want|ask|say|expect)\b|\bwhy bother\b|\bhow (?:cool|great|nice|crazy|"
            r"funny) is\b|\bwho (?:wants|likes|reads|has ever|would've|in)\b(?! to (?:take|do|"
            r"lead|own|present|write|go|join|help|volunteer))|\bworst that c|\bdo i look like\b|"
            r"\bhow many times\b|\bisn't that (?:what|why|the)\b|\bwhat's the point\b|"
            r"\bwhat else (?:is new|can|could)\b|\bare we really\b|\bhow (?:many times|"
            r"often) (?:do|must|have)\b|\bwhat difference does\b|\bdoes (?:anyone|"
            r"anybody) (?:really|even|actually|seriously|honestly)\b|\bhow (?:can|"
            r"could) (?:anyone|anybody)\b|\bwho (?:doesn't|wouldn't)\b",
            is_firm=True,
        ),
        # Decisions not to, before other words settle it.
        decision(
            r"\b(?:we(?:'re| are)? (?:not going to|won't|will not|not doing|no longer)|we(?:'ve|"
            r" have)? (?:decided|agreed) (?:not|against)|let's not|we'll not|(?:decided|"
            r"agreed) (?:not to|against)|decision is not)\b(?!.*\?)"
        ),
        # Questions that want to know.
        question(
            r"\b(?:i'd|i would) (?:like|love|be (?:curious|interested)) to (?:know|hear|understand|"
            r"find out|learn|ask|see (?:what|how|why|when|whether))\b|\b(?:i'm|i am|i was|we're|"
            r"just) (?:wondering|curious)\b(?! if (?:you|ɴ+) (?:could|can|would|might))|"
            r"\bi wonder (?:what|when|how|who|why|where|which|if|whether)\b(?! (?:you|we) (?:could|"
            r"should))|\b(?:does|do|did) (?:anyone|anybody|someone|somebody|we|you|they) (?:know|"
            r"remember|recall|have (?:an idea|any idea))\b|\b(?:can|could|would|will) (?:anyone|"
            r"anybody|someone|somebody|you|ɴ+)(?: please)? (?:tell (?:me|us)|explain(?! (?:it|this|"
            r"that|the [a-z]+) to)|clarify(?! (?:it|this|that) with)|remind (?:me|us) (?:what|when|"
            r"who|how|why|where|which)|say (?:what|when|how|why|who)|shed)\b(?!.*\bby\b)|\b(?:i|"
            r"we) (?:want|need|wanted) to (?:know|understand|find out (?:what|why|how|who|when))\b|"
            r"\btell me (?:what|when|how|why|who|where|which|whether|if)\b|\b(?:any idea|any news|"
            r"any update|any word)\b|\b(?:i|we) (?:have|had|'ve got|'ve) (?:a|one|another|"
            r"two) (?:quick )?questions?\b|\b(?:my|the|one|another|a quick) question (?:is|:|about|"
            r"for)\b|\bi'm not (?:sure|clear) (?:what|when|how|who|why|where|which|whether|if)\b|"
            r"\bcould i ask\b|\bmay i ask\b|\bcan i ask\b|\bi don't (?:understand|know) (?:what|when|"
            r"how|who|why|where|which|whether)\b"
        ),
        # Offers and suggestions.
        proposal(
            Doer.SPEAKER,
            r"\b(?:shall|should) i\b(?!.*\bor\b.*\?)(?!.*\b(?:who|what|when|where|which|how) )|"
            r"\b(?:do you|would you|you) (?:want|like|need) me to\b|\bwant me to\b|"
            r"\bwould it help if i\b|\b(?:i could|i can|i'd be happy to|i'm happy to|happy to|"
            r"i'd be glad to|i'm willing to) [^.?!]*\b(?:if (?:you|that|it)|would help|helps?)\b|"
            r"\bi could\b(?!n't)(?!.*\?)|\bhow about i\b|\bwhat if i\b|\bwhy don't i\b|"
            r"\bmaybe i (?:should|could|can)\b|\bi(?:'d| would) be happy to\b|\b(?:can|may|"
            r"could) i (?:help|take|offer|do|give)\b",
        ),
        proposal(
            Doer.NOBODY,
            rf"\bhow about\b(?! you\?| the (?:numbers|budget)\?)|\bwhat about [a-z]+ing\b|"
            rf"\bwhat if (?:we|you|{_N})\b|\bwhy (?:don't|not|doesn't) ?(?:we|you|{_N}|"
            rf"[a-z]+)\b(?<!why not)(?!.*\b(?:work|understand|know|like)\?)|\bwhy not [a-z]+|"
            rf"\b(?:i|we|i'd|i would|we'd|my|may i|can i|let me|i'm)(?: strongly| also| like to|"
            rf"'d like to| would like to)* (?:suggest(?:ing|ion)?|propos(?:e|al|ing)|"
            rf"recommend(?:ation|ing)?|vote|move)\b|\b(?:perhaps|maybe|possibly) (?:we|you|{_N}|"
            rf"the|it|they|someone|somebody|i)(?:'d)? ?(?:should|could|can|might|ought|need|would|"
            rf"try|better)?\b|\b(?:we|you|they|one|the [a-z ]{{2,24}}|{_N}|someone|somebody|"
            rf"it) (?:should|ought to|could|might want to|may want to|might consider|had better|"
            rf"'d better|could maybe)\b(?!n't)(?! (?:not )?be (?:fine|ok|okay|good|ready|enough|"
            rf"done|there|here|able|easy|possible|clear|straightforward|the same)\b)(?!.*\?\s*$)|"
            rf"\b(?:we|you)'d better\b|\bit (?:might|may|would|could|'d) (?:make sense|"
            rf"be (?:better|worth|wise|good|useful|helpful|best|safer|smart|an idea|easier|"
            rf"worthwhile|sensible|prudent)|help)\b|\b(?:might|may|would|could) be (?:worth|better|"
            rf"a good idea|wise|an idea|best|safer|sensible)\b|\bshall we\b|\b(?:could|can|"
            rf"might) we\b(?! (?:(?:get|ask|have) (?:you|ɴ)|afford|get a|"
            rf"have a look at why))(?!.*\b(?:afford|trust)\b)|\bshould(?:n't)? we\b|\b(?:one|"
            rf"another) (?:option|idea|possibility|suggestion|thought|approach) (?:is|would be|"
            rf"might be|could be)\b|\b(?:better|best) (?:to|if we|would be)\b|"
            rf"\bwouldn't it be (?:better|easier|wiser|worth|best|smarter|safer)\b|\b(?:i|"
            rf"we) think (?:we|you|it|{_N})(?: really)? (?:should|ought|could|needs? to think)\b|"
            rf"\bwe need to think about\b|\bconsider [a-z]+ing\b|\bis it worth\b|"
            rf"\bworth [a-z]+ing\b|\bwould you (?:consider|be open)\b|\bwhat do you (?:think|"
            rf"say) (?:about|to|we|if)\b|\bwe may as well\b|\bmight as well\b|\bbetter off\b",
        ),
        # What is settled.
        decision(
            rf"\b(?:so |then |ok(?:ay)?,? |right,? )*(?:let's|we'll|we will|we're going to|"
            rf"we are going to|we're|we are|we)(?: just| all| definitely| therefore| then| now|"
            rf" formally| hereby)* {_CHOOSE}\b(?!.*\?)(?! (?:up|out) (?:the phone|with))"
        ),
        decision(
            rf"\b{_PEOPLE}(?:'ve|'re| have| has| are| is| all| just| hereby| now| therefore|"
            rf" formally| unanimously| finally| officially| been| then| both|"
            rf" also)* {_SETTLED}\b(?!.*\?)|^(?:ok(?:ay)?,? |so,? |right,? |then,? |good,? |"
            rf"great,? |all right,? |alright,? |well,? )*(?:it's |that's |"
            rf"we're )?{_SETTLED}(?:[.,:;!]| (?:then|that|to|on|unanimously|by|as)\b|$)|"
            rf"\b(?:decision|resolution|verdict|conclusion)(?::| is\b| made\b|, then)(?! (?:still|"
            rf"pending|not|up|on hold))(?!.*\?)"
            rf"|\bmotion (?:is |has )?(?:carried|carries|passes|passed|fails|failed|is rejected)\b|"
            rf"\b(?:it's|that's|this is|is|are) (?:a (?:done deal|deal|go|no-go|no|yes)|final|"
            rf"off\b(?! to)|settled|set then|out then|on hold|cancelled|canceled|"
            rf"going ahead)\b(?!.*\?)|\bconsider it (?:approved|settled|decided|cancelled)\b|"
            rf"\bwe (?:have|'ve got|'ve reached|have reached|reached) (?:a deal|consensus|"
            rf"an agreement|agreement|a decision|a verdict)\b|\b(?:it|that).s official\b|"
            rf"\bthe [a-z ]{{2,30}} (?:moves?|slips?|is moved|is postponed|gets? (?:moved|pushed)|"
            rf"stays?|is pushed|is shifted) (?:to|at|on|until|back|with)\b(?!.*\?)|"
            rf"\b(?:the (?:committee|board|group|team|meeting|panel|council|chair)|we|"
            rf"this meeting)(?: all)?(?: hereby| therefore| unanimously)? (?:rejects?|approves?|"
            rf"adopts?|accepts?|declines?|agrees?|decides?|postpones?|resolves?|cancels?|ratif(?:y|"
            rf"ies))\b(?!.*\?)|\b(?:option|vendor|supplier|design|plan|version|candidate|offer|bid|"
            rf"proposal|the (?:first|second|third|cheaper|larger|"
            rf"other) [a-z]+)(?: [a-z0-9])? (?:wins|gets the (?:contract|job|deal|nod)|it is|"
            rf"is the winner|is in|is out|is off the table)\b(?!.*\?)|^(?:ok(?:ay)?,? |right,? |"
            rf"so,? |good,? |great,? )*(?:it's a )?deal\b(?!.*\?)|\bthe (?:answer|"
            rf"vote) is\b(?!.*\?)|\bthe (?:ayes|noes) have it\b|\bgo(?:es)? ahead as planned\b|"
            rf"^(?!.*\b(?:i|not|they|he|she|never|yet|if|once|until|when|who|"
            rf"un[a-z]+)\b)[a-z ]{3, 40} (?:approved|rejected|cancelled|canceled|postponed|adopted|"
            rf"accepted|declined|scrapped|denied|settled|decided|agreed)(?: unanimously|"
            rf",? then)?[.!]?$|\b(?:we|everyone|everybody) (?:all )?(?:agrees?|agreed)\b(?!.*\?)|"
            rf"\bwe have our answer\b|\bwe'll do it (?:the|this|that) (?:way|other|first|second|"
            rf"new|old)\b|\b(?:unanimously|by consensus)\b(?!.*\?)|\bthat settles it\b|\b(?:gets?|"
            rf"got|has|have) (?:the )?(?:green light|go-ahead|approval|our approval)\b|"
            rf"\bsign(?:ing|ed)? off on\b|\b[a-z0-9 ]{{1,24}} it is(?:,? then)?[.!,]|\b(?:it's|"
            rf"so it's) (?:option|plan|version|vendor|design|b|a|c|friday|monday|tuesday|wednesday|"
            rf"thursday)\b[^?]*then\b|\bgoing (?:ahead )?with (?:option|plan|version|vendor|the)\b|"
            rf"\bwe (?:choose|reject|approve|accept|pick|adopt|cancel|postpone|drop|go)\b(?!.*\?)|"
            rf"\ball in favou?r\b.*\b(?:carried|unanimous|passed|approved)|\bnobody objects\b|"
            rf"\bno objections?,? (?:so|then)\b|\bit's unanimous\b"
        ),
        # Requests.
        question(
            r"\b(?:can|could|will|would|does|do|is|are) (?!(?:the [a-z ]{2,20}(?:team|department|"
            r"group|guys|folks)|our team|your team)\b)(?:the|this|that|it|there|they|our|your|these|"
            r"those|all)\b[^.!]*\?"
        ),
        action(
            Doer.ASKED,
            rf"\b(?:can|could|would|will|won't|can't|couldn't) (?:you|{_N}|someone|somebody|anyone|"
            rf"anybody|everyone|everybody|you all|you two|one of you|your team|"
            rf"the [a-z ]+ team)(?: please| maybe| possibly| also| kindly| just| perhaps|, ɴ+,?|"
            rf", please,?)* (?!know\b|think\b|mean\b|see\b(?! (?:to|if))|hear\b|believe\b|"
            rf"imagine\b|say\b|agree\b|have been|like\b|prefer\b|need\b|be there\b|be here\b|"
            rf"be in\b|be at\b|be joining\b|want\b|attend\b|make it(?: to| on|\?|$)|"
            rf"join\b(?! (?:us|the)))[a-z]+|\bwould you mind\b|\bdo you mind [a-z]+ing\b|"
            rf"\b(?:would|could) it be possible (?:for|to)\b|\bi (?:was )?wonder(?:ing)? if (?:you|"
            rf"{_N})\b|\b(?:i'd|i would|we'd|we would|i|we)(?: really| also| would)? (?:appreciate|"
            rf"like|love|want|need|expect|prefer) (?:it if )?(?:you|{_N}|someone|somebody|everyone|"
            rf"everybody|each of you|all of you|the [a-z]+ team)(?: all)? (?:to|could|would)\b|"
            rf"\bit would be (?:great|good|nice|helpful|lovely|super) if (?:you|{_N})\b|"
            rf"\bwould be great if (?:you|{_N})\b|\bbe so kind\b|\bif you (?:could|would) (?!hear|"
            rf"see|like|prefer|rather)[a-z]+|\b(?:can|could|would|will) (?:the [a-z ]{2, 20}(?:team|"
            rf"department|group|guys|folks)|our team|your team|marketing|legal|finance|engineering|"
            rf"design|operations|procurement|accounting|hr|it)(?: please)? (?!be\b|have\b|"
            rf"do this\b|handle this\b|cope\b|support\b)[a-z]+|\bis it possible (?:for (?:you|"
            rf"ɴ+) )?to\b(?=.*\bby\b)|\bare you (?:ok|okay|happy|up for|good|able|free|"
            rf"willing)(?: with)? to [a-z]+|\bdo you have (?:time|capacity|a minute) to\b|\b(?:can|"
            rf"could) i trouble you\b|\bdo you think (?:you|ɴ+) (?:could|can|might)\b|\b(?:would|"
            rf"will|could) you be (?:able|willing|up for|happy)\b|\b(?:can|could) (?:we|i) (?:get|"
            rf"have|ask) (?:you|ɴ+)\b|\b(?:think|reckon) you can\b|\bis there any way you\b|"
            rf"^(?:[a-z]+, )?get (?:it|this|that|the [a-z ]+) (?:done|ready|out|fixed|signed|sent|"
            rf"sorted)\b(?=.*\bby\b)|\b(?:can|could) we (?:please |maybe )?(?:get|have) (?:it|this|"
            rf"that|the [a-z ]+?) [a-z]+(?:ed|ne|nt|dy|d|t|out|in)\b(?=.*\bby\b)|\b(?:i|"
            rf"we) (?:need|want|expect|require) (?:the|that|this|it|those|these|your|a|all|"
            rf"them)\b[^.?!]*\b(?:by|before)\b|\bany chance (?:you|{_N})\b|\bi(?:'d|"
            rf" would) (?:be grateful|appreciate)\b|\bcan we (?:get|have|ask) (?:you|{_N}) to\b|"
            rf"\bmind [a-z]+ing\b|\bi(?:'m| am) asking (?:you|{_N}) to\b|\bmay i ask (?:you|"
            rf"{_N}) to\b|\bcan i (?:ask|get|have) (?:you|{_N}|someone|somebody|everyone) to\b|"
            rf"\bare you able to\b|\bcan i leave\b|\bi need (?:the|that|this|it|your|"
            rf"a) [^.?!]*\b(?:by|before|from (?:you|ɴ+))\b",
        ),
        action(
            Doer.ASKED,
            rf"\bplease\b(?!d)(?! (?:find|note|see)\b)|\bkindly\b|\b(?:make sure|be sure|remember|"
            rf"don't forget|see to it|ensure)\b(?!.*\?)|^(?:(?:ok(?:ay)?|so|and|then|right|well|also|"
            rf"hey|great|thanks|{_N})[, ]+)*(?:let me know|get back to me|send (?:me|us|it|that|the|"
            rf"over|out)|give me|get me|drop me|forward|email (?:me|us|the)|call (?:the|me|ɴ)|"
            rf"check (?:with|the|whether|if|in)|follow up|find out|look into|book|set up|write up|"
            rf"draft|prepare|update|finish|fix|review|schedule|put together|take care|ask (?:the|them|"
            rf"ɴ|him|her|for)|share the|upload|file|order|contact|talk to|speak to|reach out|confirm|"
            rf"arrange|collect|compile|complete|submit|circulate|print|bring|pick up|double-check|"
            rf"proofread|test|run|add|remove|clean up|chase|ping|sort out|get (?:the|it|that|in touch|"
            rf"hold)|have (?:the|it|that) [^.?!]*(?:ready|done)|keep me|write|make|deliver|post|invite|"
            rf"copy|cc|return|sign|pay|renew|replace|organi[sz]e)\b(?!.*\?)",
        ),
        action(
            Doer.ASKED,
            rf"\b(?:assign(?:ed|ing)?(?: [a-z ]{{1,30}})? to|goes to|falls to|is for|leave (?:it|that|"
            rf"this|the [a-z ]+) (?:to|with)|action (?:item )?(?:for|on)|owner(?: is|:)|that's on|"
            rf"over to|is on|is yours|up to) {_N}|\b(?:{_N}) (?:is|will be|'s) (?:responsible|"
            rf"in charge|on point|the owner|handling|leading|taking|doing|running|driving)\b|"
            rf"\b(?:let's )?(?:have|get) {_N} (?:to )?(?!know|said)[a-z]+|\byou(?:'re|"
            rf" are) (?:in charge|responsible|on the hook)\b|\bover to you\b|"
            rf"^(?:action(?: item)?:? )?ɴ+(?: ɴ+)?: |\bɴ+(?: ɴ+)? (?:owns|takes (?:care|over|on|the|"
            rf"this|that|it))\b(?!.*\?)|\bɴ+(?: ɴ+)?\'s (?:job|task|role|turn|responsibility) (?:is |"
            rf"will be )?to\b|\b(?:one|this|that|it)(?:\'s| is)? (?:one )?(?:is )?for ɴ|\baction for ɴ|"
            rf"\bɴ+(?: ɴ+)? [a-z]+s (?:the|a|an|it|them|this|that|our|up|out|in|over|"
            rf"back)\b[^.?!]*\b(?:by|before|tomorrow|tonight|next (?:week|month|monday|tuesday|"
            rf"wednesday|thursday|friday)|on (?:monday|tuesday|wednesday|thursday|friday))\b",
        ),
        # Promises.
        plain(
            r"\bi(?:'ll| will|'m going to|'m gonna) (?:be |never |always |probably be |"
            r"still )?(?:on holiday|on leave|on vacation|on the road|back|out|away|late|there|here|"
            r"travelling|traveling|miss|see you|know|retire|remember (?:that|this)|believe|bet|admit|"
            r"say|be honest|take questions|assume|agree)\b|\bi (?:can|will) (?:see|hear|understand|"
            r"imagine|confirm that|say|tell you|relate|only|live with|assure)\b|\bi have to (?:say|"
            r"admit|go|leave|run|drop|jump|confess)\b|\bi need to (?:go|leave|run|drop|jump|know)\b|"
            r"\bi must (?:say|admit|confess)\b|\bi'm going to (?:be|have to (?:go|drop|leave))\b|"
            r"\b(?:it|this|that|there|the (?!team)[a-z]+(?: (?!team)[a-z]+){0,2})(?:'ll| will|"
            r" is going to|'s going to) (?:be|take|cost|have|start|run|open|close|launch|ship|last|"
            r"happen|rain|work|expire|arrive|begin|end|go live|change|increase|decrease|rise|fall|"
            r"drop|grow|depend|need|require|affect|come|become|move|make|get|not|probably|still)\b|"
            r"\bwe(?:'ll| will) (?:see|be (?:fine|ok|okay|there|closed|open|done)|have to see|"
            r"know more|know|survive|find out|never|get there|miss|need more)\b"
        ),
        action(
            Doer.SPEAKER,
            rf"\bi{_MODAL_I}(?: just| also| definitely| certainly| try to| be sure to| then|"
            rf" personally| happily| gladly| go ahead and| probably| have to| need to| quickly|"
            rf" make sure| see if i can| start| be| now| first| still| get to|"
            rf" do my best to)* (?!{_COURTESY}\b(?! (?:if|who|what|whether|how|about|to it)))[a-z]+|"
            rf"\blet me (?!know\b|guess\b|be\b)[a-z]+|\bmy team(?:'ll| will| is going to| can|"
            rf" needs to| has to)\b|^(?:ok(?:ay)?,? |sure,? |yes,? |yeah,? )?on it\b|"
            rf"\bconsider it done\b|\bcount (?:me in|on me)\b|\bleave (?:it|that|this) (?:to|"
            rf"with) me\b|\bi(?:'m| am) on it\b|\bi(?:'m| am) (?:sending|taking|calling|meeting|"
            rf"writing|drafting|finishing|booking|handling|preparing|doing (?:it|that|the)|setting up|"
            rf"getting|fixing|delivering|presenting|submitting|visiting|reviewing|updating|picking|"
            rf"posting|organi[sz]ing)\b(?=.*\b(?:tomorrow|tonight|today|monday|tuesday|wednesday|"
            rf"thursday|friday|next|this (?:week|afternoon|evening)|by|before|in (?:two|three|a|"
            rf"an))\b)|\bi'?(?:ve)? got (?:this|it|that)\b|\bthat(?:'s| is|'s on) (?:on )?(?:me|"
            rf"mine)\b|\bi do it\b|\bi'll\b(?= (?:do|take|send|make|get))|\bwill do\b|\bi promise\b|"
            rf"\bi owe you\b|\byou(?:'ll| will) (?:have|get|receive) (?:it|the|them|that|my|this|"
            rf"an?)\b(?=.*\b(?:by|tomorrow|tonight|today|before|on|in|this|next)\b)",
        ),
        action(
            Doer.SPEAKER,
            r"^(?:(?:ok(?:ay)?|so|and|sure|right|yes|yeah|yep|noted|got it|understood|fine|great|"
            r"thanks|good|no problem|alright|all right|sounds good|done|cool|will do|on it|absolutely|"
            r"of course|good point|agreed)[,.; -]+)*(?:will|gonna|going to|can) (?!you\b|we\b|i\b|"
            r"the\b|it\b|they\b|this\b|that\b|be (?:fine|ok|late|out)|ɴ)[a-z]+(?!.*\?)|"
            r"^(?:(?:ok(?:ay)?|sure|yes|yeah|noted|got it|understood|fine|right)[,.; -]+)*(?:sending|"
            r"taking|calling|writing|drafting|finishing|booking|handling|preparing|setting up|getting|"
            r"fixing|delivering|submitting|reviewing|updating|following up|looking into|working on|"
            r"scheduling|checking)\b(?=.*\b(?:tomorrow|tonight|today|monday|tuesday|wednesday|"
            r"thursday|friday|next|this (?:week|afternoon|evening)|by|before|in (?:two|three|a|an))\b)",
        ),
        action(
            Doer.ASKED,
            rf"\b{_N}(?:'ll|'s going to| will| is going to| is gonna| needs to| need to| has to| must|"
            rf" shall| is to| agreed to| has agreed to| volunteered to| can(?! see| hear|"
            rf" confirm that)| to (?!be\b|the\b|a\b|an\b|do with|me\b|us\b|you\b)[a-z]+|"
            rf", you)\b(?! be (?:out|away|late|on (?:holiday|leave|vacation)|back|there|"
            rf"here))(?!.*\?\s*$)|^(?:(?:ok(?:ay)?|so|and|then|right|thanks|great)[, ]+)*{_N}(?:,| -|"
            rf":) (?:you|your|the|that|this|take|have|we need you|i need|go|i'd|can|"
            rf"could)\b(?!.*\?\s*$)",
        ),
        action(
            Doer.ASKED,
            rf"\b{_N}(?:'s| is)(?: just| also| now)? [a-z]+ing\b(?=.*\b(?:tomorrow|tonight|today|"
            rf"monday|tuesday|wednesday|thursday|friday|next|this (?:week|afternoon|evening|month)|by|"
            rf"before|in (?:two|three|a|an)|end of|mid)\b)(?!.*\?)",
        ),
        action(
            Doer.NOBODY,
            r"\blet's\b(?! (?:say|face|hope|be (?:honest|clear|real)|assume|suppose|not|imagine|"
            r"call it|go\b(?! (?:through|over|to|and|see))))|\bwe(?:'ll| will|'re going to|"
            r" are going to|'re gonna)(?: all| also| just| then| need to| have to| try to)* (?!see\b|"
            r"be (?:fine|ok|there|closed)|know\b|need more)[a-z]+(?!.*\?)",
        ),
        action(
            Doer.NOBODY,
            r"\b(?:we|everyone|everybody|someone|somebody|you|all of (?:us|you)|each of (?:us|you)|"
            r"folks|they|the [a-z ]+ team|the team|our team|[a-z]+)(?: all| also| really| still| just|"
            r"'ll)* (?:need to|needs to|have to|has to|must|have got to|'ve got to|gotta|got to|is to|"
            r"are to)(?! (?:know|think about|be (?:honest|clear)|admit|say|wait and|"
            r"see))(?: be)? [a-z]+(?!.*\?)|^(?:(?:ok(?:ay)?|so|and|also|then|right|"
            r"still)[, ]+)*(?:need to|have to|must|gotta|got to)\b|\bneeds? to (?:be (?:sent|done|"
            r"finished|updated|ready|signed|fixed|reviewed|booked|submitted|completed|renewed|tested|"
            r"delivered|checked|approved|paid|shipped|filed|replaced|cleaned|written|ordered|in|"
            r"closed|merged|tested|published|ordered|rewritten|translated|confirmed|out))\b|\b(?:is|"
            r"are) due\b|\b(?:must|has to|have to) be (?:[a-z]+ed|sent|done|ready|paid|written|in|out|"
            r"made|rebuilt|shut|set)\b",
        ),
        action(
            Doer.NOBODY,
            r"\b(?:the [a-z&]+(?: [a-z]+)? (?:team|department|group|folks|people|guys)|marketing|"
            r"legal|finance|engineering|design|operations|support|procurement|security|hr|it|qa|"
            r"accounting|sales|everyone|everybody|someone|somebody|one of us)(?:'ll| will|"
            r" is going to| should| can| are going to) (?!be (?![a-z]+ing)|(?:rise|fall|grow|drop|"
            r"increase|decrease|improve|suffer)\b|be (?:fine|happy|ok|out|closed)|love|notice|"
            r"understand|know|like|hate|complain)[a-z]+(?!.*\?)",
        ),
        # Questions.
        question(r"\?\s*[\"')]*\s*$"),
        question(
            r"^(?:(?:ok(?:ay)?|so|and|but|well|right|um|uh|sorry|hey|also|then|now|ɴ+)[, ]+)*(?:who|"
            r"what|when|where|why|which|how (?:much|many|long|often|far|do|does|did|is|are|can|could|"
            r"will|would|should|come)|whose|is (?:it|this|that|there|the|everyone|anyone)|are (?:we|"
            r"you|they|there|the)|do (?:we|you|they)|does (?:it|this|that|the|anyone|ɴ)|did (?:we|you|"
            r"they|it|the|anyone|ɴ)|has (?:it|the|anyone|ɴ)|have (?:we|you|they|the)|was|were (?:we|"
            r"you|they|the)|will (?:it|this|that|they|the|there)|can (?:it|this|the|"
            r"they))\b(?!.*\b(?:is why|i'll|is what we|is that we|we agreed)\b)"
        ),
    ),
)

"""What recognisers are known to make up, by language: regular expressions over text without spaces and marks.

Whole windows only, in lower case. Add a line where a recogniser of yours makes up another.
"""

from __future__ import annotations

CREDITS: dict[str, tuple[str, ...]] = {
    "ja": (
        r"(?:日本語)?字幕(?:(?:作成|制作|提供|翻訳)?by.{0,20})?",
        r"(?:ご視聴|ご清聴)(?:いただき)?(?:ありがとう|有難う|有り難う)(?:ございました|ございます)?",
        r"(?:最後まで)?(?:ご覧|見て)(?:いただき|くださって|くれて)(?:本当に)?ありがとう(?:ございました|ございます)?",
        r"(?:チャンネル登録|高評価)(?:と高評価)?(?:を)?(?:よろしく)?お願い(?:いたし|し)ます",
        r"次の動画でお会いしましょう",
    ),
    "en": (
        # "Subtitles by Friday" is said: only names that recognisers know end one of these.
        r"(?:subtitles|captions|transcription|transcribed|translated)(?:created|made|provided)?by(?:the)?"
        r"(?:amara|castingwords|https?|www|eso|rev|otter|community).{0,30}",
        r"(?:thanks|thankyou)(?:somuch|verymuch)?for(?:watching|viewing|listeningtothisvideo)",
        r"(?:please)?(?:dontforgetto)?(?:like(?:and|,)?)?subscribe(?:tothechannel|tomychannel)?",
        r".{0,12}amaraorg(?:community)?",
        r"(?:seeyou|illseeyou)inthenext(?:video|one)",
    ),
    "zh": (
        r"(?:中文)?字幕(?:由|志愿者|by).{0,20}",
        r"請不吝點[贊赞]?.{0,20}",
        r"请不吝点赞.{0,20}",
        r"(?:谢谢|感谢|謝謝|感謝)(?:大家)?(?:的)?(?:观看|收看|觀看)",
        r"明镜(?:需要您的支持|与点点栏目).{0,20}",
        r"优优独播剧场.{0,20}",
    ),
}
"""What nobody says in a meeting."""
FILLERS: dict[str, tuple[str, ...]] = {
    "ja": (
        r"(?:どうも)?ありがとうございま(?:した|す)",
        r"おやすみなさい",
        r"お疲れ様でした",
        r"はい",
        r"うん",
        r"[あんえ]+",
    ),
    "en": (
        r"(?:thankyou)+",
        r"thanks",
        r"you",
        r"(?:bye)+",
        r"okay",
        r"yeah",
        r"so",
        r"the",
        r"(?:mm|hm|uh|oh)+",
    ),
    "zh": (
        r"(?:谢谢|謝謝)(?:大家)?",
        r"[嗯啊]+",
        r"再见",
    ),
}
"""What people say too."""

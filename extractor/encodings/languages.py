"""How likely a character is in a language: what tells one legacy encoding from another.

A profile is a table of log-probabilities. The tables are coarse on purpose: letters in order of frequency, the most
frequent few hundred characters of Chinese, Japanese and Korean by hand, and the rest by the tier in which the
national standards put them (GB 2312, Big5 and JIS X 0208 list common characters before rare ones). They know nothing
of encodings, which `detect` lists.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

HANS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已"
    "工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信"
    "表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才"
    "结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像"
    "难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运六七八九百千号码"
    "邮箱账订单址姓联址络密元省县街楼室限请您谢价额款额货送购买卖务客户经销售网站息版本件费付收车站城州京华银技服证编写笔读"
    "亲爱吃饭快乐晚早喜欢朋友孩父母妈爸哥姐弟妹吗呢吧啊呀哪谁怎样每连节周春夏秋冬风雨雪花草树木河江湖火土石"
)
HANT = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事"
    "成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已"
    "工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信"
    "表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電數安少報才"
    "結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽白卻界達光放強即像"
    "難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運六七八九百千號碼"
    "郵箱帳訂單址姓聯絡密元省縣街樓室限請您謝價額款貨送購買賣客戶銷售網站息版費付收車城州京華銀技服證編寫筆讀親愛吃飯快樂晚"
    "早喜歡朋友孩父母媽爸哥姐弟妹嗎呢吧啊呀哪誰怎每連節週春夏秋冬風雨雪花草樹木河江湖火土石臺灣灣"
)
KANJI = (
    "日一国人年大十二本中長出三時行見月分後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書先名川千水半男西電"
    "校語土木聞食車何南万毎白天母火右読友左休父雨会同事自社発者地業方新場員立開手力問代明動京目通言理体田主題意不作用度強公"
    "持野以思家世多正安院心界教文元重近考画海売知集別物使品計死特私始朝運終台広住真有口少町料工建空急止送切転研足究楽起着店"
    "病質待試族銀早映親験英医仕去味写字答夜音注帰古歌買悪図週室歩風紙花春号番株式様変更報情無全関部対定成現度当面法性的化実"
)
HIRAGANA = (
    "のいにたはしをとがてなでるかられさもっまこうくりあすそんきれどだよえめわけせつろみおばちねひゃやじょ"
    "ふむべへゆほごげびぎぞずぐ"
)
KATAKANA = (
    "ンールストクラリアイシタドレジマカロフテムコプサチセメバパグデキエッオニナビハウィノポャョネワブボソ"
    "モゴダベツミヤペズギピゼケガュファェ"
)
HANGUL = (
    "이다는에의가을하고를한지로은도기사어서나인자대아시그리있해정수것부일여들게과라원보장전제상주구와만성안공조요스면으유거었습니까"
    "연동용국신경모선무중소우분비생개당적계관회행입오실문세영마화방학할발교호내간물미치말진임결심운위음양명단체출반각강산히트속된같"
    "처됩등않러했드감야또최후월년민통건금반품배송락번호름받확습합녕십세님본김박최재현터력려없때문더니데네바타저"
)
CYRILLIC_RU = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
CYRILLIC_UK = "оаниівтересрлкмудпзьяйбгчхцжшюєїщґф"
CYRILLIC_BG = "аоиетнрсвлкдмпузъгбчйцжшщхюяфь"
CYRILLIC_SR = "аоиенрстјкувдмплгзбчшцњљћжхфђџ"
GREEK = "αοιετσνηυρπκμλςωγδάίχόθέήφβύώξζψϊϋ"
HEBREW = "יוהלאתרבמשןםדנחקפטעגסכזצךףץ"
ARABIC = "اليمنوترةبعدسفهكقحجشصطخذضأإزىثئغءظؤآ،ـ؟"
PERSIAN = "اینردهومتبسشکلزگفپقجخعحچصژطغذضثظآئء،"
THAI = "านรอกเงมยลวดทสตะปบคหแจพชขใไโผซธณถฉศภษฐั่ี้ิ์ืุูำ็ๆึฟ๊๋"
LATIN = {
    "french": "éèàêçùâîôûëïœæÿ",
    "german": "üäöß",
    "spanish": "óíáéñúü¿¡ªº",
    "portuguese": "ãçáéíõóêâúàôªº",
    "italian": "èàùòéì",
    "nordic": "äåöøæé",
    "icelandic": "áðíúéöþýóæ",
    "dutch": "éëïóöü",
    "polish": "łąężśćóńź",
    "czech": "áíéěřčžýšůúťďňó",
    "slovak": "áíéčžšýúťľňôďóäĺŕ",
    "hungarian": "áéöóőüíúű",
    "romanian": "ăîâşţșț",
    "croatian": "čšžćđ",
    "turkish": "ıışğüçöâî",
    "lithuanian": "ėšžųįąčūę",
    "latvian": "āīēšņļūģķžč",
    "estonian": "äõüöšž",
}
CJK_MARKS = "，。、；：？！“”‘’（）《》【】…—·「」『』〈〉～％　－＋／＝＊＃＠￥"
LATIN_MARKS = "’“”–—…«»‘„‚•€°§£©®·±™²½×µ³¼¾¢¥›‹"

ASCII_COST = {" ": -2.0, "\n": -3.5, "\r": -3.5, "\t": -4.0, "\f": -8.0}
UNSEEN = -13.0
PRIVATE = -22.0
CONTROL = -17.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One language: log-probabilities of its characters, and whether its letters mix with ASCII letters in a word."""

    name: str
    cost: Mapping[str, float]
    latin: bool

    def of(self, character: str) -> float:
        """Return the log-probability of a character; where the table has none, a guess from its Unicode category."""
        known = self.cost.get(character)
        return known if known is not None else _unlisted(character)


@cache
def _unlisted(character: str) -> float:
    if character < "\x80":
        return _ascii(character)
    category = unicodedata.category(character)
    if category in ("Co", "Cn", "Cs"):
        return PRIVATE
    return CONTROL if category == "Cc" else UNSEEN


def _ascii(character: str) -> float:
    if character in ASCII_COST:
        return ASCII_COST[character]
    if character.isalpha():
        return -3.2 if character.islower() else -5.0
    if character.isdigit():
        return -4.0
    return -5.5 if character.isprintable() else CONTROL


def _ranked(characters: Iterable[str], share: float) -> dict[str, float]:
    """Spread `share` of the text over characters given in falling frequency, roughly by Zipf's law."""
    unique = list(dict.fromkeys(characters))
    weights = [1 / (rank + 6) for rank in range(len(unique))]
    total = sum(weights)
    return {character: math.log(share * weight / total) for character, weight in zip(unique, weights, strict=True)}


def _even(characters: Iterable[str], share: float) -> dict[str, float]:
    """Spread `share` of the text evenly over characters."""
    unique = set(characters)
    return dict.fromkeys(unique, math.log(share / len(unique)))


def _rows(codec: str, first: int, last: int, trails: Iterable[int]) -> Iterator[str]:
    """Yield the characters of a national standard whose lead byte is in a range."""
    columns = list(trails)
    for lead in range(first, last + 1):
        for trail in columns:
            try:
                yield bytes((lead, trail)).decode(codec)
            except UnicodeDecodeError:
                continue


HIGH = range(0xA1, 0xFF)
BIG5_TRAILS = (*range(0x40, 0x7F), *HIGH)
FULL_WIDTH = "".join(chr(0xFF01 + offset) for offset in range(94))


SYMBOLS = "℃±×÷°‰§№①②③④⑤⑥⑦⑧⑨⑩☆★○●◎◇◆□■△▲※→←↑↓≤≥≠≈∶㎡"


def _simplified() -> dict[str, float]:
    return (
        _even(SYMBOLS, 0.006)
        | _even(FULL_WIDTH, 0.01)
        | _even(_rows("gb2312", 0xD8, 0xF7, HIGH), 0.004)
        | _even(_rows("gb2312", 0xB0, 0xD7, HIGH), 0.25)
        | _ranked(HANS, 0.6)
        | _ranked(CJK_MARKS, 0.13)
    )


def _traditional() -> dict[str, float]:
    return (
        _even(FULL_WIDTH, 0.01)
        | _even(_rows("big5", 0xC9, 0xF9, BIG5_TRAILS), 0.004)
        | _even(_rows("big5", 0xA4, 0xC6, BIG5_TRAILS), 0.25)
        | _ranked(HANT, 0.6)
        | _ranked(CJK_MARKS, 0.13)
    )


def _japanese() -> dict[str, float]:
    half_width = [chr(code) for code in range(0xFF61, 0xFFA0)]
    return (
        _even(half_width, 0.0005)
        | _even(FULL_WIDTH, 0.02)
        | _even(_rows("euc_jp", 0xD0, 0xF4, HIGH), 0.004)
        | _even(_rows("euc_jp", 0xB0, 0xCF, HIGH), 0.14)
        | _ranked(KANJI, 0.18)
        | _even("ぁぃぅぇぉゐゑゎぱぴぷぺぽヴヵヶヮァィゥェォザヂヅヌヘホムメモユヨラルレ", 0.01)
        | _ranked(KATAKANA, 0.13)
        | _ranked(HIRAGANA, 0.4)
        | _ranked("、。「」・（）" + CJK_MARKS, 0.11)
    )


def _korean() -> dict[str, float]:
    return (
        _even(_rows("euc_kr", 0xCA, 0xFD, HIGH), 0.002)
        | _even(_rows("euc_kr", 0xB0, 0xC8, HIGH), 0.25)
        | _ranked(HANGUL, 0.65)
        | _ranked("“”‘’·…「」『』" + CJK_MARKS, 0.02)
    )


def _script(letters: str, marks: str = LATIN_MARKS) -> dict[str, float]:
    """Return the table of an alphabet apart from Latin: nearly every letter of a text is one of these."""
    lower = _ranked(letters, 0.9)
    upper = {letter.upper(): cost - 0.5 for letter, cost in lower.items() if len(letter.upper()) == 1}
    return _ranked(marks, 0.01) | upper | lower


def _accents(letters: str) -> dict[str, float]:
    """Return the table of a Latin alphabet: most letters are ASCII, one in twenty is one of these."""
    lower = _ranked(letters, 0.05)
    upper = {letter.upper(): cost - 3.0 for letter, cost in lower.items() if len(letter.upper()) == 1}
    if "ı" in letters:
        upper["İ"] = lower["ı"] - 3.0
    return _ranked(LATIN_MARKS, 0.012) | upper | lower


SCRIPTS = {
    "russian": (CYRILLIC_RU, LATIN_MARKS + "№"),
    "ukrainian": (CYRILLIC_UK, LATIN_MARKS + "№"),
    "bulgarian": (CYRILLIC_BG, LATIN_MARKS + "№"),
    "serbian": (CYRILLIC_SR, LATIN_MARKS),
    "greek": (GREEK, LATIN_MARKS + "΄·"),
    "hebrew": (HEBREW, LATIN_MARKS + "־״׳₪"),
    "arabic": (ARABIC, LATIN_MARKS + "؛؟،"),
    "persian": (PERSIAN, LATIN_MARKS + "؛؟\u200c"),
    "thai": (THAI, LATIN_MARKS),
}
CJK = {"simplified": _simplified, "traditional": _traditional, "japanese": _japanese, "korean": _korean}


@cache
def profile(name: str) -> Profile:
    """Return the profile of a language, built when first asked for."""
    if name in CJK:
        return Profile(name, CJK[name](), latin=True)
    if name in SCRIPTS:
        return Profile(name, _script(*SCRIPTS[name]), latin=False)
    return Profile(name, _accents(LATIN[name]), latin=True)


ALL = (*CJK, *SCRIPTS, *LATIN)

"""The names of months and their short forms, as dates have them, in 22 languages (facts of the Unicode CLDR).

English, German, Dutch, Swedish, Danish, Norwegian, Finnish, French, Spanish, Italian, Portuguese, Romanian, Polish,
Czech, Russian, Ukrainian, Turkish, Hungarian, Greek, Indonesian and Austrian German; no name means two months.
"""

from __future__ import annotations

import re
import unicodedata

_NAMES = (
    (
        "january jan januar jänner jän januari tammikuuta tammi tammikuu janvier janv enero ene gennaio gen janeiro "
        "ianuarie ian stycznia sty styczeń ledna led leden января янв январь січня січ січень ocak oca január "
        "ιανουαρίου ιαν ιανουάριος"
    ),
    (
        "february feb februar februari helmikuuta helmi helmikuu février févr febrero febbraio fevereiro fev "
        "februarie lutego lut luty února úno únor февраля февр февраль лютого лют лютий şubat şub február febr "
        "φεβρουαρίου φεβ φεβρουάριος"
    ),
    (
        "march mar märz mär maart mrt mars marts maaliskuuta maalis maaliskuu marzo março martie marca marzec března "
        "bře březen марта мар март березня бер березень mart március márc μαρτίου μαρ μάρτιος μάρ maret"
    ),
    (
        "april apr huhtikuuta huhti huhtikuu avril avr abril abr aprile aprilie kwietnia kwi kwiecień dubna dub duben "
        "апреля апр апрель квітня квіт квітень nisan nis április ápr απριλίου απρ απρίλιος"
    ),
    (
        "may mai mei maj toukokuuta touko toukokuu mayo maggio mag maio maja května kvě květen мая май травня трав "
        "травень mayis május máj μαΐου μαΐ μάιος μάι"
    ),
    (
        "june jun juni kesäkuuta kesä kesäkuu juin junio giugno giu junho iunie iun czerwca cze czerwiec června čvn "
        "červen июня июн июнь червня черв червень haziran haz június jún ιουνίου ιουν ιούνιος ιούν"
    ),
    (
        "july jul juli heinäkuuta heinä heinäkuu juillet juil julio luglio lug julho iulie iul lipca lip lipiec "
        "července čvc červenec июля июл июль липня лип липень temmuz tem július júl ιουλίου ιουλ ιούλιος ιούλ"
    ),
    (
        "august aug augustus augusti elokuuta elo elokuu août agosto ago sierpnia sie sierpień srpna srp srpen "
        "августа авг август серпня серп серпень ağustos ağu augusztus αυγούστου αυγ αύγουστος αύγ agustus agu"
    ),
    (
        "september sep sept syyskuuta syys syyskuu septembre septiembre settembre set setembro septembrie września "
        "wrz wrzesień září zář сентября сент сентябрь вересня вер вересень eylül eyl szeptember szept σεπτεμβρίου σεπ "
        "σεπτέμβριος"
    ),
    (
        "october oct oktober okt lokakuuta loka lokakuu octobre octubre ottobre ott outubro out octombrie "
        "października paź październik října říj říjen октября окт октябрь жовтня жовт жовтень ekim eki október "
        "οκτωβρίου οκτ οκτώβριος"
    ),
    (
        "november nov marraskuuta marras marraskuu novembre noviembre novembro noiembrie listopada lis listopad "
        "listopadu ноября нояб ноябрь листопада лист листопад kasim kas νοεμβρίου νοε νοέμβριος νοέ"
    ),
    (
        "december dec dezember dez desember des joulukuuta joulu joulukuu décembre déc diciembre dic dicembre "
        "dezembro decembrie grudnia gru grudzień prosince pro prosinec декабря дек декабрь грудня груд грудень aralik "
        "ara δεκεμβρίου δεκ δεκέμβριος"
    ),
)


def folded(name: str) -> str:
    """Return a name without case and accents; the letters i of Turkish are one, as they are where case is ignored."""
    plain = unicodedata.normalize("NFD", name.casefold().replace("ı", "i"))
    return "".join(char for char in plain if not unicodedata.combining(char))


MONTHS = {folded(name): month for month, names in enumerate(_NAMES, start=1) for name in names.split()}
"""Folded names to months."""

_SPELLINGS = {name for names in _NAMES for name in names.split()} | MONTHS.keys()
MONTH = "|".join(map(re.escape, sorted(_SPELLINGS, key=len, reverse=True)))
"""A pattern of all names, with and without accents, the longest first."""

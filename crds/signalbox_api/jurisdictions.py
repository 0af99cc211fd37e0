"""Countries and named groups of countries that residency locks are written in.

Data, not policy: ISO 3166-1 alpha-2 codes as officially assigned, and the groups `EU` and `EEA`
(members as of 2024). A group is resolved to its members before anything is compared.
"""

from collections.abc import Iterable, Mapping
from typing import Final


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


COUNTRIES: Final = _codes(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO "
    "BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ "
    "DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP "
    "GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG "
    "KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML "
    "MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE "
    "PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL "
    "SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM "
    "US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)

_EU: Final = _codes(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
)

GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "EEA": _EU | {"IS", "LI", "NO"},
    "EU": _EU,
}

KNOWN: Final = COUNTRIES | frozenset(GROUPS)

_OFTEN_MEANT: Final = {"UK": "GB", "EL": "GR", "EUR": "EU", "USA": "US", "GER": "DE"}


def resolve(jurisdictions: Iterable[str]) -> frozenset[str]:
    """The countries that a list of countries and groups names. Raises KeyError for unknown ones."""
    countries: set[str] = set()
    for item in jurisdictions:
        if item in GROUPS:
            countries |= GROUPS[item]
        elif item in COUNTRIES:
            countries.add(item)
        else:
            raise KeyError(item)
    return frozenset(countries)


def country(code: str) -> str:
    """Returns the code when it is a country; raises ValueError with the fix otherwise."""
    if code in COUNTRIES:
        return code
    if code in GROUPS:
        raise ValueError(f"{code} is a group of countries; name the one country, such as DE")
    raise ValueError(_unknown(code))


def country_or_group(code: str) -> str:
    """Returns the code of a country or group; raises ValueError with the fix otherwise."""
    if code in KNOWN:
        return code
    raise ValueError(_unknown(code))


def _unknown(code: str) -> str:
    meant = _OFTEN_MEANT.get(code.upper()) or (code.upper() if code.upper() in KNOWN else None)
    hint = (
        f"write {meant}" if meant else "write an ISO 3166-1 code such as DE, or the group EU or EEA"
    )
    return f"{code!r} is not a known jurisdiction; {hint}"

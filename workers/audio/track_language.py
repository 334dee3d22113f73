"""Languages as containers tag their tracks and as jobs name them: `de`, `deu`, `ger` and `de-AT` are one. Pure.

Runs in: worker.
"""

NOT_TOLD = frozenset({"", "und", "mul", "mis", "zxx", "unk", "qaa", "xxx"})
"""Codes that name no language."""

# ISO 639-1 and its ISO 639-2 codes, terminological and bibliographic, for what transcribers know.
_CODES = """
af afr, am amh, ar ara, as asm, az aze, ba bak, be bel, bg bul, bn ben, bo bod tib, br bre, bs bos, ca cat,
cs ces cze, cy cym wel, da dan, de deu ger, el ell gre, en eng, es spa, et est, eu eus baq, fa fas per, fi fin,
fo fao, fr fra fre, gl glg, gu guj, ha hau, haw, he heb iw, hi hin, hr hrv scr, ht hat, hu hun, hy hye arm,
id ind in, is isl ice, it ita, ja jpn, jw jav jv, ka kat geo, kk kaz, km khm, kn kan, ko kor, la lat, lb ltz,
ln lin, lo lao, lt lit, lv lav, mg mlg, mi mri mao, mk mkd mac, ml mal, mn mon, mr mar, ms msa may, mt mlt,
my mya bur, ne nep, nl nld dut, no nor nob nb nno nn, oc oci, pa pan, pl pol, ps pus, pt por, ro ron rum mo mol,
ru rus, sa san, sd snd, si sin, sk slk slo, sl slv, sn sna, so som, sq sqi alb, sr srp scc, su sun, sv swe, sw swa,
ta tam, te tel, tg tgk, th tha, tk tuk, tl tgl fil, tr tur, tt tat, uk ukr, ur urd, uz uzb, vi vie, yi yid ji,
yo yor, yue, zh zho chi cmn
"""
_CANONICAL = {code: entry.split()[0] for entry in _CODES.split(",") for code in entry.split()}


def language_of_tag(tag: str | None) -> str | None:
    """The tag in small letters, as its container has it; None where it names no language."""
    told = (tag or "").strip().lower()
    is_code = told.isascii() and told.replace("-", "").replace("_", "").isalnum() and len(told) <= 35
    return told if is_code and _primary(told) not in NOT_TOLD else None


def is_same_language(tag: str | None, wanted: str) -> bool:
    """Whether a track with this tag is in the language that a job names."""
    return tag is not None and _canonical(tag) == _canonical(wanted)


def _canonical(code: str) -> str:
    primary = _primary(code.strip().lower())
    return _CANONICAL.get(primary, primary)


def _primary(code: str) -> str:
    """`zh-Hant-TW` → `zh`."""
    return code.replace("_", "-").partition("-")[0]

"""Names of languages as whisper's command knows them → codes.

Runs in: supervisor, and the user's shell.
"""

import re

NAMES = """
en english, zh chinese, de german, es spanish, ru russian, ko korean, fr french, ja japanese, pt portuguese,
tr turkish, pl polish, ca catalan, nl dutch, ar arabic, sv swedish, it italian, id indonesian, hi hindi, fi finnish,
vi vietnamese, he hebrew, uk ukrainian, el greek, ms malay, cs czech, ro romanian, da danish, hu hungarian, ta tamil,
no norwegian, th thai, ur urdu, hr croatian, bg bulgarian, lt lithuanian, la latin, mi maori, ml malayalam, cy welsh,
sk slovak, te telugu, fa persian, lv latvian, bn bengali, sr serbian, az azerbaijani, sl slovenian, kn kannada,
et estonian, mk macedonian, br breton, eu basque, is icelandic, hy armenian, ne nepali, mn mongolian, bs bosnian,
kk kazakh, sq albanian, sw swahili, gl galician, mr marathi, pa punjabi, si sinhala, km khmer, sn shona, yo yoruba,
so somali, af afrikaans, oc occitan, ka georgian, be belarusian, tg tajik, sd sindhi, gu gujarati, am amharic,
yi yiddish, lo lao, uz uzbek, fo faroese, ht haitian creole, ps pashto, tk turkmen, nn nynorsk, mt maltese,
sa sanskrit, lb luxembourgish, my myanmar, bo tibetan, tl tagalog, mg malagasy, as assamese, tt tatar, haw hawaiian,
ln lingala, ha hausa, ba bashkir, jw javanese, su sundanese, yue cantonese,
my burmese, ca valencian, nl flemish, ht haitian, lb letzeburgesch, ps pushto, pa panjabi, ro moldavian,
ro moldovan, si sinhalese, es castilian, zh mandarin
"""
CODE_OF: dict[str, str] = {name.strip(): code for code, name in re.findall(r"(\w{2,3}) ([a-z ]+)", NAMES)}
"""English name in lower case → ISO 639 code."""
NAME_OF: dict[str, str] = {code: name for name, code in reversed(CODE_OF.items())}
"""Code → its first name, as whisper's tokenizer has it."""


def language_code(text: str) -> str | None:
    """`English`, `en` → `en`; `auto` → None. Raises ValueError for what is neither a name nor a code."""
    wanted = text.strip().lower()
    if wanted == "auto":
        return None
    if wanted in CODE_OF:
        return CODE_OF[wanted]
    if re.fullmatch(r"[a-z]{2,3}", wanted):
        return wanted
    raise ValueError(f"{text!r} is not a language; give its code, as `en`, or its English name")

"""Writes text/hard_unicode.txt: text on which tokenizers differ. All of it within Unicode 14."""
import pathlib

LINES = [
    # contractions in odd case, curly quotes, long s (folds to s), Kelvin sign
    "I'm you'RE he'S she'LL we'Ve they'D don'T 'tis 'S'T 'llama 'veal it\u2019s \u2019re '\u017f '\u017ft k\u212aK",
    # white space of every kind, at ends and between
    "a  b   c    d\te\t\tf \t g\u00a0h\u00a0\u00a0i\u2003j\u2009 k\u202fl\u205fm\u3000n\u3000\u3000o\u1680p",
    "zero\u200bwidth non\u200cjoiner join\u200der word\u2060joiner bom\ufeffhere mongolian\u180evowel next\u0085line",
    "line\u2028separator para\u2029separator vt\x0bff\x0cfs\x1cgs\x1drs\x1eus\x1f",
    "trailing blanks   ", "   leading blanks", "\t\ttabs", "", "", "    ", "\r", "mac\rline\r\rends", "dos\r", "\r", " \r",
    "mixed \n \n\n  \n\r\n \t\r\n x", "a\n\n\nb\r\n\r\nc \n d",
    # digits: long runs, other scripts, No and Nl
    "0 1 12 123 1234 12345 1234567890123456789012345678901234567890 3.14159 1,000,000 0x7fFF 1e-9 v2.0.1",
    "\u0661\u0662\u0663\u0664\u0665 \u0967\u0968\u0969 \uff11\uff12\uff13 \u00b2\u00b3\u00b9 \u00bd\u00bc \u2460\u2461 "
    "\u2167\u2188 \u3007\u3021 \U0001d7d8\U0001d7d9 \U00010107 \u0bf0 \u4e00\u4e8c\u4e09 \u5146 \u19da \U0001e951",
    "abc123def456 7th 2nd x86-64 \u0661abc\u00bdx",
    # combining marks: composed, decomposed, in wrong order, orphaned, many
    "caf\u00e9! cafe\u0301! \u00c5 A\u030a \u212b \u1e9b\u0323 q\u0307\u0323 q\u0323\u0307 \u0301orphan a\u0300\u0301\u0302\u0303\u0304\u0305",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324a\u031f\u0319l\u0348\u0347g\u0322o\u0321",
    "e" + "\u0301\u0323" * 40 + " \u0344 \u0958 \u09dc \ufb1d\ufb4e \u2adc \U0001d15e \u0f73\u0f71\u0f74",
    "ﬁ ﬂ ﬃ \ufb05 ǅ ß ẞ İ ı \u0149 \u03b0 \u1fc1 \u03f4 \u2126 \u00b5 \ufdfa \u33a1 \u2075",
    # Hangul: syllables, conjoining jamo, half-width, old jamo
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \u1100\u1161 \u1100\u1161\u11a8\u11a8 \uffa1\uffc2 \u115f\u1160 \ua960\ud7b0",
    # CJK, Japanese with voiced marks, compatibility ideographs, ideographic description, extension B
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u304b\u3099\u304d\u3099 \u30ab\u3099 \uff76\uff9e \u30d1\u30fc \u3005\u3006 \uf900\ufa0e \u2ff0 \U00020000\U0002a6d6\U0002f800",
    # right to left, with controls and vowels
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u0645\u0631\u062d\u0628\u0627\u064b \u0627\u0644\u0644\u0647 \ufdf2 \u200f\u200eabc\u202edef\u202c\u2067x\u2069 \u06f1\u06f2\u06f3\u061f\u060c",
    # Indic, Thai, Khmer, Tibetan, Burmese: dependent vowels, joiners
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u200d\u0937 \u0995\u09cd\u09b7 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a \u1781\u17d2\u1798\u17c2\u179a \u0f56\u0f7c\u0f51 \u1019\u103c\u1014\u103a\u1019\u102c",
    # emoji: skin tones, ZWJ sequences, flags, keycaps, tags, text and emoji presentation
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 1\ufe0f\u20e3 #\ufe0f\u20e3 \u2764\ufe0f\u2764\ufe0e \u263a",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f \U0001fae0 \U0001faf6 \U0001f979 \U0001f9d1\U0001f3ff\u200d\U0001f4bb",
    # symbols and punctuation
    "!!! ??? ... \u2026 -- \u2014 \u2013 ~~~ ^^ `` '' \u00ab\u00bb \u201c\u201d \u201e\u201f <<<>>> {[()]} @#$%^&*_+=|\\/ \u20ac\u00a3\u00a5\u20bf \u2200\u2203\u2211\u221e\u2260 \u2190\u2192",
    "foo_bar __init__ snake_case_2 CamelCaseHTTPServer2 a.b.c http://x.y/z?q=1&r=%20#f user@example.org C++ C# .NET",
    "\u2028 \u00ad soft\u00adhyphen \u034f \u2063 \ufffc \ufffd \ue000 \U000f0000 \U0010ffff \ufdd0 \ufffe \uffff",
    # mathematical letters, circled letters, scripts with case of their own
    "\U0001d400\U0001d4d0\U0001d56c \u24b6\u24d0 \U0001f130\U0001f170 \u10a0\u2d00\u10d0\u1c90 \u13a0\uab70 \U00010400\U00010428 \u1e9e\u00df \u01c4\u01c5\u01c6",
    # controls
    "nul\x00nul\x00\x00 bell\x07 esc\x1b[31m del\x7f c1\x80\x9f\x90 backspace\x08\x08",
    # what looks like tokens and byte tokens
    "<s> </s> <unk> <0x41> <0xE2><0x82> <|im_start|>user<|im_end|> <|endoftext|> <|begin_of_text|><|eot_id|> <tool_call>x</tool_call> <|im_start |> \u2581already\u2581meta \u0120bpe\u010a",
    "Zusammenhang Zusammenhang. Zusammenhangs",
    # long words
    "a" * 300 + " " + "ab" * 200 + " " + "=" * 200 + " " + "\u00e4" * 100 + " " + " " * 150 + "x" + "\u3000" * 70 + "\U0001f600" * 40,
    "The quick brown fox jumps over the lazy dog. Der schnelle braune Fuchs. La renarde brune. \u0411\u044b\u0441\u0442\u0440\u0430\u044f \u043b\u0438\u0441\u0430. \u0397 \u03b1\u03bb\u03b5\u03c0\u03bf\u03cd \u03a3\u03c3\u03c2.",
    "def f(x):\n    return [y\n            for y in x\n\t\tif y]\n\n\nclass A:\n\tpass  # done",
]

if __name__ == "__main__":
    text = "\n".join(LINES) + "\n \n  \n"
    pathlib.Path(__file__).with_name("text").joinpath("hard_unicode.txt").write_bytes(text.encode("utf-8"))

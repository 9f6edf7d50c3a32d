"""Makes tests/golden/text: small tokenizers of each rule and the ids and texts that `tokenizers` gives with them.

    python tests/golden/make_hard_unicode.py && python tests/golden/make_text.py      (tokenizers 0.23)
"""
import json
import pathlib

from make_hard_unicode import LINES
from text_rules import RULES

HERE = pathlib.Path(__file__).with_name("text")
WORDS = ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
         "which one you were her all she there would their we him been has when who will more no if out so said what "
         "up its about into than them can only other new some could time these two may then do first any my now such "
         "like our over man me even most made after also did many before must through back years where much your way "
         "well down should because each just those people how too little state good very make world still own see men "
         "work long get here between both life being under never day same another know while last might us great old "
         "year off come since against go came right used take three").split()
CORPUS = LINES + [" ".join(WORDS[i:] + WORDS[:i]) for i in range(0, len(WORDS), 2)]


def main():
    text = (HERE / "hard_unicode.txt").read_bytes().decode("utf-8")
    for name, rule in RULES.items():
        tokenizer = rule(CORPUS, 700)
        (HERE / f"{name}.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False,
                                                      separators=(",", ":")))
        ids = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        (HERE / f"{name}.ids.json").write_text(json.dumps({
            "ids": ids, "plain_begins_at": len(ids) - len(plain),
            "decoded": tokenizer.decode(ids, skip_special_tokens=True),
            "decoded_with_special": tokenizer.decode(ids[:200], skip_special_tokens=False)},
            separators=(",", ":"), ensure_ascii=False))


if __name__ == "__main__":
    main()

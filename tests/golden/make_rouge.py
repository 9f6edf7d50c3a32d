"""Writes eval/rouge.json: F1 of ROUGE-1, ROUGE-2 and ROUGE-L by rouge-score 0.1.2 without stemming."""
import json
import pathlib
import random

from rouge_score import rouge_scorer

PAIRS = [
    ("The cat sat on the mat.", "the CAT was on the mat!"),
    ("police killed the gunman", "police kill the gunman"),
    ("the gunman kill police", "police kill the gunman"),
    ("a b a b a b", "b a b a"),
    ("one", "one two"),
    ("", "nothing before"),
    ("nothing after", " ... "),
    ("don't 3.14 x86-64 snake_case caf\u00e9", "do n't 3 14 x86 64 snake case caf"),
    ("na\u00efve \u03b1\u03b2 \u4f60\u597d end", "na ve \u4e16\u754c end"),
    ("no word of it", "something else entirely"),
]


def random_pair(rng):
    words = [f"w{i}" for i in range(rng.choice([2, 5, 40]))]
    first = [rng.choice(words) for _ in range(rng.randint(1, 200))]
    second = [rng.choice(words) if rng.random() < 0.3 else word for word in first if rng.random() < 0.8]
    return " ".join(first), " ".join(second)


rng = random.Random(1)
scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
cases = []
for text, reference in PAIRS + [random_pair(rng) for _ in range(10)]:
    scores = scorer.score(reference, text)
    f1 = [round(scores[name].fmeasure, 12) for name in ("rouge1", "rouge2", "rougeL")]
    cases.append({"text": text, "reference": reference, "f1": f1})
out = pathlib.Path(__file__).parent / "eval" / "rouge.json"
out.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")

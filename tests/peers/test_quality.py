"""Perplexity and task accuracies equal those of transformers over the same windows and items, both in FP32.

The model is SmolLM2 rounded to BF16. AQUATINT_QUALITY_ITEMS: items of each task (100; 500 for the full proof).
"""
import json
import math
import os

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CONTEXT, SCORE_FROM = 512, 257  # llama.cpp's rule: the second half of each window
ITEMS = int(os.environ.get("AQUATINT_QUALITY_ITEMS", "100"))
TASKS = {
    "arc_easy": ("world_knowledge", "\nAnswer: "),
    "piqa": ("commonsense_reasoning", "\nAnswer: "),
    "copa": ("commonsense_reasoning", " "),
    "winogrande": ("language_understanding", " "),
}
BATCH = 8


@pytest.fixture(scope="module")
def folder(aquatint, smollm2_gguf, tmp_path_factory):
    to = tmp_path_factory.mktemp("quality") / "bf16"
    aquatint("convert", smollm2_gguf, "--to", to, "--layout", "safetensors", "--dtype", "bf16")
    return to


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def their_perplexity(model, ids, windows):
    total = 0.0
    for start in range(0, windows * CONTEXT, CONTEXT):
        window = torch.tensor([ids[start:start + CONTEXT]])
        with torch.inference_mode():
            logits = model(window).logits[0, SCORE_FROM - 1:-1].double()
        total -= torch.log_softmax(logits, -1).gather(1, window[0, SCORE_FROM:, None]).sum().item()
    return math.exp(total / (windows * (CONTEXT - SCORE_FROM)))


@pytest.mark.parametrize("windows", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_perplexity_equals_transformers(aquatint, folder, model, tokenizer, data, windows):
    text = data / "wikitext-2/test.txt"
    ids = tokenizer(text.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    theirs = their_perplexity(model, ids, windows)
    ours = aquatint("eval", folder, "--precision", "fp32", "--text", text, "--context", CONTEXT, "--score-from", SCORE_FROM,
                    "--windows", windows)["perplexity"]
    print(f"{windows} windows: transformers {theirs:.5f}, ours {ours['value']:.5f}")
    assert ours["tokens"] == windows * (CONTEXT - SCORE_FROM)
    assert abs(ours["value"] / theirs - 1) <= 1e-3


def requests_of(item, delimiter):
    """(context, continuation, length by which acc_norm divides) of every choice, as lm-evaluation-harness builds them."""
    if "choices" in item:
        pairs = [(item["query"] + delimiter, choice) for choice in item["choices"]]
    else:
        pairs = [(context + delimiter, item["continuation"]) for context in item["context_options"]]
    requests = []
    for context, continuation in pairs:
        stripped = context.rstrip()
        spaces = context[len(stripped):]
        requests.append((stripped, spaces + continuation, len(continuation)))
    return requests


def log_likelihoods(model, tokenizer, requests):
    """Sum of ln p over each continuation's tokens."""
    encoded = []
    for context, continuation, _ in requests:
        before = tokenizer(context, add_special_tokens=False)["input_ids"]
        encoded.append((len(before), tokenizer(context + continuation, add_special_tokens=False)["input_ids"]))
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i][1]))
    sums = [0.0] * len(encoded)
    for begin in range(0, len(order), BATCH):
        members = order[begin:begin + BATCH]
        longest = len(encoded[members[0]][1])
        # Padding on the right is invisible to a causal model's earlier positions.
        ids = torch.tensor([encoded[i][1] + [0] * (longest - len(encoded[i][1])) for i in members])
        with torch.inference_mode():
            hidden = model.model(ids).last_hidden_state
        for row, i in enumerate(members):
            first, tokens = encoded[i]
            with torch.inference_mode():
                logits = model.lm_head(hidden[row, first - 1:len(tokens) - 1])
            scores = torch.log_softmax(logits.double(), -1)
            sums[i] = scores.gather(1, torch.tensor(tokens[first:])[:, None]).sum().item()
    return sums


def their_accuracies(model, tokenizer, items, delimiter):
    requests = [requests_of(item, delimiter) for item in items]
    sums = log_likelihoods(model, tokenizer, [request for of_item in requests for request in of_item])
    right = right_norm = at = 0
    for item, of_item in zip(items, requests):
        scores = sums[at:at + len(of_item)]
        at += len(of_item)
        norms = [score / length for score, (_, _, length) in zip(scores, of_item)]
        right += scores.index(max(scores)) == item["gold"]
        right_norm += norms.index(max(norms)) == item["gold"]
    return right / len(items), right_norm / len(items)


# The harness' own proofs (test_harness.py) have the others of these tasks too.
@pytest.mark.parametrize("task", [pytest.param(task, marks=() if task in ("piqa", "copa") else pytest.mark.slow) for task in TASKS])
def test_accuracies_equal_transformers(aquatint, folder, model, tokenizer, data, task):
    category, delimiter = TASKS[task]
    file = data / "gauntlet" / category / f"{task}.jsonl"
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()][:ITEMS]
    acc, acc_norm = their_accuracies(model, tokenizer, items, delimiter)
    ours = aquatint("eval", folder, "--precision", "fp32", "--tasks", f"{task}={file}", "--shots", 0, "--limit", ITEMS)["tasks"][task]
    print(f"{task}, {len(items)} items: transformers {acc:.4f} {acc_norm:.4f}, ours {ours['acc,none']:.4f} {ours.get('acc_norm,none')}")
    assert ours["n"] == len(items)
    assert abs(ours["acc,none"] - acc) <= 1 / 500
    if "acc_norm,none" in ours:
        assert abs(ours["acc_norm,none"] - acc_norm) <= 1 / 500

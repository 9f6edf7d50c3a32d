"""Token ids and decoded text equal those of Hugging Face `tokenizers`, for each rule, with small trained vocabularies
and with the real ones of SmolLM2, GPT-2, Llama-3 and Qwen2."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from gguf import GGUFReader
from tokenizers import Tokenizer

from conftest import ROOT, BUILD

sys.path.insert(0, str(ROOT / "tests/golden"))
import text_rules  # noqa: E402

HARD = ROOT / "tests/golden/text/hard_unicode.txt"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}


def split(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        BYTE_LEVEL | {"use_regex": False}]}


PRE = {"gpt-2": BYTE_LEVEL, "llama-bpe": split(text_rules.LLAMA3), "qwen2": split(text_rules.QWEN2),
       "smollm": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}}


def field(reader, key):
    part = reader.fields.get(f"tokenizer.ggml.{key}")
    return part.contents() if part else None


def tokenizer_json_of_gguf(path):
    """tokenizer.json made of a GGUF's metadata, as the model's own file says it."""
    reader = GGUFReader(path)
    tokens, types, pre = field(reader, "tokens"), field(reader, "token_type"), field(reader, "pre")
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": kind == 3}
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind in (3, 4)]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None, "pre_tokenizer": PRE[pre],
        "post_processor": None, "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": pre == "llama-bpe",
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": field(reader, "merges")}})


def check(tool, tokenizer_file, text_file, folder):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    text = Path(text_file).read_bytes().decode("utf-8")
    for mode in ("encode", "plain"):
        want = tokenizer.encode(text, add_special_tokens=mode == "encode").ids
        got = [int(line) for line in tool("tokenize_tool", mode, tokenizer_file, text_file).split()]
        first = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        assert got == want, (f"{tokenizer_file.name} on {Path(text_file).name}: {len(got)} ids, expected {len(want)}; "
                             f"at {first}: {got[first:first + 5]}, expected {want[first:first + 5]}")
    ids_file = folder / "ids"
    ids_file.write_text("\n".join(map(str, got)))
    decoded = subprocess.run([BUILD / "tests/tokenize_tool", "decode", tokenizer_file, ids_file],
                             capture_output=True, check=True).stdout
    assert decoded.decode("utf-8", errors="replace") == tokenizer.decode(got, skip_special_tokens=True)


@pytest.mark.parametrize("rule", text_rules.RULES)
def test_each_rule_with_a_trained_vocabulary(rule, tool, data, tmp_path):
    corpus = (data / "wikitext-2/valid.txt").read_text().splitlines(keepends=True)[:2000]
    tokenizer_file = tmp_path / f"{rule}.json"
    text_rules.RULES[rule](corpus + HARD.read_text().splitlines(), 6000).save(str(tokenizer_file))
    for text_file in (HARD, data / "wikitext-2/test.txt"):
        check(tool, tokenizer_file, text_file, tmp_path)


def test_the_vocabulary_of_smollm2(tool, data, smollm2_gguf, tmp_path):
    tokenizer_file = tmp_path / "smollm2.json"
    tokenizer_file.write_text(tokenizer_json_of_gguf(smollm2_gguf))
    for text_file in (HARD, data / "wikitext-2/test.txt"):
        check(tool, tokenizer_file, text_file, tmp_path)


@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "qwen2"])
def test_real_vocabularies(name, tool, data, llama_cpp, tmp_path):
    tokenizer_file = tmp_path / f"{name}.json"
    tokenizer_file.write_text(tokenizer_json_of_gguf(llama_cpp / f"models/ggml-vocab-{name}.gguf"))
    for text_file in (HARD, data / "wikitext-2/test.txt"):
        check(tool, tokenizer_file, text_file, tmp_path)

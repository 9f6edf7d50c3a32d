"""tokenizer.json made of a GGUF's metadata, read by Hugging Face `tokenizers`: the ids that llama.cpp's own test vectors
hold for its vocabularies, and transformers' ids for SmolLM2."""
import json

import gguf
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import generate_merges

SEPARATOR = "\n__ggml_vocab_test__\n"


def vectors(path):
    """Pairs of a text and its ids, special tokens left out (llama.cpp, tests/test-tokenizer-0)."""
    texts = path.with_name(path.name + ".inp").read_bytes().decode("utf-8").split(SEPARATOR)
    ids = [[int(i) for i in line.split()] for line in path.with_name(path.name + ".out").read_text().splitlines()]
    assert len(ids) in (len(texts), len(texts) - 1)
    return list(zip(texts, ids))


@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "qwen2", "starcoder", "llama-spm"])
def test_vectors_of_llama_cpp(name, tool, llama_cpp, tmp_path):
    path = llama_cpp / f"models/ggml-vocab-{name}.gguf"
    tool("dump_tool", path, "--tokenizer", tmp_path / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    cases = vectors(path)
    assert len(cases) > 40
    for text, ids in cases:
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids, repr(text)


def test_merges_of_a_sentencepiece_vocabulary(tool, llama_cpp, tmp_path):
    """The list that transformers derives from the same scores, in the same order."""
    path = llama_cpp / "models/ggml-vocab-llama-spm.gguf"
    tool("dump_tool", path, "--tokenizer", tmp_path / "tokenizer.json")
    ours = [tuple(m) for m in json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]]
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    scores = fields["tokenizer.ggml.scores"].contents()
    vocab = {token: i for i, token in enumerate(tokens)}
    assert ours == generate_merges(vocab, dict(zip(tokens, scores)), skip_tokens=["<unk>", "<s>", "</s>"])


def test_smollm2(tool, smollm2_gguf, tmp_path):
    tool("dump_tool", smollm2_gguf, "--side", tmp_path)
    ours = AutoTokenizer.from_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)
    for text in ["Hello world", " 12 345\n\n\tñandú 你好", "<|im_start|>user\nhi<|im_end|>\n", ""]:
        assert ours(text).input_ids == theirs(text).input_ids
        assert ours.decode(ours(text).input_ids) == text
    assert (ours.bos_token_id, ours.eos_token_id, ours.pad_token_id) == (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)
    messages = [{"role": "user", "content": "hi"}]
    assert ours.apply_chat_template(messages, tokenize=False) == theirs.apply_chat_template(messages, tokenize=False)

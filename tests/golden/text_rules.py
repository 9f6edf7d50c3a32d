"""The tokenizer rules of the model families, as `tokenizers` objects with a small trained vocabulary.

Shared by make_text.py (committed goldens) and tests/peers/test_tokenizer.py (larger vocabularies, whole texts).
"""
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def train(tokenizer, corpus, size, special, alphabet=None):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=special,
                                  initial_alphabet=alphabet or [])
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def byte_level(corpus, size, pre_tokenizer, special, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, corpus, size, special, pre_tokenizers.ByteLevel.alphabet())


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2(corpus, size):
    t = byte_level(corpus, size, pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def llama3(corpus, size):
    t = byte_level(corpus, size, split_then_bytes(LLAMA3), ["<|begin_of_text|>", "<|eot_id|>"], ignore_merges=True)
    # A word of the vocabulary that no merge makes: only ignore_merges finds it.
    state = json.loads(t.to_str())
    state["model"]["vocab"]["Zusammenhang"] = len(state["model"]["vocab"])
    t = Tokenizer.from_str(json.dumps(state))
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B:1",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return t


def qwen2(corpus, size):
    t = byte_level(corpus, size, split_then_bytes(QWEN2), ["<|im_start|>", "<|im_end|>"], normalizers.NFC())
    t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("caf\u00e9!", normalized=True)])
    return t


def smollm(corpus, size):
    return byte_level(corpus, size, pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]), ["<|im_start|>", "<|im_end|>"])


BYTES = [f"<0x{b:02X}>" for b in range(256)]


def spm_decoder(strip):
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))


def sentencepiece(corpus, size, normalizer=None, pre_tokenizer=None, strip=True):
    """Merges are learned inside words; byte tokens and single characters fill up the vocabulary."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    train(t, corpus, size, ["<unk>", "<s>", "</s>"] + BYTES)
    state = json.loads(t.to_str())
    # The <0xNN> are ordinary vocabulary entries, not added tokens.
    state["added_tokens"] = [a for a in state["added_tokens"] if a["content"] in ("<unk>", "<s>", "</s>")]
    t = Tokenizer.from_str(json.dumps(state))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizer
    t.decoder = spm_decoder(strip)
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                     special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def llama2(corpus, size):
    return sentencepiece(corpus, size, normalizers.Sequence([normalizers.Prepend("\u2581"),
                                                             normalizers.Replace(" ", "\u2581")]))


def mistral(corpus, size):
    return sentencepiece(corpus, size, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False))


def metaspace_always(corpus, size):
    return sentencepiece(corpus, size, None, pre_tokenizers.Metaspace(prepend_scheme="always", split=True))


def gemma(corpus, size):
    return sentencepiece(corpus, size, normalizers.Replace(" ", "\u2581"),
                         pre_tokenizers.Split(" ", behavior="merged_with_previous"), strip=False)


RULES = {"gpt2": gpt2, "llama3": llama3, "qwen2": qwen2, "smollm": smollm, "llama2": llama2, "mistral": mistral,
         "metaspace_always": metaspace_always, "gemma": gemma}

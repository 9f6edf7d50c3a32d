#!/usr/bin/env python3
"""GPTQ to W4A16 in groups of 64 on the CPU by one of the other quantizers; JSON: seconds (without loading and saving), peak_rss
in bytes, version. Runs in that peer's own environment (setup.sh).

  quantizer.py llmcompressor|gptqmodel MODEL TEXT --to FOLDER --samples 128 --threads 2
"""
import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["GPTQMODEL_CPU_WORKERS"] = "2"  # of one, its default on two cores, it can not load a model

import argparse
import importlib.metadata
import json
import pathlib
import random
import resource
import time

import torch
import transformers

LENGTH, GROUP = 512, 64


def windows(tokenizer, text, count):
    tokens = tokenizer(text.read_text())["input_ids"]
    source = random.Random(0)
    starts = [source.randrange(len(tokens) - LENGTH) for _ in range(count)]
    return [tokens[start:start + LENGTH] for start in starts]


def llmcompressor(model, samples, folder):
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier

    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    recipe = GPTQModifier(ignore=["lm_head"], config_groups={"all": {"targets": ["Linear"], "weights": weights}})
    data = Dataset.from_dict({"input_ids": samples, "attention_mask": [[1] * LENGTH] * len(samples)})
    start = time.perf_counter()
    oneshot(model=loaded, dataset=data, recipe=recipe, max_seq_length=LENGTH, num_calibration_samples=len(samples))
    seconds = time.perf_counter() - start
    loaded.save_pretrained(folder, save_compressed=True)
    return seconds


def gptqmodel(model, samples, folder):
    from gptqmodel import GPTQModel, QuantizeConfig

    loaded = GPTQModel.load(str(model), QuantizeConfig(bits=4, group_size=GROUP, device="cpu"))
    data = [{"input_ids": tokens, "attention_mask": [1] * LENGTH} for tokens in samples]
    start = time.perf_counter()
    loaded.quantize(data, batch_size=1)
    seconds = time.perf_counter() - start
    loaded.save(str(folder))
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["llmcompressor", "gptqmodel"])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    samples = windows(tokenizer, options.text, options.samples)
    seconds = globals()[options.peer](options.model, samples, options.to)
    tokenizer.save_pretrained(options.to)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_rss": peak, "version": importlib.metadata.version(options.peer)}))


if __name__ == "__main__":
    main()

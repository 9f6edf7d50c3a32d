"""What the proofs of quantized checkpoints share: our weights by name, both engines' logits over the same tokens."""
import numpy as np
import torch


def decoder_linears(model):
    """Names and modules of the linears inside the decoder layers of a transformers model."""
    return {name: module for name, module in model.named_modules()
            if ".layers." in name and hasattr(module, "in_features")}


def our_weight(tool, folder, name, tmp_path):
    """The values of a weight as we read the folder, FP32."""
    target = tmp_path / "weight.f32"
    rows, cols = map(int, tool("dump_tool", folder, name, target).split()[1:3])
    return torch.from_numpy(np.fromfile(target, dtype=np.float32).reshape(rows, cols))


def first_difference(ours, theirs):
    """"" when bit for bit equal, else where the two first differ."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.shape} {ours.dtype} against {theirs.shape} {theirs.dtype}"
    integers = torch.int16 if ours.element_size() == 2 else torch.int32
    different = (ours.contiguous().view(integers) != theirs.contiguous().view(integers)).nonzero()
    if len(different) == 0:
        return ""
    place = tuple(different[0].tolist())
    return f"{len(different)} values; the first at {place}: {ours[place].item()} against {theirs[place].item()}"


def our_logits(tool, folder, ids, precision, tmp_path):
    """[len(ids), vocabulary] scores of the next token, FP32, one prompt."""
    (tmp_path / "ids.txt").write_text(" ".join(map(str, ids)))
    tool("logits_tool", folder, tmp_path / "ids.txt", tmp_path / "logits.f32", "--precision", precision)
    return np.fromfile(tmp_path / "logits.f32", dtype=np.float32).reshape(len(ids), -1)


def their_logits(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def sample_ids(tokenizer, data, count=256):
    """The first tokens of WikiText-2's test text."""
    text = (data / "wikitext-2/test.txt").read_text(encoding="utf-8")[:8192]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:count]
    assert len(ids) == count
    return ids

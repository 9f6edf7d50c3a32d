"""What is compared with what. A group's contestants take turns within a round; a ratio is one contestant's rate over
another's in the same round. Goals are those of docs/kernels/peers.md."""
from dataclasses import dataclass, field

OURS, LLAMA, TORCH = "aquatint", "llama.cpp", "torch"


@dataclass
class Contestant:
    name: str
    engine: str
    model: str  # under the models' folder
    options: list = field(default_factory=list)  # of aquatint bench
    build: str = "native"  # of llama.cpp
    phases: tuple = ("prefill", "decode")


@dataclass
class Ratio:
    phase: str
    over: str
    under: str
    goal: float = None


@dataclass
class Group:
    title: str
    contestants: list
    ratios: list
    quick: bool = True


INT8_HEAD = ["--head", "int8"]
FAST = ["--precision", "int8"]

with open("/proc/cpuinfo") as lines:
    AMX = " amx_tile" in lines.read()

# Against llama.cpp's format of as many bits, by model and bits.
DECODE_GOALS = {("smollm2", 16): 2.5, ("smollm2", 8): 1.8, ("smollm2", 4): 1.5,
                ("1b", 16): 1.35, ("1b", 8): 1.15, ("1b", 4): 1.15}
PREFILL_GOALS = {("smollm2", 16): 6.0, ("smollm2", 8): 2.5, ("smollm2", 4): 2.5,
                 ("1b", 16): 10.0, ("1b", 8): 5.0, ("1b", 4): 5.0} if AMX else {
                     (model, bits): 1.5 for model in ("smollm2", "1b") for bits in (16, 8, 4)}
TORCH_GOALS = {"smollm2": 1.5, "1b": 1.1} if AMX else {}
BATCH_GOALS = {("1b", 16): 6.5, ("1b", 8): 5.5, ("1b", 4): 5.5, ("smollm2", 16): 15.0, ("smollm2", 4): 8.0}


def bf16(model):
    ours, theirs = Contestant("BF16", OURS, f"{model}-BF16"), Contestant("llama.cpp BF16", LLAMA, f"{model}.BF16.gguf")
    contestants = [ours, theirs]
    ratios = [Ratio("decode", "BF16", "llama.cpp BF16", DECODE_GOALS.get((model, 16))),
              Ratio("prefill", "BF16", "llama.cpp BF16", PREFILL_GOALS.get((model, 16)))]
    if model != "8b":  # torch holds a copy of the weights
        contestants.append(Contestant("torch BF16", TORCH, f"{model}-BF16", phases=("prefill",)))
        ratios.append(Ratio("prefill", "BF16", "torch BF16", TORCH_GOALS.get(model)))
    return Group(f"{model}, BF16", contestants, ratios)


def low_bits(model, bits, scheme, types):
    ours = [Contestant(scheme, OURS, f"{model}-{scheme}", INT8_HEAD),
            Contestant(f"{scheme} fast", OURS, f"{model}-{scheme}", INT8_HEAD + FAST),
            Contestant(f"{scheme} 16-bit head", OURS, f"{model}-{scheme}")]
    theirs = [Contestant(f"llama.cpp {type}", LLAMA, f"{model}.{type}.gguf") for type in types]
    ratios = []
    for other in theirs:
        k_quant = other.name.endswith("Q4_K_M")
        goal = 1.8 if k_quant else DECODE_GOALS.get((model, bits))
        ratios += [Ratio("decode", mine.name, other.name, None if k_quant and model != "1b" else goal) for mine in ours]
        ratios += [Ratio("prefill", mine.name, other.name, None if k_quant else PREFILL_GOALS.get((model, bits))) for mine in ours[:2]]
    return Group(f"{model}, {bits} bits", ours + theirs, ratios)


def avx2(model):
    pairs = [("BF16", "BF16", []), ("W8A16", "Q8_0", INT8_HEAD), ("W4A16", "Q4_0", INT8_HEAD)]
    contestants, ratios = [], []
    for scheme, type, head in pairs:
        forced = ["--kernels", "avx2"]
        own = [Contestant(f"{scheme} avx2", OURS, f"{model}-{scheme}", head + forced)]
        if head:
            own.append(Contestant(f"{scheme} avx2 fast", OURS, f"{model}-{scheme}", head + forced + FAST))
        peer = Contestant(f"llama.cpp {type} avx2", LLAMA, f"{model}.{type}.gguf", build="avx2")
        contestants += own + [peer]
        ratios += [Ratio(phase, mine.name, peer.name, 1.1) for mine in own for phase in ("decode", "prefill")]
    return Group(f"{model}, AVX2 alone", contestants, ratios, quick=False)


def batches(model, size, kinds):
    contestants, ratios = [], []
    for bits, scheme in kinds:
        for batch in (1, size):
            contestants.append(Contestant(f"{scheme} batch {batch}", OURS, f"{model}-{scheme}",
                                          (INT8_HEAD if bits < 16 else []) + ["--batch", str(batch)], phases=("decode",)))
        ratios.append(Ratio("decode", f"{scheme} batch {size}", f"{scheme} batch 1", BATCH_GOALS.get((model, bits))))
    return Group(f"{model}, {size} sequences together", contestants, ratios)


def w8a8(model):
    return Group(f"{model}, W8A8", [Contestant("W8A8", OURS, f"{model}-W8A8"), Contestant("BF16", OURS, f"{model}-BF16")],
                 [Ratio("prefill", "W8A8", "BF16", 1.5)])


def groups(models):
    for model in models:
        yield bf16(model)
        yield low_bits(model, 8, "W8A16", ["Q8_0"])
        yield low_bits(model, 4, "W4A16", ["Q4_0", "Q4_K_M"])
        if model != "8b":
            yield w8a8(model)
        if model == "1b":
            yield batches(model, 8, [(16, "BF16"), (8, "W8A16"), (4, "W4A16")])
        if model == "smollm2":
            yield batches(model, 32, [(16, "BF16"), (4, "W4A16")])
        if model != "8b":
            yield avx2(model)

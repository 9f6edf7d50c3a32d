// vLLM: `vllm serve`. Schemes: the compressed-tensors and bitsandbytes loaders of vLLM 0.14
// (model_executor/layers/quantization), caches: its --kv-cache-dtype.
#include <fmt/format.h>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

constexpr const char* kName = "vLLM";

bool is_architecture(const Deployment& d, std::string_view name) {
  return d.device().architecture.starts_with(name);
}

std::string hardware_refusal(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  if (!choice.quantized()) return "";
  const std::string_view scheme = choice.scheme->name;
  if (scheme == "W8A8" && is_architecture(d, "Blackwell"))
    return "vLLM's INT8 kernels end with Hopper; FP8_DYNAMIC takes their place";
  if (scheme == "W4AFP8" && !is_architecture(d, "Hopper")) return "vLLM's W4AFP8 kernels are Hopper's alone";
  if (scheme == "LLM_INT8" && d.candidate.count > 1)
    return "vLLM does not share out 8-bit bitsandbytes checkpoints among cards";
  return "";
}

std::vector<DeployFile> files(const Deployment& d) {
  std::string text = "#!/bin/sh\n" + script_head(d, kName);
  text += "exec vllm serve \"$checkpoint\" \\\n  --host \"${HOST:-127.0.0.1}\" --port \"${PORT:-8000}\" \\\n";
  text += "  --served-model-name " + shell_word(d.name()) + flags(vllm_options(d));
  return {{"serve.sh", text, true}};
}

std::string refusal(const Deployment& d) {
  const std::string machine = more_than_a_machine(d, "vllm");
  return machine.empty() ? vllm_refusal(d) : machine;
}

}  // namespace

std::string vllm_refusal(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  std::string text =
      not_among(choice,
                {"W4A16", "W4A16_ASYM", "W8A16", "W8A8", "FP8", "FP8_DYNAMIC", "FP8_BLOCK", "NVFP4",
                 "NVFP4A16", "MXFP4", "MXFP4A16", "MXFP8", "W4AFP8", "NF4", "FP4", "LLM_INT8"},
                kName);
  if (text.empty()) text = cache_not_among(choice, {"KVFP8", "KV8"}, kName);
  return text.empty() ? hardware_refusal(d) : text;
}

std::vector<Option> vllm_options(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  std::vector<Option> options = {
      {"--tensor-parallel-size", fmt::format("{}", d.cards_per_machine())},
      {"--max-model-len", fmt::format("{}", d.max_context())},
      {"--max-num-seqs", fmt::format("{}", d.max_sequences())},
      {"--max-num-batched-tokens", fmt::format("{}", d.step_tokens())},
      {"--gpu-memory-utilization", fmt::format("{:.2f}", d.memory_share())},
  };
  if (d.machines() > 1) {
    options.push_back({"--pipeline-parallel-size", fmt::format("{}", d.machines())});
    options.push_back({"--distributed-executor-backend", "ray"});
  }
  // Checkpoints say how they are quantized; a plain one its type.
  if (!choice.quantized())
    options.push_back({"--dtype", choice.plain == &numeric::fp16   ? "float16"
                                  : choice.plain == &numeric::fp32 ? "float32"
                                                                   : "bfloat16"});
  // INT8 under a scale for each token and head is what KV8 is.
  if (choice.cache)
    options.push_back({"--kv-cache-dtype", choice.cache->name == "KVFP8" ? "fp8" : "int8_per_token_head"});
  return options;
}

const DeployEngine vllm_engine{
    .name = "vllm",
    .title = kName,
    .command = "./serve.sh",
    .checks =
        "- The log's `GPU KV cache size` is the planned room for keys and values, or more.\n"
        "- The log names the kernel of the scheme (Marlin, CUTLASS, Machete): a fallback is slower than "
        "planned.\n",
    .refusal = refusal,
    .files = files,
};

}  // namespace aquatint::plan

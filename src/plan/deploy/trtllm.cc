// TensorRT-LLM: `trtllm-serve` with its PyTorch backend. Schemes: what
// tensorrt_llm/models/quant_config_utils.py makes of compressed-tensors checkpoints (2026).
#include <fmt/format.h>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

constexpr const char* kName = "TensorRT-LLM";

std::string refusal(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  std::string text = more_than_a_machine(d, "trtllm");
  if (text.empty()) text = not_among(choice, {"FP8_DYNAMIC", "FP8_BLOCK", "NVFP4"}, kName);
  if (text.empty()) text = cache_not_among(choice, {"KVFP8"}, kName);
  if (text.empty() && choice.quantized() && !execution(choice, d.device()).native)
    text = fmt::format("TensorRT-LLM runs {} only where the hardware multiplies in it, which {} does not",
                       choice.scheme->name, d.candidate.gpu);
  return text;
}

// The share of what weights and workspace leave.
double cache_share(const Memory& m) { return m.cache / (m.cache + m.reserve); }

std::string options_yaml(const Deployment& d) {
  std::string text = fmt::format(
      "# {}\n"
      "kv_cache_config:\n"
      "  free_gpu_memory_fraction: {:.2f}  # of what weights and workspace leave\n",
      d.title(), cache_share(d.candidate.memory));
  if (d.candidate.choice.cache) text += "  dtype: fp8\n";
  return text + fmt::format(
                    "enable_chunked_prefill: true\n"
                    "cuda_graph_config:\n"
                    "  enable_padding: true\n"
                    "  max_batch_size: {}\n",
                    d.max_sequences());
}

std::vector<DeployFile> files(const Deployment& d) {
  std::string text = "#!/bin/sh\n" + script_head(d, kName);
  text +=
      "exec trtllm-serve \"$checkpoint\" \\\n"
      "  --host \"${HOST:-127.0.0.1}\" --port \"${PORT:-8000}\" \\\n"
      "  --extra_llm_api_options \"$(dirname \"$0\")/options.yaml\"";
  text += flags({{"--backend", "pytorch"},
                 {"--tp_size", fmt::format("{}", d.candidate.count)},
                 {"--max_batch_size", fmt::format("{}", d.max_sequences())},
                 {"--max_num_tokens", fmt::format("{}", d.step_tokens())},
                 {"--max_seq_len", fmt::format("{}", d.max_context())}});
  return {{"serve.sh", text, true}, {"options.yaml", options_yaml(d)}};
}

}  // namespace

const DeployEngine trtllm_engine{
    .name = "trtllm",
    .title = kName,
    .command = "./serve.sh",
    .checks =
        "- The log says `quant_algo` as planned: a checkpoint that it does not recognize runs in 16 bits.\n"
        "- Newer versions call `--extra_llm_api_options` also `--config`.\n",
    .refusal = refusal,
    .files = files,
};

}  // namespace aquatint::plan

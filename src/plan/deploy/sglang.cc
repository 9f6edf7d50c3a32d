// SGLang: `python3 -m sglang.launch_server`. Schemes: its compressed-tensors and bitsandbytes loaders
// (srt/layers/quantization, 2026).
#include <fmt/format.h>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

constexpr const char* kName = "SGLang";

std::string refusal(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  std::string text = more_than_a_machine(d, "sglang");
  if (text.empty())
    text = not_among(
        choice, {"W4A16", "W8A16", "W8A8", "FP8", "FP8_DYNAMIC", "FP8_BLOCK", "NVFP4", "NF4", "FP4"}, kName);
  if (text.empty()) text = cache_not_among(choice, {"KVFP8"}, kName);
  if (text.empty() && choice.quantized() && choice.scheme->name == "NVFP4" &&
      d.device().rate("fp4_e2m1") == 0)
    text = fmt::format("SGLang multiplies NVFP4 in FP4 units, which {} lacks", d.candidate.gpu);
  return text;
}

std::vector<Option> options(const Deployment& d) {
  const Choice& choice = d.candidate.choice;
  std::vector<Option> list = {
      {"--tp-size", fmt::format("{}", d.candidate.count)},
      {"--context-length", fmt::format("{}", d.max_context())},
      {"--max-running-requests", fmt::format("{}", d.max_sequences())},
      {"--chunked-prefill-size", fmt::format("{}", d.step_tokens())},
      // Weights and cache; the workspace lies beside them.
      {"--mem-fraction-static",
       fmt::format("{:.2f}",
                   (d.candidate.memory.weights + d.candidate.memory.cache) / d.candidate.memory.total)},
  };
  if (!choice.quantized())
    list.push_back({"--dtype", choice.plain == &numeric::fp16   ? "float16"
                               : choice.plain == &numeric::fp32 ? "float32"
                                                                : "bfloat16"});
  if (choice.cache) list.push_back({"--kv-cache-dtype", "fp8_e4m3"});
  return list;
}

std::vector<DeployFile> files(const Deployment& d) {
  std::string text = "#!/bin/sh\n" + script_head(d, kName);
  text +=
      "exec python3 -m sglang.launch_server --model-path \"$checkpoint\" \\\n"
      "  --host \"${HOST:-127.0.0.1}\" --port \"${PORT:-30000}\" \\\n";
  text += "  --served-model-name " + shell_word(d.name()) + flags(options(d));
  return {{"serve.sh", text, true}};
}

}  // namespace

const DeployEngine sglang_engine{
    .name = "sglang",
    .title = kName,
    .command = "./serve.sh",
    .checks =
        "- The log's `max_total_num_tokens` is the planned room for keys and values, or more.\n"
        "- With an FP8 cache: the attention backend that the log names reads FP8 without widening it "
        "first.\n",
    .refusal = refusal,
    .files = files,
};

}  // namespace aquatint::plan

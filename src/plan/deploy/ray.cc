// Ray Serve LLM: a config file of `serve run`; its engine is vLLM.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

// As Ray names what it schedules on (ray.serve.llm.LLMConfig.accelerator_type, 2.50); empty: it has no name.
std::string accelerator_of(std::string_view gpu) {
  constexpr std::array<std::string_view, 7> kKnown = {"A10G", "L40S", "L4", "A100", "H100", "H200", "B200"};
  const auto* found = std::ranges::find_if(kKnown, [&](std::string_view name) {
    return gpu.starts_with(name) && (gpu.size() == name.size() || gpu[name.size()] == '-');
  });
  return found == kKnown.end() ? "" : std::string(*found);
}

// "--max-num-seqs" is max_num_seqs.
std::string keyword_of(std::string_view flag) {
  std::string word(flag.substr(2));
  std::ranges::replace(word, '-', '_');
  return word;
}

std::string config_yaml(const Deployment& d) {
  std::string text = fmt::format(
      "# {}. model_source: a folder that every machine sees, or a hub id.\n"
      "applications:\n"
      "  - name: llm\n"
      "    route_prefix: /\n"
      "    import_path: ray.serve.llm:build_openai_app\n"
      "    args:\n"
      "      llm_configs:\n"
      "        - model_loading_config:\n"
      "            model_id: {}\n"
      "            model_source: {}\n",
      d.title(), yaml_text(d.name()), yaml_text(d.checkpoint()));
  if (const std::string accelerator = accelerator_of(d.candidate.gpu); !accelerator.empty())
    text += fmt::format("          accelerator_type: {}\n", accelerator);
  text += fmt::format(
      "          deployment_config:\n"
      "            num_replicas: {}\n"
      "            max_ongoing_requests: {}\n"
      "          engine_kwargs:\n",
      d.candidate.replicas, d.max_sequences());
  for (const Option& option : vllm_options(d))
    text += fmt::format("            {}: {}\n", keyword_of(option.name), option.value);
  return text;
}

std::vector<DeployFile> files(const Deployment& d) { return {{"serve.yaml", config_yaml(d)}}; }

}  // namespace

const DeployEngine ray_engine{
    .name = "ray",
    .title = "Ray Serve LLM (vLLM)",
    .command = "serve run serve.yaml",
    .checks =
        "- `ray status` shows the accelerators that `accelerator_type` asks for.\n"
        "- `model_source` is an absolute path that every machine of the cluster sees.\n"
        "- The replicas' logs give vLLM's `GPU KV cache size`: the planned room for keys and values, or "
        "more.\n",
    .refusal = vllm_refusal,
    .files = files,
};

}  // namespace aquatint::plan

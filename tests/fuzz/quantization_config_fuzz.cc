// The quantization_config of config.json, by the layout that it names.
#include "checkpoint/layouts/ct_config.h"
#include "checkpoint/layouts/layout.h"
#include "fuzz.h"

namespace {

using namespace aquatint;

void read_quantization(const base::Json& config) {
  std::vector<std::string> warnings;
  if (!config.is_object() || checkpoint::layout_of(config, "fuzz").name != "compressed-tensors") return;
  const checkpoint::CtConfig quantization(config["quantization_config"], "fuzz", warnings);
  for (const char* module : {"lm_head", "model.embed_tokens", "model.layers.0.self_attn.q_proj"})
    quantization.group_of(module);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::refuse_or_parse([&] { read_quantization(base::parse_json(fuzz::text(data, size), "fuzz")); });
}

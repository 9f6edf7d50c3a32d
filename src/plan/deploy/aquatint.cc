// Our own server.
#include <fmt/format.h>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

std::string refusal(const Deployment& d) { return more_than_a_machine(d, "aquatint"); }

std::vector<DeployFile> files(const Deployment& d) {
  std::vector<Option> options = {{"--max-model-len", fmt::format("{}", d.max_context())},
                                 {"--memory-fraction", fmt::format("{:.2f}", d.memory_share())}};
  if (d.candidate.count > 1) options.push_back({"--tensor-parallel", fmt::format("{}", d.candidate.count)});
  if (d.candidate.choice.cache)
    options.push_back({"--kv-format", std::string(d.candidate.choice.cache->format->name)});
  std::string text = "#!/bin/sh\n" + script_head(d, "Aquatint");
  text += "exec aquatint serve \"$checkpoint\" --host \"${HOST:-127.0.0.1}\" --port \"${PORT:-8000}\"";
  return {{"serve.sh", text + flags(options), true}};
}

}  // namespace

const DeployEngine aquatint_engine{
    .name = "aquatint",
    .title = "Aquatint",
    .command = "./serve.sh",
    .checks = "- `aquatint inspect CHECKPOINT` has no warnings, and its bytes are the planned weights.\n",
    .refusal = refusal,
    .files = files,
};

}  // namespace aquatint::plan

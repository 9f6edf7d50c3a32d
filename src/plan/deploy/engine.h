// What the engines of a deployment share. Internal to the room.
#pragma once
#include <initializer_list>

#include "plan/deploy.h"

namespace aquatint::plan {

// One word of a shell, whatever it holds.
std::string shell_word(std::string_view text);
// A double-quoted YAML scalar.
std::string yaml_text(std::string_view text);
// Lower-case letters, digits and dashes: a name of Kubernetes (RFC 1123) and Slurm.
std::string label_of(std::string_view text);

// The start of a script: what it runs, and `checkpoint`, which its first argument replaces.
std::string script_head(const Deployment& deployment, std::string_view engine);

// Options of a command line, one a line.
struct Option {
  std::string name, value;
};
std::string flags(const std::vector<Option>& options);

// Reasons that more than one engine has; empty: none.
std::string not_among(const Choice& choice, std::initializer_list<std::string_view> schemes,
                      std::string_view engine);
std::string cache_not_among(const Choice& choice, std::initializer_list<std::string_view> caches,
                            std::string_view engine);
std::string more_than_a_machine(const Deployment& deployment, std::string_view engine);

// vLLM's, which other engines start.
std::string vllm_refusal(const Deployment& deployment);
std::vector<Option> vllm_options(const Deployment& deployment);

std::string readme(const DeployEngine& engine, const Deployment& deployment);

extern const DeployEngine aquatint_engine, vllm_engine, sglang_engine, trtllm_engine, ray_engine, k8s_engine,
    slurm_engine;

}  // namespace aquatint::plan

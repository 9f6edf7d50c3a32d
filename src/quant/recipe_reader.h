// The two dialects of recipe files; recipe.cc tells them apart.
#pragma once
#include <filesystem>

#include "eval/yaml_tree.h"
#include "quant/recipe.h"

namespace aquatint::quant {

Recipe read_own_dialect(const eval::YamlNode& root, const eval::YamlReader& reader,
                        const std::filesystem::path& folder);

// `quant_stage: quant_modifiers: …`, or modifiers without a stage.
bool is_llm_compressor(const eval::YamlNode& root);
Recipe read_llm_compressor(const eval::YamlNode& root, const eval::YamlReader& reader);

// Shared words. Fail with the line of the node.
const numeric::Scheme* scheme_of(const eval::YamlNode& node, const eval::YamlReader& reader);
// Sets what `key` says of a method; false when the method has no such setting.
bool set_method_setting(MethodStep& step, std::string_view key, const eval::YamlNode& value,
                        const eval::YamlReader& reader);

}  // namespace aquatint::quant

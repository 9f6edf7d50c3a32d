// The two dialects of recipe files; recipe.cc tells them apart.
#pragma once
#include <filesystem>

#include "quant/recipe.h"
#include "quant/yaml_tree.h"

namespace aquatint::quant {

Recipe read_own_dialect(const YamlNode& root, const YamlReader& reader, const std::filesystem::path& folder);

// `quant_stage: quant_modifiers: …`, or modifiers without a stage.
bool is_llm_compressor(const YamlNode& root);
Recipe read_llm_compressor(const YamlNode& root, const YamlReader& reader);

// Shared words. Fail with the line of the node.
const numeric::Scheme* scheme_of(const YamlNode& node, const YamlReader& reader);
// Sets what `key` says of a method; false when the method has no such setting.
bool set_method_setting(MethodStep& step, std::string_view key, const YamlNode& value,
                        const YamlReader& reader);

}  // namespace aquatint::quant

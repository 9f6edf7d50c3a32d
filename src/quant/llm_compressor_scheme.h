// How llm-compressor's recipes say a scheme: a preset's name, or compressed-tensors' arguments.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "eval/yaml_tree.h"
#include "numeric/scheme.h"
#include "quant/method.h"

namespace aquatint::quant {

struct ActOrder {
  std::string name;
  int line;
};

struct SchemeWords {
  const numeric::Scheme* scheme = nullptr;
  int group = 0;  // 0: the preset's
  std::optional<Clip> clip;
  std::optional<ActOrder> order;  // written among the weights' arguments
};

// Fail with the line when there is no such scheme here.
const numeric::Scheme* llm_compressor_preset(const std::string& name, int line,
                                             const eval::YamlReader& reader);
// {weights: {num_bits: 4, …}, input_activations: {…}}; adds what has no effect here to `notes`.
SchemeWords llm_compressor_group(const eval::YamlNode& group, const eval::YamlReader& reader,
                                 std::vector<std::string>& notes);
// minmax observers keep the whole range, mse searches.
Clip llm_compressor_clip(const std::string& observer, int line, const eval::YamlReader& reader);

}  // namespace aquatint::quant

// The quantization_config of compressed-tensors (https://github.com/vllm-project/compressed-tensors,
// quantization/ quant_config.py, quant_scheme.py, quant_args.py), read and checked.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/layouts/module_patterns.h"
#include "numeric/scheme.h"

namespace aquatint::checkpoint {

struct CtWeights {
  const numeric::Format* format = nullptr;
  bool symmetric = true;
  numeric::Granularity granularity = numeric::Granularity::tensor;
  int group = 0;                           // of Granularity::group
  int64_t block_rows = 0, block_cols = 0;  // of Granularity::block
  // Of 8 bits by the group's format: E8M0 in MX formats, E4M3 in NVFP4. Null: 16 or 32 bits, as the file has
  // them.
  const numeric::Format* scale_format = nullptr;

  bool floating() const { return format->kind == numeric::Kind::floating; }
};

struct CtGroup {
  ModulePatterns targets;
  std::string format;  // "pack-quantized", …
  CtWeights weights;
  numeric::ActivationScheme input;  // a static scale is the module's own
};

class CtConfig {
 public:
  CtConfig(const base::Json& quantization, const std::string& where, std::vector<std::string>& warnings);

  // What quantizes this module; nullptr when nothing does.
  const CtGroup* group_of(std::string_view module) const;
  const std::vector<CtGroup>& groups() const { return groups_; }
  // Codes of 3, 5 or 6 bits left unused bits in each word before version 0.18.
  bool padded_words() const { return padded_words_; }

 private:
  std::vector<CtGroup> groups_;
  std::optional<ModulePatterns> ignore_;
  bool padded_words_ = false;
};

}  // namespace aquatint::checkpoint

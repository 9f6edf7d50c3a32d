// The rotations that a checkpoint's weights expect of the run, read from config.json (docs/layouts.md). What
// can be folded into weights is not here.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tensor/rotation.h"

namespace aquatint::model {

struct Config;

// Of config.json.
inline constexpr const char* kRotationsKey = "aquatint_rotations";

using RotationPtr = std::shared_ptr<const tensor::Rotation>;  // null: none

struct Rotations {
  RotationPtr residual;          // hidden_size: the embedding's rows; undone before the final norm
  RotationPtr query_key;         // head_dim: each head of q and k, after rope
  RotationPtr attention_out_in;  // q_width: what the output projection reads
  RotationPtr down_in;           // intermediate_size: what the down projection reads
  // Undone at the outputs of linears, before anything else reads them.
  RotationPtr query_out;      // q_width
  RotationPtr key_value_out;  // kv_width: k and v
  RotationPtr gate_up_out;    // intermediate_size: gate and up

  bool any() const;
};

// A place of config.json's object, which holds its seed.
struct RotationPlace {
  std::string_view name;
  RotationPtr Rotations::*rotation;
  int64_t (*width)(const Config& config);
};
extern const std::array<RotationPlace, 7> kRotationPlaces;

// BadInput, naming `where`, for a place, seed or width that is none.
Rotations read_rotations(const base::Json& config, const std::string& where, const Config& widths);
// The object that read_rotations() reads.
base::Json to_json(const Rotations& rotations);

}  // namespace aquatint::model

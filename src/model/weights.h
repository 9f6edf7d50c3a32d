// A decoder's weights as the forward pass uses them, and the one list of what they are called and how they
// are shaped.
#pragma once
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/kv_cache.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "model/model.h"

namespace aquatint::model {

// Adds (x · rightᵀ) · leftᵀ to the outputs of one part. x is rounded as for a weight without input scheme,
// whatever the part's own codes ask for: the factors repair weights, and meet the inputs that those had.
struct PackedLowRank {
  int64_t first_row = 0;                               // of the part
  std::unique_ptr<kernels::PackedMatrix> left, right;  // [part's rows][rank], [rank][cols]
};

// Numbers that calibration changes on the host and kernels read in their set's memory.
class Vector {
 public:
  std::vector<float> values;

  bool empty() const { return values.empty(); }
  // The values there. When first asked for they are copied, where that memory is not the host's; they must
  // not change any more then.
  const float* in(const kernels::Memory& memory) const;

 private:
  mutable kernels::Array<float> placed_;
};

// y = x · weightᵀ + bias. One packed matrix, its parts' rows stacked; several only when a recipe makes parts
// round their shared input differently.
struct Linear {
  std::vector<std::unique_ptr<kernels::PackedMatrix>> pieces;
  std::vector<PackedLowRank> low_rank;  // of the parts that have one
  Vector bias;                          // [rows], or empty
  int64_t rows = 0;

  uint64_t bytes() const;
  void clear() { pieces.clear(), low_rank.clear(); }
  // All but the bias.
  void swap_weights(Linear& other) { pieces.swap(other.pieces), low_rank.swap(other.low_rank); }
};

struct Block {
  Vector attention_norm, mlp_norm;  // [hidden_size]
  Vector q_norm, k_norm;            // [head_dim], or empty
  Linear qkv;                       // [q_width + 2 · kv_width][hidden_size]
  Linear attention_out;             // [hidden_size][q_width]
  Linear gate_up;                   // [2 · intermediate_size][hidden_size]
  Linear down;                      // [hidden_size][intermediate_size]
  checkpoint::KvScales kv_scales;   // calibrated, of the cache; 0: each position has its own
};

// A dimension with the config key that sets it.
struct Extent {
  int64_t size;
  std::string_view key;
};

// A matrix of the checkpoint that becomes rows of a Linear; `module` is relative to its block.
struct Part {
  std::string_view module;
  Extent rows;
};

// Calls visit.norm(name, values, extent) and visit.linear(linear, parts, cols, has_bias) for every weight of
// a block.
template <class SomeBlock, class Visitor>
void each_weight(SomeBlock& block, const Config& c, Visitor&& visit) {
  const Extent hidden{c.hidden_size, "hidden_size"}, mlp{c.intermediate_size, "intermediate_size"};
  const Extent head{c.head_dim, "head_dim"}, q{c.q_width(), "num_attention_heads * head_dim"};
  const Extent kv{c.kv_width(), "num_key_value_heads * head_dim"};
  using Parts = std::initializer_list<Part>;
  visit.norm("input_layernorm", block.attention_norm.values, hidden);
  visit.linear(block.qkv, Parts{{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}},
               hidden, c.qkv_bias);
  if (c.qk_norm) visit.norm("self_attn.q_norm", block.q_norm.values, head);
  if (c.qk_norm) visit.norm("self_attn.k_norm", block.k_norm.values, head);
  visit.linear(block.attention_out, Parts{{"self_attn.o_proj", hidden}}, q, c.output_bias);
  visit.norm("post_attention_layernorm", block.mlp_norm.values, hidden);
  visit.linear(block.gate_up, Parts{{"mlp.gate_proj", mlp}, {"mlp.up_proj", mlp}}, hidden, c.mlp_bias);
  visit.linear(block.down, Parts{{"mlp.down_proj", hidden}}, mlp, c.mlp_bias);
}

struct Weights {
  tensor::QuantizedMatrix embedding;  // [vocab_size][hidden_size]; rows are decoded when looked up
  std::vector<Block> blocks;
  Vector final_norm;                            // [hidden_size]
  std::unique_ptr<kernels::PackedMatrix> head;  // [vocab_size][hidden_size]

  uint64_t bytes_per_decode(const Config& config) const;  // all but the embedding
  uint64_t resident_bytes(const Config& config) const;
};

// Reads, checks and packs everything. Throws BadInput for a missing tensor, a shape that contradicts the
// config, or a value that is not finite.
Weights load_weights(const checkpoint::Checkpoint& checkpoint, const Config& config, const Backend& backend);

// A block's norms and biases; its linears hold no weights yet. Errors as load_weights.
Block load_block_vectors(const checkpoint::Checkpoint& checkpoint, const Config& config, int64_t layer);

// Packs the matrices of a linear, in order; neighbours that round their input alike go into one.
void pack_linear(Linear& linear, std::span<const tensor::QuantizedMatrix> parts, const Backend& backend);

}  // namespace aquatint::model

// Many sequences through one decoder block, linear by linear: calibration looks at a linear's inputs, chooses
// its weights, and goes on with those. Between two linears only the residual stream and the next input are
// kept.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "model/column_magnitudes.h"
#include "model/decoder.h"
#include "model/state_array.h"

namespace aquatint::model {

// The residual streams of a set of sequences, between two blocks.
struct HiddenStates {
  std::vector<int64_t> lengths;  // tokens of each sequence
  StateArray x;                  // [tokens][hidden_size], one sequence after another
  StatePlace place{};            // of all arrays
  // Room for the inputs of linears, [tokens][hidden_size] and [tokens][up to the widest]: kept from block to
  // block, as fresh memory is cleared at the price of a linear.
  StateArray hidden_inputs{}, wide_inputs{};

  int64_t tokens() const;
  HiddenStates copy() const;
};

// BadInput for a token outside the vocabulary. `place.device`: the backend's, or none.
HiddenStates embed_sequences(std::span<const std::vector<int32_t>> sequences,
                             const tensor::QuantizedMatrix& embedding, const Config& config,
                             const Backend& backend, const StatePlace& place = {});

struct KvRange {
  float key = 0, value = 0;
};

// Results are those of decoder_block, bit for bit.
class StagedBlock {
 public:
  // `states` go through block `layer` and must outlive this object.
  StagedBlock(const Config& config, const Backend& backend, int64_t layer, HiddenStates& states);

  // Computes the input of the first stage; `block` needs its norms.
  void enter(const Block& block);
  // Runs the stages in their order; `block` needs the stage's linear. After the last, `states` are the next
  // block's.
  void run(const Block& block, Stage stage);

  // [tokens][input_width] of the linear that comes next; of the last one after it.
  const StateArray& input() const { return *input_; }
  std::span<const int64_t> lengths() const { return states_.lengths; }
  // The largest magnitudes of the keys, as a cache holds them, and of the values; after Stage::qkv.
  const KvRange& kv_range() const { return kv_range_; }

 private:
  template <class Body>
  void each_piece(Body body);
  // Of the columns of q, k and v side by side.
  KvRange range_of(const ColumnMagnitudes& qkv) const;
  StateArray& inputs_of(Stage stage);

  const Backend& backend_;
  Config config_;  // of a model that has this layer alone
  HiddenStates& states_;
  int64_t rows_;  // that go through a linear at once
  Step step_;
  StateArray* input_ = nullptr;  // of states_
  KvRange kv_range_;
};

}  // namespace aquatint::model

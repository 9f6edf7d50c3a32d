// The forward pass of one batch of rows. Nothing here allocates: a Workspace is grown before, a Step borrows
// from it.
#pragma once
#include <array>
#include <span>
#include <vector>

#include "model/model.h"
#include "model/weights.h"

namespace aquatint::model {

// What every pass of a model shares.
struct Machine {
  const Config& config;
  const Backend& backend;
};

// Rows that go through the decoder together, and room for what lies between two of its operations; each array
// is [rows][width], widths as named, in the kernels' memory.
struct Step {
  // Spans that store and attend together: all of them, or, while an int4 cache takes few rows at a time, the
  // next rows of each.
  struct Part {
    size_t first, count;  // of `parts`
  };

  kernels::Phase phase{};
  bool staged = false;  // stages are run one by one: each leaves the next one's input made
  int64_t rows = 0;
  std::vector<kernels::AttentionSpan> spans;
  std::vector<KvCache*> caches;            // one per span
  std::vector<int32_t> tokens, positions;  // [rows]

  const kernels::Memory* memory = nullptr;
  kernels::Array<float> x;          // hidden_size: the residual stream
  kernels::Array<float> normed;     // hidden_size
  kernels::Array<float> qkv;        // q_width + 2 · kv_width
  kernels::Array<float> attended;   // q_width
  kernels::Array<float> gate_up;    // 2 · intermediate_size
  kernels::Array<float> activated;  // intermediate_size
  // The largest rank; grown by the first linear that asks for it.
  kernels::Array<float> directions;
  kernels::Array<float> inv_freq;  // the config's

  std::vector<kernels::AttentionSpan> parts;
  std::vector<Part> part_list;
  kernels::Array<kernels::AttentionSpan> placed_parts;
  kernels::Array<int32_t> placed_positions;

  void reserve(const Config& config, const kernels::Memory& memory, int64_t rows);
  void clear(kernels::Phase phase);
  // The next tokens of the sequence that lies in `cache`.
  void add(std::span<const int32_t> tokens, KvCache& cache);
  // After the last add(): what kernels need to know of the spans.
  void place();
};

// BadInput for a token outside the vocabulary.
void check_tokens(std::span<const int32_t> tokens, const Config& config);

// x becomes the token's embedding, rounded to BF16 in Precision::bf16, then rotated where the model is.
void embed(const Machine& machine, const tensor::QuantizedMatrix& embedding, Step& step);

// hidden is the norm of x, [rows][hidden_size], that the head reads; x loses its rotation on the way and may
// be hidden itself. Both lie in the kernels' memory.
void leave_blocks(const Machine& machine, const Vector& final_norm, int64_t rows, float* x, float* hidden);

// x goes through one layer; its keys and values are appended to the caches.
void decoder_block(const Machine& machine, const Block& block, int64_t layer, Step& step);

// The same in steps, each from one linear's input to the next one's, of a Step that is `staged`: for whoever
// chooses a linear's weights by the inputs that it meets (calibration).
enum class Stage { qkv, attention_out, gate_up, down };
inline constexpr std::array kStages = {Stage::qkv, Stage::attention_out, Stage::gate_up, Stage::down};

// The input of Stage::qkv.
void enter_block(const Machine& machine, const Block& block, Step& step);
// Runs the stage's linear on its input, and what follows it.
void run_stage(const Machine& machine, const Block& block, int64_t layer, Stage stage, Step& step);
bool adds_to_residual(Stage stage);
// Where the stage's input lies, [rows][input_width].
kernels::Array<float>& stage_input(Stage stage, Step& step);
int64_t input_width(Stage stage, const Config& config);
Linear& linear_of(Block& block, Stage stage);
const Linear& linear_of(const Block& block, Stage stage);

}  // namespace aquatint::model

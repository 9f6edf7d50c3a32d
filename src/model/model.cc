#include "model/model.h"

#include <algorithm>

#include "base/error.h"
#include "model/decoder.h"
#include "model/weights.h"

namespace aquatint::model {
namespace {

bool borrows(const tensor::QuantizedMatrix& m) {
  if (m.deferred) return true;
  for (const tensor::Storage* s :
       {&m.codes, &m.scales.codes, &m.scales.super, &m.minima.codes, &m.minima.super})
    if (s->size() > 0 && !s->is_owned()) return true;
  return false;
}

// Rows of logits that are copied from a device at a time.
constexpr int64_t kHeadRows = 64;

}  // namespace

const kernels::KernelSet& Backend::host_kernels() const {
  if (memory().is_host()) return *kernels;
  static const kernels::KernelSet& best = kernels::kernel_set("auto");
  return best;
}

struct Model::State {
  Config config;
  Backend backend;
  std::shared_ptr<const checkpoint::Checkpoint> kept;  // while the embedding borrows from it
  Weights weights;
  Step step;
  kernels::Array<float> head_input, head_output;  // of a device

  void check(std::span<const int32_t> tokens, std::span<const Segment> segments) const;
};

void Model::State::check(std::span<const int32_t> tokens, std::span<const Segment> segments) const {
  int64_t rows = 0;
  for (const Segment& segment : segments) {
    AQ_CHECK(segment.rows > 0, "a segment of {} rows", segment.rows);
    rows += segment.rows;
    if (segment.rows > segment.cache->capacity() - segment.cache->length())
      throw base::OutOfResource(
          fmt::format("{} more tokens after {} do not fit a cache of {}; use a longer context", segment.rows,
                      segment.cache->length(), segment.cache->capacity()));
  }
  AQ_CHECK(rows == static_cast<int64_t>(tokens.size()), "{} tokens for {} rows", tokens.size(), rows);
  check_tokens(tokens, config);
}

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;

std::unique_ptr<Model> Model::load(std::shared_ptr<const checkpoint::Checkpoint> checkpoint,
                                   const Backend& backend) {
  auto state = std::make_unique<State>();
  state->config = parse_config(checkpoint->config(), checkpoint->path().string() + ": config.json");
  state->backend = backend;
  const auto kv = checkpoint::kv_scheme(*checkpoint);
  const bool as_asked = kv && !backend.kv && backend.precision != kernels::Precision::fp32;
  if (as_asked) state->backend.kv = kernels::find_kv_format(kv->format->name);
  state->weights = load_weights(*checkpoint, state->config, backend);
  if (as_asked && !kv->dynamic)
    for (int64_t layer = 0; layer < state->config.layers; ++layer)
      state->weights.blocks[static_cast<size_t>(layer)].kv_scales = checkpoint::kv_scales(*checkpoint, layer);
  if (borrows(state->weights.embedding)) state->kept = std::move(checkpoint);
  return std::unique_ptr<Model>(new Model(std::move(state)));
}

const Config& Model::config() const { return state_->config; }
const Backend& Model::backend() const { return state_->backend; }
KvCache Model::cache(int64_t capacity, int64_t rewind) const {
  return KvCache(config(), capacity, backend().kv_format(), backend().memory(), rewind);
}
std::string Model::cache_words() const {
  const bool calibrated = !state_->weights.blocks.empty() && state_->weights.blocks[0].kv_scales.key > 0;
  return fmt::format("{}{}", kernels::name(backend().kv_format()), calibrated ? ", calibrated scales" : "");
}
uint64_t Model::weight_bytes() const { return state_->weights.resident_bytes(state_->config); }
uint64_t Model::bytes_per_decode() const { return state_->weights.bytes_per_decode(state_->config); }

void Model::forward(std::span<const int32_t> tokens, std::span<const Segment> segments, kernels::Phase phase,
                    float* hidden) {
  State& s = *state_;
  s.check(tokens, segments);
  const int64_t count = static_cast<int64_t>(tokens.size());
  const int64_t most = s.backend.kernels->rows_per_step;
  s.step.reserve(s.config, s.backend.memory(), std::min(most, count));
  s.step.clear(phase);
  int64_t done = 0, gathered = 0;
  for (const Segment& segment : segments)
    for (int64_t rows_left = segment.rows; rows_left > 0;) {
      const int64_t rows = std::min(rows_left, most - s.step.rows);
      s.step.add(tokens.subspan(static_cast<size_t>(gathered), static_cast<size_t>(rows)), *segment.cache);
      rows_left -= rows;
      gathered += rows;
      if (s.step.rows < most && gathered < count) continue;
      run_step(hidden + done * s.config.hidden_size);
      done = gathered;
      s.step.clear(phase);
    }
}

void Model::run_step(float* hidden) {
  State& s = *state_;
  const Machine machine{s.config, s.backend};
  s.step.place();
  embed(machine, s.weights.embedding, s.step);
  for (int64_t layer = 0; layer < s.config.layers; ++layer)
    decoder_block(machine, s.weights.blocks[static_cast<size_t>(layer)], layer, s.step);
  const kernels::Memory& memory = s.backend.memory();
  float* to = memory.is_host() ? hidden : s.step.normed.data();
  leave_blocks(machine, s.weights.final_norm, s.step.rows, s.step.x.data(), to);
  if (!memory.is_host())
    memory.read(hidden, to, static_cast<uint64_t>(s.step.rows * s.config.hidden_size) * sizeof(float));
  for (size_t i = 0; i < s.step.spans.size(); ++i) s.step.caches[i]->length_ += s.step.spans[i].rows;
}

void Model::logits(const float* hidden, int64_t rows, kernels::Phase phase, float* logits) const {
  State& s = *state_;
  const kernels::Memory& memory = s.backend.memory();
  const auto multiply = [&](const float* from, int64_t count, float* to) {
    s.backend.kernels->linear(*s.weights.head, from, count, phase, nullptr, false, to, s.config.vocab_size,
                              *s.backend.pool);
  };
  if (memory.is_host()) return multiply(hidden, rows, logits);
  const int64_t width = s.config.hidden_size, vocab = s.config.vocab_size, most = std::min(rows, kHeadRows);
  s.head_input.reserve(memory, static_cast<size_t>(most * width), "the head's input");
  s.head_output.reserve(memory, static_cast<size_t>(most * vocab), "the logits of a batch");
  for (int64_t row = 0; row < rows; row += most) {
    const int64_t count = std::min(most, rows - row);
    s.head_input.write({hidden + row * width, static_cast<size_t>(count * width)});
    multiply(s.head_input.data(), count, s.head_output.data());
    s.head_output.read({logits + row * vocab, static_cast<size_t>(count * vocab)});
  }
}

}  // namespace aquatint::model

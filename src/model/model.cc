#include "model/model.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/copy_rows.h"
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
  kernels::Array<float> head_input, head_output;
  kernels::Array<kernels::LogitStats> stats;
  kernels::Array<kernels::Divergence> divergences;
  kernels::Array<float> targets;
  kernels::Array<kernels::Draw> draws;
  kernels::Array<int32_t> drawn;

  void check(std::span<const int32_t> tokens, std::span<const Segment> segments) const;
  // Gathers the tokens in steps. each(first token, number of each span's segment) runs one by finish().
  template <class Each>
  void run(std::span<const int32_t> tokens, std::span<const Segment> segments, kernels::Phase phase,
           Each each);
  // Runs what the step has gathered, final states to `to`, then what follows; both may be repeated.
  template <class Then>
  void finish(float* to, Then then);
  // One token of each sequence in Phase::decode. choose(first token, how many), before a step, says what is
  // done with its logits, and may be repeated; take(the same) comes behind it.
  template <class Choose, class Take>
  void choose(std::span<const int32_t> tokens, std::span<const Segment> segments, Choose choose, Take take);
  // Logits in the kernels' memory, until the next call.
  const float* head_of(const float* hidden, int64_t rows, kernels::Phase phase);
  // logits[row][of[row]].
  void read_targets(const float* logits, std::span<const int32_t> of, float* to);
};

template <class Each>
void Model::State::run(std::span<const int32_t> tokens, std::span<const Segment> segments,
                       kernels::Phase phase, Each each) {
  check(tokens, segments);
  const auto count = static_cast<int64_t>(tokens.size());
  const int64_t most = backend.kernels->rows_per_step;
  step.reserve(config, backend.memory(), std::min(most, count));
  step.clear(phase);
  std::vector<size_t> segment_of;
  int64_t done = 0, gathered = 0;
  for (size_t i = 0; i < segments.size(); ++i)
    for (int64_t rows_left = segments[i].rows; rows_left > 0;) {
      const int64_t rows = std::min(rows_left, most - step.rows);
      step.add(tokens.subspan(static_cast<size_t>(gathered), static_cast<size_t>(rows)), *segments[i].cache);
      segment_of.push_back(i);
      rows_left -= rows;
      gathered += rows;
      if (step.rows < most && gathered < count) continue;
      each(done, segment_of);
      done = gathered;
      step.clear(phase);
      segment_of.clear();
    }
}

template <class Then>
void Model::State::finish(float* to, Then then) {
  const Machine machine{config, backend};
  step.place();
  embed(machine, weights.embedding, step);
  const auto body = [&] {
    for (int64_t layer = 0; layer < config.layers; ++layer)
      decoder_block(machine, weights.blocks[static_cast<size_t>(layer)], layer, step);
    leave_blocks(machine, weights.final_norm, step.rows, step.x.data(), to);
    then();
  };
  if (backend.kernels->repeat && step.phase == kernels::Phase::decode)
    backend.kernels->repeat(body);
  else
    body();
  for (size_t i = 0; i < step.spans.size(); ++i) step.caches[i]->length_ += step.spans[i].rows;
}

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
  const int64_t width = s.config.hidden_size;
  s.run(tokens, segments, phase, [&](int64_t first, std::span<const size_t>) {
    float* to = hidden + first * width;
    if (s.backend.memory().is_host()) return s.finish(to, [] {});
    s.finish(s.step.normed.data(), [] {});
    s.step.normed.read({to, static_cast<size_t>(s.step.rows * width)});
  });
}

void Model::forward_last(std::span<const int32_t> tokens, std::span<const Segment> segments,
                         kernels::Phase phase, float* last) {
  State& s = *state_;
  const auto width = static_cast<size_t>(s.config.hidden_size);
  s.run(tokens, segments, phase, [&](int64_t, std::span<const size_t> segment_of) {
    s.finish(s.step.normed.data(), [] {});
    for (size_t i = 0; i < segment_of.size(); ++i) {
      const kernels::AttentionSpan& span = s.step.spans[i];
      s.step.normed.read({last + segment_of[i] * width, width},
                         static_cast<size_t>(span.first_row + span.rows - 1) * width);
    }
  });
}

template <class Choose, class Take>
void Model::State::choose(std::span<const int32_t> tokens, std::span<const Segment> segments, Choose choose,
                          Take take) {
  AQ_CHECK(tokens.size() == segments.size(), "{} tokens of {} sequences", tokens.size(), segments.size());
  const int64_t vocab = config.vocab_size;
  run(tokens, segments, kernels::Phase::decode, [&](int64_t first, std::span<const size_t>) {
    const int64_t rows = step.rows;
    head_output.reserve(backend.memory(), static_cast<size_t>(rows * vocab), "the logits of a batch");
    const auto chosen = choose(first, static_cast<size_t>(rows));
    const float* normed = step.normed.data();
    finish(step.normed.data(), [&] {
      backend.kernels->linear(*weights.head, normed, rows, kernels::Phase::decode, nullptr, false,
                              head_output.data(), vocab, *backend.pool);
      chosen(head_output.data());
    });
    take(first, static_cast<size_t>(rows));
  });
}

void Model::next_tokens(std::span<const int32_t> tokens, std::span<const Segment> segments, int32_t* next) {
  State& s = *state_;
  s.choose(
      tokens, segments,
      [&](int64_t, size_t rows) {
        s.stats.reserve(s.backend.memory(), rows, "the statistics of a batch");
        return [&s, rows](const float* logits) {
          s.backend.kernels->logit_stats(logits, static_cast<int64_t>(rows), s.config.vocab_size,
                                         s.stats.data(), *s.backend.pool);
        };
      },
      [&](int64_t first, size_t rows) {
        std::vector<kernels::LogitStats> stats(rows);
        s.stats.read(stats);
        for (size_t row = 0; row < rows; ++row) next[first + static_cast<int64_t>(row)] = stats[row].top;
      });
}

void Model::draw_tokens(std::span<const int32_t> tokens, std::span<const Segment> segments,
                        std::span<const kernels::Draw> draws, int32_t* next) {
  State& s = *state_;
  AQ_CHECK(s.backend.kernels->sample && draws.size() == tokens.size(), "{} draws", draws.size());
  s.choose(
      tokens, segments,
      [&](int64_t first, size_t rows) {
        s.draws.reserve(s.backend.memory(), rows, "what is drawn with");
        s.drawn.reserve(s.backend.memory(), rows, "the tokens of a batch");
        s.draws.write(draws.subspan(static_cast<size_t>(first), rows));
        return [&s, rows](const float* logits) {
          s.backend.kernels->sample(logits, static_cast<int64_t>(rows), s.config.vocab_size, s.draws.data(),
                                    s.drawn.data(), *s.backend.pool);
        };
      },
      [&](int64_t first, size_t rows) {
        s.drawn.read({next + first, rows});
      });
}

const float* Model::State::head_of(const float* hidden, int64_t rows, kernels::Phase phase) {
  const kernels::Memory& memory = backend.memory();
  const auto width = static_cast<size_t>(config.hidden_size), count = static_cast<size_t>(rows);
  head_input.reserve(memory, count * width, "the head's input");
  head_output.reserve(memory, count * static_cast<size_t>(config.vocab_size), "the logits of a batch");
  head_input.write({hidden, count * width});
  backend.kernels->linear(*weights.head, head_input.data(), rows, phase, nullptr, false, head_output.data(),
                          config.vocab_size, *backend.pool);
  return head_output.data();
}

void Model::State::read_targets(const float* logits, std::span<const int32_t> of, float* to) {
  targets.reserve(backend.memory(), of.size(), "the logits of targets");
  for (size_t row = 0; row < of.size(); ++row)
    kernels::copy_numbers<float>(backend.memory(), targets.data() + row,
                                 logits + static_cast<int64_t>(row) * config.vocab_size + of[row], 1);
  targets.read({to, of.size()});
}

void Model::logits(const float* hidden, int64_t rows, kernels::Phase phase, float* logits) const {
  State& s = *state_;
  const int64_t width = s.config.hidden_size, vocab = s.config.vocab_size;
  if (s.backend.memory().is_host())
    return s.backend.kernels->linear(*s.weights.head, hidden, rows, phase, nullptr, false, logits, vocab,
                                     *s.backend.pool);
  for (int64_t row = 0; row < rows; row += kHeadRows) {
    const int64_t count = std::min(kHeadRows, rows - row);
    s.head_of(hidden + row * width, count, phase);
    s.head_output.read({logits + row * vocab, static_cast<size_t>(count * vocab)});
  }
}

void Model::score(const float* hidden, std::span<const int32_t> targets, kernels::LogitStats* stats,
                  float* target_logits) const {
  State& s = *state_;
  const int64_t width = s.config.hidden_size, vocab = s.config.vocab_size;
  s.stats.reserve(s.backend.memory(), static_cast<size_t>(kHeadRows), "the statistics of a batch");
  for (size_t row = 0; row < targets.size(); row += kHeadRows) {
    const size_t count = std::min<size_t>(kHeadRows, targets.size() - row);
    const auto rows = static_cast<int64_t>(count);
    const float* logits =
        s.head_of(hidden + static_cast<int64_t>(row) * width, rows, kernels::Phase::prefill);
    s.backend.kernels->logit_stats(logits, rows, vocab, s.stats.data(), *s.backend.pool);
    s.stats.read({stats + row, count});
    s.read_targets(logits, targets.subspan(row, count), target_logits + row);
  }
}

void Model::compare(const Model& reference, const float* reference_hidden, const float* hidden,
                    std::span<const int32_t> targets, kernels::Divergence* divergences,
                    float* target_logits) const {
  State &s = *state_, &r = *reference.state_;
  AQ_CHECK(s.config.vocab_size == r.config.vocab_size && &s.backend.memory() == &r.backend.memory());
  s.divergences.reserve(s.backend.memory(), static_cast<size_t>(kHeadRows), "the divergences of a batch");
  for (size_t row = 0; row < targets.size(); row += kHeadRows) {
    const size_t count = std::min<size_t>(kHeadRows, targets.size() - row);
    const auto rows = static_cast<int64_t>(count), first = static_cast<int64_t>(row);
    const float* expected =
        r.head_of(reference_hidden + first * r.config.hidden_size, rows, kernels::Phase::prefill);
    const float* found = s.head_of(hidden + first * s.config.hidden_size, rows, kernels::Phase::prefill);
    s.backend.kernels->divergence(expected, found, rows, s.config.vocab_size, s.divergences.data(),
                                  *s.backend.pool);
    s.divergences.read({divergences + row, count});
    s.read_targets(found, targets.subspan(row, count), target_logits + row);
  }
}

}  // namespace aquatint::model

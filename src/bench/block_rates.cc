#include "bench/block_rates.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/machine.h"
#include "base/statistics.h"
#include "bench/random_values.h"
#include "kernels/peaks.h"
#include "model/decoder.h"
#include "quant/method.h"

namespace aquatint::bench {
namespace {

using kernels::Phase;

constexpr int kSequences = 8;  // of a step over prompts; as many rows are generated at once
// Of a step: repeats and seconds at least, and seconds after which no more are run.
constexpr size_t kRepeats = 7;
constexpr double kSettled = 0.7, kPatience = 3;
constexpr int64_t kTokens = 16;  // rows of the embedding, all that is needed
// Blocks in turn hold so many times what the last-level cache does, and so many bytes.
constexpr double kBeyondCache = 3, kBlockBytes = 512e6;

model::Config complete(model::Config c) {
  c.windows.assign(static_cast<size_t>(c.layers), 0);
  c.rope_inv_freq.assign(static_cast<size_t>(c.head_dim / 2), 0.01f);
  c.rms_eps = 1e-5f;
  return c;
}

// Of a matrix whose products with normal inputs are about as large as these.
std::vector<float> random_matrix(int64_t rows, int64_t cols) {
  return random_values(rows * cols, 1 / std::sqrt(static_cast<double>(cols)));
}

tensor::QuantizedMatrix random_bf16(int64_t rows, int64_t cols) {
  tensor::QuantizedMatrix m;
  m.format = &numeric::bf16;
  m.rows = rows;
  m.cols = cols;
  std::vector<uint16_t> codes;
  for (const float value : random_matrix(rows, cols)) codes.push_back(numeric::float_to_bf16(value));
  m.codes = tensor::Storage::copy_of(std::span<const uint16_t>(codes));
  return m;
}

// One linear's matrices, quantized once and packed as often as there are blocks.
using Parts = std::vector<tensor::QuantizedMatrix>;

model::Backend with_cache(model::Backend backend, const BlockScheme& scheme) {
  if (scheme.kv) backend.kv = scheme.kv;
  return backend;
}

class Blocks {
 public:
  Blocks(const model::Config& config, const BlockScheme& scheme, const model::Backend& backend,
         const kernels::PackedMatrix& head, const Batches& batches)
      : config_(config),
        backend_(with_cache(backend, scheme)),
        head_(head),
        batches_(batches),
        embedding_(random_bf16(kTokens, config.hidden_size)),
        memory_(backend.memory()),
        hidden_(memory_, random_matrix(most_sequences(batches), config.hidden_size), "states"),
        logits_(memory_, static_cast<size_t>(most_sequences(batches) * config.vocab_size), "logits") {
    const int64_t h = config.hidden_size, mlp = config.intermediate_size;
    const Parts qkv = make({config.q_width(), config.kv_width(), config.kv_width()}, h, scheme),
                out = make({h}, config.q_width(), scheme), gate_up = make({mlp, mlp}, h, scheme),
                down = make({h}, mlp, scheme);
    const double enough =
        std::max(kBlockBytes, kBeyondCache * static_cast<double>(kernels::last_level_cache_bytes()));
    do {
      model::Block& b = blocks_.emplace_back();
      b.attention_norm.values.assign(static_cast<size_t>(h), 1);
      b.mlp_norm.values.assign(static_cast<size_t>(h), 1);
      model::pack_linear(b.qkv, qkv, backend);
      model::pack_linear(b.attention_out, out, backend);
      model::pack_linear(b.gate_up, gate_up, backend);
      model::pack_linear(b.down, down, backend);
    } while (static_cast<int64_t>(blocks_.size()) < config.layers &&
             static_cast<double>(blocks_.size()) * bytes() < enough);
    add_caches();
  }

  double bytes() const {
    const model::Block& b = blocks_.front();
    return static_cast<double>(b.qkv.bytes() + b.attention_out.bytes() + b.gate_up.bytes() + b.down.bytes());
  }

  struct Seconds {
    double block = 0, head = 0;  // of one block; of the head
  };

  // A step of so many sequences with so many rows each behind a context; the head scores one of each.
  Seconds step(Phase phase, int sequences, int64_t rows_each, int64_t context = 0) {
    const model::Machine machine{config_, backend_};
    step_.reserve(config_, memory_, sequences * rows_each);
    const auto run_blocks = [&] {
      for (const model::Block& block : blocks_) model::decoder_block(machine, block, 0, step_);
    };
    const auto repeat = phase == Phase::decode ? backend_.kernels->repeat : nullptr;
    std::vector<double> block, head;
    const auto begin = base::Clock::now();
    const auto enough = [&] {
      const double passed = base::seconds_since(begin);
      return !block.empty() && (passed > kPatience || (passed > kSettled && block.size() >= kRepeats));
    };
    for (bool first = true; !enough(); first = false) {
      base::throw_if_stopped();
      gather(phase, sequences, rows_each, context);
      model::embed(machine, embedding_, step_);
      wait_for(step_.x);
      const auto start = base::Clock::now();
      repeat ? repeat(run_blocks) : run_blocks();
      wait_for(step_.x);
      const auto middle = base::Clock::now();
      backend_.kernels->linear(head_, hidden_.data(), sequences, phase, nullptr, false, logits_.data(),
                               config_.vocab_size, *backend_.pool);
      wait_for(logits_);
      const double after = base::seconds_since(middle);
      if (first) continue;  // settles threads and clock
      block.push_back((base::seconds_since(start) - after) / static_cast<double>(blocks_.size()));
      head.push_back(after);
    }
    return {base::summarize(block).median, base::summarize(head).median};
  }

  // One of the batches, of a block and of the head.
  std::pair<BatchRate, BatchRate> batch(int sequences) {
    const auto together = static_cast<int>(std::clamp<int64_t>(kPromptRows / batches_.prompt, 1, sequences));
    const auto known = prompts_.find(together);
    const Seconds prompts = known != prompts_.end()
                                ? known->second
                                : prompts_[together] = step(Phase::prefill, together, batches_.prompt),
                  tokens = step(Phase::decode, sequences, 1, batches_.context);
    const double turns = static_cast<double>(sequences) / together;
    return {{sequences, tokens.block, prompts.block * turns}, {sequences, tokens.head, prompts.head * turns}};
  }

 private:
  static int64_t most_sequences(const Batches& batches) {
    int most = kSequences;
    for (const int sequences : batches.sequences) most = std::max(most, sequences);
    return most;
  }

  // Of one layer, which all blocks share. What a context holds is zeros but for the prompts timed before:
  // kernels take the same time for them.
  void add_caches() {
    model::Config layer = config_;
    layer.layers = 1;
    const int64_t each = batches_.sequences.empty() ? 0 : std::max(batches_.prompt, batches_.context + 1);
    for (int64_t i = 0; i < most_sequences(batches_); ++i)
      caches_.emplace_back(layer, std::max<int64_t>(kRateRows / kSequences, each), backend_.kv_format(),
                           memory_);
  }

  // Into step_, whose spans begin behind the context whatever their caches hold.
  void gather(Phase phase, int sequences, int64_t rows_each, int64_t context) {
    const std::vector<int32_t> tokens(static_cast<size_t>(rows_each), 1);
    step_.clear(phase);
    for (int s = 0; s < sequences; ++s) step_.add(tokens, caches_[static_cast<size_t>(s)]);
    for (kernels::AttentionSpan& span : step_.spans) span.position += context;
    for (int32_t& position : step_.positions) position += static_cast<int32_t>(context);
    step_.place();
  }

  // Until the device has made it.
  static void wait_for(const kernels::Array<float>& array) {
    float first = 0;
    array.read(std::span(&first, 1));
  }

  Parts make(std::initializer_list<int64_t> rows, int64_t cols, const BlockScheme& scheme) const {
    Parts parts;
    for (const int64_t n : rows) {
      parts.push_back(scheme.weights ? quant::rtn.quantize(random_matrix(n, cols), n, cols, *scheme.weights,
                                                           {}, *backend_.pool)
                                     : random_bf16(n, cols));
      parts.back().input = scheme.input;
      if (scheme.input.needs_calibration()) parts.back().input.static_scale = 1;  // any, for its speed
    }
    return parts;
  }

  const model::Config& config_;
  const model::Backend backend_;
  const kernels::PackedMatrix& head_;
  const Batches& batches_;
  tensor::QuantizedMatrix embedding_;
  const kernels::Memory& memory_;
  kernels::Array<float> hidden_, logits_;
  std::vector<model::Block> blocks_;
  std::vector<model::KvCache> caches_;
  model::Step step_;
  std::map<int, Seconds> prompts_;  // by sequences
};

std::unique_ptr<kernels::PackedMatrix> packed_head(const model::Config& config,
                                                   const model::Backend& backend) {
  const tensor::QuantizedMatrix matrix = random_bf16(config.vocab_size, config.hidden_size);
  const tensor::QuantizedMatrix* part = &matrix;
  return backend.kernels->pack({&part, 1}, backend.precision, *backend.pool);
}

double block_weights(const model::Config& c) {
  return static_cast<double>(c.hidden_size * (2 * c.q_width() + 2 * c.kv_width() + 3 * c.intermediate_size));
}

}  // namespace

std::vector<BlockRate> measure_blocks(const model::Config& shape, const std::vector<BlockScheme>& schemes,
                                      const model::Backend& backend, const Batches& batches) {
  const model::Config config = complete(shape);
  const auto head = packed_head(config, backend);
  BlockRate of_head{.scheme = kHeadRate,
                    .weights = static_cast<double>(config.vocab_size * config.hidden_size)};
  of_head.bits = 8 * static_cast<double>(head->bytes()) / of_head.weights;
  std::vector<BlockRate> rates;
  for (const BlockScheme& scheme : schemes) {
    base::progress("measuring blocks", static_cast<int64_t>(rates.size()),
                   static_cast<int64_t>(schemes.size()), "schemes");
    Blocks blocks(config, scheme, backend, *head, batches);
    const auto one = blocks.step(Phase::decode, 1, 1), eight = blocks.step(Phase::decode, kSequences, 1),
               prompt = blocks.step(Phase::prefill, kSequences, kRateRows / kSequences);
    const double weights = block_weights(config);
    rates.push_back({.scheme = scheme.name,
                     .weights = weights,
                     .bits = 8 * blocks.bytes() / weights,
                     .row = one.block,
                     .eight_rows = eight.block,
                     .prompt_row = prompt.block / kRateRows});
    of_head.row = one.head;
    of_head.eight_rows = eight.head;
    of_head.prompt_row = prompt.head / kSequences;
    of_head.batches.clear();
    for (const int sequences : batches.sequences) {
      const auto [of_block, of_that_head] = blocks.batch(sequences);
      rates.back().batches.push_back(of_block);
      of_head.batches.push_back(of_that_head);
    }
  }
  base::progress("measuring blocks", static_cast<int64_t>(rates.size()), static_cast<int64_t>(rates.size()),
                 "schemes");
  rates.push_back(of_head);
  return rates;
}

std::vector<ModelBatch> model_batches(const model::Config& shape, const std::vector<BlockScheme>& schemes,
                                      const std::vector<BlockRate>& rates, const Batches& batches,
                                      const model::Backend& backend, int outputs) {
  const auto layers = static_cast<double>(shape.layers);
  const BlockRate& head = rates.back();
  std::vector<ModelBatch> all;
  for (size_t i = 0; i < schemes.size(); ++i) {
    const kernels::KvFormat kv = with_cache(backend, schemes[i]).kv_format();
    const double weights = (layers * rates[i].weights * rates[i].bits + head.weights * head.bits) / 8;
    const auto context = static_cast<double>(model::KvCache::bytes(shape, batches.context + 1, kv));
    for (size_t b = 0; b < rates[i].batches.size(); ++b) {
      const BatchRate &block = rates[i].batches[b], &scores = head.batches[b];
      all.push_back({.scheme = schemes[i].name,
                     .kv = kernels::name(kv),
                     .sequences = block.sequences,
                     .outputs = outputs,
                     .first_token = layers * block.prompts + scores.prompts,
                     .token = layers * block.step + scores.step,
                     .bytes = weights + block.sequences * context});
    }
  }
  return all;
}

}  // namespace aquatint::bench

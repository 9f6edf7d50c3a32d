#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/statistics.h"
#include "model/staged_block.h"
#include "quant/input_statistics.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

using model::HiddenStates;
using model::Stage;
using tensor::QuantizedMatrix;

constexpr int64_t kHeadRows = 64;  // rows · vocabulary · 4 bytes at a time, twice

// A copy of the states that has met a matrix in fewer bits.
struct Disturbed {
  Effect* effect;
  HiddenStates states;                          // none where the head is what differs
  std::unique_ptr<kernels::PackedMatrix> head;  // then: the one in fewer bits
};

QuantizedMatrix rounded(const std::vector<float>& values, const Effect& effect, base::ThreadPool& pool) {
  return rtn.quantize(values, effect.matrix.rows, effect.matrix.cols, effect.scheme.weights,
                      {.clip = effect.clip}, pool);
}

// With what it expects of its inputs, null where the scheme needs no calibration.
QuantizedMatrix rounded_linear(const std::vector<float>& values, const Effect& effect,
                               const InputStatistics* inputs, base::ThreadPool& pool) {
  QuantizedMatrix matrix = rounded(values, effect, pool);
  matrix.input = calibrated_input(effect.scheme, inputs);
  return matrix;
}

// The model as a row of blocks that are loaded one at a time, and the way from the last one to distributions.
class Stream {
 public:
  Stream(const checkpoint::Checkpoint& source, const SensitivityJob& job, const model::Backend& backend)
      : source_(source), sequences_(job.sequences), backend_(backend), tensors_(list_tensors(source)) {
    for (const ModelVector& vector : tensors_.vectors)
      if (vector.name == "model.norm.weight") final_norm_.values = read_vector(source, vector);
  }

  const ModelTensors& tensors() const { return tensors_; }
  const model::Backend& backend() const { return backend_; }
  const ModelMatrix& embedding() const { return tensors_.matrices.front(); }
  const ModelMatrix& head() const {
    return tensors_.config.tied_embeddings ? tensors_.matrices.front() : tensors_.matrices.back();
  }
  QuantizedMatrix read(const ModelMatrix& matrix) const {
    return read_matrix(source_, matrix, *backend_.pool);
  }
  HiddenStates embed(const QuantizedMatrix& embedding) const {
    return model::embed_sequences(sequences_, embedding, tensors_.config, backend_);
  }
  std::unique_ptr<kernels::PackedMatrix> pack_head(const QuantizedMatrix& head) const {
    const QuantizedMatrix* one = &head;
    return backend_.host_kernels().pack({&one, 1}, backend_.precision, *backend_.pool);
  }

  // The exact block, its linears packed; `parts` gets the matrices of each stage.
  model::Block load(int64_t layer, std::map<Stage, std::vector<QuantizedMatrix>>& parts) const {
    model::Block block = model::load_block_vectors(source_, tensors_.config, layer);
    for (const Stage stage : model::kStages) {
      for (const ModelMatrix& matrix : tensors_.linears(layer, stage)) parts[stage].push_back(read(matrix));
      model::pack_linear(linear_of(block, stage), parts[stage], backend_);
    }
    return block;
  }

  // visit(stage, input) sees what each linear meets.
  template <class Visit>
  void advance(HiddenStates& states, const model::Block& block, int64_t layer, Visit visit) const {
    model::StagedBlock staged(tensors_.config, backend_, layer, states);
    staged.enter(block);
    for (const Stage stage : model::kStages) {
      visit(stage, staged.input().host().values());
      staged.run(block, stage);
    }
  }
  void advance(HiddenStates& states, const model::Block& block, int64_t layer) const {
    advance(states, block, layer, [](Stage, std::span<const float>) {});
  }

  // What the linears of the stages meet that wanted(stage) asks for, while the states go through.
  template <class Wanted>
  std::map<Stage, InputStatistics> observe(HiddenStates& states, const model::Block& block, int64_t layer,
                                           Wanted wanted) const {
    std::map<Stage, InputStatistics> inputs;
    advance(states, block, layer, [&](Stage stage, std::span<const float> x) {
      if (wanted(stage))
        inputs.try_emplace(stage, x, input_width(stage, tensors_.config),
                           tensors_.linears(layer, stage).front().module, backend_);
    });
    return inputs;
  }

  void finish(HiddenStates& states) const {
    const model::Backend host = backend_.on_host();
    const int64_t rows = static_cast<int64_t>(states.x.size()) / tensors_.config.hidden_size;
    float* x = states.x.host().data();
    model::leave_blocks({tensors_.config, host}, final_norm_, rows, x, x);
  }

 private:
  const checkpoint::Checkpoint& source_;
  std::span<const std::vector<int32_t>> sequences_;
  const model::Backend& backend_;
  ModelTensors tensors_;
  model::Vector final_norm_;
};

// Mean divergence over positions, and by sequence.
struct Means {
  std::vector<double> sums;  // by sequence
  double mean(const std::vector<int64_t>& lengths) const {
    return std::accumulate(sums.begin(), sums.end(), 0.0) /
           static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  }
  double standard_error(const std::vector<int64_t>& lengths) const {
    std::vector<double> means(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) means[i] = sums[i] / static_cast<double>(lengths[i]);
    return base::standard_error(means);
  }
};

// Of each disturbed copy's distributions from the reference's; all states have passed the final norm.
std::vector<Means> divergences(const Stream& stream, const HiddenStates& reference,
                               const std::vector<Disturbed>& copies) {
  const model::Backend& backend = stream.backend();
  const auto head = stream.pack_head(stream.read(stream.head()));
  const int64_t vocab = head->rows(), width = head->cols();
  std::vector<Means> found(copies.size(), Means{std::vector<double>(reference.lengths.size())});
  std::vector<float> expected(static_cast<size_t>(kHeadRows * vocab)), logits(expected.size());
  std::vector<kernels::Divergence> rows(kHeadRows);
  int64_t first = 0;
  for (size_t s = 0; s < reference.lengths.size(); ++s)
    for (int64_t done = 0; done < reference.lengths[s]; done += kHeadRows) {
      const int64_t count = std::min(kHeadRows, reference.lengths[s] - done);
      const auto to_logits = [&](const kernels::PackedMatrix& by, std::span<const float> x, float* y) {
        backend.host_kernels().linear(by, x.data() + first * width, count, kernels::Phase::prefill, nullptr,
                                      false, y, vocab, *backend.pool);
      };
      to_logits(*head, reference.x.host(), expected.data());
      for (size_t i = 0; i < copies.size(); ++i) {
        const Disturbed& copy = copies[i];
        to_logits(copy.head ? *copy.head : *head, (copy.head ? reference.x : copy.states.x).host(),
                  logits.data());
        backend.host_kernels().divergence(expected.data(), logits.data(), count, vocab, rows.data(),
                                          *backend.pool);
        for (int64_t r = 0; r < count; ++r) found[i].sums[s] += rows[static_cast<size_t>(r)].kl;
      }
      first += count;
    }
  return found;
}

// One way through the model with as many disturbed copies as fit.
class Pass {
 public:
  Pass(const Stream& stream, std::span<Effect* const> effects)
      : stream_(stream), pool_(*stream.backend().pool), effects_(effects) {}

  // after_layer() follows each block.
  template <class AfterLayer>
  void run(AfterLayer after_layer) {
    const QuantizedMatrix embedding = stream_.read(stream_.embedding());
    reference_ = stream_.embed(embedding);
    disturb_embedding(embedding);
    for (int64_t layer = 0; layer < stream_.tensors().config.layers; ++layer) {
      run_layer(layer);
      after_layer();
    }
    for (Disturbed& copy : copies_) stream_.finish(copy.states);
    stream_.finish(reference_);
    disturb_head();
    const std::vector<Means> found = divergences(stream_, reference_, copies_);
    for (size_t i = 0; i < copies_.size(); ++i) {
      copies_[i].effect->kld = found[i].mean(reference_.lengths);
      copies_[i].effect->kld_stderr = found[i].standard_error(reference_.lengths);
    }
  }

 private:
  void run_layer(int64_t layer) {
    std::map<Stage, std::vector<QuantizedMatrix>> parts;
    model::Block block = stream_.load(layer, parts);
    for (Disturbed& copy : copies_) stream_.advance(copy.states, block, layer);
    std::vector<Effect*> here;
    std::copy_if(effects_.begin(), effects_.end(), std::back_inserter(here),
                 [&](const Effect* e) { return e->matrix.linear && e->matrix.layer == layer; });
    const HiddenStates before = here.empty() ? HiddenStates{} : reference_.copy();
    const auto inputs = stream_.observe(reference_, block, layer, [&](Stage stage) {
      return std::any_of(here.begin(), here.end(), [&](const Effect* e) { return e->matrix.stage == stage; });
    });
    for (Effect* effect : here)
      disturb(*effect, parts[effect->matrix.stage], inputs.at(effect->matrix.stage), before, block);
  }

  void disturb(Effect& effect, std::vector<QuantizedMatrix>& parts, const InputStatistics& inputs,
               const HiddenStates& before, model::Block& block) {
    const Stage stage = effect.matrix.stage;
    const auto linears = stream_.tensors().linears(effect.matrix.layer, stage);
    size_t at = 0;
    while (linears[at].module != effect.matrix.module) ++at;
    const std::vector<float> values = values_of(parts[at], pool_);
    QuantizedMatrix found = rounded_linear(values, effect, &inputs, pool_);
    effect.stored_bytes = found.stored_bytes;
    std::vector<float> error = values_of(found, pool_);
    for (size_t i = 0; i < error.size(); ++i) error[i] -= values[i];
    effect.relative_error = inputs.output_error(error) / inputs.output_error(values);
    std::swap(parts[at], found);
    model::Linear changed;
    model::pack_linear(changed, parts, stream_.backend());
    std::swap(parts[at], found);
    linear_of(block, stage).swap_weights(changed);
    copies_.push_back({&effect, before.copy(), nullptr});
    stream_.advance(copies_.back().states, block, effect.matrix.layer);
    linear_of(block, stage).swap_weights(changed);
  }

  void disturb_embedding(const QuantizedMatrix& embedding) {
    for (Effect* effect : effects_)
      if (!effect->matrix.linear && !effect->head)
        copies_.push_back({effect, stream_.embed(round_plain(*effect, embedding)), nullptr});
  }
  void disturb_head() {
    for (Effect* effect : effects_)
      if (effect->head)
        copies_.push_back(
            {effect, {}, stream_.pack_head(round_plain(*effect, stream_.read(stream_.head())))});
  }

  // Of embedding or head, whose inputs stay as they are.
  QuantizedMatrix round_plain(Effect& effect, const QuantizedMatrix& exact) {
    const std::vector<float> values = values_of(exact, pool_);
    QuantizedMatrix found = rounded(values, effect, pool_);
    effect.stored_bytes = found.stored_bytes;
    effect.relative_error = relative_error(values, values_of(found, pool_));
    return found;
  }

  const Stream& stream_;
  base::ThreadPool& pool_;
  std::span<Effect* const> effects_;
  HiddenStates reference_;
  std::vector<Disturbed> copies_;
};

// What is to be measured of one scheme.
SchemeEffects effects_of(const numeric::Scheme& scheme, const Stream& stream,
                         std::vector<std::string>& notes) {
  Recipe recipe;
  recipe.scheme = &scheme;
  SchemeEffects effects;
  const std::vector<Assignment> assignments = assign(recipe, stream.tensors(), notes);
  size_t i = 0;
  for (const ModelMatrix& matrix : stream.tensors().matrices)
    if (matrix.linear) {
      const Assignment& assignment = assignments[i++];
      effects.linears.push_back({.matrix = matrix, .scheme = *assignment.scheme, .clip = assignment.clip});
    }
  const Effect& any = effects.linears.front();
  effects.embedding = {.matrix = stream.embedding(), .scheme = any.scheme, .clip = any.clip};
  effects.head = {.matrix = stream.head(), .head = true, .scheme = any.scheme, .clip = any.clip};
  return effects;
}

size_t copies_that_fit(const Stream& stream, const SensitivityJob& job) {
  uint64_t tokens = 0;
  for (const auto& sequence : job.sequences) tokens += sequence.size();
  const uint64_t copy = tokens * static_cast<uint64_t>(stream.tensors().config.hidden_size) * sizeof(float);
  if (job.memory < copy)
    throw base::OutOfResource(
        fmt::format("the states of {} tokens take {} MB, {} MB are allowed; use fewer or shorter windows",
                    tokens, copy / 1000000, job.memory / 1000000));
  return job.memory / copy;
}

}  // namespace

Sensitivity measure_sensitivity(const checkpoint::Checkpoint& source, const SensitivityJob& job,
                                const model::Backend& backend) {
  const auto start = base::Clock::now();
  const Stream stream(source, job, backend);
  Sensitivity result;
  for (const auto& sequence : job.sequences) result.tokens += static_cast<int64_t>(sequence.size());
  for (const numeric::Scheme* scheme : job.schemes)
    result.schemes.push_back(effects_of(*scheme, stream, result.notes));
  std::vector<Effect*> all;
  for (SchemeEffects& scheme : result.schemes) {
    all.push_back(&scheme.embedding);
    for (Effect& effect : scheme.linears) all.push_back(&effect);
    all.push_back(&scheme.head);
  }
  const size_t at_once = copies_that_fit(stream, job);
  const auto layers =
      static_cast<int64_t>(base::ceil_div(all.size(), at_once)) * stream.tensors().config.layers;
  int64_t layer = 0;
  for (size_t done = 0; done < all.size(); done += at_once)
    Pass(stream, std::span(all).subspan(done, std::min(at_once, all.size() - done))).run([&] {
      base::progress("sensitivity", ++layer, layers, "layers");
    });
  result.tensors = stream.tensors();
  result.seconds = base::seconds_since(start);
  return result;
}

double proxy_correlation(std::span<const Effect> effects) {
  std::vector<double> a, b;
  for (const Effect& effect : effects) {
    a.push_back(effect.kld);
    b.push_back(effect.relative_error);
  }
  return base::rank_correlation(a, b);
}

double measure_mixture(const checkpoint::Checkpoint& source, const std::map<std::string, Effect>& chosen,
                       const SensitivityJob& job, const model::Backend& backend) {
  const Stream stream(source, job, backend);
  HiddenStates reference = stream.embed(stream.read(stream.embedding()));
  std::vector<Disturbed> copies;
  copies.push_back({nullptr, reference.copy(), nullptr});
  const auto effect_of = [&](const ModelMatrix& matrix) {
    const auto found = chosen.find(matrix.module);
    return found == chosen.end() ? nullptr : &found->second;
  };
  for (int64_t layer = 0; layer < stream.tensors().config.layers; ++layer) {
    std::map<Stage, std::vector<QuantizedMatrix>> parts;
    model::Block block = stream.load(layer, parts);
    const auto inputs = stream.observe(reference, block, layer, [&](Stage stage) {
      const auto linears = stream.tensors().linears(layer, stage);
      return std::any_of(linears.begin(), linears.end(), [&](const ModelMatrix& matrix) {
        const Effect* effect = effect_of(matrix);
        return effect && effect->scheme.input.needs_calibration();
      });
    });
    for (const Stage stage : model::kStages) {
      const auto linears = stream.tensors().linears(layer, stage);
      for (size_t i = 0; i < linears.size(); ++i) {
        const Effect* effect = effect_of(linears[i]);
        if (!effect) continue;
        const auto seen = inputs.find(stage);
        QuantizedMatrix& part = parts[stage][i];
        part = rounded_linear(values_of(part, *backend.pool), *effect,
                              seen == inputs.end() ? nullptr : &seen->second, *backend.pool);
      }
      model::pack_linear(linear_of(block, stage), parts[stage], backend);
    }
    stream.advance(copies.front().states, block, layer);
  }
  stream.finish(reference);
  stream.finish(copies.front().states);
  return divergences(stream, reference, copies).front().mean(reference.lengths);
}

}  // namespace aquatint::quant

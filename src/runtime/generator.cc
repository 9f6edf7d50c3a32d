#include "runtime/generator.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "runtime/text_stream.h"

namespace aquatint::runtime {
namespace {

using kernels::Phase;

// Prompt tokens per forward pass: bounds the final states that come back, of which only each prompt's last
// row is used.
constexpr int64_t kPrefillTokens = 2048;

// One prompt in work.
struct Sequence {
  size_t prompt;  // index among all prompts
  int64_t limit;  // tokens to generate at most
  model::KvCache cache;
  Sampler sampler;
  std::optional<TextStream> stream;
  Generation result;
  int64_t prefilled = 0;
  int32_t next = -1;  // chosen, not yet run
  bool done = false;
};

// All prompts of one run().
class Run {
 public:
  Run(model::Model& model, const text::Tokenizer* tokenizer, std::span<const std::vector<int32_t>> prompts,
      const GenerateOptions& options, const OnPiece& on_piece)
      : model_(model), tokenizer_(tokenizer), prompts_(prompts), options_(options), on_piece_(on_piece) {}

  std::vector<Generation> results() {
    check_arguments();
    std::vector<Generation> results(prompts_.size());
    while (admitted_ < prompts_.size() || !active_.empty()) {
      base::throw_if_stopped();
      if (admit()) prefill();
      decode();
      for (auto& sequence : active_)
        if (sequence->done) results[sequence->prompt] = std::move(sequence->result);
      std::erase_if(active_, [](const auto& sequence) { return sequence->done; });
    }
    return results;
  }

 private:
  void check_arguments() const {
    check(options_.sampling);
    if (options_.max_tokens < 1 || options_.batch < 1)
      throw base::BadUsage(fmt::format("max-tokens is {} and the batch {}, expected at least 1 of each",
                                       options_.max_tokens, options_.batch));
    const int64_t positions = model_.config().max_positions;
    for (size_t i = 0; i < prompts_.size(); ++i)
      if (prompts_[i].empty() || static_cast<int64_t>(prompts_[i].size()) >= positions)
        throw base::BadUsage(
            fmt::format("prompt {} has {} tokens, expected 1 to {} (the model's positions less one)", i + 1,
                        prompts_[i].size(), positions - 1));
  }

  // Fills the batch with waiting prompts; true when there were some.
  bool admit() {
    const size_t before = admitted_;
    while (admitted_ < prompts_.size() && static_cast<int64_t>(active_.size()) < options_.batch) {
      const int64_t length = static_cast<int64_t>(prompts_[admitted_].size());
      const int64_t limit = std::min(options_.max_tokens, model_.config().max_positions - length);
      auto sequence = std::make_unique<Sequence>(Sequence{.prompt = admitted_,
                                                          .limit = limit,
                                                          .cache = model_.cache(length + limit - 1),
                                                          .sampler = Sampler(options_.sampling, admitted_),
                                                          .stream = {},
                                                          .result = {}});
      if (tokenizer_) sequence->stream.emplace(*tokenizer_);
      sequence->result.prompt_tokens = length;
      active_.push_back(std::move(sequence));
      ++admitted_;
    }
    return admitted_ > before;
  }

  // Runs what is left of the prompts in work and chooses their first tokens.
  void prefill() {
    std::vector<Sequence*> part;
    int64_t rows = 0;
    for (auto& sequence : active_) {
      while (sequence->prefilled < sequence->result.prompt_tokens) {
        const int64_t left = sequence->result.prompt_tokens - sequence->prefilled;
        const int64_t taken = std::min(left, kPrefillTokens - rows);
        add_rows(*sequence, prompts_[sequence->prompt], taken);
        part.push_back(sequence.get());
        rows += taken;
        if (rows < kPrefillTokens) continue;
        run_prefill(part);
        part.clear();
        rows = 0;
      }
    }
    run_prefill(part);
  }

  void add_rows(Sequence& sequence, const std::vector<int32_t>& prompt, int64_t count) {
    const auto begin = prompt.begin() + sequence.prefilled;
    tokens_.insert(tokens_.end(), begin, begin + count);
    segments_.push_back({&sequence.cache, count});
    sequence.prefilled += count;
  }

  void run_prefill(const std::vector<Sequence*>& part) {
    if (part.empty()) return;
    base::throw_if_stopped();
    forward(Phase::prefill);
    std::vector<Sequence*> finished;
    std::vector<float> last_rows;
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i]->prefilled < part[i]->result.prompt_tokens) continue;
      finished.push_back(part[i]);
      const float* last = hidden_.data() + static_cast<int64_t>(i) * model_.config().hidden_size;
      last_rows.insert(last_rows.end(), last, last + model_.config().hidden_size);
    }
    choose(finished, last_rows.data(), Phase::prefill);
    tokens_.clear();
    segments_.clear();
  }

  // One more token for every sequence in work.
  void decode() {
    std::vector<Sequence*> going;
    for (auto& sequence : active_) {
      if (sequence->done) continue;
      going.push_back(sequence.get());
      tokens_.push_back(sequence->next);
      segments_.push_back({&sequence->cache, 1});
    }
    if (going.empty()) return;
    const bool on_device = model_.backend().kernels->sample;  // the choice is made there
    if (on_device)
      draw_tokens(going);
    else
      forward(Phase::decode);
    tokens_.clear();
    segments_.clear();
    if (!on_device) choose(going, hidden_.data(), Phase::decode);
  }

  // The last state of each segment.
  void forward(Phase phase) {
    hidden_.resize(segments_.size() * static_cast<size_t>(model_.config().hidden_size));
    model_.forward_last(tokens_, segments_, phase, hidden_.data());
  }

  void draw_tokens(const std::vector<Sequence*>& sequences) {
    std::vector<kernels::Draw> draws;
    for (Sequence* sequence : sequences) draws.push_back(sequence->sampler.draw());
    std::vector<int32_t> next(sequences.size());
    model_.draw_tokens(tokens_, segments_, draws, next.data());
    for (size_t i = 0; i < sequences.size(); ++i) sequences[i]->next = next[i];
    for (Sequence* sequence : sequences) accept(*sequence);
  }

  // Samples a token for each sequence from its row of states.
  void choose(const std::vector<Sequence*>& sequences, const float* states, Phase phase) {
    const size_t vocab = static_cast<size_t>(model_.config().vocab_size);
    const int64_t rows = static_cast<int64_t>(sequences.size());
    if (logits_.size() < sequences.size() * vocab) logits_.resize(sequences.size() * vocab);
    model_.logits(states, rows, phase, logits_.data());
    model_.backend().pool->parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Sequence& sequence = *sequences[static_cast<size_t>(i)];
        sequence.next = sequence.sampler.sample({logits_.data() + static_cast<size_t>(i) * vocab, vocab});
      }
    });
    for (Sequence* sequence : sequences) accept(*sequence);
  }

  void accept(Sequence& s) {
    if (s.result.tokens.empty()) s.result.first_token_seconds = base::seconds_since(start_);
    const auto& stops = options_.stop_ids;
    if (std::find(stops.begin(), stops.end(), s.next) != stops.end()) return finish(s, Finish::stop);
    s.result.tokens.push_back(s.next);
    if (!emit(s, s.stream ? s.stream->next(s.next) : "")) return finish(s, Finish::cancelled);
    if (static_cast<int64_t>(s.result.tokens.size()) == s.limit) finish(s, Finish::length);
  }

  void finish(Sequence& s, Finish reason) {
    s.done = true;
    s.result.finish = reason;
    if (const std::string rest = s.stream ? s.stream->rest() : "";
        !rest.empty() && reason != Finish::cancelled)
      emit(s, rest);
  }

  bool emit(Sequence& s, const std::string& piece) {
    s.result.text += piece;
    return !on_piece_ || on_piece_(s.prompt, s.next, piece);
  }

  model::Model& model_;
  const text::Tokenizer* tokenizer_;
  std::span<const std::vector<int32_t>> prompts_;
  const GenerateOptions& options_;
  const OnPiece& on_piece_;
  const base::Clock::time_point start_ = base::Clock::now();

  std::vector<std::unique_ptr<Sequence>> active_;
  size_t admitted_ = 0;
  std::vector<int32_t> tokens_;  // of the forward pass being put together
  std::vector<model::Segment> segments_;
  std::vector<float> hidden_, logits_;
};

}  // namespace

std::vector<Generation> Generator::run(std::span<const std::vector<int32_t>> prompts,
                                       const GenerateOptions& options, const OnPiece& on_piece) {
  return Run(model_, tokenizer_, prompts, options, on_piece).results();
}

}  // namespace aquatint::runtime

#include "api/self_calibration.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "runtime/generator.h"

namespace aquatint::api {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 24;
constexpr int64_t kReportEvery = 64;  // tokens

int32_t first_token(const model::Config& config, const text::Tokenizer& tokenizer, base::Rng& rng) {
  if (const auto bos = tokenizer.bos_id()) return *bos;
  if (config.bos_id >= 0) return config.bos_id;
  if (!config.eos_ids.empty()) return config.eos_ids.front();
  return static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
}

void check(const SelfCalibrationOptions& options) {
  if (options.samples < 1 || options.length < 2 || options.samples > kMostTokens / options.length)
    throw base::BadUsage(
        fmt::format("self calibration: {} samples of {} tokens, expected at least 1 of 2 and "
                    "at most {} tokens in all",
                    options.samples, options.length, kMostTokens));
}

}  // namespace

quant::CalibrationSet calibration_shape(const model::Config& config, const SelfCalibrationOptions& options) {
  check(options);
  const auto length = static_cast<size_t>(std::min(options.length, config.max_positions));
  quant::CalibrationSet set;
  set.sequences.assign(static_cast<size_t>(options.samples), std::vector<int32_t>(length));
  return set;
}

quant::CalibrationSet sample_calibration(model::Model& model, const text::Tokenizer& tokenizer,
                                         const SelfCalibrationOptions& options) {
  check(options);
  const model::Config& config = model.config();
  const int64_t length = std::min(options.length, config.max_positions);
  base::Rng rng(options.seed);
  quant::CalibrationSet set;
  for (int64_t i = 0; i < options.samples; ++i)
    set.sequences.push_back({first_token(config, tokenizer, rng)});

  runtime::GenerateOptions generate;
  generate.max_tokens = length - 1;
  generate.sampling.temperature = 1;
  generate.sampling.seed = options.seed;
  const int64_t total = options.samples * (length - 1);
  int64_t done = 0;
  const auto count = [&](size_t, int32_t, std::string_view) {
    if (++done % kReportEvery == 0 || done == total)
      base::progress("sample calibration", done, total, "tokens");
    return true;
  };
  const auto texts = runtime::Generator(model, nullptr).run(set.sequences, generate, count);
  for (size_t i = 0; i < texts.size(); ++i)
    set.sequences[i].insert(set.sequences[i].end(), texts[i].tokens.begin(), texts[i].tokens.end());

  if (length < options.length)
    set.notes.push_back(fmt::format("calibration sequences of {} tokens instead of {}: the model's context",
                                    length, options.length));
  set.description =
      fmt::format("{} sequences of {} tokens sampled by the model itself at temperature 1, seed {}",
                  options.samples, length, options.seed);
  set.fingerprint = quant::fingerprint_of(set.sequences);
  return set;
}

}  // namespace aquatint::api

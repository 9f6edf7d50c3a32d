#include "quant/calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "model/config.h"
#include "quant/calibration_source.h"
#include "runtime/text_io.h"
#include "text/unicode.h"

namespace aquatint::quant {
namespace {

using base::BadInput;
using base::BadUsage;

constexpr int64_t kFewestWindows = 16;             // fewer make second moments of noise
constexpr int64_t kShortestWindow = 16;            // tokens
constexpr int64_t kMostTokens = int64_t{1} << 30;  // 4 GB of ids

void check(const CalibrationOptions& options) {
  if (options.sources.empty()) throw BadUsage("calibration names no file; give --calibration FILE or self");
  if (options.samples < 1)
    throw BadUsage(fmt::format("calibration: {} samples, expected at least 1", options.samples));
  if (options.length < kShortestWindow)
    throw BadUsage(fmt::format("calibration: a length of {} tokens, expected at least {}", options.length,
                               kShortestWindow));
  if (options.samples > kMostTokens / options.length)
    throw BadUsage(fmt::format("calibration: {} samples of {} tokens, expected at most {} tokens in all",
                               options.samples, options.length, kMostTokens));
  std::set<std::filesystem::path> files;
  for (const CalibrationSource& source : options.sources) {
    if (!std::isfinite(source.ratio) || source.ratio <= 0)
      throw BadUsage(fmt::format("calibration: {} has the ratio {}, expected a number above 0",
                                 source.file.string(), source.ratio));
    if (!files.insert(source.file.lexically_normal()).second)
      throw BadUsage(fmt::format("calibration: {} is named twice; give it one ratio", source.file.string()));
  }
}

// Largest remainder: the whole parts, then one more where most was cut off, the first of equals.
std::vector<int64_t> shares(const CalibrationOptions& options) {
  double total = 0;
  for (const CalibrationSource& source : options.sources) total += source.ratio;
  std::vector<int64_t> counts;
  std::vector<double> remainders;
  for (const CalibrationSource& source : options.sources) {
    const double exact = static_cast<double>(options.samples) * (source.ratio / total);
    counts.push_back(static_cast<int64_t>(exact));
    remainders.push_back(exact - std::floor(exact));
  }
  std::vector<size_t> order(counts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  const int64_t left = options.samples - std::accumulate(counts.begin(), counts.end(), int64_t{0});
  for (int64_t i = 0; i < left; ++i) ++counts[order[static_cast<size_t>(i)]];
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] == 0)
      throw BadUsage(fmt::format("calibration: the ratio {} of {} is none of {} samples; raise either",
                                 options.sources[i].ratio, options.sources[i].file.string(),
                                 options.samples));
  return counts;
}

void check_ids(const Sequences& windows, const CalibrationTarget& target, const std::string& file) {
  for (const auto& window : windows)
    for (const int32_t id : window)
      if (id < 0 || id >= target.vocab_size)
        throw BadInput(
            fmt::format("{}: the tokenizer makes token {} of it, but the model's embedding has {} "
                        "rows; is the tokenizer another model's?",
                        file, id, target.vocab_size));
}

bool is_jsonl(const std::filesystem::path& file) {
  return file.extension() == ".jsonl" || file.extension() == ".ndjson";
}

// The first end-of-sequence token of config.json; the tokenizer's own where that has none.
int32_t end_token(const checkpoint::Checkpoint& model, const model::Config& config,
                  const text::Tokenizer& tokenizer) {
  if (!config.eos_ids.empty()) return config.eos_ids.front();
  const base::Json side = runtime::side_json(model, "tokenizer_config.json");
  const auto token = side.find("eos_token");
  if (token == side.end() || !token->is_string()) return -1;
  return tokenizer.token_id(token->get<std::string>()).value_or(-1);
}

}  // namespace

int64_t CalibrationSet::tokens() const {
  int64_t sum = 0;
  for (const auto& sequence : sequences) sum += static_cast<int64_t>(sequence.size());
  return sum;
}

std::string fingerprint_of(const Sequences& sequences) {
  base::Sha256 hash;
  for (const auto& sequence : sequences) {
    const uint64_t size = sequence.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(sequence)));
  }
  return hash.hex();
}

std::vector<size_t> draw(size_t n, size_t count, base::Rng& rng) {
  std::vector<size_t> all(n);
  std::iota(all.begin(), all.end(), size_t{0});
  for (size_t i = 0; i < count; ++i) std::swap(all[i], all[i + rng.below(n - i)]);
  all.resize(count);
  return all;
}

std::string_view utf8_text(base::Bytes bytes, const std::filesystem::path& file) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) throw BadInput(fmt::format("{}: is empty; calibration needs text", file.string()));
  if (const size_t valid = text::valid_utf8_prefix(text); valid != text.size())
    throw BadInput(fmt::format("{}: byte {} is not UTF-8; convert the file first (iconv -t utf-8)",
                               file.string(), valid));
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

void accept_fewer(const WindowRequest& request, int64_t found, int64_t tokens,
                  std::vector<std::string>& notes) {
  const std::string file = request.file.string();
  const int64_t fewest = std::min(kFewestWindows, request.count);
  if (found < fewest) {
    const int64_t shorter = tokens / fewest;
    throw BadInput(fmt::format(
        "{}: {} tokens make {} calibration windows of {}, expected {} and at least {}; give a longer text{}",
        file, tokens, found, request.length, request.count, fewest,
        shorter >= kShortestWindow ? fmt::format(" or --seq-len {}", shorter) : ""));
  }
  notes.push_back(fmt::format("{}: {} calibration windows of {} tokens instead of {}: the text ends there",
                              file, found, request.length, request.count));
}

CalibrationSet read_calibration(const CalibrationOptions& options, const CalibrationTarget& target) {
  check(options);
  CalibrationSet set;
  const int64_t length = std::min(options.length, target.context);
  if (length < options.length)
    set.notes.push_back(fmt::format("calibration windows of {} tokens instead of {}: the model's context",
                                    length, options.length));
  const std::vector<int64_t> counts = shares(options);
  base::Rng seeds(options.seed);
  for (size_t i = 0; i < counts.size(); ++i) {
    const std::filesystem::path& file = options.sources[i].file;
    WindowRequest request{file, counts[i], length, base::Rng(seeds.next())};
    Sequences windows = is_jsonl(file) ? jsonl_windows(std::move(request), target, set.notes)
                                       : text_windows(std::move(request), target, set.notes);
    check_ids(windows, target, file.string());
    set.description += fmt::format("{}{}: {}", i ? ", " : "", file.filename().string(), windows.size());
    std::move(windows.begin(), windows.end(), std::back_inserter(set.sequences));
  }
  set.description += fmt::format(" windows of {} tokens, seed {}", length, options.seed);
  set.fingerprint = fingerprint_of(set.sequences);
  return set;
}

CalibrationSet read_calibration(const CalibrationOptions& options, const checkpoint::Checkpoint& model) {
  const model::Config config = model::parse_config(model.config(), model.path().string() + ": config.json");
  const auto tokenizer = runtime::load_tokenizer(model);
  const auto chat = runtime::Chat::load(model);
  return read_calibration(options, {tokenizer.get(), chat.get(), end_token(model, config, *tokenizer),
                                    config.max_positions, config.vocab_size});
}

}  // namespace aquatint::quant

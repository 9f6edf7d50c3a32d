#include "eval/windows.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace aquatint::eval {
namespace {

std::vector<int32_t> encode(const text::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens = tokenizer.encode(text, false);
  if (const auto bos = tokenizer.bos_id()) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

}  // namespace

Windows::Windows(const text::Tokenizer& tokenizer, std::string_view text, const WindowOptions& options,
                 const std::string& where)
    : Windows(encode(tokenizer, text), tokenizer.bos_id().value_or(-1), options, where) {}

Windows::Windows(std::vector<int32_t> tokens, int32_t bos, const WindowOptions& options,
                 const std::string& where)
    : tokens_(std::move(tokens)), bos_(bos), options_(options) {
  const int64_t context = options.context;
  if (options_.stride == 0) options_.stride = context;
  if (context < 2)
    throw base::BadUsage(fmt::format("--context {}: a window needs at least 2 tokens", context));
  if (options_.stride < 1 || options_.stride > context)
    throw base::BadUsage(fmt::format("--stride {}: expected 1 to the context, {}", options_.stride, context));
  if (options.score_from < 1 || options.score_from >= context)
    throw base::BadUsage(fmt::format("--score-from {}: expected 1 to {} (the context less one)",
                                     options.score_from, context - 1));
  if (options.windows < 0)
    throw base::BadUsage(fmt::format("--windows {}: expected 0 (all) or more", options.windows));
  const int64_t found = text_tokens();
  if (found < context)
    throw base::BadInput(fmt::format(
        "{}: {} tokens, but one window of --context {} needs {}; give a longer text or a smaller context",
        where, found, context, context));
  count_ = (found - context) / options_.stride + 1;
  if (options.windows > count_) {
    const auto before_last =
        base::checked_mul(static_cast<uint64_t>(options.windows) - 1, static_cast<uint64_t>(options_.stride));
    const auto needed = base::checked_add(before_last.value_or(UINT64_MAX), static_cast<uint64_t>(context));
    throw base::BadInput(fmt::format(
        "{}: {} tokens make {} window{} of --context {}, but --windows {} needs {}; give a longer text "
        "or fewer windows",
        where, found, count_, count_ == 1 ? "" : "s", context, options.windows, needed.value_or(UINT64_MAX)));
  }
  if (options.windows > 0) count_ = options.windows;
  options_.windows = count_;
}

std::vector<int32_t> Windows::window(int64_t i) const {
  AQ_CHECK(0 <= i && i < count_, "window {} of {}", i, count_);
  const auto begin = tokens_.begin() + i * options_.stride;
  std::vector<int32_t> result(begin, begin + options_.context);
  if (bos_ >= 0) result[0] = bos_;
  return result;
}

}  // namespace aquatint::eval

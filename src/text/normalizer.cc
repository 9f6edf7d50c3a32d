#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::Json;

// Unicode normalization forms (UAX 15). Only what can change is worked on: runs of characters below
// `stable_below`, each followed by another such character, are copied.
class UnicodeForm final : public Normalizer {
 public:
  UnicodeForm(bool compose, bool compatibility)
      : compose_(compose),
        // Below U+0300 nothing combines; NFC leaves it alone, and so do the others ASCII.
        stable_below_(compose && !compatibility ? 0x300 : 0x80),
        decompose_(
            static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0))) {}

  std::string apply(std::string text) const override {
    size_t at = first_unstable(text, 0);
    if (at == text.size()) return text;
    std::string out;
    out.reserve(text.size());
    size_t copied = 0;
    while (at < text.size()) {
      out.append(text, copied, at - copied);
      const size_t end = end_of_unstable(text, at);
      work(std::string_view(text).substr(at, end - at), out);
      copied = end;
      at = first_unstable(text, end);
    }
    return out.append(text, copied);
  }

 private:
  // Start of the first character from `at` on that must be worked on: one that is not stable, or the stable
  // one before it, with which it may combine.
  size_t first_unstable(std::string_view text, size_t at) const {
    size_t previous = at;
    while (at < text.size()) {
      const CodePoint c = decode_utf8(text, at);
      if (c.value >= stable_below_) return previous;
      previous = at;
      at += c.length;
    }
    return at;
  }

  // End of the run that starts at `at`: after it comes a stable character that nothing follows to combine
  // with it.
  size_t end_of_unstable(std::string_view text, size_t at) const {
    at += decode_utf8(text, at).length;
    while (at < text.size()) {
      const CodePoint c = decode_utf8(text, at);
      if (c.value < stable_below_) {
        const size_t next = at + c.length;
        if (next == text.size() || decode_utf8(text, next).value < stable_below_) break;
      }
      at += c.length;
    }
    return at;
  }

  void work(std::string_view run, std::string& out) const {
    std::vector<utf8proc_int32_t> points;
    points.reserve(run.size());
    std::array<utf8proc_int32_t, 32> one;  // the longest decomposition, of U+FDFA, has 18
    for (size_t at = 0; at < run.size();) {
      const CodePoint c = decode_utf8(run, at);
      at += c.length;
      int boundary = 0;
      const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), one.data(),
                                                 one.size(), decompose_, &boundary);
      AQ_CHECK(count >= 0 && static_cast<size_t>(count) <= one.size(), "decomposition of U+{:04X}",
               static_cast<uint32_t>(c.value));
      points.insert(points.end(), one.begin(), one.begin() + count);
    }
    order(points);
    auto count = static_cast<utf8proc_ssize_t>(points.size());
    if (compose_)
      count = utf8proc_normalize_utf32(points.data(), count,
                                       static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(out, static_cast<char32_t>(points[i]));
  }

  // Canonical order: runs of non-starters, stably by combining class. (utf8proc's own ordering is quadratic
  // in the length of such a run.)
  static void order(std::vector<utf8proc_int32_t>& points) {
    const auto combining_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
    auto it = points.begin();
    const auto is_mark = [&](utf8proc_int32_t c) { return combining_class(c) != 0; };
    while ((it = std::find_if(it, points.end(), is_mark)) != points.end()) {
      const auto end = std::find_if_not(it, points.end(), is_mark);
      std::stable_sort(it, end, [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
      it = end;
    }
  }

  bool compose_;
  char32_t stable_below_;
  utf8proc_option_t decompose_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string apply(std::string text) const override { return text.empty() ? text : prefix_ + text; }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string apply(std::string text) const override { return pattern_.replace_all(text, content_); }

 private:
  Pattern pattern_;
  std::string content_;
};

// One character at a time, as the library does: no final-sigma rule.
class Lowercase final : public Normalizer {
 public:
  std::string apply(std::string text) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      at += c.length;
      if (c.value == 0x130) {  // İ: the one character whose lower case is two
        out += "i\xCC\x87";
      } else {
        append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))));
      }
    }
    return out;
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string apply(std::string text) const override {
    size_t first = text.size(), last = 0;  // first and one past the last character that is no white space
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      if (!is_white_space(c.value)) {
        first = std::min(first, at);
        last = at + c.length;
      }
      at += c.length;
    }
    if (right_) text.resize(last);
    if (left_) text.erase(0, std::min(first, text.size()));
    return text;
  }

 private:
  bool left_, right_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> stages) : stages_(std::move(stages)) {}
  std::string apply(std::string text) const override {
    for (const auto& stage : stages_) text = stage->apply(std::move(text));
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> stages_;
};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const Json& stage, const std::string& where) {
  if (stage.is_null()) return nullptr;
  const std::string type = stage_type(stage, where);
  if (type == "NFC") return std::make_unique<UnicodeForm>(true, false);
  if (type == "NFD") return std::make_unique<UnicodeForm>(false, false);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(true, true);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(false, true);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Strip")
    return std::make_unique<Strip>(base::bool_or(stage, "strip_left", true, where),
                                   base::bool_or(stage, "strip_right", true, where));
  if (type == "Prepend") return std::make_unique<Prepend>(base::require_string(stage, "prepend", where));
  if (type == "Replace")
    return std::make_unique<Replace>(Pattern::from_json(stage, where),
                                     base::require_string(stage, "content", where));
  if (type == "Sequence") {
    std::vector<std::unique_ptr<Normalizer>> stages;
    for (const Json& each : stage_list(stage, "normalizers", where))
      if (auto made = make_normalizer(each, where)) stages.push_back(std::move(made));
    return std::make_unique<NormalizerSequence>(std::move(stages));
  }
  unsupported_stage("normalizer", type, where);
}

}  // namespace aquatint::text

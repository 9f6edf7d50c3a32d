#include "text/pre_tokenizer.h"

#include <functional>

#include "base/error.h"
#include "text/pattern.h"
#include "text/split.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

// Writes a new text piece by piece and keeps the spans in step.
class Rewriter {
 public:
  explicit Rewriter(Pieces& pieces) : pieces_(pieces) {
    pieces_.starts_input = pieces.starts_input && !pieces.spans.empty() && pieces.spans.front().begin == 0;
    out_.reserve(pieces.text.size() * 3 / 2);
  }

  // write(piece, is_first, out)
  template <class Write>
  void each(Write&& write) {
    for (size_t i = 0; i < pieces_.spans.size(); ++i) {
      Span& span = pieces_.spans[i];
      const size_t begin = out_.size();
      write(std::string_view(pieces_.text).substr(span.begin, span.end - span.begin), i == 0, out_);
      span = {begin, out_.size()};
    }
    pieces_.text = std::move(out_);
  }

 private:
  Pieces& pieces_;
  std::string out_;
};

// GPT-2's split rule, built into ByteLevel.
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex, const std::string& where)
      : add_prefix_space_(add_prefix_space) {
    if (use_regex) pattern_ = std::make_unique<Pattern>(Regex(kGpt2Pattern, where));
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_)
      Rewriter(pieces).each([](std::string_view piece, bool, std::string& out) {
        if (piece.front() != ' ') out += ' ';
        out += piece;
      });
    if (pattern_) split(pieces, *pattern_, SplitBehavior::isolated, false);
    Rewriter(pieces).each([](std::string_view piece, bool, std::string& out) {
      for (const char byte : piece) append_utf8(out, byte_to_character(static_cast<unsigned char>(byte)));
    });
  }

 private:
  bool add_prefix_space_;
  std::unique_ptr<Pattern> pattern_;
};

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { first, always, never };
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void apply(Pieces& pieces) const override {
    const bool starts_input = pieces.starts_input && !pieces.spans.empty() && pieces.spans.front().begin == 0;
    Rewriter(pieces).each([&](std::string_view piece, bool is_first, std::string& out) {
      const bool wanted =
          prepend_ == Prepend::always || (prepend_ == Prepend::first && is_first && starts_input);
      if (wanted && piece.front() != ' ' && !piece.starts_with(replacement_)) out += replacement_;
      for (const char c : piece) {
        if (c == ' ')
          out += replacement_;
        else
          out += c;
      }
    });
    if (split_) split(pieces, Pattern(replacement_), SplitBehavior::merged_with_next, false);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

class SplitOnPattern final : public PreTokenizer {
 public:
  SplitOnPattern(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Pieces& pieces) const override { split(pieces, pattern_, behavior_, invert_); }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class SplitOnCharacter final : public PreTokenizer {
 public:
  SplitOnCharacter(std::function<bool(char32_t)> is_match, SplitBehavior behavior)
      : is_match_(std::move(is_match)), behavior_(behavior) {}
  void apply(Pieces& pieces) const override { split(pieces, is_match_, behavior_); }

 private:
  std::function<bool(char32_t)> is_match_;
  SplitBehavior behavior_;
};

class PreTokenizerSequence final : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> stages)
      : stages_(std::move(stages)) {}
  void apply(Pieces& pieces) const override {
    for (const auto& stage : stages_) stage->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

std::unique_ptr<PreTokenizer> make_metaspace(const Json& stage, const std::string& where) {
  const std::string replacement = base::string_or(stage, "replacement", "▁", where);
  if (replacement.empty() || decode_utf8(replacement, 0).length != replacement.size())
    throw BadInput(
        fmt::format("{}: Metaspace's \"replacement\" is \"{}\", expected one character", where, replacement));
  const std::string scheme = base::string_or(stage, "prepend_scheme", "", where);
  auto prepend = Metaspace::Prepend::always;
  if (scheme == "first")
    prepend = Metaspace::Prepend::first;
  else if (scheme == "never")
    prepend = Metaspace::Prepend::never;
  else if (!scheme.empty() && scheme != "always")
    throw BadInput(fmt::format(
        "{}: Metaspace's \"prepend_scheme\" is \"{}\", expected first, always or never", where, scheme));
  if (!base::bool_or(stage, "add_prefix_space", true, where)) {  // the key of older files
    if (!scheme.empty() && scheme != "never")
      throw BadInput(
          fmt::format("{}: Metaspace's \"add_prefix_space\": false contradicts \"prepend_scheme\": \"{}\"",
                      where, scheme));
    prepend = Metaspace::Prepend::never;
  }
  return std::make_unique<Metaspace>(replacement, prepend, base::bool_or(stage, "split", true, where));
}

std::unique_ptr<PreTokenizer> make_sequence(const Json& stage, const std::string& where) {
  std::vector<std::unique_ptr<PreTokenizer>> stages;
  for (const Json& each : stage_list(stage, "pretokenizers", where))
    if (auto made = make_pre_tokenizer(each, where)) stages.push_back(std::move(made));
  return std::make_unique<PreTokenizerSequence>(std::move(stages));
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Json& stage, const std::string& where) {
  if (stage.is_null()) return nullptr;
  const std::string type = stage_type(stage, where);
  if (type == "Sequence") return make_sequence(stage, where);
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>(base::bool_or(stage, "add_prefix_space", true, where),
                                       base::bool_or(stage, "use_regex", true, where), where);
  if (type == "Metaspace") return make_metaspace(stage, where);
  if (type == "Split")
    return std::make_unique<SplitOnPattern>(
        Pattern::from_json(stage, where),
        split_behavior(base::require_string(stage, "behavior", where), where),
        base::bool_or(stage, "invert", false, where));
  if (type == "Digits")
    return std::make_unique<SplitOnCharacter>(
        is_numeric, base::bool_or(stage, "individual_digits", false, where) ? SplitBehavior::isolated
                                                                            : SplitBehavior::contiguous);
  if (type == "Punctuation")
    return std::make_unique<SplitOnCharacter>(
        is_punctuation, split_behavior(base::string_or(stage, "behavior", "Isolated", where), where));
  if (type == "WhitespaceSplit")
    return std::make_unique<SplitOnCharacter>(is_white_space, SplitBehavior::removed);
  if (type == "Whitespace")
    return std::make_unique<SplitOnPattern>(Pattern(Regex(R"(\w+|[^\w\s]+)", where)), SplitBehavior::removed,
                                            true);
  unsupported_stage("pre-tokenizer", type, where);
}

}  // namespace aquatint::text

#include "text/decoder.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

// Undoes the byte map; a token with a character outside of it (an added one) stays as it is.
class ByteLevelDecoder final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string out;
    for (const std::string& token : tokens) {
      const size_t start = out.size();
      for (size_t at = 0; at < token.size();) {
        const CodePoint c = decode_utf8(token, at);
        at += c.length;
        const int byte = character_to_byte(c.value);
        if (byte < 0) {
          out.replace(start, std::string::npos, token);
          break;
        }
        out.push_back(static_cast<char>(byte));
      }
    }
    tokens.assign(1, std::move(out));
  }
};

// Runs of <0xNN> become the characters they spell; where they spell none, U+FFFD for each. (A run at the very
// end that breaks off inside a character stays as bytes: more may follow.)
class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        run.push_back(*byte);
        continue;
      }
      flush(run, false, out);
      out.push_back(std::move(token));
    }
    flush(run, true, out);
    tokens = std::move(out);
  }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    const auto digit = [](char c) -> int {
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'A' && c <= 'F') return c - 'A' + 10;
      return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    const int high = digit(token[3]), low = digit(token[4]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<char>(high << 4 | low);
  }

  static void flush(std::string& run, bool at_end, std::vector<std::string>& out) {
    if (run.empty()) return;
    const size_t valid = valid_utf8_prefix(run);
    if (valid == run.size() || (at_end && is_truncated_utf8(std::string_view(run).substr(valid)))) {
      out.push_back(run);
    } else {
      for (size_t i = 0; i < run.size(); ++i) out.emplace_back("\xEF\xBF\xBD");
    }
    run.clear();
  }
};

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

class ReplaceDecoder final : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      // Bytes that ByteFallback left at the end are no text to search in.
      const size_t valid = valid_utf8_prefix(token);
      token = pattern_.replace_all(std::string_view(token).substr(0, valid), content_) + token.substr(valid);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// Takes up to `start` copies of a character from the front and `stop` from the back of each token.
class StripDecoder final : public Decoder {
 public:
  StripDecoder(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view left = token;
      for (int64_t i = 0; i < start_ && left.starts_with(content_); ++i) left.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && left.ends_with(content_); ++i) left.remove_suffix(content_.size());
      token = std::string(left);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool drop_first)
      : replacement_(std::move(replacement)), drop_first_(drop_first) {}
  void apply(std::vector<std::string>& tokens) const override {
    const Pattern pattern(replacement_);
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = pattern.replace_all(tokens[i], i == 0 && drop_first_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool drop_first_;
};

class DecoderSequence final : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<Decoder>> stages) : stages_(std::move(stages)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& stage : stages_) stage->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> stages_;
};

std::string one_character(const Json& stage, const char* key, const std::string& where) {
  const std::string text = base::require_string(stage, key, where);
  if (text.empty() || decode_utf8(text, 0).length != text.size())
    throw BadInput(
        fmt::format("{}: the decoder's \"{}\" is \"{}\", expected one character", where, key, text));
  return text;
}

}  // namespace

std::unique_ptr<Decoder> make_decoder(const Json& stage, const std::string& where) {
  if (stage.is_null()) return nullptr;
  const std::string type = stage_type(stage, where);
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Replace")
    return std::make_unique<ReplaceDecoder>(Pattern::from_json(stage, where),
                                            base::require_string(stage, "content", where));
  if (type == "Strip")
    return std::make_unique<StripDecoder>(one_character(stage, "content", where),
                                          base::require_int(stage, "start", where),
                                          base::require_int(stage, "stop", where));
  if (type == "Metaspace") {
    const bool never = base::string_or(stage, "prepend_scheme", "always", where) == "never" ||
                       !base::bool_or(stage, "add_prefix_space", true, where);
    return std::make_unique<MetaspaceDecoder>(one_character(stage, "replacement", where), !never);
  }
  if (type == "Sequence") {
    std::vector<std::unique_ptr<Decoder>> stages;
    for (const Json& each : stage_list(stage, "decoders", where))
      if (auto made = make_decoder(each, where)) stages.push_back(std::move(made));
    return std::make_unique<DecoderSequence>(std::move(stages));
  }
  unsupported_stage("decoder", type, where);
}

}  // namespace aquatint::text

#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/document.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

const Json& part(const Json& document, const char* key) {
  static const Json kNull;
  const auto it = document.find(key);
  return it == document.end() ? kNull : *it;
}

Json bpe_model(const TokenizerDocument& document, const std::string& where) {
  const Json& model = part(document.rest, "model");
  if (!model.is_object()) throw BadInput(fmt::format("{}: key \"model\" is missing or no object", where));
  const std::string type = base::string_or(model, "type", "BPE", where);
  if (type != "BPE")
    throw BadInput(fmt::format("{}: tokenizer model \"{}\" is not supported, expected \"BPE\"", where, type));
  if (document.vocab.empty()) throw BadInput(fmt::format("{}: model.vocab is missing or empty", where));
  return model;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(TokenizerDocument document, const Json& model, const std::string& where)
      : model_(model, std::move(document.vocab), document.merges, where),
        normalizer_(make_normalizer(part(document.rest, "normalizer"), where)),
        added_(part(document.rest, "added_tokens"), model_.vocabulary(), normalizer_.get(), where),
        pre_tokenizer_(make_pre_tokenizer(part(document.rest, "pre_tokenizer"), where)),
        post_processor_(part(document.rest, "post_processor"), where),
        decoder_(make_decoder(part(document.rest, "decoder"), where)) {}

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override {
    std::string repaired;
    if (valid_utf8_prefix(text) != text.size()) text = repaired = replace_invalid_utf8(text);
    std::vector<int32_t> ids;
    WordCache cache;
    for (const Segment& segment : added_.in_raw_text().split(text)) {
      if (segment.id)
        ids.push_back(*segment.id);
      else
        encode_raw(std::string(text.substr(segment.begin, segment.end - segment.begin)), segment.begin == 0,
                   cache, ids);
    }
    return add_special ? post_processor_.apply(std::move(ids)) : ids;
  }

  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int32_t id : ids) {
      if (const AddedToken* added = added_.token(id)) {
        if (!(skip_special && added->special)) tokens.push_back(added->content);
      } else if (const std::string* token = model_.vocabulary().token(id)) {
        tokens.push_back(*token);
      }
    }
    if (decoder_) decoder_->apply(tokens);
    std::string out;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!decoder_ && i > 0) out += ' ';
      out += tokens[i];
    }
    return out;
  }

  std::optional<int32_t> token_id(std::string_view token) const override {
    const auto added = added_.id(token);
    return added ? added : model_.vocabulary().id(token);
  }

  int64_t vocab_size() const override { return std::max(added_.max_id(), model_.vocabulary().max_id()) + 1; }
  std::optional<int32_t> bos_id() const override { return post_processor_.first(); }

 private:
  // A stretch between the added tokens of the raw text.
  void encode_raw(std::string text, bool starts_input, WordCache& cache, std::vector<int32_t>& ids) const {
    if (normalizer_) text = normalizer_->apply(std::move(text));
    if (added_.in_normalized_text().empty()) return encode_plain(std::move(text), starts_input, cache, ids);
    for (const Segment& segment : added_.in_normalized_text().split(text)) {
      if (segment.id)
        ids.push_back(*segment.id);
      else
        encode_plain(text.substr(segment.begin, segment.end - segment.begin),
                     starts_input && segment.begin == 0, cache, ids);
    }
  }

  // Normalized text without added tokens.
  void encode_plain(std::string text, bool starts_input, WordCache& cache, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    const size_t size = text.size();
    Pieces pieces{std::move(text), {{0, size}}, starts_input};
    if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
    for (const Span& span : pieces.spans) {
      const auto piece = std::string_view(pieces.text).substr(span.begin, span.end - span.begin);
      if (cache.append_known(piece, ids)) continue;
      const size_t before = ids.size();
      model_.encode(piece, ids);
      cache.remember(piece, std::span(ids).subspan(before));
    }
  }

  Bpe model_;
  std::unique_ptr<Normalizer> normalizer_;
  AddedTokens added_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  PostProcessor post_processor_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json, const std::string& where) {
  TokenizerDocument document = read_tokenizer_json(tokenizer_json, where);
  const Json model = bpe_model(document, where);
  return std::make_unique<PipelineTokenizer>(std::move(document), model, where);
}

}  // namespace aquatint::text

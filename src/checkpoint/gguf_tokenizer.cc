#include "checkpoint/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/spm_merges.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
namespace {

// llama.cpp's token kinds.
enum Kind : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

constexpr const char* kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekkenRegex =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr size_t kMaxPiece = 512;  // bytes; every split of a piece is looked up, so its square is work

// What "tokenizer.ggml.pre" stands for. A rule without expressions splits with ByteLevel's own (GPT-2's).
struct PreTokenizer {
  std::string_view name;
  bool digits;  // every digit alone, first
  bool nfc, ignore_merges, adds_bos;
  std::array<const char*, 4> expressions;
};
constexpr std::array kPreTokenizers = {
    PreTokenizer{"gpt-2", false, false, false, false, {}},
    PreTokenizer{"smollm", true, false, false, false, {}},
    PreTokenizer{"starcoder", true, false, false, false, {}},
    PreTokenizer{"llama-bpe", false, false, true, true, {kLlama3Regex}},
    PreTokenizer{"qwen2", false, true, false, false, {kQwen2Regex}},
    PreTokenizer{"deepseek-r1-qwen", false, true, false, false, {kQwen2Regex}},
    PreTokenizer{"tekken", false, false, true, true, {kTekkenRegex}},
    // llama.cpp's fallback for files that name no rule
    PreTokenizer{"default",
                 false,
                 false,
                 false,
                 false,
                 {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Regex, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
};

struct Vocabulary {
  std::string where;
  std::vector<std::string_view> tokens;
  std::vector<int64_t> kinds;
  std::unordered_map<std::string_view, int64_t> ids;  // without unused ones

  bool has(std::string_view token) const { return ids.contains(token); }
  // Split out of the text before anything else, so no merge may build or use them.
  bool added(int64_t id) const {
    const int64_t kind = kinds[static_cast<size_t>(id)];
    return kind == unknown || kind == control || kind == user_defined;
  }
};

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(c));
    else
      out += c;
  }
  out += '"';
}

Vocabulary read_vocabulary(const GgufFile& file) {
  Vocabulary v;
  v.where = file.where();
  v.tokens = *file.find_list<GgufStrings>("tokenizer.ggml.tokens");
  if (const GgufInts* kinds = file.find_list<GgufInts>("tokenizer.ggml.token_type"))
    v.kinds = *kinds;
  else
    v.kinds.assign(v.tokens.size(), normal);
  if (v.kinds.size() != v.tokens.size())
    throw BadInput(fmt::format("{}: tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens {}",
                               v.where, v.kinds.size(), v.tokens.size()));
  v.ids.reserve(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (!is_utf8(v.tokens[i]))
      throw BadInput(fmt::format("{}: tokenizer.ggml.tokens[{}] is not UTF-8", v.where, i));
    if (v.kinds[i] != unused && !v.ids.emplace(v.tokens[i], static_cast<int64_t>(i)).second)
      throw BadInput(fmt::format("{}: tokenizer.ggml.tokens[{}] repeats '{}'", v.where, i, v.tokens[i]));
  }
  return v;
}

Json added_tokens(const Vocabulary& v) {
  Json list = Json::array();
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (v.added(static_cast<int64_t>(i)))
      list.push_back({{"id", i},
                      {"content", v.tokens[i]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", v.kinds[i] != user_defined}});
  return list;
}

std::optional<int64_t> token_id(const GgufFile& file, const Vocabulary& v, const char* name) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  return file.find_int(key, 0, std::ssize(v.tokens) - 1);
}

// The ids that frame a text by the tokenizer's own rule.
struct Frame {
  std::optional<int64_t> bos, eos;
};

Frame frame_of(const GgufFile& file, const Vocabulary& v, bool adds_bos) {
  Frame frame;
  if (file.find_bool("tokenizer.ggml.add_bos_token").value_or(adds_bos)) frame.bos = token_id(file, v, "bos");
  if (file.find_bool("tokenizer.ggml.add_eos_token").value_or(false)) frame.eos = token_id(file, v, "eos");
  return frame;
}

// null when the rule adds nothing.
Json post_processor(const Vocabulary& v, const Frame& frame) {
  if (!frame.bos && !frame.eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  auto add_sequence = [&](Json& to, const char* id, int type) {
    auto add_special = [&](const std::optional<int64_t>& token) {
      if (!token) return;
      const std::string text(v.tokens[static_cast<size_t>(*token)]);
      to.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
      special[text] = {{"id", text}, {"ids", {*token}}, {"tokens", {text}}};
    };
    add_special(frame.bos);
    to.push_back({{"Sequence", {{"id", id}, {"type_id", type}}}});
    add_special(frame.eos);
  };
  add_sequence(single, "A", 0);
  add_sequence(pair, "A", 0);
  add_sequence(pair, "B", 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pre_tokenizer(const PreTokenizer& rule) {
  Json list = Json::array();
  if (rule.digits) list.push_back({{"type", "Digits"}, {"individual_digits", true}});
  for (const char* expression : rule.expressions)
    if (expression)
      list.push_back({{"type", "Split"},
                      {"pattern", {{"Regex", expression}}},
                      {"behavior", "Isolated"},
                      {"invert", false}});
  list.push_back(byte_level(rule.expressions[0] == nullptr));
  return {{"type", "Sequence"}, {"pretokenizers", list}};
}

std::string vocab_text(const Vocabulary& v) {
  std::string out = "\"vocab\":{";
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.kinds[i] == unused) continue;
    if (out.back() != '{') out += ',';
    append_json_string(out, v.tokens[i]);
    fmt::format_to(std::back_inserter(out), ":{}", i);
  }
  return out + "}";
}

void append_merge(std::string& out, std::string_view left, std::string_view right) {
  if (out.back() != '[') out += ',';
  out += '[';
  append_json_string(out, left);
  out += ',';
  append_json_string(out, right);
  out += ']';
}

std::string listed_merges(const GgufFile& file, const Vocabulary& v) {
  std::string out = "\"merges\":[", joined;
  const GgufStrings* merges = file.find_list<GgufStrings>("tokenizer.ggml.merges");
  if (!merges) throw BadInput(fmt::format("{}: key \"tokenizer.ggml.merges\" is missing", v.where));
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ', 1);
    const std::string_view left = merge.substr(0, space),
                           right = space == merge.npos ? "" : merge.substr(space + 1);
    joined.assign(left).append(right);
    if (right.empty() || !v.has(left) || !v.has(right) || !v.has(joined))
      throw BadInput(fmt::format(
          "{}: tokenizer.ggml.merges has an entry that does not join two tokens into a third", v.where));
    append_merge(out, left, right);
  }
  return out + "]";
}

std::string derived_merges(const GgufFile& file, const Vocabulary& v) {
  const GgufFloats* scores = file.find_list<GgufFloats>("tokenizer.ggml.scores");
  if (!scores || scores->size() != v.tokens.size())
    throw BadInput(fmt::format("{}: tokenizer.ggml.scores has {} entries, tokenizer.ggml.tokens {}", v.where,
                               scores ? scores->size() : 0, v.tokens.size()));
  std::vector<ScoredPiece> pieces;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.kinds[i] == unused || v.added(static_cast<int64_t>(i))) continue;
    if (!std::isfinite((*scores)[i]) || v.tokens[i].size() > kMaxPiece)
      throw BadInput(fmt::format(
          "{}: tokenizer.ggml token {} has the score {} and {} bytes, expected a finite score and at most {}",
          v.where, i, (*scores)[i], v.tokens[i].size(), kMaxPiece));
    pieces.push_back({v.tokens[i], static_cast<int64_t>(i), (*scores)[i]});
  }
  std::string out = "\"merges\":[";
  for (const auto& [left, right] : merges_from_scores(pieces)) append_merge(out, left, right);
  return out + "]";
}

// The document, with its two long lists written directly.
std::string finish_document(const Json& head, const Json& model, const std::string& vocab,
                            const std::string& merges) {
  std::string text = head.dump(), model_text = model.dump();
  text.pop_back();
  model_text.pop_back();
  return text + ",\"model\":" + model_text + "," + vocab + "," + merges + "}}";
}

Json document_head(const Vocabulary& v, const Json& normalizer, const Json& pre, const Json& post,
                   const Json& decoder) {
  return {{"version", "1.0"},         {"truncation", nullptr},
          {"padding", nullptr},       {"added_tokens", added_tokens(v)},
          {"normalizer", normalizer}, {"pre_tokenizer", pre},
          {"post_processor", post},   {"decoder", decoder}};
}

std::string byte_bpe_document(const GgufFile& file, const Vocabulary& v) {
  const std::string name = file.find_string("tokenizer.ggml.pre").value_or("default");
  const auto* rule = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                                  [&](const PreTokenizer& p) { return p.name == name; });
  if (rule == kPreTokenizers.end())
    throw BadInput(
        fmt::format("{}: tokenizer.ggml.pre is \"{}\", expected one of gpt-2, smollm, starcoder, llama-bpe, "
                    "qwen2, tekken, default",
                    v.where, name));
  const Json normalizer = rule->nfc ? Json{{"type", "NFC"}} : Json(nullptr);
  const Json head = document_head(v, normalizer, pre_tokenizer(*rule),
                                  post_processor(v, frame_of(file, v, rule->adds_bos)), byte_level(true));
  const Json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", rule->ignore_merges}};
  return finish_document(head, model, vocab_text(v), listed_merges(file, v));
}

std::string spm_document(const GgufFile& file, const Vocabulary& v) {
  const bool prefix = file.find_bool("tokenizer.ggml.add_space_prefix").value_or(true);
  Json normalizers = Json::array(), decoders = Json::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", "▁"}});
  normalizers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}});
  decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  const Json head = document_head(v, {{"type", "Sequence"}, {"normalizers", normalizers}}, nullptr,
                                  post_processor(v, frame_of(file, v, true)),
                                  {{"type", "Sequence"}, {"decoders", decoders}});
  const auto unk = static_cast<size_t>(token_id(file, v, "unknown").value_or(0));
  const Json model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", v.tokens[unk]},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", true},
                      {"byte_fallback", true},
                      {"ignore_merges", false}};
  return finish_document(head, model, vocab_text(v), derived_merges(file, v));
}

Json special_tokens_map(const GgufFile& file, const Vocabulary& v) {
  Json map = Json::object();
  for (const auto& [key, name] : {std::pair{"bos_token", "bos"},
                                  {"eos_token", "eos"},
                                  {"unk_token", "unknown"},
                                  {"pad_token", "padding"}})
    if (const auto id = token_id(file, v, name)) map[key] = v.tokens[static_cast<size_t>(*id)];
  return map;
}

Json tokenizer_config(const Json& special, const Json& config) {
  Json out = special;
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  out["clean_up_tokenization_spaces"] = false;
  out["model_max_length"] = config["max_position_embeddings"];
  return out;
}

Json generation_config(const Json& config) {
  Json out = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (config.contains(key)) out[key] = config[key];
  return out;
}

}  // namespace

std::vector<SideFile> gguf_side_files(const GgufFile& file, const Json& config) {
  if (!file.has("tokenizer.ggml.tokens"))
    return {{"generation_config.json", generation_config(config).dump(2) + "\n"}};
  const Vocabulary v = read_vocabulary(file);
  if (v.tokens.empty()) throw BadInput(fmt::format("{}: tokenizer.ggml.tokens is empty", v.where));
  const std::string model = file.find_string("tokenizer.ggml.model").value_or("");
  if (model != "gpt2" && model != "llama")
    throw BadInput(fmt::format("{}: tokenizer.ggml.model is \"{}\", expected gpt2 or llama", v.where, model));
  const Json special = special_tokens_map(file, v);
  std::vector<SideFile> files = {
      {"tokenizer.json", model == "gpt2" ? byte_bpe_document(file, v) : spm_document(file, v)},
      {"tokenizer_config.json", tokenizer_config(special, config).dump(2) + "\n"},
      {"special_tokens_map.json", special.dump(2) + "\n"},
      {"generation_config.json", generation_config(config).dump(2) + "\n"}};
  if (auto chat = file.find_string("tokenizer.chat_template"))
    files.push_back({"chat_template.jinja", std::move(*chat)});
  return files;
}

}  // namespace aquatint::checkpoint

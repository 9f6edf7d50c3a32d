#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/unicode.h"

namespace aquatint::text {
namespace {

using base::Json;

const std::filesystem::path kGolden = std::filesystem::path(AQUATINT_GOLDEN) / "text";

std::unique_ptr<Tokenizer> make(const Json& document) {
  return Tokenizer::from_json(document.dump(), "t.json");
}

// A vocabulary of single characters, merges given as "a b".
Json tiny(const std::vector<std::string>& merges = {}) {
  Json vocab = Json::object();
  int32_t next = 0;
  for (const char* token : {"<unk>", "a", "b", "c", "d", "x", " ", "▁", "é", "e", "́", "1", "2", ".", "A"})
    vocab[token] = next++;
  for (const std::string& merge : merges) {
    std::string merged = merge;
    merged.erase(merged.find(' '), 1);
    vocab[merged] = next++;
  }
  return {{"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", vocab}, {"merges", merges}}}};
}

// Tokens of `text` joined by '|'.
std::string pieces(const Json& document, std::string_view text) {
  const auto tokenizer = make(document);
  std::vector<std::string> token_of_id(static_cast<size_t>(tokenizer->vocab_size()));
  for (const auto& [token, id] : document["model"]["vocab"].items()) token_of_id[id] = token;
  if (document.contains("added_tokens"))
    for (const Json& added : document["added_tokens"]) token_of_id[added["id"]] = added["content"];
  std::string out;
  for (const int32_t id : tokenizer->encode(text, false)) out += (out.empty() ? "" : "|") + token_of_id[id];
  return out;
}

Json added(int32_t id, const char* content, Json options = Json::object()) {
  Json token = {{"id", id}, {"content", content}, {"normalized", false}, {"special", false}};
  token.update(options);
  return token;
}

std::string tokenizer_error(const std::string& document) {
  try {
    Tokenizer::from_json(document, "t.json");
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "";
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, IdsAndTextEqualTheLibrarys) {
  const std::string file = (kGolden / (GetParam() + ".json")).string();
  const auto tokenizer = Tokenizer::from_json(base::read_text(file), file);
  const std::string text = base::read_text(kGolden / "hard_unicode.txt");
  const Json want = base::parse_json(base::read_text(kGolden / (GetParam() + ".ids.json")), "golden");
  const auto ids = want["ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(tokenizer->encode(text, true), ids);
  const auto plain = std::vector<int32_t>(ids.begin() + want["plain_begins_at"].get<int>(), ids.end());
  EXPECT_EQ(tokenizer->encode(text, false), plain);
  EXPECT_TRUE(replace_invalid_utf8(tokenizer->decode(ids, true)) == want["decoded"].get<std::string>());
  const std::vector<int32_t> front(ids.begin(), ids.begin() + 200);
  EXPECT_EQ(replace_invalid_utf8(tokenizer->decode(front, false)),
            want["decoded_with_special"].get<std::string>());
  if (want["plain_begins_at"] == 1)
    EXPECT_EQ(tokenizer->bos_id(), ids.front());
  else
    EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Rules, Golden,
                         testing::Values("gpt2", "llama3", "qwen2", "smollm", "llama2", "mistral",
                                         "metaspace_always", "gemma"),
                         [](const auto& info) { return info.param; });

TEST(Tokenizer, MergesByRankThenLeftmost) {
  EXPECT_EQ(pieces(tiny({"b c", "a b"}), "abc"), "a|bc");
  EXPECT_EQ(pieces(tiny({"a a"}), "aaa"), "aa|a");
  EXPECT_EQ(pieces(tiny({"a b", "ab c", "abc d"}), "abcdab"), "abcd|ab");
}

TEST(Tokenizer, MergesInBothForms) {
  Json document = tiny({"a b"});
  const std::string strings = pieces(document, "ab");
  document["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_EQ(strings, "ab");
  EXPECT_EQ(pieces(document, "ab"), "ab");
}

TEST(Tokenizer, UnknownCharacters) {
  Json document = tiny();
  EXPECT_EQ(pieces(document, "aZZb"), "a|<unk>|<unk>|b");
  document["model"]["fuse_unk"] = true;
  EXPECT_EQ(pieces(document, "aZZb"), "a|<unk>|b");
  document["model"].erase("unk_token");
  EXPECT_EQ(pieces(document, "aZZb"), "a|b");
}

TEST(Tokenizer, AddedTokensTakeWhiteSpaceAlong) {
  Json document = tiny();
  document["added_tokens"] = Json::array({added(50, "<m>", {{"lstrip", true}, {"rstrip", true}})});
  EXPECT_EQ(pieces(document, "a  <m> \tb"), "a|<m>|b");
  document["added_tokens"] = Json::array({added(50, "<m>")});
  EXPECT_EQ(pieces(document, "a <m> b"), "a| |<m>| |b");
}

TEST(Tokenizer, AddedTokensLongestFirst) {
  Json document = tiny();
  document["added_tokens"] = Json::array({added(50, "ab"), added(51, "abc"), added(52, "bc")});
  EXPECT_EQ(pieces(document, "abcabdbc"), "abc|ab|d|bc");
}

TEST(Tokenizer, SingleWordTokensNeedNonWordNeighbours) {
  Json document = tiny();
  document["added_tokens"] = Json::array({added(50, "ab", {{"single_word", true}})});
  EXPECT_EQ(pieces(document, "ab.ab ab1 ééab"), "ab|.|ab| |a|b|1| |é|é|a|b");
}

TEST(Tokenizer, NormalizedTokensAreFoundAfterNormalizing) {
  Json document = tiny();
  document["normalizer"] = {{"type", "Lowercase"}};
  document["added_tokens"] = Json::array({added(50, "AB", {{"normalized", true}}), added(51, "CD")});
  EXPECT_EQ(pieces(document, "aB Cd CD"), "AB| |c|d| |CD");
}

TEST(Tokenizer, SpecialTokensAreLeftOutOnRequest) {
  Json document = tiny();
  document["decoder"] = {{"type", "Fuse"}};
  document["added_tokens"] = Json::array({added(50, "<s>", {{"special", true}})});
  const auto tokenizer = make(document);
  const auto ids = tokenizer->encode("<s>ab", false);
  EXPECT_EQ(tokenizer->decode(ids, false), "<s>ab");
  EXPECT_EQ(tokenizer->decode(ids, true), "ab");
  EXPECT_EQ(tokenizer->token_id("<s>"), 50);
  EXPECT_EQ(tokenizer->vocab_size(), 51);
}

TEST(Tokenizer, MetaspaceSchemes) {
  Json document = tiny();
  document["added_tokens"] = Json::array({added(50, "<s>")});
  const auto with = [&](const char* scheme) {
    document["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}};
    return pieces(document, "a<s>b c");
  };
  EXPECT_EQ(with("first"), "▁|a|<s>|b|▁|c");
  EXPECT_EQ(with("always"), "▁|a|<s>|▁|b|▁|c");
  EXPECT_EQ(with("never"), "a|<s>|b|▁|c");
}

TEST(Tokenizer, SplitBehaviors) {
  // The merges show where the boundaries are: only inside a piece do neighbours merge.
  Json document = tiny({"a .", ". b", ". ."});
  const auto with = [&](const char* behavior, bool invert) {
    document["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"String", "."}}}, {"behavior", behavior}, {"invert", invert}};
    return pieces(document, "a..b");
  };
  EXPECT_EQ(with("Removed", false), "a|b");
  EXPECT_EQ(with("Isolated", false), "a|.|.|b");
  EXPECT_EQ(with("MergedWithPrevious", false), "a.|.|b");
  EXPECT_EQ(with("MergedWithNext", false), "a|.|.b");
  EXPECT_EQ(with("Contiguous", false), "a|..|b");
  EXPECT_EQ(with("Removed", true), ".|.");
}

TEST(Tokenizer, DecodeMayEndInsideACharacter) {
  const std::string file = (kGolden / "llama2.json").string();
  const auto tokenizer = Tokenizer::from_json(base::read_text(file), file);
  const auto byte = [&](const char* token) { return *tokenizer->token_id(token); };
  EXPECT_EQ(tokenizer->decode({byte("<0xE2>"), byte("<0x82>")}, true), "\xE2\x82");
  EXPECT_EQ(tokenizer->decode({byte("<0xE2>"), byte("<0x82>"), byte("<0xAC>")}, true), "€");
  EXPECT_EQ(tokenizer->decode({byte("<0xE2>"), byte("<0x41>")}, true), "\uFFFD\uFFFD");
}

TEST(Tokenizer, IllFormedTextIsReadAsReplacementCharacters) {
  const std::string file = (kGolden / "gpt2.json").string();
  const auto tokenizer = Tokenizer::from_json(base::read_text(file), file);
  EXPECT_EQ(tokenizer->encode("a\xF0\x9F\x98z\xFF", false), tokenizer->encode("a\uFFFDz\uFFFD", false));
  EXPECT_EQ(tokenizer->encode("", false).size(), 0u);
}

TEST(Tokenizer, LongWordsTakeNoQuadraticTime) {
  const std::string file = (kGolden / "llama2.json").string();  // the whole text is one word
  const auto tokenizer = Tokenizer::from_json(base::read_text(file), file);
  std::string text;
  while (text.size() < 2'000'000) text += "thethe ofand";
  EXPECT_TRUE(tokenizer->decode(tokenizer->encode(text, true), true) == text);
}

TEST(Tokenizer, EncodesFromSeveralThreads) {
  const std::string file = (kGolden / "llama3.json").string();
  const auto tokenizer = Tokenizer::from_json(base::read_text(file), file);
  const std::string text = base::read_text(kGolden / "hard_unicode.txt");
  const auto want = tokenizer->encode(text, true);
  std::vector<std::vector<int32_t>> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& ids : got) threads.emplace_back([&] { ids = tokenizer->encode(text, true); });
  }
  for (const auto& ids : got) EXPECT_EQ(ids, want);
}

TEST(Tokenizer, NamesWhatIsWrongWithADocument) {
  const auto with = [](const char* pointer, Json value) {
    Json document = tiny({"a b"});
    document[Json::json_pointer(pointer)] = std::move(value);
    return tokenizer_error(document.dump());
  };
  const std::pair<std::string, const char*> cases[] = {
      {tokenizer_error("{"), "not valid JSON"},
      {tokenizer_error("[]"), "expected a JSON object"},
      {tokenizer_error("{}"), "\"model\""},
      {tokenizer_error(std::string(100'000, '[')), "nesting deeper"},
      {with("/model/type", "Unigram"), "\"Unigram\" is not supported"},
      {with("/model/type", "WordPiece"), "\"WordPiece\" is not supported"},
      {with("/model/vocab", Json::object()), "model.vocab"},
      {with("/model/vocab/a", -1), "model.vocab"},
      {with("/model/vocab/a", 1e300), "model.vocab"},
      {with("/model/vocab/a", 9'000'000'000), "model.vocab"},
      {with("/model/vocab/a", "x"), "model.vocab"},
      {with("/model/vocab/a", 2), "share id 2"},
      {with("/model/merges/0", "a"), "model.merges"},
      {with("/model/merges/0", "a b c"), "model.merges"},
      {with("/model/merges/0", Json::array({"a"})), "model.merges"},
      {with("/model/merges/0", "a q"), "\"q\", which the vocabulary lacks"},
      {with("/model/unk_token", "?"), "unk_token"},
      {with("/model/dropout", 0.1), "dropout"},
      {with("/normalizer", {{"type", "Precompiled"}}), "\"Precompiled\" is not supported"},
      {with("/pre_tokenizer", {{"type", "UnicodeScripts"}}), "\"UnicodeScripts\" is not supported"},
      {with("/decoder", {{"type", "CTC"}}), "\"CTC\" is not supported"},
      {with("/decoder", 3), "expected a JSON object"},
      {with("/post_processor", {{"type", "TemplateProcessing"}, {"single", Json::array()}}),
       "leaves the text out"},
      {with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}}),
       "does not compile"},
      {with("/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"Regex", "[a[b]]"}}}, {"behavior", "Isolated"}}),
       "not supported"},
      {with("/added_tokens", Json::array({added(1, "<s>")})), "which another token has"},
      {with("/added_tokens", Json::array({added(50, std::string(2000, 'x').c_str())})), "expected at most"},
  };
  for (const auto& [message, part] : cases) {
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message << "\nwanted: " << part;
    EXPECT_EQ(message.rfind("t.json: ", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Tokenizer, BytesFlippedInADocumentNeverCrash) {
  const std::string whole = base::read_text(kGolden / "llama3.json");
  for (size_t i = 0; i < whole.size(); i += 37) {
    std::string broken = whole;
    broken[i] = static_cast<char>(broken[i] ^ (1 + i % 31));
    try {
      Tokenizer::from_json(broken, "t.json")->encode("The cat’s 123 <|eot_id|>", true);
    } catch (const base::BadInput&) {
    }
  }
}

}  // namespace
}  // namespace aquatint::text

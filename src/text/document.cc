#include "text/document.h"

#include "base/error.h"
#include "text/vocabulary.h"

namespace aquatint::text {
namespace {

using base::BadInput;
using base::Json;

constexpr size_t kMaxDepth = 64;

// Receives the events of nlohmann's SAX parser. Names in capitals aside, the interface is that parser's.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  Reader(TokenizerDocument& document, const std::string& where) : document_(document), where_(where) {}

  bool null() override { return value(nullptr); }
  bool boolean(bool b) override { return value(b); }
  bool number_integer(number_integer_t n) override { return table_ == Table::vocab ? token_id(n) : value(n); }
  bool number_unsigned(number_unsigned_t n) override {
    if (table_ == Table::vocab) return token_id(n > INT32_MAX ? INT32_MAX : static_cast<int64_t>(n));
    return value(n);
  }
  bool number_float(number_float_t n, const string_t&) override { return value(n); }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& text) override {
    if (table_ == Table::merges) return merge_part(text);
    return value(std::move(text));
  }

  bool key(string_t& name) override {
    if (table_ == Table::vocab)
      token_ = std::move(name);
    else
      keys_.back() = std::move(name);
    return true;
  }

  bool start_object(size_t) override {
    if (at_big_table("vocab") && table_ == Table::none) return enter(Table::vocab);
    return open(Json::object());
  }
  bool end_object() override { return table_ == Table::vocab ? leave() : close(); }

  bool start_array(size_t) override {
    if (table_ == Table::merges) return start_pair();
    if (at_big_table("merges")) return enter(Table::merges);
    return open(Json::array());
  }
  bool end_array() override {
    if (table_ == Table::merges) return in_pair_ ? end_pair() : leave();
    return close();
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    throw BadInput(fmt::format("{}: not valid JSON: {}", where_, e.what()));
  }

 private:
  enum class Table { none, vocab, merges };

  // The next value belongs to model.<name>.
  bool at_big_table(std::string_view name) const {
    return open_.size() == 2 && keys_[0] == "model" && open_[1]->is_object() && keys_[1] == name;
  }

  [[noreturn]] void bad_table() const {
    if (table_ == Table::vocab)
      throw BadInput(
          fmt::format("{}: model.vocab holds something else than ids below {}", where_, kMaxTokenId));
    throw BadInput(
        fmt::format("{}: model.merges holds something else than \"a b\" or [\"a\", \"b\"] at entry {}",
                    where_, document_.merges.size()));
  }

  bool enter(Table table) {
    const bool seen = table == Table::vocab ? seen_vocab_ : seen_merges_;
    if (seen) throw BadInput(fmt::format("{}: model.{} stands there twice", where_, keys_[1]));
    (table == Table::vocab ? seen_vocab_ : seen_merges_) = true;
    table_ = table;
    return true;
  }

  bool leave() {
    table_ = Table::none;
    return true;
  }

  bool token_id(int64_t id) {
    if (id < 0 || id >= kMaxTokenId) bad_table();
    document_.vocab.emplace_back(std::move(token_), static_cast<int32_t>(id));
    return true;
  }

  bool start_pair() {
    if (in_pair_) bad_table();
    in_pair_ = true;
    pair_.clear();
    return true;
  }

  bool merge_part(std::string& text) {
    if (in_pair_) {
      if (pair_.size() == 2) bad_table();
      pair_.push_back(std::move(text));
      return true;
    }
    if (text.starts_with("#version")) return true;
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) bad_table();
    document_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    return true;
  }

  bool end_pair() {
    if (pair_.size() != 2) bad_table();
    document_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
    in_pair_ = false;
    return true;
  }

  // Puts a finished or opened value where it belongs.
  Json* place(Json value) {
    if (open_.empty()) {
      document_.rest = std::move(value);
      return &document_.rest;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[keys_.back()] = std::move(value));
  }

  bool value(Json scalar) {
    if (table_ != Table::none) bad_table();
    place(std::move(scalar));
    return true;
  }

  bool open(Json empty) {
    if (table_ != Table::none) bad_table();
    if (open_.size() == kMaxDepth)
      throw BadInput(fmt::format("{}: not valid JSON: nesting deeper than {}", where_, kMaxDepth));
    open_.push_back(place(std::move(empty)));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  TokenizerDocument& document_;
  const std::string& where_;
  std::vector<Json*>
      open_;  // the containers around the next value; a parent is not grown while a child is open
  std::vector<std::string> keys_;  // the current key in each of them
  Table table_ = Table::none;
  bool seen_vocab_ = false, seen_merges_ = false, in_pair_ = false;
  std::string token_;
  std::vector<std::string> pair_;
};

}  // namespace

TokenizerDocument read_tokenizer_json(std::string_view text, const std::string& where) {
  TokenizerDocument document;
  Reader reader(document, where);
  Json::sax_parse(text.begin(), text.end(), &reader);
  if (!document.rest.is_object())
    throw BadInput(fmt::format("{}: expected a JSON object, found {}", where, document.rest.type_name()));
  return document;
}

}  // namespace aquatint::text

// A YAML document as a plain tree with line numbers, read by libyaml. Size, depth, keys and the nodes that
// aliases add are bounded, so that walking a small hostile file ends.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aquatint::eval {

class YamlNode {
 public:
  enum class Kind { null, scalar, list, map };
  struct Entry;

  Kind kind = Kind::null;
  int line = 0;  // from 1
  bool quoted = false;
  std::string text;             // of a scalar
  std::vector<YamlNode> items;  // of a list
  std::vector<Entry> entries;   // of a map, in order, keys different
  std::string tag = {};         // of a scalar: "!function"; empty: none of its own

  bool says_nothing() const { return kind != Kind::scalar && items.empty() && entries.empty(); }
  // The value under `key`; null when absent or null.
  const YamlNode* find(std::string_view key) const;
};

struct YamlNode::Entry {
  std::string key;
  int line = 0;
  YamlNode value;
};

// BadInput ("where:line: …") on a syntax error, more than one document, a key twice, nesting deeper than 32,
// more than 100 000 nodes after aliases are followed, or more than 1 MiB of text.
YamlNode read_yaml(std::string_view text, const std::string& where);

// Values with errors that name file, line and key.
class YamlReader {
 public:
  explicit YamlReader(std::string where) : where_(std::move(where)) {}

  [[noreturn]] void fail(int line, const std::string& what) const;
  // Every key of a map is among `known`; the error offers the nearest.
  void require_keys(const YamlNode& map, std::span<const std::string_view> known, std::string_view of) const;

  const YamlNode& map(const YamlNode& node, std::string_view what) const;
  std::string text(const YamlNode& node, std::string_view what) const;
  int64_t integer(const YamlNode& node, std::string_view what, int64_t min, int64_t max) const;
  double number(const YamlNode& node, std::string_view what) const;  // finite
  bool boolean(const YamlNode& node, std::string_view what) const;
  // A list of texts, or one text.
  std::vector<std::string> texts(const YamlNode& node, std::string_view what) const;

  const std::string& where() const { return where_; }

 private:
  std::string where_;
};

}  // namespace aquatint::eval

#include "quant/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "base/error.h"
#include "text/unicode.h"

namespace aquatint::quant {
namespace {

using base::BadInput;

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostNodes = 100'000;
constexpr size_t kMostKeys = 1000;  // of one map
constexpr size_t kDeepest = 32;

// What stands in a file, fit for one line of an error.
std::string shown(std::string_view text) {
  constexpr size_t kLongest = 60;
  std::string line(text.substr(0, kLongest));
  for (char& c : line)
    if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
  return line + (text.size() > kLongest ? "…" : "");
}

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& item : node.items) count += count_nodes(item);
  for (const YamlNode::Entry& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

// Builds the tree from the parser's events. Collections in work lie on a stack; a finished one goes into the
// one that holds it.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& where) : where_(where) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    finish(node(mark, YamlNode::Kind::null), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(mark.line, "an alias inside the node that it names");
    count(found->second.nodes, mark.line);
    place(found->second.node);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode scalar = node(mark, YamlNode::Kind::scalar);
    scalar.quoted = tag == "!";
    scalar.text = value;
    if (!scalar.quoted && (value == "null" || value == "~")) scalar.kind = YamlNode::Kind::null;
    finish(std::move(scalar), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, YamlNode::Kind::list, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, YamlNode::Kind::map, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor;
    bool awaits_value = false;  // of a map: a key has come
  };
  struct Anchored {
    YamlNode node;
    size_t nodes;
  };

  [[noreturn]] void fail(int line_from_0, std::string_view what) const {
    throw BadInput(fmt::format("{}:{}: {}", where_, line_from_0 + 1, what));
  }

  void count(size_t nodes, int line) {
    nodes_ += nodes;
    if (nodes_ > kMostNodes) fail(line, fmt::format("more than {} values, aliases followed", kMostNodes));
  }

  YamlNode node(const YAML::Mark& mark, YamlNode::Kind kind) {
    count(1, mark.line);
    YamlNode made;
    made.kind = kind;
    made.line = mark.line + 1;
    return made;
  }

  void open(const YAML::Mark& mark, YamlNode::Kind kind, YAML::anchor_t anchor) {
    if (open_.size() >= kDeepest) fail(mark.line, fmt::format("nesting deeper than {}", kDeepest));
    open_.push_back({node(mark, kind), anchor});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    finish(std::move(done.node), done.anchor);
  }

  void finish(YamlNode finished, YAML::anchor_t anchor) {
    if (anchor) {
      const size_t nodes = count_nodes(finished);
      count(nodes, finished.line - 1);  // the copy kept here
      anchors_[anchor] = {finished, nodes};
    }
    place(std::move(finished));
  }

  void place(YamlNode finished) {
    if (open_.empty()) {
      root_ = std::move(finished);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list)
      parent.node.items.push_back(std::move(finished));
    else if (std::exchange(parent.awaits_value, !parent.awaits_value))
      parent.node.entries.back().value = std::move(finished);
    else
      add_key(parent.node, finished);
  }

  void add_key(YamlNode& map, const YamlNode& key) {
    if (key.kind != YamlNode::Kind::scalar) fail(key.line - 1, "a key must be a word");
    if (std::any_of(map.entries.begin(), map.entries.end(),
                    [&](const YamlNode::Entry& entry) { return entry.key == key.text; }))
      fail(key.line - 1, fmt::format("key '{}' stands here twice", shown(key.text)));
    if (map.entries.size() == kMostKeys) fail(key.line - 1, fmt::format("more than {} keys", kMostKeys));
    map.entries.push_back({key.text, key.line, {}});
  }

  const std::string& where_;
  YamlNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0;
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string_view kind_name(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "one value";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "keys and values";
  }
  return "";
}

std::string found(const YamlNode& node) {
  return node.kind == YamlNode::Kind::scalar ? fmt::format("'{}'", shown(node.text))
                                             : std::string(kind_name(node));
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries)
    if (entry.key == key) return entry.value.kind == Kind::null ? nullptr : &entry.value;
  return nullptr;
}

YamlNode read_yaml(std::string_view text, const std::string& where) {
  if (text.size() > kMostBytes)
    throw BadInput(fmt::format("{}: {} bytes, expected at most {}", where, text.size(), kMostBytes));
  if (const size_t valid = text::valid_utf8_prefix(text); valid != text.size())
    throw BadInput(fmt::format("{}: byte {} is not UTF-8", where, valid));
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(where);
    parser.HandleNextDocument(builder);
    TreeBuilder rest(where);
    if (parser.HandleNextDocument(rest))
      throw BadInput(where + ": more than one YAML document, expected one");
    return builder.take();
  } catch (const YAML::Exception& e) {
    throw BadInput(fmt::format("{}:{}: {}", where, e.mark.line + 1, e.msg));
  }
}

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
  std::string_view nearest;
  size_t best = 1 + std::max<size_t>(2, word.size() / 3);
  std::string all;
  for (const std::string_view candidate : known) {
    all += fmt::format("{}{}", all.empty() ? "" : ", ", candidate);
    const size_t distance = word.size() > 64 ? best : edit_distance(word, candidate);
    if (distance >= best) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest.empty() ? "; known: " + all : fmt::format("; did you mean '{}'?", nearest);
}

void YamlReader::fail(int line, const std::string& what) const {
  throw BadInput(fmt::format("{}:{}: {}", where_, line, what));
}

void YamlReader::require_keys(const YamlNode& map, std::span<const std::string_view> known,
                              std::string_view of) const {
  for (const YamlNode::Entry& entry : map.entries)
    if (std::find(known.begin(), known.end(), entry.key) == known.end())
      fail(entry.line,
           fmt::format("unknown key '{}' in {}{}", shown(entry.key), of, suggestion(entry.key, known)));
}

const YamlNode& YamlReader::map(const YamlNode& node, std::string_view what) const {
  if (node.kind != YamlNode::Kind::map)
    fail(node.line, fmt::format("{} is {}, expected keys and values", what, found(node)));
  return node;
}

std::string YamlReader::text(const YamlNode& node, std::string_view what) const {
  if (node.kind != YamlNode::Kind::scalar || node.text.empty())
    fail(node.line, fmt::format("{} is {}, expected a word", what, found(node)));
  return node.text;
}

int64_t YamlReader::integer(const YamlNode& node, std::string_view what, int64_t min, int64_t max) const {
  int64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (node.kind != YamlNode::Kind::scalar || node.quoted || error != std::errc() || stop != end ||
      value < min || value > max)
    fail(node.line,
         fmt::format("{} is {}, expected a whole number from {} to {}", what, found(node), min, max));
  return value;
}

double YamlReader::number(const YamlNode& node, std::string_view what) const {
  double value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, value);
  if (node.kind != YamlNode::Kind::scalar || node.quoted || error != std::errc() || stop != end ||
      !std::isfinite(value))
    fail(node.line, fmt::format("{} is {}, expected a number", what, found(node)));
  return value;
}

bool YamlReader::boolean(const YamlNode& node, std::string_view what) const {
  if (node.kind == YamlNode::Kind::scalar && !node.quoted) {
    for (const std::string_view yes : {"true", "True", "TRUE"})
      if (node.text == yes) return true;
    for (const std::string_view no : {"false", "False", "FALSE"})
      if (node.text == no) return false;
  }
  fail(node.line, fmt::format("{} is {}, expected true or false", what, found(node)));
}

std::vector<std::string> YamlReader::texts(const YamlNode& node, std::string_view what) const {
  if (node.kind != YamlNode::Kind::list) return {text(node, what)};
  std::vector<std::string> all;
  for (const YamlNode& item : node.items) all.push_back(text(item, what));
  return all;
}

}  // namespace aquatint::quant

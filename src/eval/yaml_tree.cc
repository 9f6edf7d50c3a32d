#include "eval/yaml_tree.h"

#include <yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/suggestion.h"
#include "text/unicode.h"

namespace aquatint::eval {
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

std::string text_of(const yaml_char_t* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

int line_of(const yaml_event_t& event) { return static_cast<int>(event.start_mark.line) + 1; }

// Builds the tree from the parser's events. Collections in work lie on a stack; a finished one goes into the
// one that holds it.
class TreeBuilder {
 public:
  explicit TreeBuilder(const std::string& where) : where_(where) {}

  YamlNode take() { return std::move(root_); }

  void accept(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ > 1) throw BadInput(where_ + ": more than one YAML document, expected one");
        break;
      case YAML_ALIAS_EVENT:
        alias(text_of(event.data.alias.anchor), line_of(event));
        break;
      case YAML_SCALAR_EVENT:
        scalar(event);
        break;
      case YAML_SEQUENCE_START_EVENT:
        open(line_of(event), YamlNode::Kind::list, text_of(event.data.sequence_start.anchor));
        break;
      case YAML_MAPPING_START_EVENT:
        open(line_of(event), YamlNode::Kind::map, text_of(event.data.mapping_start.anchor));
        break;
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        close();
        break;
      default:
        break;
    }
  }

 private:
  struct Open {
    YamlNode node;
    std::string anchor;
    bool awaits_value = false;  // of a map: a key has come
  };
  struct Anchored {
    YamlNode node;
    size_t nodes;
  };

  [[noreturn]] void fail(int line, std::string_view what) const {
    throw BadInput(fmt::format("{}:{}: {}", where_, line, what));
  }

  void count(size_t nodes, int line) {
    nodes_ += nodes;
    if (nodes_ > kMostNodes) fail(line, fmt::format("more than {} values, aliases followed", kMostNodes));
  }

  YamlNode node(int line, YamlNode::Kind kind) {
    count(1, line);
    YamlNode made;
    made.kind = kind;
    made.line = line;
    return made;
  }

  void alias(const std::string& anchor, int line) {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(line, fmt::format("alias '{}' names nothing before it", shown(anchor)));
    count(found->second.nodes, line);
    place(found->second.node);
  }

  void scalar(const yaml_event_t& event) {
    YamlNode made = node(line_of(event), YamlNode::Kind::scalar);
    const auto& data = event.data.scalar;
    made.text.assign(reinterpret_cast<const char*>(data.value), data.length);
    made.quoted = data.style != YAML_PLAIN_SCALAR_STYLE;
    if (const std::string tag = text_of(data.tag); tag.size() > 1) made.tag = tag;
    if (!made.quoted && made.tag.empty() && (made.text.empty() || made.text == "null" || made.text == "~"))
      made.kind = YamlNode::Kind::null;
    finish(std::move(made), text_of(data.anchor));
  }

  void open(int line, YamlNode::Kind kind, const std::string& anchor) {
    if (open_.size() >= kDeepest) fail(line, fmt::format("nesting deeper than {}", kDeepest));
    open_.push_back({node(line, kind), anchor});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    finish(std::move(done.node), done.anchor);
  }

  void finish(YamlNode finished, const std::string& anchor) {
    if (!anchor.empty()) {
      const size_t nodes = count_nodes(finished);
      count(nodes, finished.line);  // the copy kept here
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
    if (key.kind != YamlNode::Kind::scalar) fail(key.line, "a key must be a word");
    if (std::any_of(map.entries.begin(), map.entries.end(),
                    [&](const YamlNode::Entry& entry) { return entry.key == key.text; }))
      fail(key.line, fmt::format("key '{}' stands here twice", shown(key.text)));
    if (map.entries.size() == kMostKeys) fail(key.line, fmt::format("more than {} keys", kMostKeys));
    map.entries.push_back({key.text, key.line, {}});
  }

  const std::string& where_;
  YamlNode root_;
  std::vector<Open> open_;
  std::map<std::string, Anchored> anchors_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

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
  yaml_parser_t state;
  AQ_CHECK(yaml_parser_initialize(&state), "no memory for the YAML parser");
  const std::unique_ptr<yaml_parser_t, decltype(&yaml_parser_delete)> parser(&state, &yaml_parser_delete);
  yaml_parser_set_encoding(parser.get(), YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(parser.get(), reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  TreeBuilder builder(where);
  for (bool more = true; more;) {
    yaml_event_t next;
    if (!yaml_parser_parse(parser.get(), &next))
      throw BadInput(fmt::format("{}:{}: {}", where, parser->problem_mark.line + 1,
                                 parser->problem ? parser->problem : "no YAML"));
    const std::unique_ptr<yaml_event_t, decltype(&yaml_event_delete)> event(&next, &yaml_event_delete);
    builder.accept(*event);
    more = event->type != YAML_STREAM_END_EVENT;
  }
  return builder.take();
}

void YamlReader::fail(int line, const std::string& what) const {
  throw BadInput(fmt::format("{}:{}: {}", where_, line, what));
}

void YamlReader::require_keys(const YamlNode& map, std::span<const std::string_view> known,
                              std::string_view of) const {
  for (const YamlNode::Entry& entry : map.entries)
    if (std::find(known.begin(), known.end(), entry.key) == known.end())
      fail(entry.line,
           fmt::format("unknown key '{}' in {}{}", shown(entry.key), of, base::suggestion(entry.key, known)));
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

}  // namespace aquatint::eval

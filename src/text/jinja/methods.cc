#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace aquatint::text::jinja {
namespace {

using I = Interpreter;
using A = const Arguments;

// The work of going over a string: every method of strings is linear in it.
const std::string& text_of(I& interpreter, const Value& self) {
  interpreter.budget().spend_bytes(self.string()->size());
  return *self.string();
}

Value list_of(I& interpreter, const std::vector<std::string_view>& parts) {
  interpreter.budget().spend(parts.size() * 8);
  List items;
  for (const std::string_view part : parts) items.emplace_back(std::string(part));
  return Value::list(std::move(items));
}

template <Side side>
Value strip_method(I& i, const Value& self, A& a) {
  const Value* characters = a.find(0, "chars");
  const std::string& text = text_of(i, self);
  if (!characters || characters->is_none()) return std::string(strip(text, side));
  return std::string(strip(text, string_argument(a, 0, "chars"), side));
}

template <bool from_right>
Value split_method(I& i, const Value& self, A& a) {
  const Value* separator = a.find(0, "sep");
  const int64_t max_splits = int_argument_or(a, 1, "maxsplit", -1);
  const std::string& text = text_of(i, self);
  if (!separator || separator->is_none()) {
    if (from_right && max_splits >= 0) throw Failure("rsplit() with maxsplit needs a separator here");
    return list_of(i, split_words(text, max_splits));
  }
  if (string_argument(a, 0, "sep").empty()) throw Failure("split() by an empty separator");
  return list_of(i, split_at(text, *separator->string(), max_splits, from_right));
}

template <bool at_end>
Value affix_method(I& i, const Value& self, A& a) {
  const Value* affix = a.find(0, "prefix");
  const std::string& text = *self.string();
  const auto has = [&](const Value& value) {
    if (!value.string()) throw Failure(fmt::format("startswith() or endswith() of {}", value.type_name()));
    return at_end ? text.ends_with(*value.string()) : text.starts_with(*value.string());
  };
  if (!affix) throw Failure("startswith() or endswith() of nothing");
  if (!affix->is_tuple()) return has(*affix);
  i.budget().spend(affix->items()->size());
  return std::any_of(affix->items()->begin(), affix->items()->end(), has);
}

Value replace_method(I& i, const Value& self, A& a) {
  const std::string &text = text_of(i, self), &old = string_argument(a, 0, "old"),
                    &by = string_argument(a, 1, "new");
  const int64_t count = int_argument_or(a, 2, "count", -1);
  // The most that can come out is checked before it is made.
  const size_t places = old.empty() ? text.size() + 1 : text.size() / old.size();
  if (by.size() > old.size() && places > Budget::kMaxString / by.size())
    throw Failure("replace() makes too long a string");
  std::string out = replace(text, old, by, count);
  i.budget().spend_bytes(out.size());
  return out;
}

template <bool from_right>
Value find_method_of_string(I& i, const Value& self, A& a) {
  const std::string& text = text_of(i, self);
  const std::string& what = string_argument(a, 0, "sub");
  const size_t found = from_right ? text.rfind(what) : text.find(what);
  if (found == std::string::npos) return int64_t{-1};
  return length(Value(text.substr(0, found))).value();
}

Value count_method(I& i, const Value& self, A& a) {
  const std::string& text = text_of(i, self);
  const std::string& what = string_argument(a, 0, "sub");
  if (what.empty()) return length(self).value() + 1;
  return static_cast<int64_t>(split_at(text, what, -1, false).size()) - 1;
}

Value join_method(I& i, const Value& self, A& a) {
  const Value* items = a.find(0, "iterable");
  if (!items) throw Failure("join() of nothing");
  std::string out;
  bool first = true;
  for (const Value& item : iterate(*items, i.budget())) {
    if (!item.string()) throw Failure(fmt::format("join() of {}", item.type_name()));
    i.budget().spend_bytes(out.size() > Budget::kMaxString ? out.size()
                                                           : self.string()->size() + item.string()->size());
    if (!first) out += *self.string();
    first = false;
    out += *item.string();
  }
  return out;
}

template <bool (*holds)(char32_t)>
Value all_characters(I& i, const Value& self, A&) {
  const std::string& text = text_of(i, self);
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    if (!holds(c.value)) return false;
    at += c.length;
  }
  return !text.empty();
}

bool is_ascii_or_other_digit(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : is_numeric(c); }
bool is_letter(char32_t c) { return is_word(c) && !is_numeric(c) && c != '_'; }
bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_numeric(c); }

template <std::string (*change)(std::string_view)>
Value change_case(I& i, const Value& self, A&) {
  return change(text_of(i, self));
}

template <bool at_end>
Value remove_affix(I& i, const Value& self, A& a) {
  std::string_view text = text_of(i, self);
  const std::string& affix = string_argument(a, 0, "affix");
  if (at_end && text.ends_with(affix))
    text.remove_suffix(affix.size());
  else if (!at_end && text.starts_with(affix))
    text.remove_prefix(affix.size());
  return std::string(text);
}

// "{} {0} {name}".format(…), without format specifications.
Value format_method(I& i, const Value& self, A& a) {
  const std::string& text = text_of(i, self);
  std::string out;
  size_t next = 0;
  bool automatic = false, manual = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
      out += c, ++at;
      continue;
    }
    if (c != '{') {
      out += c;
      continue;
    }
    const size_t end = text.find('}', at);
    if (end == std::string::npos) throw Failure("format(): a { is not closed");
    const std::string field = text.substr(at + 1, end - at - 1);
    const bool is_position = field.size() < 6 && field.find_first_not_of("0123456789") == std::string::npos;
    automatic |= field.empty();
    manual |= is_position && !field.empty();
    if (automatic && manual) throw Failure("format() cannot number some fields by itself and others not");
    const size_t position = !is_position ? a.positional.size() : field.empty() ? next++ : std::stoul(field);
    const Value* value = a.find(position, field);
    if (!value) throw Failure(fmt::format("format(): nothing for {{{}}}", field));
    out += to_string(*value, i.budget());
    if (out.size() > Budget::kMaxString) throw Failure("format() makes too long a string");
    at = end;
  }
  return out;
}

Value items_method(I& i, const Value& self, A&) {
  List out;
  i.budget().spend(self.dict()->entries().size() * 4);
  for (const auto& [key, value] : self.dict()->entries()) out.push_back(Value::tuple({Value(key), value}));
  return Value::list(std::move(out));
}

Value values_method(I& i, const Value& self, A&) {
  List out;
  i.budget().spend(self.dict()->entries().size());
  for (const auto& [key, value] : self.dict()->entries()) out.push_back(value);
  return Value::list(std::move(out));
}

Value get_method(I&, const Value& self, A& a) {
  const Value* key = a.find(0, "key");
  if (!key) throw Failure("get() of nothing");
  const Value* entry = key->string() ? self.dict()->find(*key->string()) : nullptr;
  if (entry) return *entry;
  const Value* otherwise = a.find(1, "default");
  return otherwise ? *otherwise : Value(None{});
}

Value index_method(I& i, const Value& self, A& a) {
  const Value* what = a.find(0, "value");
  for (size_t at = 0; what && at < self.items()->size(); ++at)
    if (equal((*self.items())[at], *what, i.budget())) return static_cast<int64_t>(at);
  throw Failure("index(): not in the list");
}

Value count_items_method(I& i, const Value& self, A& a) {
  const Value* what = a.find(0, "value");
  int64_t count = 0;
  for (const Value& item : *self.items()) count += what && equal(item, *what, i.budget());
  return count;
}

// What changes its object: Jinja's immutable sandbox refuses it.
Value refuse(I&, const Value&, A&) { throw Failure("a template must not change a list or dict"); }

using Method = Value (*)(I&, const Value& self, A&);
using Table = std::unordered_map<std::string_view, Method>;

const Table& string_methods() {
  static const Table all = {
      {"strip", strip_method<Side::both>},
      {"lstrip", strip_method<Side::left>},
      {"rstrip", strip_method<Side::right>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", [](I& i, const Value& self, A&) { return list_of(i, split_lines(text_of(i, self))); }},
      {"startswith", affix_method<false>},
      {"endswith", affix_method<true>},
      {"replace", replace_method},
      {"find", find_method_of_string<false>},
      {"rfind", find_method_of_string<true>},
      {"count", count_method},
      {"join", join_method},
      {"upper", change_case<upper>},
      {"lower", change_case<lower>},
      {"casefold", change_case<lower>},
      {"title", change_case<title>},
      {"capitalize", change_case<capitalize>},
      {"isdigit", all_characters<is_ascii_or_other_digit>},
      {"isnumeric", all_characters<is_numeric>},
      {"isspace", all_characters<is_python_space>},
      {"isalpha", all_characters<is_letter>},
      {"isalnum", all_characters<is_letter_or_digit>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"format", format_method},
  };
  return all;
}

const Table& dict_methods() {
  static const Table all = {
      {"items", items_method},
      {"values", values_method},
      {"keys", [](I& i, const Value& self, A&) { return Value::list(iterate(self, i.budget())); }},
      {"get", get_method},
      {"copy", [](I&, const Value& self, A&) { return self; }},
      {"update", refuse},
      {"pop", refuse},
      {"popitem", refuse},
      {"clear", refuse},
      {"setdefault", refuse},
  };
  return all;
}

const Table& list_methods() {
  static const Table all = {
      {"index", index_method}, {"count", count_items_method},
      {"append", refuse},      {"extend", refuse},
      {"insert", refuse},      {"pop", refuse},
      {"remove", refuse},      {"reverse", refuse},
      {"sort", refuse},        {"clear", refuse},
  };
  return all;
}

}  // namespace

Value find_method(const Value& object, const std::string& name) {
  static const Table kNone;
  const Table& table = object.string()  ? string_methods()
                       : object.dict()  ? dict_methods()
                       : object.items() ? list_methods()
                                        : kNone;
  const auto it = table.find(name);
  if (it == table.end()) return Value();
  return Value(Function([self = object, method = it->second](I& interpreter, A& arguments) {
    return method(interpreter, self, arguments);
  }));
}

}  // namespace aquatint::text::jinja

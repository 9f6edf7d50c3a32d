// Filters of lists and dicts.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/filter_table.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace aquatint::text::jinja {
namespace {

using I = Interpreter;
using V = const Value;
using A = const Arguments;

Value first(I& i, V& v, A&) {
  const List items = iterate(v, i.budget());
  return items.empty() ? Value() : items.front();
}

Value last(I& i, V& v, A&) {
  const List items = iterate(v, i.budget());
  return items.empty() ? Value() : items.back();
}

Value join(I& i, V& v, A& a) {
  const std::string separator = string_argument_or(a, 0, "d", "");
  const Value* attribute = a.find(1, "attribute");
  std::string out;
  bool is_first = true;
  for (const Value& item : iterate(v, i.budget())) {
    const std::string text = to_string(attribute ? get_path(i, item, *attribute) : item, i.budget());
    i.budget().spend_bytes(out.size() > Budget::kMaxString ? out.size() : separator.size() + text.size());
    if (!is_first) out += separator;
    is_first = false;
    out += text;
  }
  return out;
}

Value to_list(I& i, V& v, A&) { return Value::list(iterate(v, i.budget())); }

Value reverse(I& i, V& v, A&) {
  if (v.string()) return slice(v, None{}, None{}, Value(int64_t{-1}), i.budget());
  List items = iterate(v, i.budget());
  std::reverse(items.begin(), items.end());
  return Value::list(std::move(items));
}

Arguments without_first(A& a, size_t count) {
  Arguments rest;
  rest.keyword = a.keyword;
  if (a.positional.size() > count)
    rest.positional.assign(a.positional.begin() + static_cast<std::ptrdiff_t>(count), a.positional.end());
  return rest;
}

// select, reject: by a test of the items, or by their truth. selectattr, rejectattr: of one of their
// attributes.
template <bool keeps, bool by_attribute>
Value choose(I& i, V& v, A& a) {
  if (by_attribute && a.positional.empty())
    throw Failure("selectattr and rejectattr need an attribute's name");
  const size_t skipped = by_attribute ? 1 : 0;
  const bool has_test = a.positional.size() > skipped;
  const std::string test = has_test ? string_argument(a, skipped, "test") : "";
  const Arguments rest = without_first(a, skipped + 1);
  List out;
  if (!v.truthy()) return Value::list({});  // none as well
  for (const Value& item : iterate(v, i.budget())) {
    const Value subject = by_attribute ? get_path(i, item, a.positional[0]) : item;
    const bool holds = has_test ? apply_test(i, test, subject, rest) : subject.truthy();
    if (holds == keeps) out.push_back(item);
  }
  return Value::list(std::move(out));
}

Value map(I& i, V& v, A& a) {
  if (!v.truthy()) return Value::list({});  // none as well
  const Value* attribute = nullptr;
  const Value* otherwise = nullptr;
  for (const auto& [key, value] : a.keyword) {
    if (key == "attribute") attribute = &value;
    if (key == "default") otherwise = &value;
  }
  List out;
  for (const Value& item : iterate(v, i.budget())) {
    if (!a.positional.empty()) {
      out.push_back(apply_filter(i, string_argument(a, 0, "filter"), item, without_first(a, 1)));
      continue;
    }
    if (!attribute) throw Failure("map() needs a filter's name or attribute=…");
    Value found = get_path(i, item, *attribute);
    out.push_back(found.is_undefined() && otherwise ? *otherwise : std::move(found));
  }
  return Value::list(std::move(out));
}

// What items are ordered and told apart by: strings without their case, unless it counts.
Value sort_key(I& i, const Value& item, const Value* attribute, bool case_sensitive) {
  Value key = attribute && !attribute->is_none() ? get_path(i, item, *attribute) : item;
  if (!case_sensitive && key.string()) {
    i.budget().spend_bytes(key.string()->size());
    key = Value(lower(*key.string()));
  }
  return key;
}

List sorted(I& i, std::vector<std::pair<Value, Value>> keyed, bool reversed) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    const int order = compare(a.first, b.first, i.budget());
    return reversed ? order > 0 : order < 0;
  });
  List out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value sort(I& i, V& v, A& a) {
  const bool reversed = bool_argument_or(a, 0, "reverse", false);
  const bool case_sensitive = bool_argument_or(a, 1, "case_sensitive", false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : iterate(v, i.budget()))
    keyed.emplace_back(sort_key(i, item, a.find(2, "attribute"), case_sensitive), item);
  return Value::list(sorted(i, std::move(keyed), reversed));
}

Value dictsort(I& i, V& v, A& a) {
  if (!v.dict()) throw Failure(fmt::format("dictsort of {}", v.type_name()));
  const bool case_sensitive = bool_argument_or(a, 0, "case_sensitive", false);
  const std::string by = string_argument_or(a, 1, "by", "key");
  const bool reversed = bool_argument_or(a, 2, "reverse", false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : v.dict()->entries())
    keyed.emplace_back(sort_key(i, by == "key" ? Value(key) : value, nullptr, case_sensitive),
                       Value::tuple({Value(key), value}));
  return Value::list(sorted(i, std::move(keyed), reversed));
}

Value unique(I& i, V& v, A& a) {
  const bool case_sensitive = bool_argument_or(a, 0, "case_sensitive", false);
  List keys, out;
  for (const Value& item : iterate(v, i.budget())) {
    Value key = sort_key(i, item, a.find(1, "attribute"), case_sensitive);
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const Value& seen) { return equal(seen, key, i.budget()); }))
      continue;
    keys.push_back(std::move(key));
    out.push_back(item);
  }
  return Value::list(std::move(out));
}

// sign > 0: the greatest item, < 0: the least.
template <int sign>
Value extreme(I& i, V& v, A& a) {
  const bool case_sensitive = bool_argument_or(a, 0, "case_sensitive", false);
  Value best, best_key;
  for (const Value& item : iterate(v, i.budget())) {
    Value key = sort_key(i, item, a.find(1, "attribute"), case_sensitive);
    if (!best_key.is_undefined() && compare(key, best_key, i.budget()) * sign <= 0) continue;
    best = item;
    best_key = std::move(key);
  }
  return best;
}

Value sum(I& i, V& v, A& a) {
  const Value* attribute = a.find(0, "attribute");
  const Value* start = a.find(1, "start");
  Value total = start ? *start : Value(int64_t{0});
  for (const Value& item : iterate(v, i.budget())) {
    const bool picks = attribute && !attribute->is_none();
    total = apply_operator("+", total, picks ? get_path(i, item, *attribute) : item, i.budget());
  }
  return total;
}

Value items(I& i, V& v, A&) {
  if (v.is_undefined()) return Value::list({});
  if (!v.dict()) throw Failure(fmt::format("items of {}", v.type_name()));
  return i.call(find_method(v, "items"), {});
}

Value batch(I& i, V& v, A& a) {
  const int64_t size = int_argument_or(a, 0, "linecount", 0);
  if (size <= 0) throw Failure("batch() needs a positive size");
  const Value* fill = a.find(1, "fill_with");
  List out, line;
  const auto flush = [&] { out.push_back(Value::list(std::exchange(line, {}))); };
  for (Value& item : iterate(v, i.budget())) {
    if (static_cast<int64_t>(line.size()) == size) flush();
    line.push_back(std::move(item));
  }
  if (line.empty()) return Value::list(std::move(out));
  if (fill && !fill->is_none()) {
    i.budget().spend(static_cast<size_t>(size));
    line.resize(static_cast<size_t>(size), *fill);
  }
  flush();
  return Value::list(std::move(out));
}

}  // namespace

const FilterTable& list_filters() {
  static const FilterTable all = {
      {"first", first},
      {"last", last},
      {"join", join},
      {"list", to_list},
      {"reverse", reverse},
      {"select", choose<true, false>},
      {"reject", choose<false, false>},
      {"selectattr", choose<true, true>},
      {"rejectattr", choose<false, true>},
      {"map", map},
      {"sort", sort},
      {"dictsort", dictsort},
      {"unique", unique},
      {"min", extreme<-1>},
      {"max", extreme<1>},
      {"sum", sum},
      {"items", items},
      {"batch", batch},
  };
  return all;
}

}  // namespace aquatint::text::jinja

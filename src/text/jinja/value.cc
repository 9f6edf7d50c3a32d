#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace aquatint::text::jinja {
namespace {

constexpr int kMaxDepth = 100;

std::shared_ptr<const Sequence> make_sequence(List items, bool is_tuple) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  if (depth >= kMaxDepth) throw Failure("lists nest too deeply");
  return std::make_shared<const Sequence>(Sequence{std::move(items), is_tuple, depth + 1});
}

template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

const Value* Arguments::find(size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [key, value] : keyword)
    if (key == name) return &value;
  return nullptr;
}

void Object::set_attribute(const std::string& name, Value) {
  throw Failure(fmt::format("cannot assign to attribute \"{}\" of what is no namespace", name));
}

Value Value::list(List items) {
  Value value;
  value.data_ = make_sequence(std::move(items), false);
  return value;
}

Value Value::tuple(List items) {
  Value value;
  value.data_ = make_sequence(std::move(items), true);
  return value;
}

Value Value::dict(Dict entries) {
  if (entries.depth() > kMaxDepth) throw Failure("dicts nest too deeply");
  Value value;
  value.data_ = std::make_shared<const Dict>(std::move(entries));
  return value;
}

Value Value::from_json(const nlohmann::ordered_json& json) {
  using Kind = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Kind::null:
      return None{};
    case Kind::boolean:
      return json.get<bool>();
    case Kind::number_integer:
      return json.get<int64_t>();
    case Kind::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        throw Failure("an integer needs more than 64 bits");
      return json.get<int64_t>();
    case Kind::number_float:
      return json.get<double>();
    case Kind::string:
      return json.get<std::string>();
    case Kind::array: {
      List items;
      for (const auto& item : json) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case Kind::object: {
      Dict entries;
      for (auto it = json.begin(); it != json.end(); ++it) entries.set(it.key(), from_json(*it));
      return dict(std::move(entries));
    }
    default:
      return Value();
  }
}

bool Value::is_tuple() const {
  const auto* sequence = std::get_if<std::shared_ptr<const Sequence>>(&data_);
  return sequence && (*sequence)->is_tuple;
}

const std::string* Value::string() const {
  const auto* s = std::get_if<std::shared_ptr<const std::string>>(&data_);
  return s ? s->get() : nullptr;
}

const List* Value::items() const {
  const auto* s = std::get_if<std::shared_ptr<const Sequence>>(&data_);
  return s ? &(*s)->items : nullptr;
}

const Dict* Value::dict() const {
  const auto* d = std::get_if<std::shared_ptr<const Dict>>(&data_);
  return d ? d->get() : nullptr;
}

Object* Value::object() const {
  const auto* o = std::get_if<std::shared_ptr<Object>>(&data_);
  return o ? o->get() : nullptr;
}

const Function* Value::function() const {
  const auto* f = std::get_if<std::shared_ptr<const Function>>(&data_);
  return f ? f->get() : nullptr;
}

std::optional<int64_t> Value::integer() const {
  if (const auto* b = std::get_if<bool>(&data_)) return *b;
  if (const auto* n = std::get_if<int64_t>(&data_)) return *n;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto* x = std::get_if<double>(&data_)) return *x;
  if (const auto n = integer()) return static_cast<double>(*n);
  return std::nullopt;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (const auto x = number()) return *x != 0;
  if (const auto* s = string()) return !s->empty();
  if (const auto* l = items()) return !l->empty();
  if (const auto* d = dict()) return !d->entries().empty();
  return true;
}

int Value::depth() const {
  if (const auto* s = std::get_if<std::shared_ptr<const Sequence>>(&data_)) return (*s)->depth;
  if (const auto* d = dict()) return d->depth();
  return 0;
}

const char* Value::type_name() const {
  if (is_undefined()) return "undefined";
  if (is_none()) return "None";
  if (is_bool()) return "bool";
  if (is_float()) return "float";
  if (integer()) return "int";
  if (string()) return "str";
  if (items()) return is_tuple() ? "tuple" : "list";
  if (dict()) return "dict";
  return function() ? "function" : "object";
}

size_t Dict::Hash::operator()(std::string_view s) const { return seeded_hash(s); }

const Value* Dict::find(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

void Dict::set(std::string key, Value value) {
  const auto [it, is_new] = index_.emplace(key, entries_.size());
  if (is_new)
    entries_.emplace_back(std::move(key), std::move(value));
  else
    entries_[it->second].second = std::move(value);
}

int Dict::depth() const {
  int depth = 0;
  for (const auto& [key, value] : entries_) depth = std::max(depth, value.depth());
  return depth + 1;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.spend(1);
  if (const auto x = a.number(), y = b.number(); x && y) {
    const auto m = a.integer(), n = b.integer();
    return m && n ? *m == *n : *x == *y;
  }
  if (a.string() && b.string()) return *a.string() == *b.string();
  if (a.items() && b.items()) {
    const List &x = *a.items(), &y = *b.items();
    if (a.is_tuple() != b.is_tuple() || x.size() != y.size()) return false;
    return std::equal(x.begin(), x.end(), y.begin(),
                      [&](const Value& i, const Value& j) { return equal(i, j, budget); });
  }
  if (a.dict() && b.dict()) {
    if (a.dict()->entries().size() != b.dict()->entries().size()) return false;
    for (const auto& [key, value] : a.dict()->entries()) {
      const Value* other = b.dict()->find(key);
      if (!other || !equal(value, *other, budget)) return false;
    }
    return true;
  }
  if (a.object() || b.object()) return a.object() == b.object();
  if (a.function() || b.function()) return a.function() == b.function();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int compare(const Value& a, const Value& b, Budget& budget) {
  budget.spend(1);
  if (const auto m = a.integer(), n = b.integer(); m && n) return three_way(*m, *n);
  if (const auto x = a.number(), y = b.number(); x && y) return three_way(*x, *y);
  if (a.string() && b.string()) return three_way(*a.string(), *b.string());  // UTF-8 sorts by code point
  if (a.items() && b.items() && a.is_tuple() == b.is_tuple()) {
    const List &x = *a.items(), &y = *b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!equal(x[i], y[i], budget)) return compare(x[i], y[i], budget);
    return three_way(x.size(), y.size());
  }
  throw Failure(fmt::format("{} and {} have no order", a.type_name(), b.type_name()));
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (const auto* text = container.string()) {
    if (!item.string()) throw Failure(fmt::format("cannot look for {} in a string", item.type_name()));
    budget.spend(text->size() / 4);
    return text->find(*item.string()) != std::string::npos;
  }
  if (const auto* entries = container.dict()) return item.string() && entries->find(*item.string());
  if (const auto* items = container.items())
    return std::any_of(items->begin(), items->end(), [&](const Value& v) { return equal(v, item, budget); });
  if (container.is_undefined()) return false;
  throw Failure(fmt::format("cannot look for something in {}", container.type_name()));
}

List iterate(const Value& value, Budget& budget) {
  List out;
  if (const auto* items = value.items()) {
    budget.spend(items->size());
    return *items;
  }
  if (const auto* entries = value.dict()) {
    budget.spend(entries->entries().size());
    for (const auto& [key, entry] : entries->entries()) out.emplace_back(key);
  } else if (const auto* text = value.string()) {
    budget.spend(text->size() * 4);
    for (size_t at = 0; at < text->size();) {
      const size_t bytes = decode_utf8(*text, at).length;
      out.emplace_back(text->substr(at, bytes));
      at += bytes;
    }
  } else if (!value.is_undefined()) {
    throw Failure(fmt::format("cannot go over {}", value.type_name()));
  }
  return out;
}

std::optional<int64_t> length(const Value& value) {
  if (const auto* text = value.string())
    return std::count_if(text->begin(), text->end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  if (const auto* items = value.items()) return static_cast<int64_t>(items->size());
  if (const auto* entries = value.dict()) return static_cast<int64_t>(entries->entries().size());
  if (value.is_undefined()) return 0;
  return std::nullopt;
}

}  // namespace aquatint::text::jinja

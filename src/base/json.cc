#include "base/json.h"

#include "base/error.h"

namespace aquatint::base {
namespace {

// nlohmann builds the tree recursively only on destruction; a callback stops hostile nesting before that.
Json parse_limited(std::string_view text, int max_depth) {
  bool too_deep = false;
  auto guard = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_depth) too_deep = true;
    if (too_deep) throw std::runtime_error(fmt::format("nesting deeper than {}", max_depth));
    return true;
  };
  return Json::parse(text, guard);
}

const Json* find(const Json& j, const char* key, const std::string& where) {
  if (!j.is_object())
    throw BadInput(fmt::format("{}: expected a JSON object, found {}", where, j.type_name()));
  auto it = j.find(key);
  return it == j.end() || it->is_null() ? nullptr : &*it;
}

const Json& require(const Json& j, const char* key, const std::string& where) {
  const Json* value = find(j, key, where);
  if (!value) throw BadInput(fmt::format("{}: key \"{}\" is missing", where, key));
  return *value;
}

[[noreturn]] void wrong_type(const Json& value, const char* key, const std::string& where,
                             const char* expected) {
  throw BadInput(fmt::format("{}: key \"{}\" is {}, expected {}", where, key, value.type_name(), expected));
}

int64_t as_int(const Json& value, const char* key, const std::string& where, int64_t min, int64_t max) {
  if (!value.is_number_integer()) wrong_type(value, key, where, "an integer");
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    throw BadInput(
        fmt::format("{}: key \"{}\" is {}, expected at most {}", where, key, value.get<uint64_t>(), max));
  const int64_t n = value.get<int64_t>();
  if (n < min || n > max)
    throw BadInput(fmt::format("{}: key \"{}\" is {}, expected {} to {}", where, key, n, min, max));
  return n;
}

double as_number(const Json& value, const char* key, const std::string& where) {
  if (!value.is_number()) wrong_type(value, key, where, "a number");
  return value.get<double>();
}

std::string as_string(const Json& value, const char* key, const std::string& where) {
  if (!value.is_string()) wrong_type(value, key, where, "a string");
  return value.get<std::string>();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, int max_depth) {
  try {
    return parse_limited(text, max_depth);
  } catch (const std::exception& e) {
    throw BadInput(fmt::format("{}: not valid JSON: {}", where, e.what()));
  }
}

int64_t require_int(const Json& j, const char* key, const std::string& where, int64_t min, int64_t max) {
  return as_int(require(j, key, where), key, where, min, max);
}

double require_number(const Json& j, const char* key, const std::string& where) {
  return as_number(require(j, key, where), key, where);
}

std::string require_string(const Json& j, const char* key, const std::string& where) {
  return as_string(require(j, key, where), key, where);
}

int64_t int_or(const Json& j, const char* key, int64_t otherwise, const std::string& where, int64_t min,
               int64_t max) {
  const Json* value = find(j, key, where);
  return value ? as_int(*value, key, where, min, max) : otherwise;
}

double number_or(const Json& j, const char* key, double otherwise, const std::string& where) {
  const Json* value = find(j, key, where);
  return value ? as_number(*value, key, where) : otherwise;
}

bool bool_or(const Json& j, const char* key, bool otherwise, const std::string& where) {
  const Json* value = find(j, key, where);
  if (!value) return otherwise;
  if (!value->is_boolean()) wrong_type(*value, key, where, "true or false");
  return value->get<bool>();
}

std::string string_or(const Json& j, const char* key, const std::string& otherwise,
                      const std::string& where) {
  const Json* value = find(j, key, where);
  return value ? as_string(*value, key, where) : otherwise;
}

}  // namespace aquatint::base

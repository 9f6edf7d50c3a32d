// JSON from outside: parsed with a depth limit, looked up with errors that name file and key.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace aquatint::base {

using Json = nlohmann::json;

// Parses one document; `where` names its origin in errors. Throws BadInput on a syntax error, invalid UTF-8,
// or nesting deeper than `max_depth`.
Json parse_json(std::string_view text, const std::string& where, int max_depth = 64);

// The value of `key` in object `j` as a number, string or bool; BadInput when it is absent, of another type,
// or (integers) outside [min, max].
int64_t require_int(const Json& j, const char* key, const std::string& where, int64_t min = 0,
                    int64_t max = INT64_MAX);
double require_number(const Json& j, const char* key, const std::string& where);
std::string require_string(const Json& j, const char* key, const std::string& where);

// The same, with a default when the key is absent or null.
int64_t int_or(const Json& j, const char* key, int64_t otherwise, const std::string& where, int64_t min = 0,
               int64_t max = INT64_MAX);
double number_or(const Json& j, const char* key, double otherwise, const std::string& where);
bool bool_or(const Json& j, const char* key, bool otherwise, const std::string& where);
std::string string_or(const Json& j, const char* key, const std::string& otherwise, const std::string& where);

}  // namespace aquatint::base

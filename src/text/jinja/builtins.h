// What templates can call: filters, tests, methods, functions, operators. Failure on wrong use.
#pragma once
#include <string>

#include "text/jinja/value.h"

namespace aquatint::text::jinja {

// input | name(arguments)
Value apply_filter(Interpreter& interpreter, const std::string& name, const Value& input,
                   const Arguments& arguments);
// input is name(arguments)
bool apply_test(Interpreter& interpreter, const std::string& name, const Value& input,
                const Arguments& arguments);

// object.name: a method before an entry. object[index]: an entry before a method. Undefined when there is
// neither.
Value get_attribute(Interpreter& interpreter, const Value& object, const std::string& name);
Value get_item(Interpreter& interpreter, const Value& object, const Value& index);
// The entry or attribute at a path as filters take it: "a.b.0".
Value get_path(Interpreter& interpreter, Value object, const Value& path);
Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget);
// object.name as a function; undefined when objects of this type have no such method.
Value find_method(const Value& object, const std::string& name);

// + - * / // % ** ~
Value apply_operator(const std::string& op, const Value& left, const Value& right, Budget& budget);
Value negate(const Value& value);

// range, namespace, dict, raise_exception, strftime_now; undefined for other names.
Value find_global(const std::string& name);

// Arguments that filters and methods take.
const std::string& string_argument(const Arguments& arguments, size_t position, const char* name);
std::string string_argument_or(const Arguments& arguments, size_t position, const char* name,
                               const char* otherwise);
int64_t int_argument_or(const Arguments& arguments, size_t position, const char* name, int64_t otherwise);
bool bool_argument_or(const Arguments& arguments, size_t position, const char* name, bool otherwise);

}  // namespace aquatint::text::jinja

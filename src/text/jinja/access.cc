#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/strings.h"

namespace aquatint::text::jinja {
namespace {

Value element(const Value& object, int64_t index) {
  const auto size = length(object);
  if (!size || object.dict()) return Value();
  if (index < 0) index += *size;
  if (index < 0 || index >= *size) return Value();
  const auto at = static_cast<size_t>(index);
  if (object.items()) return (*object.items())[at];
  if (!object.string()) return Value();
  const auto offsets = character_offsets(*object.string());
  return object.string()->substr(offsets[at], offsets[at + 1] - offsets[at]);
}

}  // namespace

Value get_attribute(Interpreter&, const Value& object, const std::string& name) {
  if (object.object()) return object.object()->attribute(name);
  if (Value method = find_method(object, name); !method.is_undefined()) return method;
  if (const Dict* dict = object.dict())
    if (const Value* entry = dict->find(name)) return *entry;
  return Value();
}

Value get_item(Interpreter& interpreter, const Value& object, const Value& index) {
  if (const Dict* dict = object.dict(); dict && index.string())
    if (const Value* entry = dict->find(*index.string())) return *entry;
  if (index.integer()) {
    interpreter.budget().spend(object.string() ? object.string()->size() : 1);
    return element(object, *index.integer());
  }
  return index.string() ? get_attribute(interpreter, object, *index.string()) : Value();
}

Value get_path(Interpreter& interpreter, Value object, const Value& path) {
  if (!path.string()) return get_item(interpreter, object, path);
  for (const std::string_view part : split_at(*path.string(), ".", -1, false)) {
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_number && part.size() < 18)
      object = get_item(interpreter, object, Value(static_cast<int64_t>(std::stoll(std::string(part)))));
    else
      object = get_item(interpreter, object, Value(std::string(part)));
  }
  return object;
}

const std::string& string_argument(const Arguments& arguments, size_t position, const char* name) {
  const Value* value = arguments.find(position, name);
  if (!value || !value->string())
    throw Failure(fmt::format("argument \"{}\" is {}, expected a string", name,
                              value ? value->type_name() : "missing"));
  return *value->string();
}

std::string string_argument_or(const Arguments& arguments, size_t position, const char* name,
                               const char* otherwise) {
  const Value* value = arguments.find(position, name);
  return value ? string_argument(arguments, position, name) : otherwise;
}

int64_t int_argument_or(const Arguments& arguments, size_t position, const char* name, int64_t otherwise) {
  const Value* value = arguments.find(position, name);
  if (!value || value->is_none()) return otherwise;
  if (!value->integer())
    throw Failure(fmt::format("argument \"{}\" is {}, expected an int", name, value->type_name()));
  return *value->integer();
}

bool bool_argument_or(const Arguments& arguments, size_t position, const char* name, bool otherwise) {
  const Value* value = arguments.find(position, name);
  return value ? value->truthy() : otherwise;
}

}  // namespace aquatint::text::jinja

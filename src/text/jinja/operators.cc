#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"

namespace aquatint::text::jinja {
namespace {

[[noreturn]] void wrong_types(const std::string& op, const Value& left, const Value& right) {
  throw Failure(fmt::format("cannot compute {} {} {}", left.type_name(), op, right.type_name()));
}

// By reference: read after the operation that made it.
int64_t checked(bool overflow, const int64_t& result) {
  if (overflow) throw Failure("an integer needs more than 64 bits");
  return result;
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) throw Failure("division by zero");
  if (b == -1) {
    int64_t result = 0;
    return checked(__builtin_sub_overflow(int64_t{0}, a, &result), result);
  }
  const int64_t quotient = a / b;
  return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) checked(__builtin_mul_overflow(result, base, &result), result);
    if (exponent > 1) checked(__builtin_mul_overflow(base, base, &base), base);
  }
  return result;
}

Value integer_operator(const std::string& op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "+") return checked(__builtin_add_overflow(a, b, &result), result);
  if (op == "-") return checked(__builtin_sub_overflow(a, b, &result), result);
  if (op == "*") return checked(__builtin_mul_overflow(a, b, &result), result);
  if (op == "//") return floor_divide(a, b);
  if (op == "%") return b == -1 ? Value(int64_t{0}) : Value(a - floor_divide(a, b) * b);
  if (op == "**" && b >= 0) return integer_power(a, b);
  if (op == "**") return std::pow(static_cast<double>(a), static_cast<double>(b));
  if (b == 0) throw Failure("division by zero");
  return static_cast<double>(a) / static_cast<double>(b);
}

Value float_operator(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) throw Failure("division by zero");
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Value repeat(const Value& what, int64_t count, Budget& budget) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  const size_t size = what.string() ? what.string()->size() : what.items()->size();
  if (size > 0 && times > Budget::kMaxString / size) throw Failure("a repetition is too long");
  budget.spend(size * times);
  if (what.string()) {
    std::string text;
    text.reserve(size * times);
    for (size_t i = 0; i < (size > 0 ? times : 0); ++i) text += *what.string();
    return text;
  }
  List items;
  for (size_t i = 0; i < (size > 0 ? times : 0); ++i)
    items.insert(items.end(), what.items()->begin(), what.items()->end());
  return what.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

Value add(const Value& left, const Value& right, Budget& budget) {
  if (left.string() && right.string()) {
    budget.spend_bytes(left.string()->size() + right.string()->size());
    return *left.string() + *right.string();
  }
  if (left.items() && right.items() && left.is_tuple() == right.is_tuple()) {
    budget.spend(left.items()->size() + right.items()->size());
    List items = *left.items();
    items.insert(items.end(), right.items()->begin(), right.items()->end());
    return left.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
  }
  wrong_types("+", left, right);
}

// "…%s…" % value: %s, %r, %d, %i and %%, without widths.
Value format_percent(const std::string& format, const Value& values, Budget& budget) {
  const List items = values.is_tuple() ? *values.items() : List{values};
  std::string out;
  size_t used = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const char kind = i + 1 < format.size() ? format[++i] : ' ';
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (used == items.size()) throw Failure("not enough values for a format string");
    const Value& value = items[used++];
    if (kind == 's')
      out += to_string(value, budget);
    else if (kind == 'r')
      out += repr(value, budget);
    else if ((kind == 'd' || kind == 'i') && value.integer())
      out += std::to_string(*value.integer());
    else
      throw Failure(fmt::format("format %{} of {} is not supported", kind, value.type_name()));
  }
  if (used != items.size()) throw Failure("too many values for a format string");
  budget.spend_bytes(out.size());
  return out;
}

}  // namespace

Value negate(const Value& value) {
  if (const auto n = value.integer()) return integer_operator("-", 0, *n);
  if (const auto x = value.number()) return -*x;
  throw Failure(fmt::format("{} has no sign", value.type_name()));
}

Value apply_operator(const std::string& op, const Value& left, const Value& right, Budget& budget) {
  if (op == "~") {
    std::string text = to_string(left, budget) + to_string(right, budget);
    budget.spend_bytes(text.size());
    return text;
  }
  if (const auto a = left.integer(), b = right.integer(); a && b) return integer_operator(op, *a, *b);
  if (const auto a = left.number(), b = right.number(); a && b) return float_operator(op, *a, *b);
  if (op == "+") return add(left, right, budget);
  if (op == "%" && left.string()) return format_percent(*left.string(), right, budget);
  if (op == "*") {
    if ((left.string() || left.items()) && right.integer()) return repeat(left, *right.integer(), budget);
    if ((right.string() || right.items()) && left.integer()) return repeat(right, *left.integer(), budget);
  }
  wrong_types(op, left, right);
}

namespace {

// Python's slice.indices(): where to start and stop among `size` elements.
std::pair<int64_t, int64_t> slice_bounds(const Value& start, const Value& stop, int64_t step, int64_t size) {
  const auto clamp = [&](const Value& bound, int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    if (!bound.integer()) throw Failure(fmt::format("a slice from or to {}", bound.type_name()));
    int64_t at = *bound.integer();
    if (at < 0) at = std::max(at + size, step > 0 ? int64_t{0} : int64_t{-1});
    return std::min(at, step > 0 ? size : size - 1);
  };
  return {clamp(start, step > 0 ? 0 : size - 1), clamp(stop, step > 0 ? size : -1)};
}

}  // namespace

Value slice(const Value& object, const Value& start, const Value& stop, const Value& step_value,
            Budget& budget) {
  if (!step_value.is_none() && !step_value.integer()) throw Failure("a slice's step must be an integer");
  const int64_t step = step_value.is_none() ? 1 : *step_value.integer();
  if (step == 0) throw Failure("a slice's step must not be 0");
  const std::string* text = object.string();
  if (!text && !object.items()) throw Failure(fmt::format("cannot slice {}", object.type_name()));
  const std::vector<size_t> offsets = text ? character_offsets(*text) : std::vector<size_t>();
  const auto size = static_cast<int64_t>(text ? offsets.size() - 1 : object.items()->size());
  budget.spend(static_cast<size_t>(size));
  const auto [first, last] = slice_bounds(start, stop, step, size);
  std::string characters;
  List items;
  for (int64_t i = first; step > 0 ? i < last : i > last;) {
    const auto at = static_cast<size_t>(i);
    if (text)
      characters.append(*text, offsets[at], offsets[at + 1] - offsets[at]);
    else
      items.push_back((*object.items())[at]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (text) return characters;
  return object.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

}  // namespace aquatint::text::jinja

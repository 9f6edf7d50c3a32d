#include "text/jinja/print.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/unicode.h"

namespace aquatint::text::jinja {
namespace {

bool is_printable(char32_t c) {
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == ' ' || (k != UTF8PROC_CATEGORY_CN && k < UTF8PROC_CATEGORY_ZS);
}

void append_string_repr(const std::string& text, std::string& out) {
  const bool double_quoted = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = double_quoted ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const auto value = static_cast<uint32_t>(c.value);
    if (value == static_cast<uint32_t>(quote) || value == '\\')
      out += '\\', out += static_cast<char>(value);
    else if (value == '\n')
      out += "\\n";
    else if (value == '\r')
      out += "\\r";
    else if (value == '\t')
      out += "\\t";
    else if (is_printable(c.value))
      out.append(text, at, c.length);
    else
      out += value < 0x100     ? fmt::format("\\x{:02x}", value)
             : value < 0x10000 ? fmt::format("\\u{:04x}", value)
                               : fmt::format("\\U{:08x}", value);
    at += c.length;
  }
  out += quote;
}

void append_repr(const Value& value, std::string& out, Budget& budget) {
  const size_t before = out.size();
  if (value.is_none()) {
    out += "None";
  } else if (value.is_bool()) {
    out += value.truthy() ? "True" : "False";
  } else if (const auto n = value.integer()) {
    out += std::to_string(*n);
  } else if (const auto x = value.number()) {
    out += float_repr(*x);
  } else if (const auto* text = value.string()) {
    append_string_repr(*text, out);
  } else if (value.object() || value.function()) {
    out += value.object() ? "<object>" : "<function>";
  } else if (value.is_undefined()) {
    out += "Undefined";
  }
  budget.spend(1 + (out.size() - before) / 4);
  auto separate = [&, first = true]() mutable {
    if (!first) out += ", ";
    first = false;
  };
  if (const auto* items = value.items()) {
    out += value.is_tuple() ? '(' : '[';
    for (const Value& item : *items) separate(), append_repr(item, out, budget);
    if (value.is_tuple() && items->size() == 1) out += ',';
    out += value.is_tuple() ? ')' : ']';
  } else if (const auto* entries = value.dict()) {
    out += '{';
    for (const auto& [key, entry] : entries->entries()) {
      separate();
      append_string_repr(key, out);
      budget.spend(key.size() / 4);
      out += ": ";
      append_repr(entry, out, budget);
    }
    out += '}';
  }
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  void write(const Value& value) {
    budget_.spend(1);
    if (value.is_none()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.truthy() ? "true" : "false";
    } else if (const auto n = value.integer()) {
      out += std::to_string(*n);
    } else if (const auto x = value.number()) {
      out += std::isnan(*x) ? "NaN" : std::isinf(*x) ? (*x > 0 ? "Infinity" : "-Infinity") : float_repr(*x);
    } else if (const auto* text = value.string()) {
      write_string(*text);
    } else if (const auto* items = value.items()) {
      write_container('[', ']', items->size(), [&](size_t i) { write((*items)[i]); });
    } else if (const auto* entries = value.dict()) {
      write_dict(*entries);
    } else {
      throw Failure(fmt::format("{} cannot be written as JSON", value.type_name()));
    }
  }

  std::string out;

 private:
  void write_dict(const Dict& dict) {
    std::vector<const std::pair<std::string, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys)
      std::sort(entries.begin(), entries.end(), [](auto* a, auto* b) { return a->first < b->first; });
    write_container('{', '}', entries.size(), [&](size_t i) {
      write_string(entries[i]->first);
      out += style_.key_separator;
      write(entries[i]->second);
    });
  }

  template <class Element>
  void write_container(char open, char close, size_t size, Element&& element) {
    out += open;
    ++level_;
    for (size_t i = 0; i < size; ++i) {
      if (i > 0) out += style_.item_separator;
      break_line();
      element(i);
    }
    --level_;
    if (size > 0) break_line();
    out += close;
  }

  void break_line() {
    if (!style_.indent) return;
    out += '\n';
    for (int i = 0; i < level_; ++i) out += *style_.indent;
    budget_.spend_bytes(style_.indent->size() * static_cast<size_t>(level_));
  }

  void write_string(const std::string& text) {
    budget_.spend_bytes(text.size());
    out += '"';
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text, at);
      write_character(c.value, std::string_view(text).substr(at, c.length));
      at += c.length;
    }
    out += '"';
  }

  void write_character(char32_t c, std::string_view bytes) {
    switch (c) {
      case '"':
        out += "\\\"";
        return;
      case '\\':
        out += "\\\\";
        return;
      case '\n':
        out += "\\n";
        return;
      case '\r':
        out += "\\r";
        return;
      case '\t':
        out += "\\t";
        return;
      case '\f':
        out += "\\f";
        return;
      case '\b':
        out += "\\b";
        return;
      default:
        break;
    }
    const auto value = static_cast<uint32_t>(c);
    if (value >= 0x20 && (value < 0x80 || !style_.ensure_ascii))
      out += bytes;
    else if (value < 0x10000)
      out += fmt::format("\\u{:04x}", value);
    else
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (value >> 10), 0xDC00 | (value & 0x3FF));
  }

  const JsonStyle& style_;
  Budget& budget_;
  int level_ = 0;
};

}  // namespace

std::string float_repr(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific).ptr;
  const std::string scientific(buffer, end);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return scientific;  // both write at least two digits of exponent
  const auto fixed_end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string repr(const Value& value, Budget& budget) {
  std::string out;
  append_repr(value, out, budget);
  return out;
}

std::string to_string(const Value& value, Budget& budget) {
  if (const auto* text = value.string()) {
    budget.spend_bytes(text->size());
    return *text;
  }
  return value.is_undefined() ? "" : repr(value, budget);
}

std::string to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  writer.write(value);
  return std::move(writer.out);
}

}  // namespace aquatint::text::jinja

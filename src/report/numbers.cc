#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

// Three significant digits with the largest unit that keeps the number at 1 or more.
std::string scaled(double value, std::initializer_list<const char*> units) {
  const char* const* unit = units.begin();
  double shown = value;
  // 999.5 would round to "1000": go on to the next unit before that.
  while (std::abs(shown) >= 999.5 && unit + 1 != units.end()) {
    shown /= 1000;
    ++unit;
  }
  const bool whole = unit == units.begin();
  return fmt::format("{}{}", whole ? fmt::format("{:.0f}", shown) : format_significant(shown, 3), *unit);
}

}  // namespace

std::string format_significant(double value, int digits) {
  if (!std::isfinite(value)) return "n/a";
  if (value == 0) return "0";
  // Rounding first: 9.996 has one digit more than it seems to with three digits.
  const double rounded = std::strtod(fmt::format("{:.{}e}", value, digits - 1).c_str(), nullptr);
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(rounded))));
  if (exponent < -4 || exponent > 6) {
    // "2.1e-5", not "2.1e-05"
    const double mantissa = rounded / std::pow(10.0, exponent);
    return fmt::format("{:.{}f}e{}", mantissa, digits - 1, exponent);
  }
  return fmt::format("{:.{}f}", rounded, std::max(0, digits - 1 - exponent));
}

std::string format_bytes(double bytes) {
  return std::isfinite(bytes) ? scaled(bytes, {" B", " kB", " MB", " GB", " TB"}) : "n/a";
}

std::string format_count(double count) {
  return std::isfinite(count) ? scaled(count, {"", " k", " M", " B", " T"}) : "n/a";
}

std::string format_seconds(double seconds) {
  if (!std::isfinite(seconds)) return "n/a";
  if (seconds < 0.9995) return format_significant(seconds * 1e3, 3) + " ms";
  if (seconds < 99.95) return format_significant(seconds, 3) + " s";
  if (seconds < 90 * 60) return fmt::format("{:.1f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace aquatint::report

// The only place that knows all formats.
#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "numeric/format.h"

namespace aquatint::numeric {
namespace {

constexpr std::array kFormats = {&fp32,     &tf32, &bf16,  &fp16,     &fp8_e4m3, &fp8_e5m2, &fp8_e3m4,
                                 &fp8_e2m5, &e8m0, &int8,  &uint8,    &fp6_e3m2, &fp6_e2m3, &int6,
                                 &uint6,    &int5, &uint5, &fp4_e2m1, &nf4,      &bnb_fp4,  &int4,
                                 &uint4,    &int3, &uint3, &int2,     &uint2};

std::array<std::vector<float>, kFormats.size()> make_tables() {
  std::array<std::vector<float>, kFormats.size()> tables;
  for (size_t i = 0; i < kFormats.size(); ++i)
    if (kFormats[i]->bits <= 8)
      for (uint32_t code = 0; code < 1u << kFormats[i]->bits; ++code)
        tables[i].push_back(kFormats[i]->decode(code));
  return tables;
}

}  // namespace

std::span<const Format* const> formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  for (const Format* format : kFormats)
    if (format->name == name) return format;
  return nullptr;
}

std::span<const float> Format::table() const {
  static const auto tables = make_tables();
  AQ_CHECK(bits <= 8, "{} has no table", name);
  return tables[static_cast<size_t>(std::find(kFormats.begin(), kFormats.end(), this) - kFormats.begin())];
}

}  // namespace aquatint::numeric

// The only place that knows all layouts, in the order in which a scheme's default is looked for.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/layouts/layout.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
namespace {

constexpr std::array kLayouts = {&plain_layout, &compressed_tensors, &bitsandbytes, &gptq,
                                 &awq,          &aquatint_layout};

// Methods whose files are known and not read, with what to do instead.
struct Unread {
  std::string_view method, advice;
};
constexpr std::array kUnread = {
    Unread{"modelopt", "export it with compressed-tensors instead, or use the unquantized model"},
    Unread{"fp8", "128 × 128 FP8 blocks are not read; use the 16-bit model"},
    Unread{"fbgemm_fp8", "use the unquantized model"},
    Unread{"mxfp4", "use the 16-bit model"},
    Unread{"hqq", "use the unquantized model"},
    Unread{"torchao", "use the unquantized model"},
};

}  // namespace

std::span<const Layout* const> layouts() { return kLayouts; }

const Layout* find_layout(std::string_view name) {
  const auto* found =
      std::find_if(kLayouts.begin(), kLayouts.end(), [&](const Layout* l) { return l->name == name; });
  return found == kLayouts.end() ? nullptr : *found;
}

const Layout& layout_of(const Json& config, const std::string& where) {
  const auto found = config.find("quantization_config");
  const Json quantization = found == config.end() ? Json(nullptr) : *found;
  if (!quantization.is_null() && !quantization.is_object())
    throw BadInput(fmt::format("{}: key \"quantization_config\" is {}, expected an object", where,
                               quantization.type_name()));
  for (const Layout* layout : kLayouts)
    if (layout->matches(quantization)) return *layout;
  const std::string method = base::string_or(quantization, "quant_method", "", where);
  for (const Unread& unread : kUnread)
    if (unread.method == method)
      throw BadInput(fmt::format("{}: quantized by {}, which is not read: {}", where, method, unread.advice));
  throw BadInput(
      fmt::format("{}: quantization_config has the unknown quant_method \"{}\", expected compressed-tensors, "
                  "bitsandbytes, gptq, awq or aquatint",
                  where, method));
}

}  // namespace aquatint::checkpoint

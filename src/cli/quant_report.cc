#include "cli/quant_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "report/table.h"

namespace aquatint::cli {
namespace {

// The layers that lost most, where anything was lost.
std::string worst_layers(const quant::Report& report) {
  std::vector<const quant::LayerReport*> layers;
  for (const quant::LayerReport& layer : report.layers)
    if (layer.relative_error > 0) layers.push_back(&layer);
  std::sort(layers.begin(), layers.end(),
            [](auto* a, auto* b) { return a->relative_error > b->relative_error; });
  if (layers.empty()) return "";
  double sum = 0;
  for (const auto* layer : layers) sum += layer->relative_error;
  std::string text = fmt::format("relative error      {:.3g} mean of {} matrices; largest:\n",
                                 sum / static_cast<double>(layers.size()), layers.size());
  for (size_t i = 0; i < std::min<size_t>(3, layers.size()); ++i)
    text += fmt::format("  {:<42} {:.3g}\n", layers[i]->name, layers[i]->relative_error);
  return text;
}

}  // namespace

std::string report_text(const quant::Report& r) {
  std::string text = fmt::format("layout              {}\n", r.layout);
  if (!r.scheme.empty())
    text = fmt::format("scheme              {}{}, {}{}\n", r.scheme,
                       r.group > 0 ? fmt::format(" in groups of {}", r.group) : "", r.method,
                       r.clip.empty() ? "" : ", clip " + r.clip) +
           text;
  text += fmt::format(
      "bytes               {}\nbits per weight     {:.3f}   (stored bits of the quantized linears over their "
      "weights)\n"
      "bits per parameter  {:.3f}   (every tensor byte over every parameter)\ntime                {}\n",
      report::format_bytes(static_cast<double>(r.bytes)), r.bits_per_weight, r.bits_per_parameter,
      report::format_seconds(r.seconds));
  text += worst_layers(r);
  for (const std::string& note : r.notes) text += fmt::format("note: {}\n", note);
  return text;
}

const numeric::Format* parse_dtype(const std::string& name) {
  if (name.empty()) return nullptr;
  for (const numeric::Format* format : {&numeric::bf16, &numeric::fp16, &numeric::fp32})
    if (format->name == name) return format;
  throw base::BadUsage(fmt::format("--dtype {} is unknown; expected bf16, fp16 or fp32", name));
}

}  // namespace aquatint::cli

#include <fmt/format.h>

#include "cli/command.h"
#include "numeric/kv_scheme.h"
#include "numeric/scheme.h"

namespace aquatint::cli {
namespace {

std::string_view kind_name(numeric::Kind kind) {
  switch (kind) {
    case numeric::Kind::floating:
      return "float";
    case numeric::Kind::integer:
      return "integer";
    case numeric::Kind::codebook:
      return "codebook";
  }
  return "";
}

std::string weight_text(const numeric::WeightScheme& w) {
  std::string text(w.format->name);
  switch (w.granularity) {
    case numeric::Granularity::tensor:
      return text + " per tensor";
    case numeric::Granularity::channel:
      return text + " per channel";
    case numeric::Granularity::token:
      return text + " per token";
    case numeric::Granularity::group:
      return fmt::format("{} g{}", text, w.group);
    case numeric::Granularity::block:
      return fmt::format("{} {}x{}", text, w.group, w.group);
    case numeric::Granularity::flat:
      return fmt::format("{} blocks of {}", text, w.group);
  }
  return text;
}

std::string input_text(const numeric::ActivationScheme& input) {
  if (!input.format) return "16 bit";
  if (input.group > 0) return fmt::format("{} g{}", input.format->name, input.group);
  const bool per_token = input.granularity == numeric::Granularity::token;
  return fmt::format("{} per {}", input.format->name, per_token ? "token" : "tensor");
}

base::Json formats_json() {
  base::Json formats = base::Json::array(), schemes = base::Json::array();
  for (const numeric::Format* f : numeric::formats())
    formats.push_back({{"name", f->name},
                       {"bits", f->bits},
                       {"kind", kind_name(f->kind)},
                       {"max", f->max},
                       {"smallest", f->smallest},
                       {"note", f->note}});
  for (const numeric::Scheme& s : numeric::schemes())
    schemes.push_back({{"name", s.name},
                       {"weights", weight_text(s.weights)},
                       {"activations", input_text(s.input)},
                       {"note", s.note}});
  base::Json caches = base::Json::array();
  for (const numeric::KvScheme& s : numeric::kv_schemes())
    caches.push_back(
        {{"name", s.name}, {"format", s.format->name}, {"dynamic", s.dynamic}, {"note", s.note}});
  return {{"formats", formats}, {"schemes", schemes}, {"kv_caches", caches}};
}

std::string formats_text() {
  std::string text = fmt::format("{:<10} {:>4}  {:<9} {:>12} {:>12}  {}\n", "format", "bits", "kind",
                                 "largest", "smallest", "");
  for (const numeric::Format* f : numeric::formats())
    text += fmt::format("{:<10} {:>4}  {:<9} {:>12.6g} {:>12.4g}  {}\n", f->name, f->bits, kind_name(f->kind),
                        f->max, f->smallest, f->note);
  text += fmt::format("\n{:<12} {:<22} {:<20} {}\n", "scheme", "weights", "activations", "");
  for (const numeric::Scheme& s : numeric::schemes())
    text +=
        fmt::format("{:<12} {:<22} {:<20} {}\n", s.name, weight_text(s.weights), input_text(s.input), s.note);
  text += "\n";
  for (const numeric::KvScheme& s : numeric::kv_schemes())
    text += fmt::format("{:<12} {:<43} {}\n", fmt::format("…+{}", s.name), "any", s.note);
  return text;
}

}  // namespace

std::function<void()> add_formats(CLI::App&, Common& common) {
  return [&common] { common.json ? print_json(formats_json()) : print_result(formats_text()); };
}

}  // namespace aquatint::cli

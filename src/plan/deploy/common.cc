#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/json.h"
#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

bool among(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string yaml_text(std::string_view text) { return base::Json(text).dump(); }

std::string label_of(std::string_view text) {
  constexpr size_t kLongest = 50;  // 63, less what owners append
  std::string label;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain)
      label += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!label.empty() && label.back() != '-')
      label += '-';
  }
  label = label.substr(0, kLongest);
  while (label.ends_with('-')) label.pop_back();
  // Services must begin with a letter.
  return label.empty() || std::isdigit(static_cast<unsigned char>(label[0])) != 0 ? "model-" + label : label;
}

std::string script_head(const Deployment& d, std::string_view engine) {
  return fmt::format(
      "# {}, served by {}. The first argument replaces the checkpoint;\n"
      "# HOST and PORT are read from the environment.\n"
      "set -eu\n"
      "checkpoint={}\n"
      "if [ $# -gt 0 ]; then checkpoint=$1; fi\n",
      d.title(), engine, shell_word(d.checkpoint()));
}

std::string flags(const std::vector<Option>& options) {
  std::string text;
  for (const Option& option : options) text += fmt::format(" \\\n  {} {}", option.name, option.value);
  return text + "\n";
}

std::string not_among(const Choice& choice, std::initializer_list<std::string_view> schemes,
                      std::string_view engine) {
  const std::string_view scheme = choice.quantized() ? choice.scheme->name : choice.plain->name;
  if (!choice.quantized() || among(scheme, schemes)) return "";
  return fmt::format("{} has no kernels for {}", engine, scheme);
}

std::string cache_not_among(const Choice& choice, std::initializer_list<std::string_view> caches,
                            std::string_view engine) {
  if (!choice.cache || among(choice.cache->name, caches)) return "";
  return fmt::format("{} has no {} cache", engine, choice.cache->name);
}

std::string more_than_a_machine(const Deployment& d, std::string_view engine) {
  if (d.machines() == 1) return "";
  return fmt::format("{} cards are more than the {} of one machine, and the files for {} start one machine",
                     d.candidate.count, d.device().most, engine);
}

}  // namespace aquatint::plan

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/kv_cache.h"
#include "cli/command.h"
#include "model/config.h"
#include "quant/provenance.h"
#include "report/table.h"

namespace aquatint::cli {
namespace {

struct Findings {
  std::unique_ptr<checkpoint::Checkpoint> checkpoint;
  checkpoint::Inventory inventory;
  std::string architecture;
  base::Json rotations;  // that the run does; null: none
  std::optional<numeric::KvScheme> kv;
  std::string low_rank;  // "rank 8 in int8"; empty: none
  std::vector<std::string> warnings;
};

// What a user would stumble over later, found from names and shapes alone.
void look_for_trouble(Findings& f) {
  const checkpoint::Checkpoint& c = *f.checkpoint;
  try {
    const model::Config config = model::parse_config(c.config(), c.path().string());
    if (config.hidden_size % 128 != 0)
      f.warnings.push_back(fmt::format("hidden size {} is not divisible by 128: 4-bit groups will be smaller",
                                       config.hidden_size));
    const int64_t last = config.layers - 1;
    for (const std::string& module :
         {std::string("model.embed_tokens"), fmt::format("model.layers.{}.mlp.down_proj", last)})
      if (!c.has_weight(module)) f.warnings.push_back(fmt::format("weight of {} is missing", module));
  } catch (const base::BadInput& e) {
    f.warnings.push_back(e.what());
  }
  if (!c.side_file("tokenizer.json"))
    f.warnings.push_back("tokenizer.json is missing: text commands will not work");
  if (!c.side_file("chat_template.jinja")) {
    const checkpoint::SideFile* config = c.side_file("tokenizer_config.json");
    if (!config || config->bytes.find("\"chat_template\"") == std::string::npos)
      f.warnings.push_back("there is no chat template: generate --chat will not work");
  }
}

std::string low_rank_words(const checkpoint::Checkpoint& model) {
  std::set<std::string> words;
  for (const checkpoint::WeightInfo& weight : model.weights())
    if (weight.scheme && weight.scheme->weights.low_rank.rank > 0)
      words.insert(fmt::format("rank {} in {}", weight.scheme->weights.low_rank.rank,
                               weight.scheme->weights.low_rank.format->name));
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string cache_words(const numeric::KvScheme& kv) {
  return fmt::format("{}, {} scales", kv.format->name, kv.dynamic ? "dynamic" : "calibrated");
}

Findings inspect(const std::string& model) {
  Findings f;
  f.checkpoint = checkpoint::open_checkpoint(model);
  f.warnings.assign(f.checkpoint->warnings().begin(), f.checkpoint->warnings().end());
  f.inventory = checkpoint::inventory(*f.checkpoint);
  f.kv = checkpoint::kv_scheme(*f.checkpoint);
  f.low_rank = low_rank_words(*f.checkpoint);
  const base::Json& config = f.checkpoint->config();
  const auto names = config.find("architectures");
  f.architecture = names != config.end() && names->is_array() && !names->empty() && names->front().is_string()
                       ? names->front().get<std::string>()
                       : base::string_or(config, "model_type", "unknown", model);
  if (const auto found = f.checkpoint->config().find(model::kRotationsKey);
      found != f.checkpoint->config().end())
    f.rotations = *found;
  look_for_trouble(f);
  for (std::string& reason : quant::stale(*f.checkpoint)) f.warnings.push_back(std::move(reason));
  return f;
}

base::Json as_json(const Findings& f) {
  base::Json dtypes = base::Json::object();
  for (const auto& row : f.inventory.dtypes)
    dtypes[row.dtype] = {{"tensors", row.tensors}, {"parameters", row.parameters}, {"bytes", row.bytes}};
  return {{"path", f.checkpoint->path().string()},
          {"architecture", f.architecture},
          {"parameters", f.inventory.parameters},
          {"bytes", f.inventory.bytes},
          {"bits_per_weight", f.inventory.bits_per_weight},
          {"bits_per_parameter", f.inventory.bits_per_parameter},
          {"dtypes", dtypes},
          {"layout", f.checkpoint->layout()},
          {"scheme", f.checkpoint->scheme().empty() ? base::Json() : base::Json(f.checkpoint->scheme())},
          {"rotations", f.rotations},
          {"kv_cache", f.kv ? base::Json(cache_words(*f.kv)) : base::Json()},
          {"low_rank", f.low_rank.empty() ? base::Json() : base::Json(f.low_rank)},
          {"warnings", f.warnings}};
}

std::string rotations_text(const base::Json& rotations) {
  if (!rotations.is_object()) return "";
  std::vector<std::string> places;
  for (const auto& [place, seed] : rotations.items())
    if (place != "version") places.push_back(place);
  return fmt::format("rotations           {}   (at run time)\n", fmt::join(places, ", "));
}

std::string as_text(const Findings& f) {
  const checkpoint::Inventory& i = f.inventory;
  std::string text = fmt::format(
      "{}\narchitecture        {}\nparameters          {}\nbytes               {}\nlayout              {}\n"
      "scheme              {}\n{}bits per weight     {:.3f}   (stored bits of the linear layers over their "
      "weights)\n"
      "bits per parameter  {:.3f}   (every tensor byte over every parameter)\n\n{:<10} {:>8} {:>12} {:>12}\n",
      f.checkpoint->path().string(), f.architecture, report::format_count(static_cast<double>(i.parameters)),
      report::format_bytes(static_cast<double>(i.bytes)), f.checkpoint->layout(),
      f.checkpoint->scheme().empty() ? "not quantized" : f.checkpoint->scheme(), rotations_text(f.rotations),
      i.bits_per_weight, i.bits_per_parameter, "dtype", "tensors", "parameters", "bytes");
  for (const auto& row : i.dtypes)
    text += fmt::format("{:<10} {:>8} {:>12} {:>12}\n", row.dtype, row.tensors,
                        report::format_count(static_cast<double>(row.parameters)),
                        report::format_bytes(static_cast<double>(row.bytes)));
  if (!f.low_rank.empty()) text += fmt::format("\nlow-rank parts      {}\n", f.low_rank);
  if (f.kv) text += fmt::format("\nkeys and values     {}\n", cache_words(*f.kv));
  for (const std::string& warning : f.warnings) text += fmt::format("\nwarning: {}", warning);
  return text + (f.warnings.empty() ? "" : "\n");
}

}  // namespace

std::function<void()> add_inspect(CLI::App& app, Common& common) {
  auto model = std::make_shared<std::string>();
  add_model(app, *model);
  return [&common, model] {
    const Findings findings = inspect(*model);
    common.json ? print_json(as_json(findings)) : print_result(as_text(findings));
  };
}

}  // namespace aquatint::cli

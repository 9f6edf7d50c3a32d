#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "cli/command.h"
#include "plan/cpu.h"
#include "plan/handover.h"
#include "plan/page.h"
#include "plan/planner.h"
#include "plan/text.h"
#include "report/store.h"

namespace aquatint::cli {
namespace {

constexpr double kSecondsPerDay = 86400;

struct PlanOptions {
  std::vector<std::string> models, parameters, schemes, prices;
  std::vector<std::string> gpus = {"H100-80G", "A100-80G", "H200", "L40S"};
  std::vector<int> counts = {1, 2, 4, 8};
  plan::Traffic traffic;
  plan::Limits limits;
  double tokens_per_day = 0, budget = 0, measured_tpot = 0;
  std::string max_loss = "1%", current, study, to;
  int rows = 12;
};

double parse_number(const std::string& text, const std::string& flag) {
  try {
    size_t used = 0;
    const double value = std::stod(text, &used);
    if (used == text.size() && std::isfinite(value)) return value;
  } catch (const std::exception&) {
  }
  throw base::BadUsage(fmt::format("{} {}: expected a number", flag, text));
}

// "1%" or "0.01".
double parse_share(std::string text, const std::string& flag) {
  const bool percent = text.ends_with('%');
  if (percent) text.pop_back();
  const double share = parse_number(text, flag) / (percent ? 100 : 1);
  if (share < 0 || share > 1) throw base::BadUsage(fmt::format("{} {}: expected 0% to 100%", flag, text));
  return share;
}

// A folder or file says its shape in its config; a known name needs neither.
plan::Shape shape_of(const std::string& model) {
  const std::filesystem::path path(model);
  const std::filesystem::path config = path / "config.json";
  plan::Shape shape;
  if (std::filesystem::is_regular_file(config)) {
    shape =
        plan::shape_from_config(base::parse_json(base::read_text(config), config.string()), config.string());
  } else if (std::filesystem::is_regular_file(path)) {
    shape = plan::shape_from_config(checkpoint::open_checkpoint(model)->config(), model);
  } else {
    return plan::find_shape(model);
  }
  shape.name = std::filesystem::weakly_canonical(path).filename().string();
  return shape;
}

// GPU=USD, per hour.
void read_prices(const std::vector<std::string>& words, plan::Question& q) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == word.npos)
      throw base::BadUsage(fmt::format("--price {}: expected GPU=PRICE per hour", word));
    q.prices[plan::find_device(word.substr(0, equals)).name] =
        parse_number(word.substr(equals + 1), "--price");
  }
}

// SCHEME@COUNTxGPU, as "BF16@2xA100-80G".
plan::Current parse_current(const std::string& words, double measured_tpot) {
  const size_t at = words.find('@'), times = words.find('x', at == words.npos ? 0 : at);
  if (at == words.npos || times == words.npos)
    throw base::BadUsage(fmt::format("--current {}: expected SCHEME@COUNTxGPU, as BF16@2xA100-80G", words));
  return {.choice = plan::find_choice(words.substr(0, at)),
          .gpu = plan::find_device(words.substr(times + 1)).name,
          .count = static_cast<int>(parse_number(words.substr(at + 1, times - at - 1), "--current")),
          .token_seconds = measured_tpot,
          .cost_per_month = 0};
}

// "cpu" is this machine; measured once the rest of the question is known to be sound.
void read_devices(const std::vector<std::string>& names, const Common& common, plan::Question& q) {
  bool cpu = false;
  for (const std::string& name : names) {
    if (name == "cpu")
      cpu = true;
    else
      q.devices.push_back(plan::find_device(name));
  }
  if (!cpu) return;
  const api::Backend backend(common.backend);
  plan::MeasuredCpu measured = plan::measure_cpu(backend.at(kernels::Precision::bf16).host_kernels(),
                                                 backend.pool(), q.models, q.choices);
  q.measured[measured.device.name] = measured.efficiency;
  q.devices.push_back(std::move(measured.device));
}

plan::Question question_of(const PlanOptions& o, const Common& common) {
  plan::Question q;
  for (const std::string& model : o.models) q.models.push_back(shape_of(model));
  for (const std::string& size : o.parameters) q.models.push_back(plan::find_shape(size));
  for (const std::string& scheme : o.schemes) q.choices.push_back(plan::find_choice(scheme));
  if (q.choices.empty()) q.choices = plan::default_choices();
  q.counts = o.counts;
  q.traffic = o.traffic;
  if (o.tokens_per_day > 0)
    q.traffic.requests_per_second = o.tokens_per_day / kSecondsPerDay / q.traffic.generate_tokens;
  q.limits = o.limits;
  q.max_loss = parse_share(o.max_loss, "--max-loss");
  q.budget_per_month = o.budget;
  read_prices(o.prices, q);
  if (!o.current.empty()) q.current = parse_current(o.current, o.measured_tpot);
  read_devices(o.gpus, common, q);
  return q;
}

bool is_page(const PlanOptions& o) { return o.to.ends_with(".html"); }

std::string handover_text(const plan::Answer& answer, const PlanOptions& o) {
  const plan::Candidate& chosen = answer.candidates[*answer.chosen];
  const std::string model =
      chosen.model < o.models.size() ? o.models[chosen.model] : answer.question.models[chosen.model].name;
  const std::string recipe = o.to.empty() || is_page(o) ? "plan.yaml" : o.to;
  std::string text = "\n";
  if (chosen.choice.quantized())
    text += fmt::format("{}\n{}", recipe, plan::recipe_yaml(chosen, answer.question));
  return text + "\n" + plan::commands(chosen, model, recipe);
}

void write_result(const plan::Answer& answer, const PlanOptions& o) {
  if (is_page(o)) return base::write_text(o.to, plan::as_page(answer));
  if (o.to.empty() || !answer.chosen) return;
  const plan::Candidate& chosen = answer.candidates[*answer.chosen];
  if (chosen.choice.quantized()) base::write_text(o.to, plan::recipe_yaml(chosen, answer.question));
}

void run_plan(const PlanOptions& o, const Common& common) {
  plan::Question question = question_of(o, common);
  report::Study study;
  if (!o.study.empty()) {
    study = report::Store(o.study, report::Store::Mode::read).load();
    question.study = &study;
    question.study_model = question.models.empty() ? "" : question.models.front().name;
  }
  const plan::Answer answer = plan::answer(question);
  write_result(answer, o);
  const std::string handover = answer.chosen ? handover_text(answer, o) : "";
  if (common.json) {
    base::Json json = plan::to_json(answer);
    json["handover"] = handover;
    print_json(json);
  } else {
    print_result(plan::as_text(answer, o.rows) + handover);
  }
  if (!answer.chosen) throw base::GateMissed(answer.closest);
}

void add_traffic(CLI::App& app, PlanOptions& o) {
  option(app, "--prompt-tokens", o.traffic.prompt_tokens, "of a request")->check(CLI::PositiveNumber);
  option(app, "--generate-tokens", o.traffic.generate_tokens, "of a request")->check(CLI::PositiveNumber);
  option(app, "--rate", o.traffic.requests_per_second, "requests a second; 0: as many as can be carried")
      ->check(CLI::NonNegativeNumber);
  option(app, "--tokens-per-day", o.tokens_per_day, "generated, instead of --rate")
      ->check(CLI::NonNegativeNumber);
  option(app, "--peak", o.traffic.peak, "rate of the busiest time over the average")
      ->check(CLI::Range(1.0, 1000.0));
  option(app, "--ttft", o.limits.first_token, "seconds to the first token; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  option(app, "--tpot", o.limits.token, "seconds between tokens; 0: no limit")->check(CLI::NonNegativeNumber);
}

}  // namespace

std::function<void()> add_plan(CLI::App& app, Common& common) {
  auto o = std::make_shared<PlanOptions>();
  app.add_option("MODEL", o->models, "folders with a config.json, .gguf files, or names of known models");
  option(app, "--parameters", o->parameters, "known models by size (70B) or name, instead of MODEL")
      ->delimiter(',');
  option(app, "--gpu", o->gpus, "devices, separated by commas (aquatint devices lists them)")->delimiter(',');
  add_backend_options(app, common);
  option(app, "--count", o->counts, "cards that share a model, separated by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  option(app, "--schemes", o->schemes, "schemes to compare, with +KV8 and the like; a dozen when left out")
      ->delimiter(',');
  add_traffic(app, *o);
  option(app, "--price", o->prices, "GPU=PRICE of a card and hour, separated by commas")->delimiter(',');
  option(app, "--budget", o->budget, "a month; 0: none")->check(CLI::NonNegativeNumber);
  option(app, "--max-loss", o->max_loss, "of quality: 1% or 0.01");
  option(app, "--current", o->current, "what runs today: SCHEME@COUNTxGPU, as BF16@2xA100-80G");
  option(app, "--measured-tpot", o->measured_tpot, "seconds a token takes today")
      ->check(CLI::NonNegativeNumber);
  option(app, "--study", o->study, "store of a study of the first model, for its measured quality");
  option(app, "--to", o->to,
         "file to write: the recipe of the chosen scheme, or the whole answer as an .html page");
  option(app, "--rows", o->rows, "candidates to show")->check(CLI::Range(1, 1000));
  return [o, &common] { run_plan(*o, common); };
}

}  // namespace aquatint::cli

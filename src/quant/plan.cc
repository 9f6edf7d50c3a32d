#include "quant/plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/writer.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

void note(Report& report, std::string text) {
  base::warn("{}", text);
  report.notes.push_back(std::move(text));
}

std::vector<numeric::Scheme> schemes_of(const Plan& plan) {
  std::vector<numeric::Scheme> schemes;
  for (const auto& [module, assignment] : plan.assignments)
    if (assignment.scheme) schemes.push_back(*assignment.scheme);
  if (schemes.empty()) throw base::BadUsage("the recipe leaves every layer in 16 bits; use aquatint convert");
  return schemes;
}

// The values that `get` finds, each once, in order.
template <class Get>
std::string distinct(const Plan& plan, Get get) {
  std::set<std::string> found;
  for (const auto& [module, assignment] : plan.assignments)
    if (assignment.scheme) found.insert(get(assignment));
  return fmt::format("{}", fmt::join(found, ", "));
}

int common_group(const std::vector<numeric::Scheme>& schemes) {
  const int group = schemes.front().weights.group;
  const bool common = std::all_of(schemes.begin(), schemes.end(),
                                  [group](const numeric::Scheme& s) { return s.weights.group == group; });
  return common ? group : 0;
}

void check_source(const checkpoint::Checkpoint& source, const std::string& wanted, Report& report) {
  const std::string already = source.scheme();
  if (already.empty()) return;
  if (already == wanted)
    throw base::BadUsage(
        fmt::format("{} is already {}: use it as it is, or change its layout with `aquatint convert`",
                    source.path().string(), already));
  note(report, fmt::format("{} is already quantized ({}): the errors given are relative to those weights, "
                           "not to the model before it",
                           source.path().filename().string(), already));
}

// The plan is of the rotated model from here on.
void rotate(Plan& plan, const MethodStep& step, Report& report) {
  model::Config& config = plan.tensors.config;
  if (config.rotations.any())
    throw base::BadUsage(
        fmt::format("the model is rotated already; {} needs one that is not", step.method->name));
  plan.rotation = step.method->name;
  plan.rotations = step.method->rotate(config, step.settings);
  config.rotations = plan.rotations.run;
  if (!plan.rotations.untie) return;
  config.tied_embeddings = false;
  plan.tensors.matrices.push_back({std::string(kHead), config.vocab_size, config.hidden_size});
  note(report, fmt::format("embedding and head are untied: {} bytes more",
                           config.vocab_size * config.hidden_size * plan.dtype->bytes()));
}

// Where nothing is said: the first that says the schemes, and what the run must do.
std::string chosen_layout(const Plan& plan, const std::string& wanted,
                          const std::vector<numeric::Scheme>& schemes) {
  if (!plan.tensors.config.rotations.any())
    return wanted.empty() ? std::string(checkpoint::default_layout(schemes)) : wanted;
  check_says_rotations(wanted.empty() ? kRotatedLayout : wanted, plan.tensors.config);
  return std::string(kRotatedLayout);
}

void take_methods(Plan& plan, const QuantizeJob& job, Report& report) {
  for (const MethodStep& step : job.recipe.methods) {
    if (step.method->rotate)
      rotate(plan, step, report);
    else
      (step.method->finds_codes() ? plan.codes
       : step.method->transform   ? plan.transforms.emplace_back()
       : step.method->compensate  ? plan.compensations.emplace_back()
                                  : plan.corrections.emplace_back()) = step;
    if (step.method->needs_calibration && !job.calibration && !job.dry_run)
      throw base::BadUsage(fmt::format("{} needs calibration: add --calibration FILE, or --calibration self",
                                       step.method->name));
  }
  if (plan.codes.method->learn && !plan.corrections.empty())
    throw base::BadUsage(fmt::format("{} looks at whole blocks, {} at linears one by one; take one of them",
                                     plan.codes.method->name, plan.corrections.front().method->name));
  for (const auto& [module, assignment] : plan.assignments)
    if (assignment.scheme && assignment.scheme->input.needs_calibration() && !job.calibration && !job.dry_run)
      throw base::BadUsage(
          fmt::format("{} needs the range of its inputs: add --calibration FILE, or take a scheme "
                      "that does not (FP8_DYNAMIC, FP8_BLOCK, NVFP4A16, MXFP4)",
                      assignment.scheme->name));
}

void take_kv(Plan& plan, const QuantizeJob& job) {
  plan.kv = job.recipe.kv;
  if (plan.kv && plan.kv->needs_calibration() && !job.calibration && !job.dry_run)
    throw base::BadUsage(
        fmt::format("{} needs the range of keys and values: add --calibration FILE, or --calibration self",
                    plan.kv->name));
}

std::string method_words(const Plan& plan) {
  std::string words = plan.rotation.empty() ? "" : plan.rotation + ", ";
  for (const auto* steps : {&plan.transforms, &plan.corrections})
    for (const MethodStep& step : *steps) words += fmt::format("{}, ", step.method->name);
  words += plan.codes.method->name;
  for (const MethodStep& step : plan.compensations) words += fmt::format(", {}", step.method->name);
  return words;
}

}  // namespace

bool Plan::needs_gram() const {
  const auto needs = [](const MethodStep& step) { return step.method->needs_gram; };
  return needs(codes) || std::ranges::any_of(corrections, needs) || std::ranges::any_of(compensations, needs);
}

Plan make_plan(const checkpoint::Checkpoint& source, const QuantizeJob& job, Report& report) {
  Plan plan;
  plan.tensors = list_tensors(source);
  plan.dtype = job.dtype ? job.dtype : &source_dtype(source);
  std::vector<std::string> notes = job.recipe.notes;
  for (Assignment& assignment : assign(job.recipe, plan.tensors, notes)) {
    if (assignment.scheme && assignment.scheme->weights.scale_format == &numeric::bf16 &&
        plan.dtype == &numeric::fp16)
      assignment.scheme->weights.scale_format = &numeric::fp16;
    for (const MethodStep& step : job.recipe.methods)
      if (assignment.scheme && step.method->extend) step.method->extend(step.settings, *assignment.scheme);
    plan.assignments.emplace(assignment.module, std::move(assignment));
  }
  const std::vector<numeric::Scheme> schemes = schemes_of(plan);
  take_methods(plan, job, report);
  take_kv(plan, job);
  plan.layout = chosen_layout(plan, job.recipe.layout, schemes);
  checkpoint::check_layout(plan.layout, schemes);
  report.scheme = distinct(plan, [](const Assignment& a) { return std::string(a.scheme->name); });
  report.clip = distinct(plan, [](const Assignment& a) { return std::string(clip_name(a.clip)); });
  report.method = method_words(plan);
  report.layout = plan.layout;
  if (plan.kv) report.kv_cache = plan.kv->name;
  report.group = common_group(schemes);
  check_source(source, report.scheme, report);
  for (std::string& text : notes) note(report, std::move(text));
  return plan;
}

void predict_sizes(const Plan& plan, Report& report) {
  using Kind = std::tuple<int64_t, int64_t, std::string_view, int>;  // rows, cols, scheme, group
  std::map<Kind, std::pair<uint64_t, uint64_t>> known;               // → stored, written bytes
  uint64_t stored_bytes = 0;
  int64_t quantized = 0;
  for (const ModelMatrix& matrix : plan.tensors.matrices) {
    const numeric::Scheme* scheme = matrix.linear ? plan.scheme_of(matrix) : nullptr;
    if (!scheme) {
      report.bytes += static_cast<uint64_t>(matrix.rows * matrix.cols * plan.dtype->bytes());
      continue;
    }
    auto [found, is_new] = known.try_emplace({matrix.rows, matrix.cols, scheme->name, scheme->weights.group});
    if (is_new) {
      const tensor::QuantizedMatrix empty = empty_matrix(matrix.rows, matrix.cols, scheme->weights);
      found->second = {empty.stored_bytes,
                       checkpoint::written_bytes(plan.layout, empty, *scheme, *plan.dtype)};
    }
    LayerReport layer = layer_report(plan, matrix);
    layer.bytes = found->second.first;
    report.layers.push_back(std::move(layer));
    stored_bytes += found->second.first;
    report.bytes += found->second.second;
    quantized += matrix.rows * matrix.cols;
  }
  for (const ModelVector& vector : plan.tensors.vectors)
    report.bytes += static_cast<uint64_t>(vector.size * plan.dtype->bytes());
  if (plan.kv && plan.kv->needs_calibration())
    report.bytes += static_cast<uint64_t>(plan.tensors.config.layers) * 2 * sizeof(float);
  report.parameters = plan.tensors.parameters();
  report.bits_per_weight = 8.0 * static_cast<double>(stored_bytes) / static_cast<double>(quantized);
  report.bits_per_parameter =
      8.0 * static_cast<double>(report.bytes) / static_cast<double>(report.parameters);
}

LayerReport layer_report(const Plan& plan, const ModelMatrix& matrix) {
  LayerReport layer;
  layer.name = matrix.module;
  layer.scheme = plan.scheme_of(matrix)->name;
  layer.method = method_words(plan);
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  return layer;
}

}  // namespace aquatint::quant

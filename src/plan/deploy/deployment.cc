#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "plan/deploy.h"

namespace aquatint::plan {
namespace {

using base::BadInput;
using base::Json;

constexpr int kMostCards = 4096, kMostReplicas = 1000000;
constexpr double kLargest = 1e18;
constexpr int64_t kContextStep = 256;  // tokens; engines cut caches into blocks that divide it

// These texts go into scripts and comments: one line, and not a long one.
std::string line_of(const Json& json, const char* key, const std::string& where) {
  std::string text = base::require_string(json, key, where);
  constexpr size_t kLongest = 1000;
  if (text.size() > kLongest ||
      std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }))
    throw BadInput(
        fmt::format("{}: key \"{}\" has {} bytes or control characters, expected one line of at "
                    "most {}",
                    where, key, text.size(), kLongest));
  return text;
}

double amount(const Json& json, const char* key, const std::string& where) {
  const double value = base::require_number(json, key, where);
  if (!(value >= 0 && value <= kLargest))
    throw BadInput(fmt::format("{}: key \"{}\" is {}, expected 0 to {}", where, key, value, kLargest));
  return value;
}

const Json& object(const Json& json, const char* key, const std::string& where) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || !found->is_object())
    throw BadInput(
        fmt::format("{}: no object \"{}\"; expected what aquatint plan --json prints", where, key));
  return *found;
}

Service read_service(const Json& json, const char* key, const std::string& where) {
  const Json& s = object(json, key, where);
  Service service;
  service.sequences = amount(s, "sequences", where);
  service.first_token = amount(s, "ttft_seconds", where);
  service.token = amount(s, "tpot_seconds", where);
  service.tokens_per_second = amount(s, "tokens_per_second", where);
  return service;
}

Memory read_memory(const Json& json, const std::string& where) {
  Memory m;
  m.total = amount(json, "total", where);
  m.reserve = amount(json, "reserve", where);
  m.weights = amount(json, "weights", where);
  m.workspace = amount(json, "workspace", where);
  m.cache = amount(json, "kv_cache", where);
  m.cache_per_token = amount(json, "kv_bytes_per_token", where);
  if (!(m.total > 0 && m.reserve < m.total && m.cache > 0 && m.cache_per_token > 0))
    throw BadInput(fmt::format("{}: the memory of the candidate holds nothing", where));
  return m;
}

template <class Found>
Found known(Found (*find)(std::string_view), const std::string& name, const char* key,
            const std::string& where) {
  try {
    return find(name);
  } catch (const base::BadUsage& e) {
    throw BadInput(fmt::format("{}: key \"{}\": {}", where, key, e.what()));
  }
}

Candidate read_candidate(const Json& json, const std::string& where) {
  Candidate c;
  c.choice = known(find_choice, line_of(json, "scheme", where), "scheme", where);
  c.gpu = known<const Device&>(find_device, line_of(json, "gpu", where), "gpu", where).name;
  c.count = static_cast<int>(base::require_int(json, "count", where, 1, kMostCards));
  c.replicas = static_cast<int>(base::require_int(json, "replicas", where, 1, kMostReplicas));
  if (!json.contains("at_most") || json["at_most"].is_null())
    throw base::BadUsage(
        fmt::format("{}: {} on {} x {} does not hold one request: there is nothing to deploy", where,
                    c.choice.name, c.count, c.gpu));
  c.memory = read_memory(object(json, "memory", where), where);
  c.weight_bytes = amount(json, "weight_bytes", where);
  c.longest_context = amount(json, "longest_context", where);
  c.most_sequences = amount(json, "most_sequences", where);
  c.at_most = read_service(json, "at_most", where);
  c.loaded = read_service(json, "loaded", where);
  if (c.at_most.sequences < 1)
    throw BadInput(fmt::format("{}: key \"sequences\" of \"at_most\" is {}, expected at least 1", where,
                               c.at_most.sequences));
  c.cost.per_month = base::number_or(object(json, "cost", where), "per_month", NAN, where);
  const Json& quality = object(json, "quality", where);
  c.quality.recovery = base::number_or(quality, "recovery", NAN, where);
  c.quality.source = line_of(quality, "source", where);
  c.effort.method = line_of(object(json, "effort", where), "method", where);
  c.reason = line_of(json, "reason", where);
  return c;
}

Question read_question(const Json& json, const std::string& where) {
  Question q;
  q.traffic.prompt_tokens = amount(json, "prompt_tokens", where);
  q.traffic.generate_tokens = amount(json, "generate_tokens", where);
  q.traffic.requests_per_second = amount(json, "requests_per_second", where);
  q.traffic.peak = amount(json, "peak", where);
  q.limits = {.first_token = amount(json, "ttft_seconds", where),
              .token = amount(json, "tpot_seconds", where)};
  q.efficiency.step_tokens = amount(object(json, "efficiency", where), "step_tokens", where);
  return q;
}

size_t index_of(const Json& plan, const Json& candidates, std::optional<size_t> rank,
                const std::string& where) {
  if (rank) {
    if (*rank < 1 || *rank > candidates.size())
      throw base::BadUsage(
          fmt::format("--rank {}: {} has candidates 1 to {}", *rank, where, candidates.size()));
    return *rank - 1;
  }
  if (!plan.contains("chosen") || plan["chosen"].is_null())
    throw base::BadUsage(
        fmt::format("{}: no scheme met every target, so none was chosen; name one with --rank", where));
  return static_cast<size_t>(
      base::require_int(plan, "chosen", where, 0, static_cast<int64_t>(candidates.size()) - 1));
}

}  // namespace

std::string Deployment::name() const {
  std::string path = model;
  while (path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

std::string Deployment::checkpoint() const {
  return candidate.choice.quantized() ? fmt::format("./{}-{}", name(), candidate.choice.name) : model;
}

std::string Deployment::title() const {
  return fmt::format("{} in {} on {} x {}", name(), candidate.choice.name, candidate.count, candidate.gpu);
}

int64_t Deployment::max_context() const {
  const double wanted = 2 * question.traffic.context();
  const auto whole = static_cast<int64_t>(std::ceil(wanted / kContextStep)) * kContextStep;
  return std::clamp(whole, int64_t{1}, std::max(int64_t{1}, static_cast<int64_t>(candidate.longest_context)));
}

int64_t Deployment::max_sequences() const { return static_cast<int64_t>(candidate.at_most.sequences); }

int64_t Deployment::step_tokens() const {
  return std::max(max_sequences(), static_cast<int64_t>(question.efficiency.step_tokens));
}

double Deployment::memory_share() const { return 1 - candidate.memory.reserve / candidate.memory.total; }

int Deployment::machines() const {
  const int most = device().most;
  for (int machines = (candidate.count + most - 1) / most; machines < candidate.count; ++machines)
    if (candidate.count % machines == 0) return machines;
  return candidate.count;
}

Deployment read_deployment(const Json& plan, const std::string& where, std::optional<size_t> rank) {
  if (!plan.is_object() || !plan.contains("candidates") || !plan["candidates"].is_array() ||
      plan["candidates"].empty())
    throw BadInput(fmt::format("{}: no \"candidates\"; expected what aquatint plan --json prints", where));
  const Json& candidates = plan["candidates"];
  const Json& chosen = candidates[index_of(plan, candidates, rank, where)];
  if (!chosen.is_object()) throw BadInput(fmt::format("{}: a candidate is no object", where));
  Deployment d;
  d.question = read_question(object(plan, "question", where), where);
  d.candidate = read_candidate(chosen, where);
  d.model = line_of(chosen, "model", where);
  d.question.models.resize(1);
  d.question.models[0].name = d.model;
  return d;
}

}  // namespace aquatint::plan

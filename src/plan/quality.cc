#include "plan/quality.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/recovery.h"
#include "plan/data.h"

namespace aquatint::plan {
namespace {

constexpr const char* kRecoveriesFile = "recoveries.json";

struct Published {
  std::vector<std::string> schemes;
  double from = 0, to = 0;  // of a model's parameters; caches: all
  Quality quality;
  bool is_of(std::string_view scheme, double parameters) const {
    return std::ranges::find(schemes, scheme) != schemes.end() && parameters >= from && parameters < to;
  }
};

std::vector<Published> read_published(const base::Json& list) {
  std::vector<Published> all;
  for (const base::Json& json : list) {
    Published p;
    p.schemes = json.at("schemes").get<std::vector<std::string>>();
    p.from = base::number_or(json, "from", 0, kRecoveriesFile) * 1e9;
    p.to = base::number_or(json, "to", INFINITY, kRecoveriesFile) * 1e9;
    p.quality = {.recovery = base::require_number(json, "recovery", kRecoveriesFile),
                 .low = base::require_number(json, "low", kRecoveriesFile),
                 .high = base::require_number(json, "high", kRecoveriesFile),
                 .basis = "published",
                 .source = base::require_string(json, "source", kRecoveriesFile),
                 .note = ""};
    all.push_back(std::move(p));
  }
  return all;
}

const std::vector<Published>& published(const char* key) {
  static const base::Json table = base::parse_json(kRecoveriesJson, kRecoveriesFile);
  static const std::vector<Published> weights = read_published(table.at("recoveries")),
                                      caches = read_published(table.at("caches"));
  return std::string_view(key) == "caches" ? caches : weights;
}

const Quality* find_published(const char* key, std::string_view scheme, double parameters) {
  for (const Published& p : published(key))
    if (p.is_of(scheme, parameters)) return &p.quality;
  return nullptr;
}

Quality exact() { return {1, 1, 1, "exact", "", ""}; }

// Losses of weights and cache add up to a good approximation while both are small.
Quality combined(const Quality& weights, const Quality& cache) {
  return {.recovery = weights.recovery * cache.recovery,
          .low = weights.low * cache.low,
          .high = weights.high * cache.high,
          .basis = "published",
          .source = weights.source.empty() ? cache.source
                    : cache.source.empty() ? weights.source
                                           : weights.source + "; cache: " + cache.source,
          .note = ""};
}

Quality from_publications(const Shape& shape, const Choice& choice) {
  const Quality none = {
      .recovery = NAN, .low = NAN, .high = NAN, .basis = "unknown", .source = "", .note = ""};
  const Quality *weights = nullptr, *cache = nullptr;
  const Quality whole = exact();
  if (choice.scheme) {
    weights = find_published("recoveries", choice.scheme->name, shape.parameters());
    if (!weights) return none;
  }
  if (choice.cache) {
    cache = find_published("caches", choice.cache->name, 0);
    if (!cache) return none;
  }
  Quality q = combined(weights ? *weights : whole, cache ? *cache : whole);
  if (!weights && !cache) q.basis = "exact";
  return q;
}

const report::StudyRow* row_of(const report::Study& study, std::string_view scheme) {
  const auto found = std::ranges::find_if(study.rows, [&](const report::StudyRow& row) {
    return row.kind != report::RowKind::reference && row.scheme == scheme;
  });
  return found == study.rows.end() ? nullptr : &*found;
}

const report::StudyRow* reference_of(const report::Study& study) {
  const report::StudyRow* reference = nullptr;
  for (const report::StudyRow& row : study.rows) {
    if (row.kind == report::RowKind::baseline) return &row;
    if (row.kind == report::RowKind::reference) reference = &row;
  }
  return reference;
}

std::vector<double> scores(const std::vector<uint8_t>& correct) { return {correct.begin(), correct.end()}; }

// Over the tasks that both rows have item by item; unset without any.
std::optional<Quality> from_tasks(const report::StudyRow& row, const report::StudyRow& reference) {
  std::vector<eval::TaskScores> pairs;
  for (const report::TaskResult& task : row.tasks)
    for (const report::TaskResult& other : reference.tasks)
      if (task.name == other.name && !task.correct.empty() && task.correct.size() == other.correct.size())
        pairs.push_back({scores(task.correct), scores(other.correct), task.baseline});
  if (pairs.empty()) return std::nullopt;
  const eval::RecoveryEstimate overall = eval::recovery(pairs).overall;
  if (!overall.value) return std::nullopt;
  Quality q = {.recovery = *overall.value,
               .low = *overall.value,
               .high = *overall.value,
               .basis = "study",
               .source = fmt::format("{} tasks of your study", pairs.size()),
               .note = ""};
  if (overall.interval) q.low = overall.interval->low, q.high = overall.interval->high;
  return q;
}

// Without tasks: by how much perplexity grew.
std::optional<Quality> from_perplexity(const report::StudyRow& row, const report::StudyRow& reference) {
  if (!row.perplexity.known() || !reference.perplexity.known()) return std::nullopt;
  const double recovery = reference.perplexity.value / row.perplexity.value;
  const double error = std::isfinite(row.perplexity.error) ? row.perplexity.error / row.perplexity.value : 0;
  return Quality{.recovery = recovery,
                 .low = recovery * (1 - 2 * error),
                 .high = recovery * (1 + 2 * error),
                 .basis = "study",
                 .source = "perplexity in your study",
                 .note = "the ratio of perplexities stands in for tasks"};
}

}  // namespace

Quality expected_quality(const Shape& shape, const Choice& choice, const report::Study* study) {
  if (study) {
    const report::StudyRow *row = row_of(*study, choice.name), *reference = reference_of(*study);
    if (row && reference) {
      if (auto found = from_tasks(*row, *reference)) return *found;
      if (auto found = from_perplexity(*row, *reference)) return *found;
    }
  }
  return from_publications(shape, choice);
}

}  // namespace aquatint::plan

// Logits of committed tiny models against what transformers gave for them (tests/golden/models.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "runner.h"

namespace aquatint::model {
namespace {

using kernels::Phase;
using kernels::Precision;
using test::Runner;

struct Golden {
  explicit Golden(const std::string& name)
      : checkpoint(checkpoint::open_checkpoint(std::string(AQUATINT_GOLDEN) + "/models/" + name)) {
    const std::string folder = std::string(AQUATINT_GOLDEN) + "/models/" + name;
    const base::Json json = base::parse_json(base::read_text(folder + "/ids.json"), "ids.json");
    for (const base::Json& id : json) ids.push_back(id.get<int32_t>());
    const base::MappedFile file(folder + "/logits.f32");
    const float* values = reinterpret_cast<const float*>(file.bytes().data());
    logits.assign(values, values + file.bytes().size() / sizeof(float));
  }

  std::shared_ptr<const checkpoint::Checkpoint> checkpoint;
  std::vector<int32_t> ids;
  std::vector<float> logits;  // [ids.size()][vocab_size]
};

// The largest difference in any row, relative to the row's largest logit.
double worst_difference(const std::vector<float>& got, const std::vector<float>& want, int64_t cols) {
  double worst = 0;
  for (size_t row = 0; row < want.size(); row += static_cast<size_t>(cols)) {
    double difference = 0, largest = 0;
    for (size_t i = row; i < row + static_cast<size_t>(cols); ++i) {
      difference = std::max<double>(difference, std::abs(got[i] - want[i]));
      largest = std::max<double>(largest, std::abs(want[i]));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

double mean_kld(const std::vector<float>& reference, const std::vector<float>& model, int64_t cols) {
  const int64_t rows = static_cast<int64_t>(reference.size()) / cols;
  std::vector<kernels::Divergence> divergence(static_cast<size_t>(rows));
  base::ThreadPool pool(1);
  kernels::kernel_set("ref").divergence(reference.data(), model.data(), rows, cols, divergence.data(), pool);
  double sum = 0;
  for (const auto& d : divergence) sum += d.kl;
  return sum / static_cast<double>(rows);
}

// The last tokens one by one, as if they had been generated.
std::vector<float> logits_of(const Runner& r, const std::vector<int32_t>& ids, size_t generated) {
  KvCache cache = r.cache();
  const size_t prompt = ids.size() - generated;
  std::vector<float> logits = r.logits(r.run(std::span(ids).first(prompt), cache, Phase::prefill));
  for (size_t i = prompt; i < ids.size(); ++i) {
    const auto row = r.logits(r.run(std::span(ids).subspan(i, 1), cache, Phase::decode), Phase::decode);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

TEST(Golden, LogitsEqualTransformers) {
  for (const char* name : {"llama3_rope", "qwen3"}) {
    const Golden golden(name);
    for (const kernels::KernelSet* set : kernels::kernel_sets()) {
      if (!set->usable()) continue;
      const double bound = set->name == "ref" ? 1e-5 : 1e-4;
      const Runner exact(golden.checkpoint, *set, Precision::fp32, 2);
      const Runner rounded(golden.checkpoint, *set, Precision::bf16, 2);
      const int64_t vocab = exact.model->config().vocab_size;
      for (size_t generated : {0u, 25u}) {
        SCOPED_TRACE(fmt::format("{} {} {} generated", name, set->name, generated));
        EXPECT_LE(worst_difference(logits_of(exact, golden.ids, generated), golden.logits, vocab), bound);
        EXPECT_LE(mean_kld(golden.logits, logits_of(rounded, golden.ids, generated), vocab), 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace aquatint::model

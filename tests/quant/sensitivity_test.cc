#include "quant/sensitivity.h"

#include <cmath>

#include "pipeline_fixture.h"
#include "quant/mixture.h"
#include "quant/recipe.h"

namespace aquatint::quant {
namespace {

class SensitivityTest : public testing::Test {
 protected:
  SensitivityTest() {
    for (uint64_t seed = 0; seed < 3; ++seed) sequences_.push_back(test::some_tokens(24, seed));
  }

  SensitivityJob job(const std::vector<std::string>& schemes, uint64_t memory = uint64_t{1} << 30) const {
    SensitivityJob made{.schemes = {}, .sequences = sequences_, .memory = memory};
    for (const std::string& name : schemes) made.schemes.push_back(numeric::find_scheme(name));
    return made;
  }
  model::Backend backend() { return {&kernels::kernel_set("auto"), &pool_, kernels::Precision::fp32}; }
  Sensitivity measure(const SensitivityJob& of) { return measure_sensitivity(*source_, of, backend()); }

  std::vector<std::vector<int32_t>> sequences_;
  base::ThreadPool pool_{2};
  std::shared_ptr<const checkpoint::Checkpoint> source_ = test::random_checkpoint(config_of(false));
};

std::vector<double> klds(const Sensitivity& found) {
  std::vector<double> all;
  for (const SchemeEffects& scheme : found.schemes) {
    all.push_back(scheme.embedding.kld);
    for (const Effect& effect : scheme.linears) all.push_back(effect.kld);
    all.push_back(scheme.head.kld);
  }
  return all;
}

TEST_F(SensitivityTest, FewerBitsHurtMoreEverywhere) {
  const Sensitivity found = measure(job({"W8A16", "W2A16"}));
  EXPECT_EQ(found.tokens, 72);
  ASSERT_EQ(found.schemes.size(), 2u);
  ASSERT_EQ(found.schemes[0].linears.size(), 14u);
  const std::vector<double> all = klds(found);
  for (size_t i = 0; i < all.size() / 2; ++i) {
    EXPECT_GT(all[i], 0) << i;
    EXPECT_GT(all[i + all.size() / 2], 10 * all[i]) << i;
  }
}

// What one matrix does alone is what the model does whose mixture is that matrix.
TEST_F(SensitivityTest, OneMatrixAloneIsAMixtureOfOne) {
  const SensitivityJob of = job({"W4A16", "W8A8"});
  const Sensitivity found = measure(of);
  for (const SchemeEffects& scheme : found.schemes)
    for (const size_t i : {1, 3, 10, 13}) {
      const Effect& effect = scheme.linears[i];
      EXPECT_DOUBLE_EQ(measure_mixture(*source_, {{effect.matrix.module, effect}}, of, backend()), effect.kld)
          << effect.matrix.module;
    }
  EXPECT_EQ(measure_mixture(*source_, {}, of, backend()), 0);
}

TEST_F(SensitivityTest, LittleMemoryMeansMorePassesAndTheSameNumbers) {
  const uint64_t copy = 72 * 64 * sizeof(float);
  const std::vector<double> at_once = klds(measure(job({"W4A16"})));
  EXPECT_EQ(klds(measure(job({"W4A16"}, 3 * copy))), at_once);
  EXPECT_THROW(measure(job({"W4A16"}, copy - 1)), base::OutOfResource);
}

TEST_F(SensitivityTest, TiedMatricesCountOnceAsInputAndOnceAsOutput) {
  source_ = test::random_checkpoint(config_of(true));
  const Sensitivity found = measure(job({"W4A16"}));
  EXPECT_EQ(found.schemes[0].head.matrix.module, "model.embed_tokens");
  EXPECT_NE(found.schemes[0].head.kld, found.schemes[0].embedding.kld);
}

TEST_F(SensitivityTest, MixtureKeepsItsBudgetAndItsRecipeIsRead) {
  const Sensitivity found = measure(job({"W8A16", "W4A16"}));
  const Mixture mixture = find_mixture(found, {Budget::Unit::bits_per_weight, 6.5});
  EXPECT_LE(mixture.bits_per_weight, 6.5);
  EXPECT_GT(mixture.bits_per_weight, 5.5);
  const Recipe recipe = parse_recipe(mixture.recipe, "mixture");
  std::vector<std::string> notes;
  for (const Assignment& assignment : assign(recipe, found.tensors, notes))
    EXPECT_EQ(assignment.scheme->name, mixture.chosen.at(assignment.module).scheme.name) << assignment.module;
  try {
    find_mixture(found, {Budget::Unit::bits_per_weight, 3});
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("a budget of 3 bits per weight is below the 4."));
  }
}

TEST_F(SensitivityTest, PlentifulBudgetStaysIn16Bits) {
  const Sensitivity found = measure(job({"W4A16"}));
  const Mixture mixture = find_mixture(found, {Budget::Unit::bytes, 1e9});
  EXPECT_TRUE(mixture.chosen.empty());
  EXPECT_EQ(mixture.bits_per_weight, 16);
}

// Time that depends on the scheme, not on the bytes alone.
TEST_F(SensitivityTest, BudgetInSecondsAsksForTheSchemesTime) {
  const Sensitivity found = measure(job({"W8A16", "W4A16"}));
  const auto seconds = [](double bytes, const numeric::Scheme* scheme) {
    return scheme && scheme->name == "W4A16" ? 10 * bytes : bytes;
  };
  const Mixture mixture = find_mixture(found, {Budget::Unit::seconds, 1e5}, seconds);
  for (const auto& [module, effect] : mixture.chosen) EXPECT_EQ(effect.scheme.name, "W8A16") << module;
}

}  // namespace
}  // namespace aquatint::quant

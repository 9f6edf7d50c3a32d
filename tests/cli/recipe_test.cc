// Recipes and flags: what `quantize` makes of them.
#include "cli/fixture.h"
#include "cli/recipe_flags.h"

namespace aquatint::test {
namespace {

using cli::RecipeFlags;
using cli::to_recipe;
using testing::ElementsAre;
using testing::HasSubstr;

template <class Call>
std::string usage_error(Call call) {
  try {
    call();
  } catch (const base::BadUsage& e) {
    return e.what();
  }
  return "nothing was thrown";
}

std::vector<std::string> method_names(const quant::Recipe& recipe) {
  std::vector<std::string> names;
  for (const quant::MethodStep& step : recipe.methods) names.emplace_back(step.method->name);
  return names;
}

TEST(RecipeFlagsTest, FlagsMakeARecipe) {
  RecipeFlags flags;
  flags.scheme = "w4a16";
  flags.method = "smoothquant,gptq";
  flags.group = 32;
  flags.clip = "none";
  flags.calibration = "a.txt:3,b:c.jsonl";
  flags.samples = 16;
  const quant::Recipe recipe = to_recipe(flags, 9);
  EXPECT_EQ(recipe.scheme->name, "W4A16");
  EXPECT_THAT(method_names(recipe), ElementsAre("smoothquant", "gptq"));
  EXPECT_EQ(recipe.group, 32);
  EXPECT_EQ(recipe.clip, quant::Clip::none);
  const quant::CalibrationOptions options = recipe.calibration->options();
  ASSERT_EQ(options.sources.size(), 2u);
  EXPECT_EQ(options.sources[0].file, "a.txt");
  EXPECT_EQ(options.sources[0].ratio, 3);
  EXPECT_EQ(options.sources[1].file, "b:c.jsonl");
  EXPECT_EQ(options.samples, 16);
  EXPECT_EQ(options.length, 2048);
  EXPECT_EQ(options.seed, 9u);
}

TEST(RecipeFlagsTest, FlagsOverrideAFile) {
  const fs::path file = fs::path(testing::TempDir()) / fmt::format("aquatint-{}.yaml", getpid());
  base::write_text(file,
                   "scheme: W4A16\ngroup: 64\nmethods: [awq]\nclip: mse\n"
                   "calibration: {files: a.txt, samples: 8, seed: 3}\n");
  RecipeFlags flags;
  flags.recipe = file;
  EXPECT_EQ(to_json(to_recipe(flags, {})), to_json(quant::read_recipe(file)));
  flags.method = "gptq";
  flags.group = 32;
  flags.calibration = "self";
  flags.length = 64;
  const quant::Recipe recipe = to_recipe(flags, 4);
  fs::remove(file);
  EXPECT_THAT(method_names(recipe), ElementsAre("gptq"));
  EXPECT_EQ(recipe.group, 32);
  EXPECT_EQ(recipe.clip, quant::Clip::mse);
  EXPECT_TRUE(recipe.calibration->self);
  EXPECT_EQ(recipe.calibration->options().samples, 8);
  EXPECT_EQ(recipe.calibration->options().length, 64);
  EXPECT_EQ(recipe.calibration->seed, 4u);
}

TEST(RecipeFlagsTest, ContradictionsAreWrongUsage) {
  const auto refused = [](RecipeFlags flags) { return usage_error([&] { to_recipe(flags, {}); }); };
  RecipeFlags flags;
  EXPECT_THAT(refused(flags), HasSubstr("--scheme S or --recipe FILE"));
  flags.scheme = "W4A16";
  flags.samples = 3;
  EXPECT_THAT(refused(flags), HasSubstr("add --calibration"));
  flags.samples = 0;
  flags.calibration = "a.txt,,b.txt";
  EXPECT_THAT(refused(flags), HasSubstr("missing between the commas"));
  flags.calibration = "";
  flags.method = "gptq,awq";
  EXPECT_THAT(refused(flags), HasSubstr("awq comes after"));
  flags.method = "gptq";
  flags.untie = true;
  EXPECT_THAT(refused(flags), HasSubstr("--untie is of methods that rotate"));
  flags.untie = false;
  flags.method = "gtpq";
  EXPECT_THAT(refused(flags), HasSubstr("did you mean 'gptq'"));
  flags.recipe = "r.yaml";
  EXPECT_THAT(refused(flags), HasSubstr("give one of them"));
}

TEST_F(Cli, MethodsThatNeedCalibrationSampleTheModelByDefault) {
  const std::string to = (scratch_ / "q").string();
  const Json report = run_json({"quantize", model_, "--to", to, "--scheme", "W4A16", "--group", "32",
                                "--method", "gptq", "--samples", "16", "--seq-len", "32"});
  EXPECT_EQ(report["method"], "gptq");
  EXPECT_EQ(report["layers"][0]["error_basis"], "calibration");
  EXPECT_EQ(report["layers"][0]["calibration_tokens"], 16 * 32);
  EXPECT_EQ(run_json({"inspect", to})["scheme"], "W4A16");
}

TEST_F(Cli, QuantizesByARecipe) {
  const std::string recipe = (scratch_ / "r.yaml").string(), to = (scratch_ / "q").string();
  base::write_text(recipe, "scheme: W4A16\ngroup: 32\n");
  const Json by_recipe = run_json({"quantize", model_, "--to", to, "--recipe", recipe});
  const Json by_flags = run_json(
      {"quantize", model_, "--to", to + "2", "--scheme", "W4A16", "--group", "32", "--method", "rtn"});
  for (size_t i = 0; i < by_recipe["layers"].size(); ++i)
    for (const char* key : {"name", "scheme", "method", "bytes", "relative_error"})
      EXPECT_EQ(by_recipe["layers"][i][key], by_flags["layers"][i][key]);
  const Json inspected = run_json({"inspect", to});
  EXPECT_EQ(inspected["scheme"], "W4A16");
  EXPECT_THAT(inspected["warnings"].dump(), testing::Not(HasSubstr("stale")));
}

TEST_F(Cli, SensitivityWritesARecipeThatQuantizeTakes) {
  const std::string recipe = (scratch_ / "r.yaml").string(), to = (scratch_ / "q").string();
  const Json found = run_json({"sensitivity", model_, "--schemes", "W8A16,W4A16", "--windows", "2",
                               "--context", "16", "--budget", "7", "--to", recipe});
  EXPECT_EQ(found["schemes"].size(), 2u);
  EXPECT_GT(found["mixture"]["kld"], 0.0);
  const Json made = run_json({"quantize", model_, "--to", to, "--recipe", recipe});
  EXPECT_NEAR(made["bits_per_weight"].get<double>(), found["mixture"]["bits_per_weight"].get<double>(), 1e-9);
  expect_error(run({"sensitivity", model_, "--to", recipe}), 2, "add --budget");
  expect_error(run({"sensitivity", model_, "--schemes", "W5A5"}), 2, "unknown scheme");
}

TEST_F(Cli, InspectSaysThatTheBaseHasChanged) {
  const fs::path base = scratch_ / "base", to = scratch_ / "q";
  fs::copy(model_, base, fs::copy_options::recursive);
  run_json({"quantize", base.string(), "--to", to.string(), "--scheme", "W8A16"});
  fs::remove_all(base);
  run_json({"convert", to.string(), "--to", base.string(), "--layout", "safetensors"});
  EXPECT_THAT(run_json({"inspect", to.string()})["warnings"].dump(), HasSubstr("has changed since"));
}

TEST_F(Cli, RefusesRecipesInOneLine) {
  const std::string recipe = (scratch_ / "r.yaml").string(), to = (scratch_ / "q").string();
  const auto refused = [&](const std::string& yaml) {
    base::write_text(recipe, yaml);
    return run({"quantize", model_, "--to", to, "--recipe", recipe});
  };
  expect_error(refused("scheme: W4A16\nlayers: [{match: 're:.*dwn', keep: true}]"), 3,
               "r.yaml:2: no layer matches");
  expect_error(refused("scheme: W4A16\ngruop: 3"), 3, "did you mean 'group'");
  expect_error(refused("scheme: W4A16\ngroup: 128"), 3, "the largest that does is 64");
  expect_error(run({"quantize", model_, "--to", to, "--scheme", "W4A16", "--group", "128"}), 2,
               "the largest that does is 64");
  expect_error(run({"quantize", model_, "--to", to, "--recipe", "/nowhere.yaml"}), 3, "/nowhere.yaml");
  EXPECT_FALSE(fs::exists(to));
}

}  // namespace
}  // namespace aquatint::test

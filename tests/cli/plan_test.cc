#include "cli/fixture.h"

namespace aquatint::test {
namespace {

using testing::HasSubstr;

using Plan = Cli;

TEST_F(Plan, AnswersAndWritesTheRecipe) {
  const std::string recipe = (scratch_ / "plan.yaml").string();
  const Json answer =
      run_json({"plan", "--parameters", "70B", "--gpu", "A100-80G", "--count", "1,2", "--tpot", "0.05",
                "--tokens-per-day", "10000000", "--price", "A100-80G=1.64", "--to", recipe});
  ASSERT_TRUE(answer["chosen"].is_number());
  const Json& chosen = answer["candidates"][answer["chosen"].get<size_t>()];
  EXPECT_TRUE(chosen["meets"]);
  EXPECT_LE(chosen["loaded"]["tpot_seconds"], 0.05);
  EXPECT_THAT(base::read_text(recipe), HasSubstr("scheme: " + chosen["scheme"].get<std::string>()));
  EXPECT_THAT(answer["handover"].get<std::string>(), HasSubstr("aquatint serve"));
}

TEST_F(Plan, ReadsAModelsConfigWithoutItsWeights) {
  const fs::path folder = scratch_ / "config-only";
  fs::create_directories(folder);
  fs::copy_file(fs::path(model_) / "config.json", folder / "config.json",
                fs::copy_options::overwrite_existing);
  const Json answer = run_json({"plan", folder.string(), "--gpu", "L4", "--count", "1", "--schemes", "BF16"});
  EXPECT_EQ(answer["question"]["models"][0]["name"], "config-only");
}

TEST_F(Plan, NothingThatMeetsIsFiveWithTheClosest) {
  const Outcome outcome =
      run({"plan", "--parameters", "70B", "--gpu", "H100-80G", "--tpot", "0.0001", "--max-loss", "5%"});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.err, HasSubstr("nothing meets every target; closest is"));
  EXPECT_THAT(outcome.out, HasSubstr("TPOT"));
}

TEST_F(Plan, BadUsageNamesWhatIsNear) {
  expect_error(run({"plan", "--parameters", "70B", "--gpu", "H100-90G"}), 2, "did you mean 'H100-80G'");
  expect_error(run({"plan", "--parameters", "Lama-3-8B"}), 2, "did you mean 'Llama-3-8B'");
  expect_error(run({"plan", "--parameters", "8B", "--schemes", "W4A17"}), 2, "did you mean 'W4A16'");
  expect_error(run({"plan", "--parameters", "8B", "--price", "H100"}), 2, "expected GPU=PRICE");
  expect_error(run({"plan"}), 2, "plan needs a model");
}

TEST_F(Plan, BadConfigNamesTheKeys) {
  base::write_text(scratch_ / "config.json", R"({"model_type": "llama", "hidden_size": 64})");
  expect_error(run({"plan", scratch_.string()}), 3, "needs the keys intermediate_size, num_hidden_layers");
  base::write_text(scratch_ / "config.json", R"({"model_type": "rwkv"})");
  expect_error(run({"plan", scratch_.string()}), 3, "give a shape instead");
}

TEST_F(Plan, DevicesListsWhatIsKnown) {
  const Json devices = run_json({"devices"});
  EXPECT_GE(devices["devices"].size(), 15u);
  EXPECT_THAT(run({"devices"}).out, HasSubstr("has no INT4 tensor cores"));
}

}  // namespace
}  // namespace aquatint::test

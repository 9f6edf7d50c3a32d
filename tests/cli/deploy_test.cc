#include "base/file.h"
#include "cli/fixture.h"

namespace aquatint::test {
namespace {

using ::testing::HasSubstr;

class Deploy : public Cli {
 protected:
  std::string plan_file() const {
    const fs::path path = scratch_ / "plan.json";
    const Outcome plan = run({"plan", "--parameters", "8B", "--gpu", "H100", "--count", "1", "--schemes",
                              "FP8_DYNAMIC", "--json"});
    EXPECT_EQ(plan.code, 0) << plan.err;
    base::write_text(path, plan.out);
    return path.string();
  }
};

TEST_F(Deploy, WritesWhatThePlanChose) {
  const fs::path to = scratch_ / "out";
  const Json answer = run_json({"deploy", plan_file(), "--engine", "trtllm", "--to", to.string()});
  EXPECT_EQ(answer["scheme"], "FP8_DYNAMIC");
  for (const char* name : {"serve.sh", "options.yaml", "recipe.yaml", "README.md"})
    EXPECT_TRUE(fs::is_regular_file(to / name)) << name;
  EXPECT_NE(fs::status(to / "serve.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
  EXPECT_FALSE(fs::exists(to.string() + ".partial"));
}

TEST_F(Deploy, RefusesInOneLineAndLeavesNothing) {
  const std::string plan = plan_file(), to = (scratch_ / "out").string();
  expect_error(run({"deploy", plan, "--engine", "vlm", "--to", to}), 2, "did you mean 'vllm'");
  expect_error(run({"deploy", plan, "--engine", "vllm", "--to", scratch_.string()}), 2, "already exists");
  expect_error(run({"deploy", plan, "--engine", "vllm", "--rank", "99", "--to", to}), 2, "--rank 99");
  expect_error(run({"deploy", to, "--engine", "vllm", "--to", to}), 3, "cannot open");
  base::write_text(scratch_ / "bad.json", "{\"candidates\": [1");
  expect_error(run({"deploy", (scratch_ / "bad.json").string(), "--engine", "vllm", "--to", to}), 3,
               "bad.json");
  EXPECT_FALSE(fs::exists(to));
}

}  // namespace
}  // namespace aquatint::test

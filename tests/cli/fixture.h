// A tiny model and a text in a folder of their own, and whole commands run on them.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "cli/process.h"
#include "cli/tiny_model.h"

namespace aquatint::test {

namespace fs = std::filesystem;
using base::Json;

class Cli : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    root() = fs::path(testing::TempDir()) / fmt::format("aquatint-cli-{}", getpid());
    fs::remove_all(root());
    fs::create_directories(root());
    write_tiny_model(root() / "model");
    base::write_text(root() / "text.txt", random_text(400));
  }
  static void TearDownTestSuite() { fs::remove_all(root()); }
  static fs::path& root() {
    static fs::path path;
    return path;
  }

  void SetUp() override {
    scratch_ = root() / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(scratch_);
  }

  Outcome run(std::vector<std::string> arguments) const {
    return Process(scratch_, std::move(arguments)).wait();
  }
  Json run_json(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    const Outcome outcome = run(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, nullptr, false);
  }
  // One line on standard error, nothing on standard output.
  static void expect_error(const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, testing::HasSubstr(part));
    EXPECT_EQ(outcome.out, "");
  }
  std::vector<std::string> study(const std::string& schemes, bool resume) const {
    std::vector<std::string> arguments = {"study",
                                          model_,
                                          "--to",
                                          (scratch_ / "study").string(),
                                          "--text",
                                          text_,
                                          "--schemes",
                                          schemes,
                                          "--context",
                                          "64",
                                          "--windows",
                                          "2",
                                          "--prompt-tokens",
                                          "32",
                                          "--generate-tokens",
                                          "4",
                                          "--repeat",
                                          "2"};
    if (resume) arguments.push_back("--resume");
    return arguments;
  }

  fs::path scratch_;
  const std::string model_ = (root() / "model").string(), text_ = (root() / "text.txt").string();
};

}  // namespace aquatint::test

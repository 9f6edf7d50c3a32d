// A process that is killed at any moment: what it leaves is gone on with to the same bytes, and nothing lies
// under the final name before.
#include <chrono>
#include <map>
#include <thread>

#include "base/rng.h"
#include "cli/fixture.h"

namespace aquatint::test {
namespace {

class Kill : public Cli {
 protected:
  std::vector<std::string> command(const std::string& to, int threads) const {
    return {"quantize",
            model_,
            "--to",
            (scratch_ / to).string(),
            "--scheme",
            "W4A16",
            "--method",
            "gptq",
            "--seq-len",
            "32",
            "--samples",
            "16",
            "--quiet",
            "--calibration",
            text_,
            "--threads",
            std::to_string(threads)};
  }
  std::map<std::string, std::string> contents(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(scratch_ / name))
      files[entry.path().filename().string()] = base::read_text(entry.path());
    return files;
  }
};

// AQUATINT_KILLS: how many.
TEST_F(Kill, AnywhereAndResumedGivesTheSameBytes) {
  const char* wanted = std::getenv("AQUATINT_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 6;
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run(command("whole", 1)).code, 0);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::vector<std::string> again = command("out", 2);
  again.push_back("--resume");
  base::Rng rng(20);
  for (int done = 0; done < kills;) {
    Process process(scratch_, again);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds * rng.uniform()));
    const bool killed = process.running();
    process.send(SIGKILL);
    process.wait();
    if (!fs::exists(scratch_ / "out")) {
      done += killed;
      continue;
    }
    EXPECT_TRUE(contents("out") == contents("whole"));
    fs::remove_all(scratch_ / "out");
    fs::remove_all(scratch_ / "out.partial");
  }
  const Outcome last = run(again);
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_TRUE(contents("out") == contents("whole"));
}

TEST_F(Kill, InterruptKeepsWhatIsFinished) {
  std::vector<std::string> command = {"quantize", model_,  "--to",   (scratch_ / "out").string(),
                                      "--scheme", "W4A16", "--quiet"};
  Process stopped(scratch_, command);
  while (!fs::exists(scratch_ / "out.partial") && stopped.running())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stopped.send(SIGINT);
  EXPECT_THAT(stopped.wait().code, testing::AnyOf(130, 0));  // 0: it was done before the signal came
  command.push_back("--resume");
  if (!fs::exists(scratch_ / "out")) {
    EXPECT_EQ(run(command).code, 0);
  }
  EXPECT_FALSE(fs::exists(scratch_ / "out.partial"));
}

}  // namespace
}  // namespace aquatint::test

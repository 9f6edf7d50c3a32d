// Interrupted at any moment, a run goes on to the bytes that it would have had, or says why it does not.
#include <fstream>

#include "../model/fenced_set.h"
#include "base/journal.h"
#include "base/log.h"
#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

using testing::HasSubstr;

// Throws Interrupted at the `stop`-th matrix.
struct StopAt {
  explicit StopAt(int64_t stop) {
    base::set_progress_sink([stop](std::string_view, int64_t done, int64_t, std::string_view) {
      if (done == stop) throw base::Interrupted();
    });
  }
  ~StopAt() { base::set_progress_sink({}); }
};

class Resume : public Pipeline {
 protected:
  // Every file of a folder, by name.
  std::map<std::string, std::string> contents(const std::string& name) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ / name))
      files[entry.path().filename().string()] = base::read_text(entry.path());
    return files;
  }
  fs::path partial() const { return folder_ / "out.partial"; }
  void append(const fs::path& file, std::string_view text) const {
    std::ofstream(file, std::ios::app | std::ios::binary) << text;
  }
  void stop(const checkpoint::Checkpoint& source, const std::string& scheme, Options options, int64_t at) {
    const StopAt stopped(at);
    EXPECT_THROW(run(source, scheme, options, "out"), base::Interrupted);
  }
  std::string refusal(const checkpoint::Checkpoint& source, const std::string& scheme, Options options) {
    options.resume = true;
    try {
      run(source, scheme, options, "out");
    } catch (const base::BadUsage& e) {
      EXPECT_TRUE(fs::exists(partial()));
      return e.what();
    }
    ADD_FAILURE() << "not refused";
    return {};
  }

  base::Json config_ = [] {
    base::Json config = config_of(false);
    config["num_hidden_layers"] = 3;
    return config;
  }();
  std::shared_ptr<test::FakeCheckpoint> source_ = test::random_checkpoint(config_);
  CalibrationSet tokens_ = calibration_tokens();
};

TEST_F(Resume, GoesOnWithStatesThatLieOnADevice) {
  tokens_.sequences.resize(4);
  Options options{.method = "gptq", .calibration = &tokens_, .kernels = &test::fenced_set()};
  run(*source_, "W4A16", options, "whole");
  stop(*source_, "W4A16", options, 15);
  options.resume = true;
  run(*source_, "W4A16", options, "out");
  EXPECT_EQ(contents("out"), contents("whole"));
}

TEST_F(Resume, GivesTheBytesOfARunInOneGo) {
  const std::pair<std::string, std::string> cases[] = {
      {"NVFP4A16", "rtn"}, {"W4A16", "gptq"}, {"W8A8", "smoothquant gptq"}, {"W4A16", "awq rtn"}};
  for (const auto& [scheme, method] : cases) {
    Options options{.method = method, .calibration = method == "rtn" ? nullptr : &tokens_};
    const Report whole = run(*source_, scheme, options, "whole");
    for (int64_t at = 0; at <= 23; at += method == "rtn" ? 1 : 5) {
      stop(*source_, scheme, options, at);
      EXPECT_EQ(fs::exists(partial()), at >= 8) << at;  // the embedding and a block of 7 linears
      options.resume = true;
      const Report resumed = run(*source_, scheme, options, "out");
      options.resume = false;
      ASSERT_EQ(contents("out"), contents("whole")) << scheme << " " << method << " stopped at " << at;
      EXPECT_FALSE(fs::exists(partial()));
      ASSERT_EQ(resumed.layers.size(), whole.layers.size());
      for (size_t i = 0; i < whole.layers.size(); ++i) {
        EXPECT_EQ(resumed.layers[i].name, whole.layers[i].name);
        EXPECT_EQ(resumed.layers[i].relative_error, whole.layers[i].relative_error);
        EXPECT_EQ(resumed.layers[i].condition, whole.layers[i].condition);
      }
      fs::remove_all(folder_ / "out");
    }
    fs::remove_all(folder_ / "whole");
  }
}

// The least budget that is accepted puts the states of calibration tokens on the disk.
TEST_F(Resume, SmallMemoryGivesTheSameBytes) {
  for (const std::string method : {"gptq", "smoothquant gptq", "awq rtn"}) {
    Options options{.method = method, .calibration = &tokens_};
    run(*source_, "W4A16", options, "whole");
    Options small = options;
    small.ram_bytes = 1;
    EXPECT_THROW(run(*source_, "W4A16", small, "out"), base::OutOfResource);
    EXPECT_FALSE(fs::exists(partial()));
    small.dry_run = true;
    const Report needed = run(*source_, "W4A16", small, "out");
    EXPECT_THAT(needed.notes.back(), HasSubstr("--ram"));
    EXPECT_TRUE(needed.prediction->spilled);
    const StopAt stopped(17);
    Options spilled = options;
    spilled.spill = true;
    EXPECT_THROW(run(*source_, "W4A16", spilled, "out"), base::Interrupted);
    base::set_progress_sink({});
    spilled.resume = true;
    run(*source_, "W4A16", spilled, "out");
    EXPECT_EQ(contents("out"), contents("whole")) << method;
    fs::remove_all(folder_ / "out");
    fs::remove_all(folder_ / "whole");
  }
}

TEST_F(Resume, ForgetsWhatIsTorn) {
  const Options options{.method = "gptq", .calibration = &tokens_};
  run(*source_, "W4A16", options, "whole");
  stop(*source_, "W4A16", options, 17);
  append(partial() / "model" / "shard-00001", "half a tensor");
  append(partial() / "journal", "0123456789abcdef {\"blocks\":3,");
  const std::string journal = base::read_text(partial() / "journal");
  Options again = options;
  again.resume = true;
  run(*source_, "W4A16", again, "out");
  EXPECT_EQ(contents("out"), contents("whole"));
  // A journal that is cut anywhere: fewer blocks are finished, or none.
  for (size_t length = 0; length < journal.size(); length += journal.size() / 9) {
    fs::remove_all(folder_ / "out");
    stop(*source_, "W4A16", options, 17);
    fs::resize_file(partial() / "journal", length);
    try {
      run(*source_, "W4A16", again, "out");
      EXPECT_EQ(contents("out"), contents("whole")) << length;
    } catch (const base::BadInput& e) {
      EXPECT_THAT(e.what(), HasSubstr("states-1"));  // those of a block that the journal no longer knows
      fs::remove_all(partial());
    }
  }
}

TEST_F(Resume, RefusesWhatIsNotTheSameAndSaysWhat) {
  const Options options{.method = "gptq", .calibration = &tokens_};
  stop(*source_, "W4A16", options, 17);
  EXPECT_THROW(run(*source_, "W4A16", options, "out"), base::BadUsage);
  EXPECT_THAT(refusal(*source_, "W8A16", options), HasSubstr("recipe/scheme was \"W4A16\", is \"W8A16\""));
  Options other = options;
  other.method = "rtn";
  EXPECT_THAT(refusal(*source_, "W4A16", other), HasSubstr("recipe/methods"));
  other = options;
  other.dtype = &numeric::fp16;
  EXPECT_THAT(refusal(*source_, "W4A16", other), HasSubstr("dtype was \"bf16\", is \"fp16\""));
  const CalibrationSet foreign = calibration_tokens(1);
  other = options;
  other.calibration = &foreign;
  EXPECT_THAT(refusal(*source_, "W4A16", other), HasSubstr("calibration was"));
  EXPECT_THAT(refusal(*test::random_checkpoint(config_, 2), "W4A16", options),
              HasSubstr("model/weights was"));
  base::Json config = config_;
  config["rope_theta"] = 5000.0;
  EXPECT_THAT(refusal(*test::random_checkpoint(config), "W4A16", options), HasSubstr("model/config.json"));
  Options same = options;
  same.resume = true;
  EXPECT_NO_THROW(run(*source_, "W4A16", same, "out"));
}

TEST_F(Resume, RefusesADamagedFolder) {
  const Options options{.method = "gptq", .calibration = &tokens_, .resume = true};
  const auto expect_bad = [&](const std::string& part) {
    try {
      run(*source_, "W4A16", options, "out");
      ADD_FAILURE() << part;
    } catch (const base::BadInput& e) {
      EXPECT_THAT(e.what(), HasSubstr(part));
    }
    fs::remove_all(partial());
  };
  stop(*source_, "W4A16", options, 17);
  fs::resize_file(partial() / "model" / "shard-00001", 5000);
  expect_bad("by its journal");
  stop(*source_, "W4A16", options, 17);
  fs::resize_file(partial() / "states-2", 5000);
  expect_bad("states");
  // Records with true checksums that say what no run would.
  const base::Json hostile[] = {
      {{"blocks", 1'000'000'000}, {"written", base::Json::object()}, {"layers", base::Json::array()}},
      {{"blocks", "many"}},
      {{"blocks", 3}, {"written", nullptr}, {"layers", base::Json::array()}},
      {{"blocks", 3},
       {"written", {{"tensors", {{"x", "F32", {1LL << 40, 1LL << 40}, ""}}}, {"modules", {}}}},
       {"layers", base::Json::array()}},
      {{"blocks", 3},
       {"written", {{"tensors", {{"x", "F32", {1}, "zz00zz00"}}}, {"modules", {}}}},
       {"layers", base::Json::array()}},
      {{"blocks", 3},
       {"written", {{"tensors", base::Json::array()}, {"modules", {{"lm_head", true}}}}},
       {"layers", base::Json::array()}},
      {{"blocks", 3}, {"written", base::Json::object()}, {"layers", {{{"name", 7}}}}}};
  for (const base::Json& record : hostile) {
    stop(*source_, "W4A16", options, 17);
    base::Journal(partial() / "journal").append(record);
    fs::copy(partial() / "states-2", partial() / "states-3");
    expect_bad("");
  }
}

}  // namespace
}  // namespace aquatint::quant

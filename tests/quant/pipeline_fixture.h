// Quantizes small random models into a folder that goes with the test.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "../model/runner.h"
#include "base/error.h"
#include "quant/pipeline.h"

namespace aquatint::quant {

namespace fs = std::filesystem;
using numeric::Granularity;

// 64 and 96 columns: groups of 32 at most.
inline base::Json config_of(bool tied = true) {
  base::Json config = test::tiny_config("qwen2");  // with q, k, v biases
  config["hidden_size"] = 64;
  config["intermediate_size"] = 96;
  config["head_dim"] = 16;
  config["num_attention_heads"] = 4;
  config["num_hidden_layers"] = 2;
  config["tie_word_embeddings"] = tied;
  config["torch_dtype"] = "bfloat16";
  return config;
}

// What the tests vary.
struct Options {
  std::string method = "rtn", layout = "";
  int group = 0;
  const numeric::Format* dtype = nullptr;
  bool dry_run = false;
  const CalibrationSet* calibration = nullptr;
  bool resume = false;
  uint64_t ram_bytes = 0;
  bool spill = false;
  const kernels::KernelSet* kernels = &kernels::kernel_set("auto");
};

// 40 sequences of 48 tokens.
inline CalibrationSet calibration_tokens(uint64_t first_seed = 0) {
  CalibrationSet set;
  for (uint64_t seed = first_seed; seed < first_seed + 40; ++seed)
    set.sequences.push_back(test::some_tokens(48, seed));
  return set;
}

class Pipeline : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("aquatint-quant-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Report run(const checkpoint::Checkpoint& source, const std::string& name, const Options& options = {},
             const std::string& to = "", base::ThreadPool* pool = nullptr) {
    QuantizeJob job{.calibration = options.calibration,
                    .dtype = options.dtype,
                    .dry_run = options.dry_run,
                    .resume = options.resume,
                    .ram_bytes = options.ram_bytes,
                    .spill = options.spill,
                    .journal_share = 1e9};  // every block is kept
    job.recipe.scheme = numeric::find_scheme(name);
    job.recipe.group = options.group;
    job.recipe.layout = options.layout;
    job.recipe.methods.clear();
    std::istringstream names(options.method);
    for (std::string method; names >> method;) job.recipe.methods.push_back(make_step(method));
    job.recipe.methods = complete_methods(job.recipe.methods);
    return quantize(source, folder_ / (to.empty() ? name : to), job, {options.kernels, pool ? pool : &pool_});
  }
  std::unique_ptr<checkpoint::Checkpoint> open(const std::string& name) {
    return checkpoint::open_checkpoint((folder_ / name).string());
  }
  static std::vector<float> values(const tensor::QuantizedMatrix& m) {
    std::vector<float> out(static_cast<size_t>(m.rows * m.cols));
    tensor::dequantize(m, 0, m.rows, out.data());
    return out;
  }
  size_t files_left() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
  base::ThreadPool pool_{2};
};

}  // namespace aquatint::quant

#include "quant/provenance.h"

#include <gmock/gmock.h>

#include "../model/fake_checkpoint.h"
#include "base/file.h"
#include "checkpoint/writer.h"
#include "quant/pipeline.h"

namespace aquatint::quant {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Provenance : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("aquatint-provenance-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    base_ = test::random_checkpoint(test::tiny_config("llama"), 1);
    base_->files.push_back({"tokenizer.json", "{}"});
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<checkpoint::Checkpoint> open(const std::string& name) const {
    return checkpoint::open_checkpoint((folder_ / name).string());
  }
  // The base as a folder of FP32 values, and what is quantized from it.
  void write_base() {
    fs::remove_all(folder_ / "base");
    convert(*base_, folder_ / "base", "safetensors", &numeric::fp32, pool_);
  }
  void quantize_base(const std::string& name) {
    const auto source = open("base");
    quantize(*source, folder_ / name, {.recipe = recipe_, .calibration = &calibration_},
             {&kernels::kernel_set("auto"), &pool_});
  }

  fs::path folder_;
  base::ThreadPool pool_{2};
  std::shared_ptr<test::FakeCheckpoint> base_;
  Recipe recipe_ = parse_recipe("scheme: W8A16", "r.yaml");
  CalibrationSet calibration_{{{1, 2, 3}}, "three tokens", fingerprint_of({{1, 2, 3}}), {}};
};

TEST_F(Provenance, TheFingerprintSeesWeightsAndNotLayouts) {
  const std::string fingerprint = model_fingerprint(*base_);
  write_base();
  EXPECT_EQ(model_fingerprint(*open("base")), fingerprint);
  EXPECT_NE(model_fingerprint(*test::random_checkpoint(test::tiny_config("llama"), 2)), fingerprint);
  base_->vectors.begin()->second[0] += 1;
  EXPECT_NE(model_fingerprint(*base_), fingerprint);
}

TEST_F(Provenance, IsStoredAndKeptByConvert) {
  write_base();
  EXPECT_FALSE(open("base")->config().contains("aquatint"));
  quantize_base("w8");
  const base::Json record = open("w8")->config().at("aquatint");
  EXPECT_EQ(record["recipe"], to_json(recipe_));
  EXPECT_EQ(record["base"]["path"], (folder_ / "base").string());
  EXPECT_EQ(record["calibration"]["fingerprint"], calibration_.fingerprint);
  EXPECT_EQ(record["calibration"]["tokens"], 3);
  convert(*open("w8"), folder_ / "plain", "safetensors", nullptr, pool_);
  EXPECT_EQ(open("plain")->config().at("aquatint"), record);
}

TEST_F(Provenance, SaysWhatIsStale) {
  write_base();
  quantize_base("w8");
  EXPECT_THAT(stale(*open("w8")), IsEmpty());
  base::write_text(folder_ / "w8" / "tokenizer.json", "{ }");
  EXPECT_THAT(stale(*open("w8")), ElementsAre(HasSubstr("tokenizer.json is not the one")));
  base::write_text(folder_ / "w8" / "tokenizer.json", "{}");
  tensor::QuantizedMatrix& linear = base_->matrices.at("model.layers.0.mlp.up_proj");
  std::vector<float> values(static_cast<size_t>(linear.rows * linear.cols));
  tensor::dequantize(linear, 0, linear.rows, values.data());
  for (float& value : values) value *= 1.01F;
  linear = tensor::plain_matrix(values, linear.rows, linear.cols);
  write_base();
  EXPECT_THAT(stale(*open("w8")), ElementsAre(HasSubstr("has changed since it was quantized")));
  fs::remove_all(folder_ / "base");
  EXPECT_THAT(stale(*open("w8")), IsEmpty());
}

TEST_F(Provenance, RecordsOfOthersAreHarmless) {
  for (const char* record :
       {"5", "[]", "{}", R"({"base": 3})", R"({"base": {"path": "/", "fingerprint": "x"}})",
        R"({"calibration": {"tokenizer_sha256": 7}, "base": {"path": "/dev/zero", "fingerprint": "x"}})"}) {
    base_->config_json["aquatint"] = base::Json::parse(record);
    EXPECT_THAT(stale(*base_), IsEmpty()) << record;
  }
}

}  // namespace
}  // namespace aquatint::quant

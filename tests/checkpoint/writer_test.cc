#include "checkpoint/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <map>

#include "build.h"
#include "checkpoint/layouts/layout.h"
#include "checkpoint/safetensors_writer.h"
#include "model_in_memory.h"

namespace aquatint::checkpoint {
namespace {

namespace fs = std::filesystem;
using base::Json;
using test::MemoryCheckpoint;
using test::values_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kRows = 48, kCols = 192;
const char* const kLinear = "model.layers.0.mlp.up_proj";

MemoryCheckpoint source() {
  MemoryCheckpoint from({{"model_type", "llama"},
                         {"torch_dtype", "bfloat16"},
                         {"quantization_config", {{"quant_method", "old"}}}});
  from.add_side_file("tokenizer.json", std::string("{\0}", 3));
  from.add_weight(kLinear, kRows, kCols);
  from.add_weight("model.embed_tokens", 7, kCols);
  return from;
}

numeric::Scheme sized(const numeric::Scheme& preset) {
  return test::with_group(preset.name, preset.weights.granularity == numeric::Granularity::flat ? 64 : 32);
}

void write_model(const fs::path& to, const numeric::Scheme& scheme, const tensor::QuantizedMatrix& m) {
  const MemoryCheckpoint from = source();
  Writer writer(to, from, default_layout({&scheme, 1}));
  writer.plain("model.embed_tokens", tensor::plain_matrix(std::vector<float>(7 * kCols, 0.5f), 7, kCols),
               numeric::bf16);
  writer.quantized(kLinear, m, scheme);
  const int64_t shape[] = {3};
  const float values[] = {1, 2, 3};
  writer.plain("model.norm.weight", shape, values, numeric::bf16);
  writer.finish();
}

// hub → layout → hub keeps every value, for each preset.
TEST(Writer, EverySchemeComesBackExactly) {
  for (const numeric::Scheme& preset : numeric::schemes()) {
    test::TempFolder folder;
    const numeric::Scheme scheme = sized(preset);
    const auto m = test::random_matrix(scheme, kRows, kCols, 7);
    write_model(folder / "out", scheme, m);
    const auto model = open_checkpoint((folder / "out").string());
    EXPECT_EQ(model->scheme(), scheme.name);
    EXPECT_EQ(model->layout(), default_layout({&scheme, 1}));
    EXPECT_TRUE(numeric::same_form(*model->weights()[1].scheme, scheme)) << scheme.name;
    const auto back = model->weight(kLinear);
    EXPECT_EQ(back.format, m.format);
    EXPECT_EQ(values_of(back), values_of(m)) << scheme.name;
    EXPECT_EQ(back.zero_points, m.zero_points);
    EXPECT_EQ(back.input, m.input);
    EXPECT_TRUE(std::equal(back.scales.codes.bytes().begin(), back.scales.codes.bytes().end(),
                           m.scales.codes.bytes().begin(), m.scales.codes.bytes().end()));
    EXPECT_THAT(model->vector("model.norm.weight", 3), ElementsAre(1, 2, 3));
    EXPECT_EQ(model->side_file("tokenizer.json")->bytes, std::string("{\0}", 3));
    EXPECT_EQ(values_of(model->weight("model.embed_tokens"))[5], 0.5f);
  }
}

// A width that no group divides evenly into words, rows or blocks.
TEST(Writer, OddShapesComeBackExactly) {
  for (const numeric::Scheme& preset : numeric::schemes()) {
    test::TempFolder folder;
    const numeric::Scheme scheme = sized(preset);
    if (scheme.weights.fixed_group()) continue;  // must divide the width
    const auto m = test::random_matrix(scheme, 5, 77, 11);
    write_model(folder / "out", scheme, m);
    EXPECT_EQ(values_of(open_checkpoint((folder / "out").string())->weight(kLinear)), values_of(m))
        << scheme.name;
  }
}

TEST(Writer, ConfigNamesTheSchemeAndWhatStays16Bit) {
  test::TempFolder folder;
  const numeric::Scheme scheme = test::with_group("W4A16_ASYM", 32);
  write_model(folder / "out", scheme, test::random_matrix(scheme, kRows, kCols, 1));
  const Json config = Json::parse(base::read_text(folder / "out/config.json"));
  const Json& q = config["quantization_config"];
  EXPECT_EQ(q["quant_method"], "compressed-tensors");
  EXPECT_EQ(q["ignore"], Json({"lm_head"}));
  EXPECT_EQ(q["config_groups"]["group_0"]["weights"], (Json{{"num_bits", 4},
                                                            {"type", "int"},
                                                            {"symmetric", false},
                                                            {"strategy", "group"},
                                                            {"group_size", 32},
                                                            {"dynamic", false}}));
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
}

TEST(Writer, ALinearLeftPlainIsIgnored) {
  test::TempFolder folder;
  const numeric::Scheme& scheme = *numeric::find_scheme("W8A16");
  const MemoryCheckpoint from = source();
  Writer writer(folder / "out", from, "compressed-tensors", &numeric::fp16);
  writer.quantized("model.layers.1.mlp.up_proj", test::random_matrix(scheme, 2, 4, 1), scheme);
  writer.plain(kLinear, tensor::plain_matrix(std::vector<float>(8, 1.0f), 2, 4), numeric::fp16);
  writer.finish();
  const Json config = Json::parse(base::read_text(folder / "out/config.json"));
  EXPECT_EQ(config["quantization_config"]["ignore"], Json({"lm_head", kLinear}));
  EXPECT_EQ(config["torch_dtype"], "float16");
  EXPECT_TRUE(open_checkpoint((folder / "out").string())->weight(kLinear).plain());
}

TEST(Writer, ChoosesALayoutThatSaysAllSchemes) {
  const auto preset = [](const char* name) { return *numeric::find_scheme(name); };
  const std::vector<numeric::Scheme> mixed = {preset("W4A16"), preset("W8A8")},
                                     apart = {preset("W4A16"), preset("NF4")};
  EXPECT_EQ(default_layout(mixed), "compressed-tensors");
  EXPECT_EQ(default_layout(apart), "aquatint");
  EXPECT_NO_THROW(check_layout("compressed-tensors", mixed));
  EXPECT_THROW(check_layout("compressed-tensors", apart), base::BadUsage);
}

TEST(Writer, SaysTheBytesBeforehand) {
  test::TempFolder folder;
  const numeric::Scheme scheme = test::with_group("W4A16_ASYM", 32);
  const auto m = test::random_matrix(scheme, kRows, kCols, 1);
  write_model(folder / "out", scheme, m);
  EXPECT_EQ(written_bytes("compressed-tensors", m, scheme, numeric::bf16) + 7 * kCols * 2 + 3 * 2,
            inventory(*open_checkpoint((folder / "out").string())).bytes);
}

// Schemes by layer and by place, group sizes too, and a linear left in 16 bit among them.
class MixedModel {
 public:
  MixedModel() {
    const MemoryCheckpoint from = source();
    Writer writer(folder_ / "out", from, "compressed-tensors");
    for (int layer = 0; layer < 12; ++layer)
      for (const char* place : {"self_attn.q_proj", "mlp.up_proj", "mlp.down_proj"})
        add(writer, fmt::format("model.layers.{}.{}", layer, place), layer);
    writer.finish();
    model_ = open_checkpoint((folder_ / "out").string());
  }
  Json quantization() const { return model_->config()["quantization_config"]; }
  const Checkpoint& model() const { return *model_; }
  const std::map<std::string, tensor::QuantizedMatrix>& written() const { return written_; }

 private:
  void add(Writer& writer, const std::string& module, int layer) {
    const bool attention = module.ends_with("q_proj"), down = module.ends_with("down_proj");
    if (down && layer == 1)
      return writer.plain(module, tensor::plain_matrix(std::vector<float>(64, 1.0f), 1, 64), numeric::bf16);
    const char* preset = attention ? "W8A16" : down && layer == 11 ? "W8A8" : "W4A16";
    const numeric::Scheme scheme = test::with_group(preset, down ? 32 : 64);
    const auto m = test::random_matrix(scheme, 3, 64, static_cast<uint64_t>(layer));
    writer.quantized(module, m, scheme);
    written_[module] = m;
  }

  test::TempFolder folder_;
  std::unique_ptr<Checkpoint> model_;
  std::map<std::string, tensor::QuantizedMatrix> written_;
};

TEST(Writer, MixedSchemesComeBackExactly) {
  const MixedModel mixed;
  EXPECT_EQ(mixed.model().scheme(), "mixed");
  for (const auto& [module, m] : mixed.written()) {
    const auto back = mixed.model().weight(module);
    EXPECT_EQ(back.format, m.format) << module;
    EXPECT_EQ(back.input, m.input) << module;
    EXPECT_EQ(values_of(back), values_of(m)) << module;
  }
  EXPECT_TRUE(mixed.model().weight("model.layers.1.mlp.down_proj").plain());
}

TEST(Writer, MixedSchemesNameTheirModulesShortly) {
  const Json q = MixedModel().quantization();
  EXPECT_EQ(q["format"], "mixed-precision");
  EXPECT_EQ(q["ignore"], Json({"lm_head", "model.layers.1.mlp.down_proj"}));
  const Json& groups = q["config_groups"];
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups["group_0"]["targets"], Json({R"(re:model\.layers\.\d+\.self_attn\.q_proj$)"}));
  EXPECT_EQ(groups["group_1"]["targets"], Json({R"(re:model\.layers\.\d+\.mlp\.up_proj$)"}));
  EXPECT_EQ(groups["group_2"]["targets"],
            Json({R"(re:model\.layers\.(?:0|2|3|4|5|6|7|8|9|10)\.mlp\.down_proj$)"}));
  EXPECT_EQ(groups["group_2"]["weights"]["group_size"], 32);
  EXPECT_EQ(groups["group_3"]["targets"], Json({"model.layers.11.mlp.down_proj"}));
  EXPECT_EQ(groups["group_3"]["format"], "int-quantized");
}

TEST(Writer, NothingAppearsBeforeFinish) {
  test::TempFolder folder;
  {
    const MemoryCheckpoint from = source();
    Writer writer(folder / "out", from, "safetensors");
    const int64_t shape[] = {1};
    const float value[] = {1};
    writer.plain("a", shape, value, numeric::fp32);
    EXPECT_FALSE(fs::exists(folder / "out"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Writer, RefusesWhatItCannotSay) {
  test::TempFolder folder;
  const MemoryCheckpoint from = source();
  const auto refused = [&](std::string_view layout, std::vector<const char*> presets) -> std::string {
    try {
      Writer writer(folder / "out", from, layout);
      for (size_t i = 0; i < presets.size(); ++i) {
        const numeric::Scheme scheme = test::with_group(presets[i], 64);
        writer.quantized(fmt::format("layer{}", i), test::random_matrix(scheme, 2, 64, 1), scheme);
      }
    } catch (const base::BadUsage& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(
      refused("gguf", {}),
      HasSubstr("expected one of safetensors, compressed-tensors, bitsandbytes, gptq, awq, aquatint"));
  EXPECT_THAT(refused("safetensors", {"W4A16"}), HasSubstr("cannot say W4A16"));
  EXPECT_THAT(refused("compressed-tensors", {"W4A16", "NF4"}), HasSubstr("cannot say NF4"));
  EXPECT_THAT(refused("bitsandbytes", {"W8A8"}), HasSubstr("cannot say W8A8"));
  EXPECT_THAT(refused("bitsandbytes", {"NF4", "NF4", "FP4"}), HasSubstr("one scheme a model, so not FP4"));
  fs::create_directory(folder / "out");
  EXPECT_THAT(refused("safetensors", {}), HasSubstr("already exists"));
  Writer writer(folder / "other", from, "safetensors");
  const int64_t shape[] = {1};
  const float large[] = {70000};
  EXPECT_THROW(writer.plain("a", shape, large, numeric::fp16), base::BadUsage);
}

// A file may not grow past 64 KiB: the same errno path as a full disk.
TEST(Writer, AFullDiskLeavesNothing) {
  test::TempFolder folder;
  const MemoryCheckpoint from = source();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{1 << 16, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::string message;
  try {
    Writer writer(folder / "out", from, "safetensors");
    writer.plain("model.embed_tokens", tensor::plain_matrix(std::vector<float>(1 << 16), 256, 256),
                 numeric::bf16);
    writer.finish();
  } catch (const base::OutOfResource& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr("cannot write"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, SplitsIntoShardsWithAnIndex) {
  test::TempFolder folder;
  SafetensorsWriter writer(folder.path(), 200, 100);
  for (const char* name : {"a", "b", "c"})
    writer.add(name, "U8", {64}, test::bytes_of(std::string(64, name[0])));
  writer.finish();
  std::vector<std::string> warnings;
  const SafetensorsSet set(folder.path(), warnings);
  EXPECT_TRUE(fs::exists(folder / "model-00003-of-00003.safetensors"));
  EXPECT_EQ(static_cast<char>(set.find("c")->bytes[63]), 'c');
  EXPECT_EQ(Json::parse(base::read_text(folder / "model.safetensors.index.json"))["metadata"]["total_size"],
            192);
}

// A header that outgrows its room starts another file instead of failing.
TEST(SafetensorsWriter, ManyNamesStartAnotherShard) {
  test::TempFolder folder;
  SafetensorsWriter writer(folder.path(), 100);
  for (int i = 0; i < 20; ++i)
    writer.add(fmt::format("tensor.{}", i), "F32", {2}, test::bytes_of("12345678"));
  writer.finish();
  std::vector<std::string> warnings;
  EXPECT_EQ(SafetensorsSet(folder.path(), warnings).tensors().size(), 20u);
}

// Whatever the order of arrival, each tensor starts at a multiple of its element's size, and names may need
// escapes.
TEST(SafetensorsWriter, EveryTensorIsAligned) {
  test::TempFolder folder;
  SafetensorsWriter writer(folder.path(), 1000);
  const std::string zeros(64, '\0');
  auto add = [&](const char* name, const char* dtype, int64_t n, size_t bytes) {
    writer.add(name, dtype, {n}, test::bytes_of(zeros).first(bytes));
  };
  add("odd", "U8", 3, 3);
  add("half", "BF16", 3, 6);
  add("float", "F32", 3, 12);
  add("long", "I64", 2, 16);
  add("qu\"ote\\", "U8", 1, 1);
  add("none", "F32", 0, 0);
  writer.finish();
  const base::MappedFile file(folder / "model.safetensors");
  const auto header = parse_safetensors(file.bytes(), "f");
  EXPECT_EQ(header.data_begin % 64, 0u);
  ASSERT_EQ(header.entries.size(), 6u);
  for (const auto& entry : header.entries)
    EXPECT_EQ(entry.begin % (static_cast<uint64_t>(safetensors_dtype_bits(entry.dtype)) / 8), 0u)
        << entry.name;
}

TEST(SafetensorsWriter, AnEmptyModelIsAFile) {
  test::TempFolder folder;
  SafetensorsWriter(folder.path(), 0).finish();
  EXPECT_TRUE(parse_safetensors(base::MappedFile(folder / "model.safetensors").bytes(), "f").entries.empty());
}

}  // namespace
}  // namespace aquatint::checkpoint

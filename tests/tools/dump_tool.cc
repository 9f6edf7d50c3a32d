// dump_tool MODEL MODULE OUT.f32: a weight's exact values, row-major FP32, for comparison with other readers.
// dump_tool MODEL: what the model consists of, as JSON.   dump_tool MODEL --side FOLDER: its side files and
// config.json.
#include <fmt/format.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_tokenizer.h"

namespace {
using namespace aquatint;

void dump_weight(const checkpoint::Checkpoint& model, const std::string& module, const std::string& to) {
  const tensor::QuantizedMatrix m = model.weight(module);
  std::ofstream out(to, std::ios::binary);
  std::vector<float> row(static_cast<size_t>(m.cols));
  for (int64_t r = 0; r < m.rows; ++r) {
    tensor::dequantize(m, r, r + 1, row.data());
    out.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * 4));
  }
  fmt::print("{} {} {}\n", m.format->name, m.rows, m.cols);
}

void describe(const checkpoint::Checkpoint& model) {
  const auto inventory = checkpoint::inventory(model);
  base::Json out = {{"layout", model.layout()},
                    {"scheme", model.scheme()},
                    {"parameters", inventory.parameters},
                    {"bytes", inventory.bytes},
                    {"bits_per_weight", inventory.bits_per_weight},
                    {"bits_per_parameter", inventory.bits_per_parameter},
                    {"sha256", model.sha256()},
                    {"config", model.config()}};
  for (const auto& row : inventory.dtypes)
    out["dtypes"][row.dtype] = {
        {"tensors", row.tensors}, {"parameters", row.parameters}, {"bytes", row.bytes}};
  for (const auto& weight : model.weights()) out["modules"].push_back(weight.module);
  fmt::print("{}\n", out.dump(1));
}

void write_side_files(const checkpoint::Checkpoint& model, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const auto& file : model.side_files()) base::write_text(folder / file.name, file.bytes);
  base::write_text(folder / "config.json", model.config().dump(2));
}

void write_tokenizer(const std::string& gguf, const std::string& to) {
  const base::MappedFile mapped(gguf);
  const auto file = checkpoint::GgufFile::parse(mapped.bytes(), gguf);
  for (const auto& side : checkpoint::gguf_side_files(file, {{"max_position_embeddings", 1}}))
    if (side.name == "tokenizer.json") base::write_text(to, side.bytes);
}

constexpr const char* kUsage =
    "usage: dump_tool MODEL [MODULE OUT.f32 | --side FOLDER | --tokenizer OUT.json]";

void run(int argc, char** argv) {
  const std::string what = argc == 4 ? argv[2] : "";
  if (argc != 2 && argc != 4) throw base::BadUsage(kUsage);
  if (what == "--tokenizer") return write_tokenizer(argv[1], argv[3]);
  const auto model = checkpoint::open_checkpoint(argv[1]);
  if (argc == 2) return describe(*model);
  what == "--side" ? write_side_files(*model, argv[3]) : dump_weight(*model, what, argv[3]);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const base::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.exit_code();
  }
  return 0;
}

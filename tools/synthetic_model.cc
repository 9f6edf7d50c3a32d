// Writes a Llama of random BF16 weights, as a plain safetensors folder or quantized on the way: speed depends
// on a model's shape and formats, not on what it says. Tensors are made one by one, so the size is bounded by
// the disk alone. Without a tokenizer: for `aquatint bench`.
//   synthetic_model --preset 1b --to models/synth-1b [--scheme W4A16] [--seed 1] [--layers 4 ...]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/processors.h"
#include "base/rng.h"
#include "base/work_folder.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_writer.h"
#include "quant/model_tensors.h"
#include "quant/pipeline.h"

namespace aquatint {
namespace {

namespace fs = std::filesystem;
using tensor::QuantizedMatrix;

struct Shape {
  int64_t hidden = 2048, layers = 16, heads = 32, kv_heads = 8, feed_forward = 8192, vocabulary = 32000;
  bool tied = true;
};

const std::map<std::string, Shape> kPresets = {{"1b", {}}, {"8b", {4096, 32, 32, 8, 14336, 128256, false}}};

base::Json config_of(const Shape& s) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_act", "silu"},
          {"hidden_size", s.hidden},
          {"num_hidden_layers", s.layers},
          {"num_attention_heads", s.heads},
          {"num_key_value_heads", s.kv_heads},
          {"intermediate_size", s.feed_forward},
          {"vocab_size", s.vocabulary},
          {"max_position_embeddings", 131072},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"tie_word_embeddings", s.tied},
          {"torch_dtype", "bfloat16"}};
}

// A model that exists nowhere: each weight is made when it is asked for, from the seed and its name. Linears
// and embedding are normal with variance 1 / columns, norm weights are 1.
class SyntheticCheckpoint final : public checkpoint::Checkpoint {
 public:
  SyntheticCheckpoint(const Shape& shape, uint64_t seed, base::ThreadPool& pool)
      : config_(config_of(shape)), seed_(seed), pool_(pool) {
    for (const quant::ModelMatrix& m : quant::list_tensors(*this).matrices) {
      const auto bytes = static_cast<uint64_t>(m.rows * m.cols * 2);
      weights_.push_back({m.module, m.rows, m.cols, bytes, false});
      tensors_.push_back({m.module + ".weight", "BF16", {m.rows, m.cols}, bytes, m.rows * m.cols});
    }
  }

  const fs::path& path() const override { return path_; }
  const base::Json& config() const override { return config_; }
  std::string layout() const override { return "safetensors"; }
  std::string scheme() const override { return ""; }
  std::span<const checkpoint::StoredTensor> tensors() const override { return tensors_; }
  std::span<const checkpoint::SideFile> side_files() const override { return {}; }
  std::span<const checkpoint::WeightInfo> weights() const override { return weights_; }
  std::span<const std::string> warnings() const override { return {}; }
  bool has_weight(std::string_view module) const override { return index_of(module) < weights_.size(); }
  bool has_vector(std::string_view) const override { return true; }
  std::vector<float> vector(std::string_view, int64_t expected) const override {
    return std::vector<float>(static_cast<size_t>(expected), 1.0f);
  }

  QuantizedMatrix weight(std::string_view module) const override {
    const size_t index = index_of(module);
    AQ_CHECK(index < weights_.size(), "no '{}'", module);
    QuantizedMatrix m;
    m.format = &numeric::bf16;
    m.rows = weights_[index].rows;
    m.cols = weights_[index].cols;
    m.codes = tensor::Storage::owned(weights_[index].stored_bytes);
    m.stored_bytes = weights_[index].stored_bytes;
    fill(index, m);
    return m;
  }

  // What the weights are made from is what identifies them.
  std::string sha256() const override {
    const std::string text = fmt::format("synthetic {} {}", seed_, config_.dump());
    return base::sha256_hex(std::as_bytes(std::span(text)));
  }

 private:
  static constexpr int64_t kDraws = 1 << 16;

  size_t index_of(std::string_view module) const {
    const auto found = std::find_if(weights_.begin(), weights_.end(),
                                    [&](const checkpoint::WeightInfo& w) { return w.module == module; });
    return static_cast<size_t>(found - weights_.begin());
  }

  // 65536 normal draws; a weight is one of them, taken by 16 random bits.
  const std::vector<uint16_t>& draws(int64_t cols) const {
    std::vector<uint16_t>& table = draws_[cols];
    base::Rng rng(seed_);
    while (table.size() < kDraws)
      table.push_back(
          numeric::float_to_bf16(static_cast<float>(rng.normal() / std::sqrt(static_cast<double>(cols)))));
    return table;
  }

  void fill(size_t index, QuantizedMatrix& m) const {
    const uint16_t* table = draws(m.cols).data();
    auto* codes = reinterpret_cast<uint16_t*>(m.codes.mutable_u8());
    const uint64_t matrix_seed = base::Rng(seed_ ^ index << 40).next();
    pool_.parallel_for(m.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        base::Rng rng(matrix_seed + static_cast<uint64_t>(row));
        uint64_t bits = 0;
        for (int64_t col = 0; col < m.cols; ++col, bits >>= 16) {
          if (col % 4 == 0) bits = rng.next();
          codes[row * m.cols + col] = table[bits & 0xffff];
        }
      }
    });
  }

  fs::path path_ = "synthetic";
  base::Json config_;
  uint64_t seed_;
  base::ThreadPool& pool_;
  std::vector<checkpoint::StoredTensor> tensors_;
  std::vector<checkpoint::WeightInfo> weights_;
  mutable std::map<int64_t, std::vector<uint16_t>> draws_;  // by columns
};

void write_plain(const SyntheticCheckpoint& model, const fs::path& to) {
  base::WorkFolder folder(to);
  checkpoint::SafetensorsWriter out(folder.result(), 1 << 16);
  const quant::ModelTensors tensors = quant::list_tensors(model);
  for (const quant::ModelMatrix& m : tensors.matrices)
    out.add(m.module + ".weight", "BF16", {m.rows, m.cols}, model.weight(m.module).codes.bytes());
  for (const quant::ModelVector& v : tensors.vectors) {
    const std::vector<uint16_t> ones(static_cast<size_t>(v.size), numeric::float_to_bf16(1.0f));
    out.add(v.name, "BF16", {v.size}, std::as_bytes(std::span(ones)));
  }
  out.finish();
  base::write_text(folder.result() / "config.json", model.config().dump(2) + "\n");
  folder.commit();
}

struct Options {
  std::string preset = "1b", to, scheme;
  uint64_t seed = 1;
  int threads = base::default_threads(), group = 0;
};

void write(const Options& o, const Shape& shape) {
  base::ThreadPool pool(o.threads);
  const SyntheticCheckpoint model(shape, o.seed, pool);
  if (o.scheme.empty()) return write_plain(model, o.to);
  quant::QuantizeJob job;
  job.recipe.scheme = numeric::find_scheme(o.scheme);
  if (!job.recipe.scheme) throw base::BadUsage(fmt::format("--scheme {} is unknown", o.scheme));
  job.recipe.group = o.group;
  job.recipe.clip = quant::Clip::none;  // the search would take minutes and change no speed
  quant::quantize(model, o.to, job, {&kernels::kernel_set("auto"), &pool});
}

// The preset's numbers become the defaults of the options that may overrule them.
void run(int argc, char** argv) {
  Options o;
  CLI::App app{"Writes a Llama of random weights for speed measurements."};
  Shape given{0, 0, 0, 0, 0, 0, false};
  app.add_option("--to", o.to, "folder to write; must not exist")->required();
  app.add_option("--preset", o.preset, "1b or 8b")->check(CLI::IsMember({"1b", "8b"}))->capture_default_str();
  app.add_option("--scheme", o.scheme, "quantize on the way: W4A16, W8A16, …; default: plain BF16");
  app.add_option("--group", o.group, "weights that share a scale; 0: the scheme's");
  app.add_option("--seed", o.seed)->capture_default_str();
  app.add_option("--threads", o.threads)->capture_default_str()->check(CLI::PositiveNumber);
  CLI::Option* tied =
      app.add_option("--tied", given.tied, "head and embedding are one matrix: true or false");
  const std::pair<const char*, int64_t Shape::*> sizes[] = {{"--hidden", &Shape::hidden},
                                                            {"--layers", &Shape::layers},
                                                            {"--heads", &Shape::heads},
                                                            {"--kv-heads", &Shape::kv_heads},
                                                            {"--feed-forward", &Shape::feed_forward},
                                                            {"--vocabulary", &Shape::vocabulary}};
  for (const auto& [flag, member] : sizes)
    app.add_option(flag, given.*member, "instead of the preset's")->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    app.exit(e);
    return;
  } catch (const CLI::ParseError& e) {
    throw base::BadUsage(e.what());
  }
  Shape shape = kPresets.at(o.preset);
  for (const auto& [flag, member] : sizes)
    if (given.*member > 0) shape.*member = given.*member;
  if (tied->count() > 0) shape.tied = given.tied;
  write(o, shape);
}

}  // namespace
}  // namespace aquatint

int main(int argc, char** argv) {
  try {
    aquatint::run(argc, argv);
    return 0;
  } catch (const aquatint::base::Error& e) {
    fmt::print(stderr, "synthetic_model: {}\n", e.what());
    return e.exit_code();
  }
}

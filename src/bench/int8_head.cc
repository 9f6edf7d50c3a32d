#include "bench/int8_head.h"

#include "base/error.h"
#include "quant/method.h"
#include "quant/model_tensors.h"

namespace aquatint::bench {
namespace {

using checkpoint::Checkpoint;
using tensor::QuantizedMatrix;

constexpr std::string_view kHead = "lm_head";

class Int8Head final : public Checkpoint {
 public:
  Int8Head(std::shared_ptr<const Checkpoint> source, base::ThreadPool& pool)
      : source_(std::move(source)), pool_(pool), config_(source_->config()) {
    config_["tie_word_embeddings"] = false;
  }

  const std::filesystem::path& path() const override { return source_->path(); }
  const base::Json& config() const override { return config_; }
  std::string layout() const override { return source_->layout(); }
  std::string scheme() const override { return source_->scheme(); }
  std::span<const checkpoint::StoredTensor> tensors() const override { return source_->tensors(); }
  std::span<const checkpoint::SideFile> side_files() const override { return source_->side_files(); }
  std::span<const checkpoint::WeightInfo> weights() const override { return source_->weights(); }
  std::span<const std::string> warnings() const override { return source_->warnings(); }
  bool has_weight(std::string_view module) const override {
    return module == kHead || source_->has_weight(module);
  }
  QuantizedMatrix weight(std::string_view module) const override {
    return module == kHead ? head() : source_->weight(module);
  }
  QuantizedMatrix deferred_weight(std::string_view module) const override {
    return module == kHead ? head() : source_->deferred_weight(module);
  }
  void advise(std::string_view module, base::Access access) const override {
    source_->advise(module, access);
  }
  bool has_vector(std::string_view name) const override { return source_->has_vector(name); }
  std::vector<float> vector(std::string_view name, int64_t expected) const override {
    return source_->vector(name, expected);
  }
  std::string sha256() const override { return source_->sha256(); }

 private:
  QuantizedMatrix head() const {
    const bool own =
        !model::parse_config(source_->config(), path().string() + ": config.json").tied_embeddings;
    const QuantizedMatrix stored = source_->weight(own ? kHead : "model.embed_tokens");
    const numeric::WeightScheme scheme = {.format = &numeric::int8,
                                          .granularity = numeric::Granularity::channel};
    return quant::rtn.quantize(quant::values_of(stored, pool_), stored.rows, stored.cols, scheme, {}, pool_);
  }

  std::shared_ptr<const Checkpoint> source_;
  base::ThreadPool& pool_;
  base::Json config_;
};

}  // namespace

std::shared_ptr<const Checkpoint> with_int8_head(std::shared_ptr<const Checkpoint> source,
                                                 base::ThreadPool& pool) {
  return std::make_shared<Int8Head>(std::move(source), pool);
}

}  // namespace aquatint::bench

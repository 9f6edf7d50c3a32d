#include "api/memory_ledger.h"

#include <algorithm>

#include "model/kv_cache.h"

namespace aquatint::api {
namespace {

constexpr int64_t kCacheTokens = 1024;

bool is_embedding(const std::string& name) {
  return name.find("embed_tokens") != std::string::npos || name.starts_with("lm_head");
}

double cache_bytes(const model::Config& config, kernels::KvFormat format) {
  const auto bytes = [&](int64_t tokens) {
    return static_cast<double>(model::KvCache::bytes(config, tokens, format));
  };
  return bytes(2 * kCacheTokens) - bytes(kCacheTokens);  // without what does not grow
}

// Adds to the part of that name.
void add(std::vector<report::MemoryPart>& parts, const std::string& name, double bytes) {
  if (bytes <= 0) return;
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.name == name; });
  if (found == parts.end())
    parts.push_back({name, bytes});
  else
    found->bytes += bytes;
}

std::vector<report::MemoryPart> in_order(std::vector<report::MemoryPart> weights, double scales,
                                         double embedding, double rest) {
  std::sort(weights.begin(), weights.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  add(weights, "scales and offsets", scales);
  add(weights, "embedding and head", embedding);
  add(weights, "norms and the rest", rest);
  return weights;
}

}  // namespace

std::vector<report::MemoryPart> memory_ledger(const checkpoint::Checkpoint& checkpoint,
                                              const model::Config& config, kernels::KvFormat cache) {
  std::vector<report::MemoryPart> weights;
  double scales = 0, embedding = 0, rest = 0;
  for (const checkpoint::StoredTensor& tensor : checkpoint.tensors()) {
    const auto bytes = static_cast<double>(tensor.bytes);
    if (is_embedding(tensor.name))
      embedding += bytes;
    else if (tensor.parameters == 0)
      scales += bytes;
    else if (tensor.shape.size() < 2)
      rest += bytes;
    else
      add(weights, "weights, " + tensor.dtype, bytes);
  }
  std::vector<report::MemoryPart> parts = in_order(std::move(weights), scales, embedding, rest);
  add(parts, report::kCachePart, cache_bytes(config, cache));
  return parts;
}

std::vector<report::MemoryPart> fp32_memory_ledger(const checkpoint::Checkpoint& checkpoint,
                                                   const model::Config& config) {
  double embedding = 0, linears = 0;
  for (const checkpoint::WeightInfo& weight : checkpoint.weights())
    (is_embedding(weight.module) ? embedding : linears) +=
        4.0 * static_cast<double>(weight.rows * weight.cols);
  const double all = 4.0 * static_cast<double>(checkpoint::inventory(checkpoint).parameters);
  std::vector<report::MemoryPart> parts =
      in_order({{"weights, F32", linears}}, 0, embedding, all - linears - embedding);
  add(parts, report::kCachePart, cache_bytes(config, kernels::KvFormat::fp32));
  return parts;
}

}  // namespace aquatint::api

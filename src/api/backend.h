// Where things run: from the words a user gives to a kernel set and a thread pool.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "model/model.h"

namespace aquatint::api {

struct BackendOptions {
  int threads = 0;  // 0: as many as this process may use
  std::string device = "cpu";
  std::string kernels = "auto";  // or a kernel set's name
};

// Owns the pool; everything loaded through it must be gone before it is.
class Backend {
 public:
  explicit Backend(const BackendOptions& options);  // BadUsage for an unknown or unusable choice

  const kernels::KernelSet& kernels() const { return *kernels_; }
  base::ThreadPool& pool() const { return *pool_; }
  bool on_gpu() const { return !kernels_->memory().is_host(); }
  // `kv`: how caches hold keys and values; null: as the precision says.
  model::Backend at(kernels::Precision precision, std::optional<kernels::KvFormat> kv = std::nullopt) const {
    return {kernels_, pool_.get(), precision, kv};
  }

 private:
  const kernels::KernelSet* kernels_;
  std::unique_ptr<base::ThreadPool> pool_;
};

}  // namespace aquatint::api

#include "api/backend.h"

#include "base/error.h"
#include "base/processors.h"
#include "kernels/cuda/sets.h"

namespace aquatint::api {

Backend::Backend(const BackendOptions& options) {
  if (options.device != "cpu" && options.device != "cuda")
    throw base::BadUsage(fmt::format("--device {}: expected cpu or cuda", options.device));
  const bool gpu = options.device == "cuda";
  if (gpu && options.kernels != "auto" && options.kernels != "cuda")
    throw base::BadUsage(
        fmt::format("--kernels {}: --device cuda has one set, cuda; leave --kernels out", options.kernels));
  kernels_ = gpu ? &kernels::cuda::kernel_set() : &kernels::kernel_set(options.kernels);
  pool_ = std::make_unique<base::ThreadPool>(options.threads > 0 ? options.threads : base::default_threads());
}

}  // namespace aquatint::api

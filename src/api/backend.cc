#include "api/backend.h"

#include "base/error.h"
#include "base/processors.h"

namespace aquatint::api {

Backend::Backend(const BackendOptions& options) {
  if (options.device != "cpu")
    throw base::BadUsage(
        fmt::format("--device {}: this build runs on the CPU only; use --device cpu", options.device));
  kernels_ = &kernels::kernel_set(options.kernels);
  pool_ = std::make_unique<base::ThreadPool>(options.threads > 0 ? options.threads : base::default_threads());
}

}  // namespace aquatint::api

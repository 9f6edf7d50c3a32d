// What this CPU and operating system can run, from CPUID and XGETBV; never from a model name.
#pragma once
#include <string_view>

namespace aquatint::kernels {

// Names as in /proc/cpuinfo: avx2, fma, f16c, avx512f, avx512bw, avx512dq, avx512vl, avx512_vnni, amx_tile,
// amx_int8, amx_bf16. False for any other name and on other architectures. Asking for AMX requests its
// registers from Linux.
bool cpu_has(std::string_view feature);

}  // namespace aquatint::kernels

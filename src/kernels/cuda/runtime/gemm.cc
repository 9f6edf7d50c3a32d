// gemm.h over cuBLASLt. Its library is half a gigabyte, so it is opened when the first product is asked for:
// of its header only types and constants are used.
//
// cuBLASLt's matrices are column-major, so D = A · Bᵀ with rows is asked for as its transpose: the left
// operand there is our b, transposed, the right one our a. That is the one form that FP8 takes on Hopper.
#include "kernels/cuda/gemm.h"

#include <cublasLt.h>
#include <dlfcn.h>

#include <map>
#include <tuple>

#include "base/error.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/repeat.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;  // what cuBLASLt asks for on Hopper
// Rows of `a` that algorithms are chosen for; the one for a shape then serves every number of rows.
constexpr int64_t kRowsChosenFor = 2048;
constexpr const char* kNames[] = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"};

void check_lt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("{} failed in cuBLASLt: status {}", what, static_cast<int>(status)));
}

class Library {
 public:
  Library() {
    std::string tried;
    for (const char* name : kNames) {
      library_ = library_ ? library_ : dlopen(name, RTLD_NOW | RTLD_LOCAL);
      tried += fmt::format("{}{}", tried.empty() ? "" : ", ", name);
    }
    if (!library_)
      throw base::BadUsage(fmt::format(
          "--device cuda: cuBLASLt is not there (looked for {}); install CUDA 13's libcublas, or put its "
          "folder into LD_LIBRARY_PATH",
          tried));
    find(create, "cublasLtCreate");
    find(desc_create, "cublasLtMatmulDescCreate");
    find(desc_set, "cublasLtMatmulDescSetAttribute");
    find(desc_destroy, "cublasLtMatmulDescDestroy");
    find(layout_create, "cublasLtMatrixLayoutCreate");
    find(layout_destroy, "cublasLtMatrixLayoutDestroy");
    find(preference_create, "cublasLtMatmulPreferenceCreate");
    find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(matmul, "cublasLtMatmul");
    check_lt(create(&handle), "opening the library");
  }

  cublasLtHandle_t handle{};
  decltype(&cublasLtCreate) create{};
  decltype(&cublasLtMatmulDescCreate) desc_create{};
  decltype(&cublasLtMatmulDescSetAttribute) desc_set{};
  decltype(&cublasLtMatmulDescDestroy) desc_destroy{};
  decltype(&cublasLtMatrixLayoutCreate) layout_create{};
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy{};
  decltype(&cublasLtMatmulPreferenceCreate) preference_create{};
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set{};
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy{};
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic{};
  decltype(&cublasLtMatmul) matmul{};

 private:
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (!function) throw base::BadUsage(fmt::format("--device cuda: libcublasLt has no {}", name));
  }
  void* library_ = nullptr;
};

Library& library() {
  static Library& loaded = *new Library;  // as the device, for as long as the program runs
  return loaded;
}

struct Types {
  cudaDataType_t input, output;
  cublasComputeType_t compute;
  cudaDataType_t scale;
};

Types types(GemmType type) {
  switch (type) {
    case GemmType::fp32:
      return {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, CUDA_R_32F};
    case GemmType::bf16:
      return {CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F};
    case GemmType::fp8_e4m3:
      return {CUDA_R_8F_E4M3, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F};
    case GemmType::int8:
      break;
  }
  return {CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, CUDA_R_32I};
}

// A cuBLASLt object that is given back.
template <class T>
class Owned {
 public:
  explicit Owned(cublasStatus_t (*destroy)(T)) : destroy_(destroy) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (value) destroy_(value);
  }
  T value{};

 private:
  cublasStatus_t (*destroy_)(T);
};

// A shape's way of being multiplied: all but the number of rows and the pointers.
class Plan {
 public:
  explicit Plan(const Gemm& g)
      : types_(types(g.type)), operation_(library().desc_destroy), left_(library().layout_destroy) {
    Library& lt = library();
    check_lt(lt.desc_create(&operation_.value, types_.compute, types_.scale), "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    if (g.a_scale) set_scale_modes(g.scale);
    check_lt(lt.layout_create(&left_.value, types_.input, static_cast<uint64_t>(g.k),
                              static_cast<uint64_t>(g.n), g.b_row),
             "describing a matrix");
    choose(g);
  }

  void run(const Gemm& g) {
    Library& lt = library();
    set_scales(g);
    Owned right(lt.layout_destroy), result(lt.layout_destroy);
    describe(g, g.m, right.value, result.value);
    const float float_one = 1, float_zero = 0;
    const int32_t int_one = 1, int_zero = 0;
    const bool integer = types_.scale == CUDA_R_32I;
    const void* one = integer ? static_cast<const void*>(&int_one) : &float_one;
    const void* before = g.accumulate ? one : integer ? static_cast<const void*>(&int_zero) : &float_zero;
    check_lt(lt.matmul(lt.handle, operation_.value, one, g.b, left_.value, g.a, right.value, before, g.d,
                       result.value, g.d, result.value, &algorithm_, workspace(Purpose::gemm, kWorkspace),
                       kWorkspace, stream()),
             "a product");
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check_lt(library().desc_set(operation_.value, attribute, &value, sizeof(value)), "describing a product");
  }

  // Scales of our b are those of the left operand.
  void set_scale_modes(GemmScale scale) {
    cublasLtMatmulMatrixScale_t of_a = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F, of_b = of_a;
    if (scale == GemmScale::row) of_a = of_b = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    if (scale == GemmScale::block) {
      of_a = CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
      of_b = CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F;
    }
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, static_cast<int32_t>(of_b));
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, static_cast<int32_t>(of_a));
  }
  void set_scales(const Gemm& g) {
    if (g.type != GemmType::fp8_e4m3) return;
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, g.b_scale);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, g.a_scale);
  }

  void describe(const Gemm& g, int64_t rows, cublasLtMatrixLayout_t& right,
                cublasLtMatrixLayout_t& result) const {
    Library& lt = library();
    check_lt(lt.layout_create(&right, types_.input, static_cast<uint64_t>(g.k), static_cast<uint64_t>(rows),
                              g.a_row),
             "describing a matrix");
    check_lt(lt.layout_create(&result, types_.output, static_cast<uint64_t>(g.n), static_cast<uint64_t>(rows),
                              g.d_row),
             "describing a matrix");
  }

  // Sums of k are not split, so that a row's result does not depend on how many rows there are.
  void choose(const Gemm& g) {
    Library& lt = library();
    set_scales(g);
    Owned right(lt.layout_destroy), result(lt.layout_destroy);
    describe(g, kRowsChosenFor, right.value, result.value);
    Owned preference(lt.preference_destroy);
    check_lt(lt.preference_create(&preference.value), "choosing an algorithm");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check_lt(lt.preference_set(preference.value, attribute, &value, sizeof(value)),
               "choosing an algorithm");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspace});
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    for (const auto alignment :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(alignment, uint32_t{16});
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        lt.heuristic(lt.handle, operation_.value, left_.value, right.value, result.value, result.value,
                     preference.value, 1, &found, &count);
    if (status != CUBLAS_STATUS_SUCCESS || count == 0)
      throw std::runtime_error(fmt::format("cuBLASLt has no algorithm for a product of {} by {} (status {})",
                                           g.n, g.k, static_cast<int>(status)));
    algorithm_ = found.algo;
  }

  Types types_;
  Owned<cublasLtMatmulDesc_t> operation_;
  Owned<cublasLtMatrixLayout_t> left_;
  cublasLtMatmulAlgo_t algorithm_{};
};

}  // namespace

void gemm(const Gemm& g) {
  if (g.m == 0) return;
  if (notes) return notes->add(g);
  using Key = std::tuple<GemmType, int64_t, int64_t, int64_t, GemmScale, bool>;
  static std::map<Key, Plan> plans;
  const Key key{g.type, g.n, g.k, g.b_row, g.scale, g.a_scale != nullptr};
  auto plan = plans.find(key);
  if (plan == plans.end()) plan = plans.try_emplace(key, g).first;
  plan->second.run(g);
}

}  // namespace aquatint::kernels::cuda

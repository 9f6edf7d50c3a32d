// The kernel contract: every operation a decoder needs, over row-major FP32 activations. A KernelSet is one
// implementation of all of it; `ref` is the readable definition, and every other set is tested against it.
//
// Operands, results and caches lie in the set's memory() (memory.h): the host's, or a device's, whose
// operations run in the order of the calls, perhaps after these have returned. What a call takes as a span,
// a struct or a number lies on the host and is read before it returns.
//
// Determinism: for one kernel set a row's result depends on that row alone — not on how many rows are
// computed together, how prompts are chunked, or how many threads work. Arithmetic is chosen by Phase, never
// by the row count.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/memory.h"
#include "tensor/quantized_matrix.h"
#include "tensor/rotation.h"

namespace aquatint::kernels {

enum class Phase { prefill, decode };  // prompt tokens, generated tokens

// What a linear's input (unless the weight asks for less) is rounded to. The residual stream, norms, softmax
// and sums of products stay in FP32 or wider. Attention rounds queries to BF16 unless it is fp32.
//   fp32  not at all; weights keep their exact FP32 values
//   bf16  to BF16. Over integer codes then to 16-bit block fixed point: 64 columns share s = max|x| / 32767,
//         codes round(x / s), exact integer sums ("precise"); prompts so in the avx512 set only
//   int8  as bf16, but over integer codes as int8 in blocks of 64, s = max|x| / 127 ("fast"); prompts in sets
//         without byte products and weights in irregular groups are read as bf16 does
enum class Precision { fp32, bf16, int8 };

// How a cache holds keys and values. Attention reads a position in the form the cache holds, so results do
// not depend on when a position was stored.
//   fp32, bf16  as they are; rounded to nearest, ties to even
//   fp8_e4m3    codes of x / s, to nearest, ties to even; s = max |x| / 448 over one position of one head
//   int8        the same with s = max |x| / 127
//               both: or one s for all keys and one for all values of a layer, calibrated; codes saturate
//   int4        codes 0 … 15 of (x − minimum) / scale, clamped, where x is rounded to BF16, scale is
//               (maximum − minimum) / 15 and scale and minimum are rounded to BF16: for keys over one
//               dimension of kKvGroup positions, for values over one position of one head. The newest
//               positions are read in BF16: a token at `position` reads codes below kv_exact_from(position).
//               Groups of keys begin at multiples of kKvGroup, so what a token reads follows from its
//               position alone (after Liu et al., "KIVI", arXiv 2402.02750).
// A scale of 0 becomes FP32 (int4: BF16) epsilon. For generated tokens over int8 and int4 codes, queries
// (times int4's scales) and weights (times the values' scales) become 16-bit fixed point, and products are
// summed exactly: a head's dimensions share max / 32767, 64 or 128 positions the largest scale / 32767.
enum class KvFormat { fp32, bf16, fp8_e4m3, int8, int4 };

constexpr int64_t kKvGroup = 64;   // positions of keys under one scale
constexpr int64_t kKvExact = 128;  // at least so many of the newest positions in 16 bit
constexpr int64_t kKvRows = 128;   // of a span, at most, with int4
constexpr int64_t kKvPage = 128;   // positions of a page

constexpr int64_t kv_exact_from(int64_t position) {
  return position < kKvExact ? 0 : (position + 1 - kKvExact) / kKvGroup * kKvGroup;
}
// Positions that an int4 cache must keep in 16 bit so that its last `rewind` ones can be forgotten; 0 for
// other formats.
int64_t kv_recent(KvFormat format, int64_t rewind);

std::string_view name(KvFormat format);
std::optional<KvFormat> find_kv_format(std::string_view name);

// A weight matrix repacked for one kernel set, made once at load.
class PackedMatrix {
 public:
  virtual ~PackedMatrix() = default;
  virtual int64_t rows() const = 0;    // out_features, all parts together
  virtual int64_t cols() const = 0;    // in_features
  virtual uint64_t bytes() const = 0;  // resident; what one pass over the weight reads
};

// What a linear reads where it is made on the way: of x [rows][cols] as rms_norm() does, or, gated, of x
// [rows][2·cols] as swiglu() does.
struct LinearInput {
  const float* x = nullptr;
  const float* norm = nullptr;  // rms_norm's weight; null: no norm
  float eps = 0;
  bool gated = false;
};

// Keys and values of one sequence: layer behind layer kv_heads blocks, as kv_layout.h says, aligned to 64
// bytes; or so in each of its pages, wherever these lie (after Kwon et al., "Efficient Memory Management for
// Large Language Model Serving with PagedAttention", arXiv 2309.06180). Results are the same bits. Nothing is
// read that was not stored.
struct KvView {
  std::byte* data = nullptr;  // with pages: int4's rings, which have none
  KvFormat format{};
  int64_t capacity = 0;               // positions
  int64_t recent = 0;                 // kv_recent()
  std::byte* const* pages = nullptr;  // in the set's memory: of kKvPage positions each; null: none
};

// One sequence's part of a batch: `rows` consecutive rows, whose first token stands at `position`.
struct AttentionSpan {
  KvView cache;
  int64_t first_row = 0, rows = 0, position = 0;
};

// The parts of a batch. All have the same cache format.
struct Spans {
  std::span<const AttentionSpan> list;
  const AttentionSpan* placed;  // the same in the set's memory

  // Of sets in the host's memory.
  Spans(std::span<const AttentionSpan> spans) : Spans(spans, spans.data()) {}
  Spans(std::span<const AttentionSpan> spans, const AttentionSpan* at) : list(spans), placed(at) {}
};

// One layer's.
struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t window = 0;  // > 0: a token sees itself and the window − 1 tokens before it (Mistral)
  float scale = 0;     // multiplies q · k, positive; usually 1/√head_dim
  int64_t layer = 0;   // which of the caches'
  float key_scale = 0, value_scale = 0;  // calibrated, of fp8_e4m3 and int8; 0: each position has its own
};

// Statistics of the next-token distributions that divergence and perplexity need, one row.
struct LogitStats {
  double log_sum_exp = 0;  // of the row's logits
  int32_t top = 0;         // index of the largest logit, the lowest one on ties
};
struct Divergence {
  double kl = 0;  // KL(reference ‖ model) in nats over the full row
  LogitStats reference, model;
};

// How a next token is chosen: the largest logit, the lowest index on ties, where the temperature is 0. Else
// from softmax(logits / temperature), of which top_k > 0 leaves the k largest logits and their equals, top_p
// < 1 of these the likeliest, lowest indices first, up to the one that brings their sum to top_p; the tokens
// that are left stand in the order of their indices, and the one is taken that `chance`, from [0, 1), falls
// on.
struct Draw {
  float temperature = 0;
  int64_t top_k = 0;
  float top_p = 1;
  double chance = 0;
};

// c[rows][cols] += a[rows][depth] · b[depth][cols], rows of each a stride apart.
template <class T>
struct Product {
  const T* a;
  int64_t a_row;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  int64_t rows, cols, depth;
};

// out[a_cols][b_cols] += aᵀ · b over the rows of a [rows][a_cols] and b [rows][b_cols], rows of each a stride
// apart.
struct CrossProduct {
  const float* a;
  int64_t a_row, a_cols;
  const float* b;
  int64_t b_row, b_cols;
  int64_t rows;
  float* out;
  int64_t out_row;
  bool lower = false;  // a and b are the same: what is above the diagonal of out may be left as it was
};

constexpr int64_t kCrossRun = 128;  // rows of a column under one scale

// What is known of columns, [columns] each.
struct Magnitudes {
  double* sums;     // Σ |x|
  double* squares;  // Σ x²
  float* largest;   // max |x|
};

constexpr int64_t kMagnitudeRows = 32;  // that are summed in FP32

struct KernelSet {
  std::string_view name;  // "ref", "scalar", "avx2", "avx512", "avx512_bf16", "amx", "cuda"
  std::string_view description;
  std::span<const std::string_view> needs;  // CPU features, named as in cpu_features.h
  bool usable() const;                      // this CPU and operating system have them
  // Measured: faster here than the sets behind it; null: wherever it is usable.
  bool (*worthwhile)() = nullptr;
  const Memory& (*memory)() = host_memory;
  int64_t rows_per_step = 512;  // that go through a decoder together: enough to use a matrix well once loaded

  // Matrices that share their input (q, k, v; gate, up) are packed together, rows stacked in the order given.
  // All must agree in cols and input scheme. Precision::fp32 keeps exact FP32 values of the weights; bf16 may
  // keep any form whose values are exact or rounded to BF16.
  std::unique_ptr<PackedMatrix> (*pack)(std::span<const tensor::QuantizedMatrix* const> parts,
                                        Precision precision, base::ThreadPool& pool);

  // y[rows, w.rows()] = x[rows, w.cols()] · wᵀ (+ bias) (+ y when accumulate). x is rounded first: to w's
  // input scheme (dynamic int8 or E4M3 per token) if it has one, else to the precision w was packed for. Rows
  // of y are y_row numbers apart. y must not alias x.
  void (*linear)(const PackedMatrix& w, const float* x, int64_t rows, Phase phase, const float* bias,
                 bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool);

  // The same of an input that is made on the way, with the bits of one that was made before. Null: nothing is
  // gained by that.
  void (*linear_of)(const PackedMatrix& w, const LinearInput& input, int64_t rows, Phase phase,
                    const float* bias, bool accumulate, float* y, int64_t y_row,
                    base::ThreadPool& pool) = nullptr;

  // y = x / √(mean(x²) + eps) · weight, row by row; y may alias x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
                   base::ThreadPool& pool);
  // The same in place for every run of `width` neighbours. x is [rows][stride], the runs start at x +
  // run·width.
  void (*rms_norm_runs)(float* x, const float* weight, float eps, int64_t rows, int64_t stride, int64_t runs,
                        int64_t width, base::ThreadPool& pool);

  // Rotates halves (i, i + head_dim/2) of each head in place: angle(row, i) = float(position) · inv_freq[i]
  // in FP32, cos and sin multiplied by `attention_factor`. x is [rows][stride], heads start at x +
  // head·head_dim.
  void (*rope)(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
               const int32_t* positions, const float* inv_freq, float attention_factor,
               base::ThreadPool& pool);

  // Stores the spans' keys and values in their caches' format. k, v are [rows][stride].
  void (*store_kv)(const Spans& spans, const AttentionShape& shape, const float* k, const float* v,
                   int64_t stride, base::ThreadPool& pool);

  // rope() of all that turns and store_kv() in one, with their bits: qkv is [rows][stride], a row's queries,
  // then its keys, then its values. Null: nothing is gained by that.
  void (*rope_store_kv)(const Spans& spans, const AttentionShape& shape, const float* inv_freq,
                        float attention_factor, float* qkv, int64_t stride, base::ThreadPool& pool) = nullptr;

  // Causal grouped-query attention; keys and values up to each token's own position are already in the cache,
  // and with int4 none behind the span's last. q is [rows][q_stride] (heads first), out is
  // [rows][heads·head_dim].
  void (*attention)(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
                    const float* q, int64_t q_stride, float* out, base::ThreadPool& pool);

  // In place: every run of r.width() neighbours becomes run · R, or run · Rᵀ. x is [rows][stride], the runs
  // start at x + run·width. Where M is a Hadamard matrix, all sets but ref give the same bits.
  void (*rotate_runs)(const tensor::Rotation& r, bool inverse, float* x, int64_t rows, int64_t stride,
                      int64_t runs, base::ThreadPool& pool);

  // h[rows, cols] = silu(gate) · up, where gate_up is [rows][2·cols], gate first.
  void (*swiglu)(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool& pool);

  // Per row of [rows][cols]; FP64 sums.
  void (*logit_stats)(const float* logits, int64_t rows, int64_t cols, LogitStats* out,
                      base::ThreadPool& pool);
  void (*divergence)(const float* reference, const float* model, int64_t rows, int64_t cols, Divergence* out,
                     base::ThreadPool& pool);

  // tokens[row] of logits [rows][cols] as draws[row] says, with probabilities in fixed point of 40 bits.
  // Null: logits are the caller's to read.
  void (*sample)(const float* logits, int64_t rows, int64_t cols, const Draw* draws, int32_t* tokens,
                 base::ThreadPool& pool) = nullptr;

  // Dense products for calibration and factorizations, on the calling thread. Each element is one chain of
  // FMAs with depth ascending.
  void (*add_product)(const Product<float>& p);
  void (*add_product_fp64)(const Product<double>& p);
  // What Gram matrices are made of. All sets but ref read finite values in 16-bit block fixed point:
  // kCrossRun rows of a column share s = max|x| / 4095, codes are round(x / s); products of codes are summed
  // exactly over these rows, and the sums in FP32.
  void (*add_cross)(const CrossProduct& p, base::ThreadPool& pool);
  // Adds x [rows][cols] to what is known of its columns: FP64 sums of FP32 sums of kMagnitudeRows rows. A
  // value that is NaN or infinite is seen in the sums.
  void (*add_magnitudes)(const float* x, int64_t rows, int64_t cols, const Magnitudes& to,
                         base::ThreadPool& pool);

  // Does what body() does, which calls the operations above and neither reads nor writes their memory
  // otherwise. Where it asks for the same calls with the same arguments as an earlier time, a device may
  // start all of them at once. Null: nothing is gained.
  void (*repeat)(const std::function<void()>& body) = nullptr;
};

// All sets for CPUs built into this program, best first; `ref` last.
std::span<const KernelSet* const> kernel_sets();
// "auto" takes the first usable one that is worthwhile. BadUsage for an unknown name or a set this machine
// cannot run.
const KernelSet& kernel_set(std::string_view name);

}  // namespace aquatint::kernels

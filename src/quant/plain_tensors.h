// What quantize() and convert() share: tensors that stay in 16 or 32 bit, errors, sizes of the result.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/writer.h"
#include "quant/model_tensors.h"
#include "quant/pipeline.h"

namespace aquatint::quant {

// FP16 for a folder of FP16 weights, BF16 otherwise (also for FP32 and GGUF sources).
const numeric::Format& source_dtype(const checkpoint::Checkpoint& source);

// Norms and biases: the source's, or those of `changed`.
void write_vectors(std::span<const ModelVector> vectors, const checkpoint::Checkpoint& source,
                   const VectorValues& changed, const numeric::Format& dtype, checkpoint::Writer& writer);

// A matrix of FP32 values that `dtype` (bf16, fp16, fp32) holds exactly.
tensor::QuantizedMatrix rounded_matrix(std::vector<float> values, int64_t rows, int64_t cols,
                                       const numeric::Format& dtype);

// Σ (a − b)² / Σ a², FP64; 0 when both are zero.
double relative_error(const std::vector<float>& a, const std::vector<float>& b);

// Bytes, parameters and bit counts of a finished folder, as `inspect` gives them.
void read_sizes(const std::filesystem::path& folder, Report& report);

}  // namespace aquatint::quant

// How much each matrix of a model hurts when it alone is quantized: the divergence of the next-token
// distributions from those of the untouched model, beside a cheap proxy, the relative error of that matrix's
// own output. All else stays exact (FP32), so a difference is the matrix's own.
//
// A disturbed copy of the tokens' states leaves the undisturbed ones at its matrix and goes through the rest
// of the model with the other copies: the model streams by, one block in memory at a time.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "quant/model_tensors.h"
#include "quant/recipe.h"

namespace aquatint::quant {

struct SensitivityJob {
  std::vector<const numeric::Scheme*> schemes;      // tried; groups are lowered until they divide every width
  std::span<const std::vector<int32_t>> sequences;  // every position is scored
  uint64_t memory = 0;                              // bytes that disturbed states may take together
};

// One matrix in one scheme, by rtn, all others exact.
struct Effect {
  ModelMatrix matrix;
  bool head = false;       // the matrix as the head, also where it is the embedding's
  numeric::Scheme scheme;  // with the group really used
  Clip clip = Clip::none;
  double kld = 0;             // mean over all positions, nats
  double kld_stderr = 0;      // over sequences; NaN for a single one
  double relative_error = 0;  // tr(ΔW H ΔWᵀ) / tr(W H Wᵀ); H = I for embedding and head
  uint64_t stored_bytes = 0;
};

// Of one scheme. The embedding and the head count as two matrices even where they are tied.
struct SchemeEffects {
  std::vector<Effect> linears;  // in the model's order
  Effect embedding, head;
};

struct Sensitivity {
  ModelTensors tensors;
  std::vector<SchemeEffects> schemes;  // as asked for
  std::vector<std::string> notes;
  int64_t tokens = 0;
  double seconds = 0;
};

// BadInput for a malformed model or a token outside its vocabulary; BadUsage when a scheme's groups do not
// fit the model; OutOfResource when not even one disturbed copy fits the memory.
Sensitivity measure_sensitivity(const checkpoint::Checkpoint& source, const SensitivityJob& job,
                                const model::Backend& backend);

// Spearman's rank correlation of kld and relative_error; NaN where all of one are alike.
double proxy_correlation(std::span<const Effect> effects);

// The mean divergence when linears are rounded as their effects say, all at once; those not in the map stay
// exact. By module.
double measure_mixture(const checkpoint::Checkpoint& source, const std::map<std::string, Effect>& chosen,
                       const SensitivityJob& job, const model::Backend& backend);

}  // namespace aquatint::quant

// What every part of one run of quantize() shares.
#pragma once
#include "base/log.h"
#include "checkpoint/writer.h"
#include "quant/plan.h"

namespace aquatint::quant {

struct Run {
  const checkpoint::Checkpoint& source;
  const Plan& plan;
  const model::Backend& backend;
  checkpoint::Writer& writer;
  Report& report;
  std::filesystem::path spill;  // folder of arrays that memory shall not hold; empty: it holds all
  int64_t done = 0;             // matrices

  base::ThreadPool& pool() const { return *backend.pool; }
  // Before each matrix; Interrupted when the user asked to stop.
  void tick() {
    base::progress("quantize", done++, static_cast<int64_t>(plan.tensors.matrices.size()), "matrices");
  }
};

}  // namespace aquatint::quant

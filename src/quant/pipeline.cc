#include "quant/pipeline.h"

#include "base/machine.h"
#include "quant/block_quantizer.h"
#include "quant/plain_tensors.h"
#include "quant/provenance.h"

namespace aquatint::quant {
namespace {

// An embedding or head.
void write_plain(const Run& run, const ModelMatrix& matrix) {
  const Plan& plan = run.plan;
  if (plan.rotations.folds_embedding())
    run.writer.plain(matrix.module, matrix.rows, matrix.cols,
                     folded_rows(run.source, matrix, plan.rotations.residual, run.backend), *plan.dtype);
  else
    run.writer.plain(matrix.module, read_matrix(run.source, matrix, run.pool()), *plan.dtype);
  run.source.advise(matrix.module, base::Access::done);
}

void write_model(Run& run, const CalibrationSet* calibration) {
  const ModelTensors& tensors = run.plan.tensors;
  BlockQuantizer blocks(run, calibration);
  int64_t layer = 0;
  for (const ModelMatrix& matrix : tensors.matrices) {
    if (matrix.linear) {
      if (matrix.layer == layer) blocks.write(layer++);
      continue;
    }
    run.tick();
    write_plain(run, matrix);
  }
  VectorValues changed;
  if (run.plan.rotations.folds_embedding())
    changed[kFinalNorm].assign(static_cast<size_t>(tensors.config.hidden_size), 1.0f);
  write_vectors(tensors.block_vectors(-1), run.source, changed, *run.plan.dtype, run.writer);
  run.tick();
  run.writer.finish();  // after the last chance to be stopped
}

}  // namespace

Report quantize(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const QuantizeJob& job,
                const model::Backend& backend) {
  const auto start = base::Clock::now();
  Report report;
  const Plan plan = make_plan(source, job, report);
  if (job.dry_run) {
    predict_sizes(plan, report);
  } else {
    checkpoint::Writer writer(to, source, plan.layout, plan.dtype);
    writer.record(provenance(job.recipe, job.calibration, source));
    writer.amend(config_changes(plan.rotations));
    if (plan.kv) writer.kv_cache(*plan.kv);
    Run run{source, plan, backend, writer, report};
    write_model(run, job.calibration);
    read_sizes(to, report);
  }
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant

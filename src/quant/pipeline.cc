#include "quant/pipeline.h"

#include "base/machine.h"
#include "quant/block_quantizer.h"
#include "quant/plain_tensors.h"
#include "quant/provenance.h"

namespace aquatint::quant {
namespace {

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
    run.writer.plain(matrix.module, read_matrix(run.source, matrix, run.pool()), *run.plan.dtype);
    run.source.advise(matrix.module, base::Access::done);
  }
  write_vectors(tensors.block_vectors(-1), run.source, {}, *run.plan.dtype, run.writer);
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
    Run run{source, plan, backend, writer, report};
    write_model(run, job.calibration);
    read_sizes(to, report);
  }
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant

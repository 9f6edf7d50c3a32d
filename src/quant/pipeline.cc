#include "quant/pipeline.h"

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "model/finite.h"
#include "quant/block_quantizer.h"
#include "quant/duration.h"
#include "quant/footprint.h"
#include "quant/plain_tensors.h"
#include "quant/provenance.h"
#include "quant/run_journal.h"

namespace aquatint::quant {
namespace {

// Of an embedding or head, as the written model has them; file pages behind them are let go.
checkpoint::RowSource plain_rows(const Run& run, const ModelMatrix& matrix) {
  if (run.plan.rotations.folds_embedding())
    return folded_rows(run.source, matrix, run.plan.rotations.residual, run.backend);
  return [&run, &matrix, found = find_matrix(run.source, matrix)](int64_t begin, int64_t end, float* out) {
    run.source.advise(matrix.module, base::Access::done);
    model::check_finite(found, begin, end, matrix.module + ".weight", run.source.path().string(), run.pool());
    tensor::dequantize(found, begin, end, out);
  };
}

// An embedding or head, a few rows at a time: neither its values nor its file pages are held.
void write_plain(Run& run, const ModelMatrix& matrix) {
  run.tick();
  run.writer.plain(matrix.module, matrix.rows, matrix.cols, plain_rows(run, matrix), *run.plan.dtype);
  run.source.advise(matrix.module, base::Access::done);
}

// Behind the blocks that an earlier process finished.
void go_on(Run& run, RunJournal& journal, BlockQuantizer& blocks) {
  const int64_t layers = run.plan.tensors.config.layers;
  base::info("{} of {} blocks were finished earlier", journal.blocks(), layers);
  journal.restore(run.writer, run.plan, run.report);
  journal.read_states(blocks.states());
  run.done = 1 + journal.blocks() * run.plan.tensors.linears_per_block();
}

void write_model(Run& run, const CalibrationSet* calibration, RunJournal& journal) {
  const ModelTensors& tensors = run.plan.tensors;
  BlockQuantizer blocks(run, calibration);
  if (journal.blocks() > 0)
    go_on(run, journal, blocks);
  else
    write_plain(run, tensors.matrices.front());
  for (int64_t layer = journal.blocks(); layer < tensors.config.layers; ++layer) {
    blocks.write(layer);
    if (journal.due()) journal.record(layer + 1, run.writer, run.report, blocks.states());
  }
  if (!tensors.matrices.back().linear) write_plain(run, tensors.matrices.back());
  VectorValues changed;
  if (run.plan.rotations.folds_embedding())
    changed[kFinalNorm].assign(static_cast<size_t>(tensors.config.hidden_size), 1.0f);
  write_vectors(tensors.block_vectors(-1), run.source, changed, *run.plan.dtype, run.writer);
  run.tick();
  run.writer.finish();  // after the last chance to be stopped
}

void write(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const Plan& plan,
           const QuantizeJob& job, const model::Backend& backend, bool spilled, Report& report) {
  base::WorkFolder folder(to);
  RunJournal journal(folder, run_identity(source, plan, job, backend), job.resume, job.journal_share);
  checkpoint::Writer writer(folder, source, plan.layout, plan.dtype);
  writer.record(provenance(job.recipe, job.calibration, source));
  writer.amend(config_changes(plan.rotations));
  if (plan.kv) writer.kv_cache(*plan.kv);
  Run run{source, plan, backend, writer, report, spilled ? folder.path() : std::filesystem::path()};
  write_model(run, job.calibration, journal);
}

Footprint room_needed(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job) {
  Report sizes;
  predict_sizes(plan, sizes);
  return choose_footprint(source, plan, job, sizes);
}

void dry_run(const std::filesystem::path& to, const Plan& plan, const QuantizeJob& job,
             const model::Backend& backend, const Footprint& room, Report& report) {
  predict_sizes(plan, report);
  report.prediction = Prediction{room.peak_ram, room.disk, room.spilled, predict_seconds(plan, job, backend)};
  if (std::string lacking = what_is_short(room, to, job); !lacking.empty()) {
    base::warn("{}", lacking);
    report.notes.push_back(std::move(lacking));
  }
}

}  // namespace

void check_room(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
                const QuantizeJob& job) {
  Report ignored;
  const Footprint room = room_needed(source, make_plan(source, job, ignored), job);
  if (const std::string lacking = what_is_short(room, to, job); !lacking.empty())
    throw base::OutOfResource(lacking);
}

Report quantize(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const QuantizeJob& job,
                const model::Backend& backend) {
  const auto start = base::Clock::now();
  Report report;
  const Plan plan = make_plan(source, job, report);
  const Footprint room = room_needed(source, plan, job);
  if (job.dry_run) {
    dry_run(to, plan, job, backend, room, report);
  } else {
    if (const std::string lacking = what_is_short(room, to, job); !lacking.empty())
      throw base::OutOfResource(lacking);
    write(source, to, plan, job, backend, room.spilled, report);
    read_sizes(to, report);
  }
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant

#include "api/study.h"

#include <sys/utsname.h>

#include <algorithm>

#include "api/peaks.h"
#include "api/study_rows.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/machine.h"
#include "kernels/cuda/sets.h"
#include "report/files.h"
#include "report/flips.h"
#include "report/store.h"
#include "runtime/text_io.h"

namespace aquatint::api {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kStudyTokens = 16384;

StudyOptions resolved(StudyOptions o) {
  if (o.text.empty())
    throw base::BadUsage(
        "study needs a text to measure quality on: add --text FILE (plain UTF-8, 20 000 words or more)");
  for (const std::string& words : o.schemes) study_recipe(words, o);
  if (o.windows.windows == 0) o.windows.windows = std::max<int64_t>(1, kStudyTokens / o.windows.context);
  if (o.windows.stride == 0) o.windows.stride = o.windows.context;
  return o;
}

void prepare_folder(const StudyOptions& o) {
  const fs::path store = o.to / "study.sqlite";
  if (!o.resume && fs::exists(store))
    throw base::BadUsage(fmt::format(
        "{}: holds a study already; add --resume to go on with it, or choose another --to", o.to.string()));
  std::error_code error;
  fs::create_directories(o.to / "checkpoints", error);
  if (error)
    throw base::BadUsage(fmt::format("{}: cannot make the folder: {}", o.to.string(), error.message()));
}

std::string os_name() {
  utsname info{};
  return uname(&info) == 0 ? fmt::format("{} {}", info.sysname, info.release) : "unknown";
}

void describe_model(report::StudyFacts& f, const checkpoint::Checkpoint& source,
                    const std::string& architecture) {
  const checkpoint::Inventory inventory = checkpoint::inventory(source);
  f.model = source.path().filename().string();
  f.architecture = architecture;
  f.parameters = inventory.parameters;
  f.source_layout = source.layout();
  std::vector<checkpoint::Inventory::Row> rows = inventory.dtypes;
  std::stable_sort(rows.begin(), rows.end(), [](auto& a, auto& b) { return a.parameters > b.parameters; });
  for (const auto& row : rows) f.source_formats.push_back(row.dtype);
}

void describe_machine(report::StudyFacts& f, const Backend& backend, const bench::Peaks& peaks) {
  f.cpu = base::cpu_name();
  if (backend.on_gpu()) f.cpu = fmt::format("{}, {}", kernels::cuda::gpu_name(), f.cpu);
  f.kernels = backend.kernels().name;
  f.os = os_name();
  f.threads = backend.pool().size();
  f.ram_bytes = static_cast<double>(base::total_ram_bytes());
  f.read_gb_s = peaks.read_gb_s;
  f.bandwidth_buffer_bytes = static_cast<double>(peaks.read_buffer_bytes);
  for (const auto& [type, flop_s] : peaks.flop_s) f.peak_flop_s.push_back({type, flop_s});
}

report::StudyFacts make_facts(const StudyOptions& o, const StudyInputs& in, const Backend& backend) {
  report::StudyFacts f;
  describe_model(f, *in.source, in.config.architecture);
  f.model_sha256 = in.model_sha256;
  describe_machine(f, backend, in.peaks);
  f.hidden_size = in.config.hidden_size;
  f.tied_embeddings = in.config.tied_embeddings;
  f.embedding_bytes = 2.0 * static_cast<double>(in.config.vocab_size * in.config.hidden_size) *
                      (in.config.tied_embeddings ? 1 : 2);
  f.text = o.text.filename().string();
  f.text_sha256 = in.text_sha256;
  f.text_tokens = in.windows.scored();
  f.context = in.windows.options().context;
  f.stride = in.windows.options().stride;
  f.score_from = in.windows.options().score_from;
  f.windows = in.windows.count();
  f.tasks = o.tasks;
  f.version = base::version();
  f.date = base::utc_date();
  f.command = o.command;
  f.seed = o.seed;
  f.max_perplexity_increase = o.max_perplexity_increase;
  return f;
}

StudyInputs read_inputs(const StudyOptions& o, const Backend& backend) {
  std::shared_ptr<const checkpoint::Checkpoint> source = checkpoint::open_checkpoint(o.model);
  model::Config config = model::parse_config(source->config(), source->path().string());
  auto tokenizer = runtime::load_tokenizer(*source);
  const std::string text = base::read_text(o.text);
  eval::Windows windows(*tokenizer, text, o.windows, o.text.string());
  std::vector<eval::Task> tasks;
  if (!o.tasks.empty()) tasks = eval::load_tasks(o.tasks, o.shots);
  base::info("measuring the peaks of this machine");
  std::string model_sha256 = source->sha256();
  bench::Peaks peaks = api::peaks(backend);
  return {std::move(source),  std::move(config), std::move(tokenizer),
          std::move(windows), model_sha256,      base::sha256_hex(std::as_bytes(std::span(text))),
          std::move(tasks),   std::move(peaks)};
}

}  // namespace

report::Study run_study(const StudyOptions& given) {
  const StudyOptions o = resolved(given);
  const Backend backend(o.backend);
  prepare_folder(o);
  const StudyInputs inputs = read_inputs(o, backend);
  report::Store store(o.to / "study.sqlite", report::Store::Mode::write);
  store.save_facts(make_facts(o, inputs, backend));
  StudyRows rows(o, inputs, backend, store);
  rows.run_all();
  return render_report(o.to / "study.sqlite", o.to / "report.html");
}

report::Study render_report(const fs::path& store_path, const fs::path& to) {
  const report::Store store(store_path, report::Store::Mode::read);
  report::Study study = store.load();
  if (const fs::path items = store_path.parent_path() / kTaskStore; fs::exists(items))
    report::add_flip_examples(study, report::TaskStore(items));
  report::write_report(study, to);
  return study;
}

}  // namespace aquatint::api

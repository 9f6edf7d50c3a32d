// logits_tool MODEL IDS.txt OUT.f32 [--kernels K] [--precision fp32|bf16] [--threads N] [--repeat N]
// Runs the ids of a text file (separated by white space) as one prompt and writes its logits,
// [tokens][vocab_size] FP32. Prints seconds taken by loading and by each of N runs.
#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/processors.h"
#include "model/model.h"

namespace {
using namespace aquatint;

struct Options {
  std::string model, ids, out, kernels = "auto", precision = "fp32";
  int threads = base::default_threads(), repeat = 1;
};

Options parse(int argc, char** argv) {
  if (argc < 4 || argc % 2 != 0)
    throw base::BadUsage(
        "usage: logits_tool MODEL IDS.txt OUT.f32 [--kernels K] [--precision P] [--threads N] [--repeat N]");
  Options o{argv[1], argv[2], argv[3]};
  for (int i = 4; i < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--kernels")
      o.kernels = value;
    else if (name == "--precision" && (value == "fp32" || value == "bf16"))
      o.precision = value;
    else if (name == "--threads")
      o.threads = std::stoi(value);
    else if (name == "--repeat")
      o.repeat = std::stoi(value);
    else
      throw base::BadUsage(fmt::format("logits_tool: unknown option {} {}", name, value));
  }
  return o;
}

std::vector<int32_t> read_ids(const std::string& path) {
  std::istringstream in(base::read_text(path));
  std::vector<int32_t> ids;
  for (int32_t id; in >> id;) ids.push_back(id);
  return ids;
}

void run(const Options& o) {
  const auto start = base::Clock::now();
  base::ThreadPool pool(o.threads);
  const auto precision = o.precision == "fp32" ? kernels::Precision::fp32 : kernels::Precision::bf16;
  const auto model = model::Model::load(checkpoint::open_checkpoint(o.model),
                                        {&kernels::kernel_set(o.kernels), &pool, precision});
  fmt::print("load {:.3f} s, {} weight bytes, peak {} MB\n", base::seconds_since(start),
             model->weight_bytes(), base::peak_ram_bytes() >> 20);
  const std::vector<int32_t> ids = read_ids(o.ids);
  const int64_t rows = static_cast<int64_t>(ids.size());
  std::vector<float> hidden(ids.size() * static_cast<size_t>(model->config().hidden_size));
  std::vector<float> logits(ids.size() * static_cast<size_t>(model->config().vocab_size));
  model::KvCache cache = model->cache(rows);
  const model::Segment segment{&cache, rows};
  for (int i = 0; i < o.repeat; ++i) {
    cache.truncate(0);
    const auto begin = base::Clock::now();
    model->forward(ids, {&segment, 1}, kernels::Phase::prefill, hidden.data());
    fmt::print("forward {:.3f} s\n", base::seconds_since(begin));
  }
  model->logits(hidden.data(), rows, kernels::Phase::prefill, logits.data());
  fmt::print("peak {} MB\n", base::peak_ram_bytes() >> 20);
  std::ofstream(o.out, std::ios::binary)
      .write(reinterpret_cast<const char*>(logits.data()), static_cast<std::streamsize>(logits.size() * 4));
}

}  // namespace

int main(int argc, char** argv) {
  base::set_log_sink([](base::Level, std::string_view message) { fmt::print(stderr, "{}\n", message); });
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const base::Error& e) {
    fmt::print(stderr, "logits_tool: {}\n", e.what());
    return e.exit_code();
  }
}

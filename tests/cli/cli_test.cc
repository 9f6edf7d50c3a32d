// Whole commands, as a user types them: exit codes, the one error line, keys of --json, nothing half-written.
#include <thread>

#include "cli/fixture.h"

namespace aquatint::test {
namespace {

using testing::HasSubstr;

TEST_F(Cli, WrongUsageIsTwo) {
  expect_error(run({}), 2, "--help");
  expect_error(run({"inspekt"}), 2, "inspekt");
  expect_error(run({"inspect"}), 2, "MODEL");
  expect_error(run({"generate", model_, "--prompt", "x", "--kernels", "sse9"}), 2, "sse9");
  expect_error(run({"generate", model_, "--prompt", "x", "--top-p", "0"}), 2, "top");
  expect_error(run({"generate", model_, "--prompt", "x", "--kv-format", "int5"}), 2, "--kv-format");
  expect_error(run({"generate", model_}), 2, "--prompt");
  expect_error(run({"quantize", model_, "--to", (scratch_ / "q").string(), "--scheme", "W9A9"}), 2, "W9A9");
  expect_error(run({"eval", model_}), 2, "--text");
  expect_error(run({"study", model_, "--to", (scratch_ / "s").string()}), 2, "--text");
  expect_error(run({"bench", model_, "--device", "cuda", "--kernels", "avx2"}), 2, "cuda");
}

TEST_F(Cli, HelpAndVersionAreZero) {
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_EQ(run({"study", "--help"}).code, 0);
  EXPECT_THAT(run({"--version"}).out, HasSubstr("aquatint "));
}

TEST_F(Cli, BadInputIsThree) {
  expect_error(run({"inspect", "/nowhere"}), 3, "/nowhere");
  const fs::path broken = scratch_ / "broken";
  fs::copy(model_, broken, fs::copy_options::recursive);
  fs::path weights;
  for (const auto& entry : fs::directory_iterator(broken))
    if (entry.path().extension() == ".safetensors") weights = entry.path();
  fs::resize_file(weights, fs::file_size(weights) - 2);
  expect_error(run({"inspect", broken.string()}), 3, weights.filename().string());
  base::write_text(broken / "config.json", "{");
  expect_error(run({"inspect", broken.string()}), 3, "config.json");
  base::write_text(scratch_ / "short.txt", "too short");
  expect_error(
      run({"eval", model_, "--text", (scratch_ / "short.txt").string(), "--context", "64", "--quiet"}), 3,
      "short.txt");
}

TEST_F(Cli, InspectCountsParametersAndBytes) {
  const Json j = run_json({"inspect", model_});
  EXPECT_EQ(j["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(j["layout"], "safetensors");
  EXPECT_EQ(j["bytes"].get<int64_t>(), 2 * j["parameters"].get<int64_t>());
  EXPECT_EQ(j["bits_per_weight"], 16.0);
  EXPECT_EQ(j["dtypes"]["BF16"]["parameters"], j["parameters"]);
  for (const char* key : {"bits_per_parameter", "scheme", "warnings"}) EXPECT_TRUE(j.contains(key)) << key;
}

TEST_F(Cli, QuantizesEvaluatesAndGates) {
  const fs::path to = scratch_ / "w8";
  const Json q = run_json({"quantize", model_, "--to", to.string(), "--scheme", "W8A16"});
  for (const char* key :
       {"bytes", "bits_per_weight", "bits_per_parameter", "seconds", "peak_ram_bytes", "layers"})
    EXPECT_TRUE(q.contains(key)) << key;
  EXPECT_EQ(q["layers"].size(), 14u);  // seven linears in each of two blocks
  EXPECT_GT(q["layers"][0]["relative_error"].get<double>(), 0);
  EXPECT_EQ(run_json({"inspect", to.string()})["scheme"], "W8A16");
  EXPECT_EQ(run_json({"inspect", to.string()})["bytes"], q["bytes"]);
  expect_error(run({"quantize", model_, "--to", to.string(), "--scheme", "W8A16", "--quiet"}), 2,
               "already exists");

  const std::vector<std::string> eval = {"eval", to.string(), "--reference", model_,      "--text",
                                         text_,  "--context", "64",          "--windows", "2"};
  const Json e = run_json(eval);
  EXPECT_EQ(e["perplexity"]["tokens"], 2 * 63);
  EXPECT_GT(e["divergence"]["mean_kld"].get<double>(), 0);
  EXPECT_LT(e["divergence"]["mean_kld"].get<double>(), 0.01);
  auto gated = eval;
  gated.insert(gated.end(), {"--gate", "99", "--quiet"});
  EXPECT_EQ(run(gated).code, 0);
  gated[gated.size() - 2] = "200";  // twice as good as the reference: out of reach
  EXPECT_EQ(run(gated).code, 5);
}

TEST_F(Cli, TasksAreStoredComparedAndGated) {
  const fs::path items = scratch_ / "t.jsonl", store = scratch_ / "tasks.sqlite", out = scratch_ / "out";
  std::string lines;
  for (const char* word : {"the", "of", "and", "by", "to"})
    lines += fmt::format("{{\"query\": \"{} book\", \"choices\": [\"one\", \"two\"], \"gold\": 0}}\n", word);
  base::write_text(items, lines);
  const std::vector<std::string> eval = {
      "eval",         model_,    "--reference", model_,          "--tasks",       items.string(), "--store",
      store.string(), "--shots", "1",           "--noise-floor", "--output-path", out.string()};
  const Json first = run_json(eval);
  EXPECT_EQ(first["tasks"]["t"]["n"], 5);
  EXPECT_EQ(first["noise_floor"]["largest_log_likelihood_difference"], 0);
  EXPECT_EQ(first["tasks"]["t"]["difference"]["lost"], Json::array());
  EXPECT_TRUE(fs::exists(out / "model") && fs::exists(out / "reference"));
  EXPECT_EQ(run_json(eval)["tasks"], first["tasks"]);
  const Outcome again = run(eval);
  EXPECT_THAT(again.err, testing::HasSubstr("from the store"));
  // The same weights under another config are another model.
  const fs::path w4a16 = scratch_ / "W4A16", w4a8 = scratch_ / "W4A8", others = scratch_ / "others.sqlite";
  for (const fs::path& to : {w4a16, w4a8}) {
    const Outcome made = run({"quantize", model_, "--to", to.string(), "--scheme", to.filename().string()});
    ASSERT_EQ(made.code, 0) << made.err;
    const Outcome scored = run({"eval", to.string(), "--tasks", items.string(), "--store", others.string()});
    EXPECT_THAT(scored.err, testing::Not(testing::HasSubstr("from the store")));
  }
  EXPECT_EQ(base::read_text(w4a16 / "model.safetensors"), base::read_text(w4a8 / "model.safetensors"));
  const Json report = run_json({"report", store.string(), "--to", (scratch_ / "tasks.html").string()});
  ASSERT_EQ(report["models"].size(), 2u);  // the model in BF16 and as its own reference in FP32
  EXPECT_EQ(report["models"][0]["tasks"], first["tasks"]);
  EXPECT_EQ(report["models"][0]["comparison"], first["comparison"]);
  EXPECT_TRUE(fs::exists(scratch_ / "tasks.html"));
  const Json imported = run_json({"report", "--import", out.string()});
  EXPECT_EQ(imported["models"][0]["tasks"], first["tasks"]);
  run_json({"report", store.string(), "--import", (out / "model").string()});
  const Json both = run_json({"report", store.string()});
  ASSERT_EQ(both["models"].size(), 3u);
  EXPECT_EQ(both["models"][2]["tasks"], first["tasks"]);  // paired with the stored reference
  expect_error(run({"report", "--quiet"}), 2, "--import");
  expect_error(run({"report", store.string(), "--reference", "x", "--quiet"}), 2, "--reference");
  expect_error(run({"report", store.string(), "--to", "tasks.txt", "--quiet"}), 2, ".csv");
  expect_error(run({"eval", model_, "--tasks", items.string(), "--store", items.string(), "--quiet"}), 3,
               "t.jsonl");
  expect_error(run({"eval", model_, "--tasks", items.string(), "--noise-floor", "--quiet"}), 2,
               "--reference");
  base::write_text(items, lines + "{\"query\": \"x\", \"choices\": [\"one\", \"two\"], \"gold\": 2}\n");
  expect_error(run({"eval", model_, "--tasks", items.string(), "--quiet"}), 3, "t.jsonl, line 6");
}

TEST_F(Cli, DryRunWritesNothingAndPredictsBytes) {
  const fs::path to = scratch_ / "w4";
  const std::vector<std::string> base = {"quantize", model_, "--to", to.string(), "--scheme", "W4A16"};
  auto dry = base;
  dry.push_back("--dry-run");
  const Json predicted = run_json(dry);
  EXPECT_FALSE(fs::exists(to));
  EXPECT_EQ(run_json(base)["bytes"], predicted["bytes"]);
}

TEST_F(Cli, GeneratesTheSameForTheSameSeed) {
  const std::vector<std::string> sample = {"generate", model_,          "--prompt", "the",    "--max-tokens",
                                           "12",       "--temperature", "1",        "--seed", "5"};
  const Json first = run_json(sample)["generations"][0];
  EXPECT_EQ(first["tokens"], run_json(sample)["generations"][0]["tokens"]);
  auto threads = sample;
  threads.insert(threads.end(), {"--threads", "3"});
  EXPECT_EQ(first["tokens"], run_json(threads)["generations"][0]["tokens"]);
  auto other = sample;
  other[9] = "6";
  EXPECT_NE(first["tokens"], run_json(other)["generations"][0]["tokens"]);
}

TEST_F(Cli, BenchReportsTheContractsKeys) {
  const Json j = run_json({"bench", model_, "--prompt-tokens", "16", "--generate-tokens", "4", "--repeat",
                           "2", "--batch", "1,2", "--head", "int8"});
  EXPECT_EQ(j["head"], "int8");
  for (const char* key :
       {"peaks", "peak_ram_bytes", "weight_bytes", "kernels", "load_seconds", "load_gb_per_second"})
    EXPECT_TRUE(j.contains(key)) << key;
  ASSERT_EQ(j["runs"].size(), 2u);
  EXPECT_EQ(j["runs"][1]["batch"], 2);
  EXPECT_EQ(j["runs"][0]["decode_tokens_per_second"]["samples"].size(), 2u);
}

TEST_F(Cli, StudyComparesAndResumes) {
  const Outcome first = run(study("W8A16", false));
  ASSERT_EQ(first.code, 0) << first.err;
  for (const char* word : {"FP32", "BF16", "W8A16", "report.html"}) EXPECT_THAT(first.out, HasSubstr(word));
  EXPECT_TRUE(fs::exists(scratch_ / "study" / "report.html"));
  expect_error(run(study("W8A16", false)), 2, "--resume");

  const fs::path written = scratch_ / "study" / "checkpoints" / "W8A16" / "model.safetensors";
  const auto before = fs::last_write_time(written);
  const Outcome second = run(study("W8A16,W4A16", true));
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("W4A16"));
  EXPECT_EQ(fs::last_write_time(written), before);
  EXPECT_THAT(second.err, HasSubstr("W8A16: finished earlier"));

  const Outcome again =
      run({"report", (scratch_ / "study").string(), "--to", (scratch_ / "again.html").string()});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(base::read_text(scratch_ / "again.html"), base::read_text(scratch_ / "study" / "report.html"));
}

TEST_F(Cli, StudyOfCachesAndOfSeveralMethods) {
  const auto with = [this](const std::string& schemes, const char* method, bool resume) {
    std::vector<std::string> arguments = study(schemes, resume);
    arguments.insert(arguments.end(), {"--method", method});
    return run(arguments);
  };
  expect_error(with("W8A16+KV5", "rtn", false), 2, "the cache KV5 is unknown");
  const Outcome caches = with("W8A16+kv4,W8A16+KVFP8", "rtn", false);
  ASSERT_EQ(caches.code, 0) << caches.err;
  const fs::path checkpoints = scratch_ / "study" / "checkpoints";
  for (const char* name : {"W8A16+KV4", "W8A16+KVFP8"}) {
    EXPECT_THAT(caches.out, HasSubstr(name));
    const Json text = run_json({"eval", (checkpoints / name).string(), "--text", text_, "--context", "32"});
    EXPECT_THAT(text["kv_cache"].get<std::string>(),
                HasSubstr(std::string(name) == "W8A16+KV4" ? "int4" : "fp8_e4m3, calibrated scales"));
  }
  const Outcome other = with("W8A16", "gptq", true);
  ASSERT_EQ(other.code, 0) << other.err;
  for (const char* name : {"W8A16+KV4", "W8A16+KVFP8", "W8A16 gptq"}) {
    EXPECT_THAT(other.out, HasSubstr(name));
    EXPECT_TRUE(fs::exists(checkpoints / name)) << name;
  }
}

TEST_F(Cli, StudyOfTasksShowsFlipsAndMemory) {
  std::string lines;
  for (int i = 0; i < 60; ++i)
    lines += fmt::format("{{\"query\": \"book {}\", \"choices\": [\"one\", \"two\"], \"gold\": {}}}\n", i * i,
                         i % 2);
  base::write_text(scratch_ / "t.jsonl", lines);
  auto arguments = study("W2A16", false);
  arguments.insert(arguments.end(), {"--tasks", (scratch_ / "t.jsonl").string()});
  ASSERT_EQ(run(arguments).code, 0);
  const std::string folder = (scratch_ / "study").string();
  for (const char* name : {"study.json", "study.csv"})
    EXPECT_EQ(run({"report", folder, "--to", (scratch_ / name).string()}).code, 0);
  const Json rows = Json::parse(base::read_text(scratch_ / "study.json"))["rows"];
  ASSERT_EQ(rows.size(), 3u);
  for (const Json& row : rows) {
    double parts = -row["memory"]["keys and values of 1024 tokens"].get<double>();
    for (const Json& bytes : row["memory"]) parts += bytes.get<double>();
    EXPECT_EQ(parts, row["file_bytes"]) << row["name"];
  }
  EXPECT_GT(rows[2]["memory"]["scales and offsets"], 0);
  EXPECT_THAT(rows[0]["flips"], testing::IsEmpty());
  ASSERT_FALSE(rows[2]["flips"].empty());
  EXPECT_THAT(rows[2]["flips"][0]["question"].get<std::string>(), HasSubstr("book"));
  EXPECT_NE(rows[2]["flips"][0]["reference"], rows[2]["flips"][0]["model"]);
  EXPECT_THAT(base::read_text(scratch_ / "study.csv"), HasSubstr("bytes of scales and offsets"));
}

TEST_F(Cli, StudyKilledInTheMiddleGoesOn) {
  Process killed(scratch_, study("W8A16,W8A8,W4A16", false));
  while (!fs::exists(scratch_ / "study" / "checkpoints" / "W8A8") && killed.running())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  killed.send(SIGKILL);
  killed.wait();
  const Outcome resumed = run(study("W8A16,W8A8,W4A16", true));
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  for (const char* row : {"FP32: finished", "BF16: finished", "W8A16: finished"})
    EXPECT_THAT(resumed.err, HasSubstr(row));
  for (const char* word : {"W8A8", "W4A16"}) EXPECT_THAT(resumed.out, HasSubstr(word));
}

TEST_F(Cli, InterruptIsOneHundredThirty) {
  Process stopped(scratch_, study("W8A16,W8A8,W4A16,FP8_DYNAMIC,NF4", false));
  while (!fs::exists(scratch_ / "study" / "study.sqlite") && stopped.running())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stopped.send(SIGINT);
  EXPECT_EQ(stopped.wait().code, 130);
}

}  // namespace
}  // namespace aquatint::test

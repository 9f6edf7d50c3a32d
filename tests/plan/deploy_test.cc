#include "plan/deploy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "eval/yaml_tree.h"
#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path kGolden = fs::path(AQUATINT_GOLDEN) / "deploy";

Json sample_plan() {
  const fs::path path = kGolden / "plan.json";
  return base::parse_json(base::read_text(path), path.string());
}

Deployment sample(size_t rank, std::string model = "org/Llama-3-70B") {
  Deployment d = read_deployment(sample_plan(), "plan.json", rank);
  d.model = std::move(model);
  return d;
}

std::string text_of(const std::vector<DeployFile>& files, std::string_view name) {
  for (const DeployFile& file : files)
    if (file.name == name) return file.text;
  ADD_FAILURE() << "no " << name;
  return "";
}

// As a shell reads it; what it would run is not run.
bool shell_accepts(const std::string& text) {
  const fs::path path = fs::path(testing::TempDir()) / fmt::format("deploy-{}.sh", getpid());
  base::write_text(path, text);
  const int status = std::system(fmt::format("sh -n '{}' 2>/dev/null", path.string()).c_str());
  fs::remove(path);
  return status == 0;
}

// Every engine that can run it, with each candidate of the plan that serves anything.
template <class Check>
void for_all(const std::string& model, Check check) {
  for (size_t rank = 1; rank <= 5; ++rank)
    for (const DeployEngine* engine : deploy_engines()) {
      const Deployment d = sample(rank, model);
      if (!engine->refusal(d).empty()) continue;
      SCOPED_TRACE(fmt::format("{} {}", engine->name, rank));
      check(*engine, deploy_files(*engine, d));
    }
}

TEST(Deploy, FilesAreTheGoldenOnes) {
  int folders = 0;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    if (!entry.is_directory()) continue;
    ++folders;
    const std::string pair = entry.path().filename();
    const size_t dash = pair.find('-');
    const std::vector<DeployFile> files =
        deploy_files(find_deploy_engine(pair.substr(0, dash)), sample(std::stoul(pair.substr(dash + 1))));
    size_t found = 0;
    for (const auto& golden : fs::directory_iterator(entry.path())) {
      ++found;
      EXPECT_EQ(text_of(files, golden.path().filename().string()), base::read_text(golden.path()))
          << golden.path();
    }
    EXPECT_EQ(files.size(), found) << pair;
  }
  EXPECT_EQ(folders, 10);
}

TEST(Deploy, WhatIsWrittenCanBeRead) {
  for (const char* model : {"org/Llama-3-70B", "/a b/it's $(here) \"70B\": {x} `y` #"})
    for_all(model, [](const DeployEngine& engine, const std::vector<DeployFile>& files) {
      EXPECT_THAT(text_of(files, "README.md"), HasSubstr(std::string(engine.command)));
      for (const DeployFile& file : files) {
        if (file.name.ends_with(".yaml")) {
          EXPECT_NO_THROW(eval::read_yaml(file.text, file.name));
        }
        if (file.executable) {
          EXPECT_TRUE(shell_accepts(file.text)) << file.text;
        }
      }
    });
}

const eval::YamlNode& at(const eval::YamlNode& node, std::string_view key) {
  const eval::YamlNode* found = node.find(key);
  if (!found) throw std::runtime_error(fmt::format("no {}", key));
  return *found;
}

TEST(Deploy, ManifestsSayWhatThePlanSays) {
  const auto k8s = deploy_files(find_deploy_engine("k8s"), sample(1, "/m/it's \"70B\""));
  const eval::YamlNode deployment = eval::read_yaml(text_of(k8s, "deployment.yaml"), "deployment.yaml");
  const eval::YamlNode service = eval::read_yaml(text_of(k8s, "service.yaml"), "service.yaml");
  EXPECT_EQ(at(deployment, "kind").text, "Deployment");
  const eval::YamlNode& pod = at(at(deployment, "spec"), "template");
  const eval::YamlNode& container = at(at(pod, "spec"), "containers").items.at(0);
  EXPECT_EQ(at(at(at(container, "resources"), "limits"), "nvidia.com/gpu").text, "1");
  EXPECT_EQ(at(container, "args").items.at(0).text, "/models/it's \"70B\"-W4A16");
  EXPECT_EQ(at(at(at(service, "spec"), "selector"), "app").text,
            at(at(at(pod, "metadata"), "labels"), "app").text);

  const auto ray = deploy_files(find_deploy_engine("ray"), sample(2));
  const eval::YamlNode config = eval::read_yaml(text_of(ray, "serve.yaml"), "serve.yaml");
  const eval::YamlNode& llm =
      at(at(at(config, "applications").items.at(0), "args"), "llm_configs").items.at(0);
  const eval::YamlNode& engine = at(llm, "engine_kwargs");
  EXPECT_EQ(at(engine, "tensor_parallel_size").text, "8");
  EXPECT_EQ(at(engine, "pipeline_parallel_size").text, "2");
  EXPECT_EQ(at(engine, "kv_cache_dtype").text, "fp8");
  EXPECT_EQ(at(at(llm, "deployment_config"), "num_replicas").text, "3");
  EXPECT_EQ(at(llm, "accelerator_type").text, "H100");
}

std::vector<std::string> able(const std::string& scheme, const std::string& gpu, int count = 1) {
  Deployment d = sample(1);
  d.candidate.choice = find_choice(scheme);
  d.candidate.gpu = gpu;
  d.candidate.count = count;
  std::vector<std::string> names;
  for (const DeployEngine* engine : deploy_engines())
    if (engine->refusal(d).empty()) names.emplace_back(engine->name);
  return names;
}

TEST(Deploy, EnginesRunWhatTheyHaveKernelsFor) {
  EXPECT_THAT(able("BF16", "H100-80G"),
              ElementsAre("aquatint", "vllm", "sglang", "trtllm", "ray", "k8s", "slurm"));
  EXPECT_THAT(able("FP8_DYNAMIC", "A100-80G"),
              ElementsAre("aquatint", "vllm", "sglang", "ray", "k8s", "slurm"));
  EXPECT_THAT(able("NVFP4", "B200"),
              ElementsAre("aquatint", "vllm", "sglang", "trtllm", "ray", "k8s", "slurm"));
  EXPECT_THAT(able("NVFP4", "H200"), ElementsAre("aquatint", "vllm", "ray", "k8s", "slurm"));
  EXPECT_THAT(able("NF4", "H100-80G"), ElementsAre("aquatint", "vllm", "sglang", "ray", "k8s", "slurm"));
  EXPECT_THAT(able("LLM_INT8", "H100-80G", 2), ElementsAre("aquatint"));
  EXPECT_THAT(able("W8A8", "B200"), ElementsAre("aquatint", "sglang"));
  EXPECT_THAT(able("W4AFP8", "L40S"), ElementsAre("aquatint"));
  for (const char* scheme : {"FP6", "W3A16", "W4A8_FP", "W4A16+KV4", "W4A4"})
    EXPECT_THAT(able(scheme, "H100-80G"), ElementsAre("aquatint")) << scheme;
  EXPECT_THAT(able("BF16", "H100-80G", 16), ElementsAre("ray", "slurm"));
  EXPECT_THAT(able("FP6", "H100-80G", 16), ElementsAre());
}

TEST(Deploy, ARefusalNamesTheEnginesThatCan) {
  try {
    deploy_files(find_deploy_engine("trtllm"), sample(1));
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_THAT(e.what(),
                HasSubstr("TensorRT-LLM has no kernels for W4A16; engines that can: aquatint, vllm,"));
  }
  EXPECT_THROW(find_deploy_engine("vlm"), base::BadUsage);
}

TEST(Deploy, RequestsAreAllowedTwiceThePlannedLengthWhereTheyFit) {
  Deployment d = sample(1);
  EXPECT_EQ(d.max_context(), 3072);  // twice 1500, in steps of 256
  d.candidate.longest_context = 1700;
  EXPECT_EQ(d.max_context(), 1700);
  EXPECT_EQ(sample(2).machines(), 2);
  EXPECT_EQ(sample(2).cards_per_machine(), 8);
}

TEST(Deploy, WithoutAChoiceARankIsNeeded) {
  Json plan = sample_plan();
  plan["chosen"] = nullptr;
  EXPECT_THROW(read_deployment(plan, "plan.json", std::nullopt), base::BadUsage);
  EXPECT_NO_THROW(read_deployment(plan, "plan.json", 2));
  EXPECT_THROW(read_deployment(plan, "plan.json", 6), base::BadUsage);  // holds no request
  EXPECT_THROW(read_deployment(plan, "plan.json", 7), base::BadUsage);  // there is none
}

std::string error_of(const Json& plan) {
  try {
    read_deployment(plan, "plan.json", std::nullopt);
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "";
}

TEST(Deploy, BadPlansAreNamedByTheirKey) {
  const auto with = [](const char* pointer, const Json& value) {
    Json plan = sample_plan();
    plan[Json::json_pointer(pointer)] = value;
    return error_of(plan);
  };
  EXPECT_THAT(error_of(Json::array()), HasSubstr("candidates"));
  EXPECT_THAT(with("/candidates", Json::array()), HasSubstr("candidates"));
  EXPECT_THAT(with("/candidates/0", 7), HasSubstr("candidate"));
  EXPECT_THAT(with("/chosen", 99), HasSubstr("chosen"));
  EXPECT_THAT(with("/candidates/0/count", 0), HasSubstr("count"));
  EXPECT_THAT(with("/candidates/0/count", 1e9), HasSubstr("count"));
  EXPECT_THAT(with("/candidates/0/scheme", "W9A16"), HasSubstr("scheme"));
  EXPECT_THAT(with("/candidates/0/gpu", "H1000"), HasSubstr("gpu"));
  EXPECT_THAT(with("/candidates/0/reason", "x\nscheme: NF4"), HasSubstr("reason"));
  EXPECT_THAT(with("/candidates/0/model", "x\x1b[2J"), HasSubstr("model"));
  EXPECT_THAT(with("/candidates/0/memory/kv_cache", -1), HasSubstr("kv_cache"));
  EXPECT_THAT(with("/candidates/0/memory/total", 0), HasSubstr("memory"));
  EXPECT_THAT(with("/candidates/0/longest_context", 1e300), HasSubstr("longest_context"));
  EXPECT_THAT(with("/candidates/0/at_most/sequences", 0.5), HasSubstr("at_most"));
  EXPECT_THAT(with("/question/efficiency", nullptr), HasSubstr("efficiency"));
}

// Whatever is left out or of another kind, the plan is refused or read, nothing else.
TEST(Deploy, DamagedPlansAreRefused) {
  const Json whole = sample_plan(), flat = whole.flatten();
  for (const auto& [pointer, value] : flat.items())
    for (const Json& other : {Json(), Json("x"), Json(-5), Json(1e17), Json(Json::array())}) {
      Json plan = whole;
      plan[Json::json_pointer(pointer)] = other;
      try {
        const Deployment d = read_deployment(plan, "plan.json", std::nullopt);
        for (const DeployEngine* engine : deploy_engines())
          if (engine->refusal(d).empty()) {
            EXPECT_FALSE(deploy_files(*engine, d).empty());
          }
      } catch (const base::Error& e) {
        EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      }
    }
}

TEST(Deploy, LabelsAreThoseOfKubernetes) {
  EXPECT_EQ(label_of("Llama-3.1_70B-W4A16+KV8"), "llama-3-1-70b-w4a16-kv8");
  EXPECT_EQ(label_of("--"), "model-");
  EXPECT_EQ(label_of("70B"), "model-70b");
  EXPECT_LE(label_of(std::string(200, 'x')).size(), 50u);
}

}  // namespace
}  // namespace aquatint::plan

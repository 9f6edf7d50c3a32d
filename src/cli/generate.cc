#include <fmt/format.h>

#include <sstream>

#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "cli/command.h"
#include "cli/precision.h"
#include "runtime/chat.h"
#include "runtime/generator.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

struct GenerateOptions {
  std::string model, prompt, prompts_file, system, precision = "bf16", kv_format = "auto";
  runtime::GenerateOptions generate;
  bool chat = false;
};

std::vector<std::string> read_prompts(const GenerateOptions& o) {
  if (o.prompt.empty() == o.prompts_file.empty())
    throw base::BadUsage("generate needs either --prompt TEXT or --prompts FILE (one prompt a line)");
  if (o.prompts_file.empty()) return {o.prompt};
  std::vector<std::string> prompts;
  std::istringstream lines(base::read_text(o.prompts_file));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) prompts.push_back(line);
  if (prompts.empty())
    throw base::BadInput(fmt::format("{}: holds no prompt; expected one a line", o.prompts_file));
  return prompts;
}

nlohmann::ordered_json messages(const GenerateOptions& o, const std::string& prompt) {
  auto list = nlohmann::ordered_json::array();
  if (!o.system.empty()) list.push_back({{"role", "system"}, {"content", o.system}});
  list.push_back({{"role", "user"}, {"content", prompt}});
  return list;
}

std::vector<std::vector<int32_t>> tokenize(const GenerateOptions& o, const std::vector<std::string>& prompts,
                                           const checkpoint::Checkpoint& checkpoint,
                                           const text::Tokenizer& tokenizer) {
  const std::unique_ptr<runtime::Chat> chat = o.chat ? runtime::Chat::load(checkpoint) : nullptr;
  if (o.chat && !chat)
    throw base::BadInput(
        fmt::format("{}: has no chat template; run without --chat", checkpoint.path().string()));
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& prompt : prompts)
    ids.push_back(chat ? tokenizer.encode(chat->render(messages(o, prompt), true), false)
                       : tokenizer.encode(prompt, true));
  return ids;
}

std::string_view finish_name(runtime::Finish finish) {
  switch (finish) {
    case runtime::Finish::stop:
      return "stop";
    case runtime::Finish::length:
      return "length";
    case runtime::Finish::cancelled:
      return "cancelled";
  }
  return "";
}

base::Json as_json(const std::vector<std::string>& prompts, const std::vector<runtime::Generation>& results) {
  base::Json list = base::Json::array();
  for (size_t i = 0; i < results.size(); ++i)
    list.push_back({{"prompt", prompts[i]},
                    {"text", results[i].text},
                    {"prompt_tokens", results[i].prompt_tokens},
                    {"tokens", results[i].tokens},
                    {"finish", finish_name(results[i].finish)},
                    {"first_token_seconds", results[i].first_token_seconds}});
  return {{"generations", list}};
}

void run_generate(const GenerateOptions& o, const Common& common) {
  const auto start = base::Clock::now();
  const std::vector<std::string> prompts = read_prompts(o);
  runtime::check(o.generate.sampling);
  const api::Backend backend(common.backend);
  const std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(o.model);
  const auto tokenizer = runtime::load_tokenizer(*checkpoint);
  const auto ids = tokenize(o, prompts, *checkpoint, *tokenizer);
  const auto model =
      model::Model::load(checkpoint, backend.at(parse_precision(o.precision), parse_kv_format(o.kv_format)));
  runtime::GenerateOptions options = o.generate;
  options.stop_ids = runtime::stop_ids(*checkpoint, model->config());
  const double loaded = base::seconds_since(start);

  const bool streaming = !common.json && prompts.size() == 1;
  runtime::Generator generator(*model, tokenizer.get());
  const auto results = generator.run(ids, options, [&](size_t, int32_t, std::string_view piece) {
    if (streaming) print_result(piece);
    return true;
  });

  if (common.json) return print_json(as_json(prompts, results));
  if (streaming) print_result("\n");
  if (!streaming)
    for (size_t i = 0; i < results.size(); ++i)
      print_result(fmt::format("> {}\n{}\n\n", prompts[i], results[i].text));
  size_t generated = 0;
  for (const runtime::Generation& result : results) generated += result.tokens.size();
  base::info("loaded in {:.2f} s, first token after {:.2f} s, {} tokens in {:.2f} s", loaded,
             loaded + results.front().first_token_seconds, generated, base::seconds_since(start) - loaded);
}

}  // namespace

std::function<void()> add_generate(CLI::App& app, Common& common) {
  auto o = std::make_shared<GenerateOptions>();
  add_model(app, o->model);
  add_backend_options(app, common);
  add_seed(app, common);
  add_precision(app, o->precision);
  add_kv_format(app, o->kv_format);
  option(app, "--prompt", o->prompt, "text to continue");
  option(app, "--prompts", o->prompts_file, "file with one prompt a line");
  option(app, "--system", o->system, "system message, with --chat");
  option(app, "--max-tokens", o->generate.max_tokens, "tokens to generate at most")
      ->check(CLI::PositiveNumber);
  option(app, "--temperature", o->generate.sampling.temperature, "0: always the likeliest token");
  option(app, "--top-k", o->generate.sampling.top_k, "only the k likeliest tokens; 0: all");
  option(app, "--top-p", o->generate.sampling.top_p,
         "only the likeliest tokens that together reach this probability");
  app.add_flag("--chat", o->chat, "the prompt is a user's message: apply the model's chat template")
      ->envname("AQUATINT_CHAT");
  return [o, &common] {
    o->generate.sampling.seed = common.seed;
    run_generate(*o, common);
  };
}

}  // namespace aquatint::cli

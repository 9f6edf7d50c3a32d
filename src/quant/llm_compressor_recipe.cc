// Recipes written for llm-compressor (https://github.com/vllm-project/llm-compressor): stages of modifiers.
// What one says and cannot be done here is an error where it changes the result, a note where it does not.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "quant/llm_compressor_scheme.h"
#include "quant/recipe_reader.h"

namespace aquatint::quant {
namespace {

using Kind = eval::YamlNode::Kind;

constexpr std::array<std::string_view, 4> kModifiers = {"QuantizationModifier", "GPTQModifier", "AWQModifier",
                                                        "SmoothQuantModifier"};

// Of any modifier: when it runs in a training schedule. And how work is laid out on its devices.
constexpr std::array<std::string_view, 14> kWithoutEffect = {"start",
                                                             "end",
                                                             "update",
                                                             "index",
                                                             "group",
                                                             "sequential_targets",
                                                             "sequential_update",
                                                             "offload_hessians",
                                                             "offload_device",
                                                             "max_chunk_memory",
                                                             "num_calibration_steps",
                                                             "bypass_divisibility_checks",
                                                             "requires_calibration_data",
                                                             "quantize"};

bool ends_with_any(std::string_view key, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return key.ends_with(end); });
}

bool says_nothing(const eval::YamlNode& node) {
  return node.kind == Kind::null || (node.kind == Kind::list && node.items.empty()) ||
         (node.kind == Kind::map && node.entries.empty());
}

class LlmCompressor {
 public:
  explicit LlmCompressor(const eval::YamlReader& reader) : reader_(reader) {}

  Recipe read(const eval::YamlNode& root) {
    stage(root);
    if (!quantizing_)
      reader_.fail(root.line, "no modifier says a scheme or config_groups; nothing would be quantized");
    if (order_ &&
        std::none_of(steps_.begin(), steps_.end(), [](const auto& s) { return s.method == &quant::gptq; }))
      note(order_->line, "actorder has no effect without GPTQModifier");
    try {
      recipe_.methods = complete_methods(std::move(steps_));
    } catch (const base::BadUsage& e) {
      reader_.fail(root.line, e.what());
    }
    return std::move(recipe_);
  }

 private:
  // Stages, lists of modifiers and modifiers lie in each other in several ways, which say the same.
  void stage(const eval::YamlNode& node) {
    for (const eval::YamlNode& item : node.items) stage(item);
    for (const eval::YamlNode::Entry& entry : node.entries) {
      if (ends_with_any(entry.key, {"Modifier"}))
        modifier(entry);
      else if (ends_with_any(entry.key, {"_stage", "_modifiers"}))
        stage(entry.value);
      else if (entry.key == "metadata" || entry.key == "run_type" || entry.key == "version")
        continue;
      else if (!says_nothing(entry.value))
        reader_.fail(entry.line, fmt::format("'{}' is neither a stage nor a modifier", entry.key));
    }
    if (node.kind == Kind::scalar)
      reader_.fail(node.line, fmt::format("'{}' is no modifier with its settings", node.text));
  }

  void modifier(const eval::YamlNode::Entry& entry) {
    if (std::find(kModifiers.begin(), kModifiers.end(), entry.key) == kModifiers.end())
      reader_.fail(entry.line, fmt::format("modifier {} is not supported; known: {}", entry.key,
                                           fmt::join(kModifiers, ", ")));
    const eval::YamlNode nothing{Kind::map, entry.line, false, {}, {}, {}};
    const eval::YamlNode& settings =
        entry.value.kind == Kind::null ? nothing : reader_.map(entry.value, entry.key);
    if (entry.key == "SmoothQuantModifier") return smoothquant(entry, settings);
    quantization(entry, settings);
    if (entry.key == "GPTQModifier") gptq(entry, settings);
    if (entry.key == "AWQModifier") awq(entry, settings);
    if (entry.key == "QuantizationModifier") rest(entry, settings, {});
  }

  void note(int line, const std::string& what) {
    recipe_.notes.push_back(fmt::format("{}:{}: {}", reader_.where(), line, what));
  }

  // Every setting that nobody has taken: harmless, or not known.
  void rest(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings,
            std::initializer_list<std::string_view> taken) {
    constexpr std::array<std::string_view, 8> kShared = {
        "config_groups",   "targets",         "ignore",         "scheme",
        "kv_cache_scheme", "weight_observer", "input_observer", "output_observer"};
    const bool shares = modifier.key != "SmoothQuantModifier";
    for (const eval::YamlNode::Entry& entry : settings.entries) {
      const auto is = [&](std::string_view key) { return key == entry.key; };
      if (std::any_of(taken.begin(), taken.end(), is)) continue;
      if (shares && std::any_of(kShared.begin(), kShared.end(), is)) continue;
      if (entry.value.kind == Kind::null) continue;
      if (std::none_of(kWithoutEffect.begin(), kWithoutEffect.end(), is))
        reader_.fail(entry.line, fmt::format("{}.{} cannot be honoured here", modifier.key, entry.key));
      note(entry.line, fmt::format("{}.{} has no effect here", modifier.key, entry.key));
    }
  }

  void step(MethodStep made) { steps_.push_back(std::move(made)); }

  void setting(MethodStep& step, std::string_view ours, const eval::YamlNode& settings,
               std::string_view theirs) {
    if (const eval::YamlNode* value = settings.find(theirs)) set_method_setting(step, ours, *value, reader_);
  }

  void gptq(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    MethodStep made = make_step("gptq");
    setting(made, "damp", settings, "dampening_frac");
    setting(made, "block", settings, "block_size");
    if (const eval::YamlNode* order = settings.find("actorder"))
      order_ = ActOrder{reader_.text(*order, "actorder"), order->line};
    if (order_) made.settings["act_order"] = act_order(*order_);
    step(std::move(made));
    rest(modifier, settings, {"dampening_frac", "block_size", "actorder"});
  }

  // Our order always keeps the groups where they are ("weight", "static"), so that files need no g_idx.
  bool act_order(const ActOrder& order) {
    if (order.name == "group" || order.name == "dynamic")
      note(order.line,
           fmt::format("actorder {} is done as static: the file then needs no g_idx", order.name));
    else if (order.name != "weight" && order.name != "static")
      reader_.fail(order.line,
                   fmt::format("actorder '{}' is unknown; known: static, weight, group", order.name));
    return true;
  }

  void awq(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    MethodStep made = make_step("awq");
    setting(made, "grid", settings, "n_grid");
    step(std::move(made));
    note_mappings(modifier, settings);
    if (const eval::YamlNode* duo = settings.find("duo_scaling");
        duo && duo->text != "true" && duo->text != "True")
      reader_.fail(duo->line, "AWQModifier.duo_scaling: only true is supported");
    rest(modifier, settings, {"n_grid", "mappings", "duo_scaling"});
  }

  void smoothquant(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    MethodStep made = make_step("smoothquant");
    setting(made, "alpha", settings, "smoothing_strength");
    step(std::move(made));
    note_mappings(modifier, settings);
    if (const eval::YamlNode* ignore = settings.find("ignore"); ignore)
      for (const std::string& name : reader_.texts(*ignore, "ignore"))
        if (name != "lm_head")
          reader_.fail(ignore->line,
                       fmt::format("SmoothQuantModifier.ignore: {} cannot be left out of smoothing", name));
    rest(modifier, settings, {"smoothing_strength", "mappings", "ignore"});
  }

  void note_mappings(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    if (const eval::YamlNode* mappings = settings.find("mappings"); mappings && !says_nothing(*mappings))
      note(mappings->line, modifier.key +
                               ".mappings is not used: the architecture says which layers belong "
                               "together");
  }

  const numeric::KvScheme* kv_cache(const eval::YamlNode& node) const {
    reader_.map(node, "kv_cache_scheme");
    const auto text = [&](const char* key, const char* otherwise) {
      const eval::YamlNode* found = node.find(key);
      return found ? reader_.text(*found, key) : std::string(otherwise);
    };
    const auto flag = [&](const char* key, bool otherwise) {
      const eval::YamlNode* found = node.find(key);
      return found ? reader_.boolean(*found, key) : otherwise;
    };
    if (text("num_bits", "8") != "8" || text("type", "int") != "float" ||
        text("strategy", "tensor") != "tensor" || flag("dynamic", false) || !flag("symmetric", true))
      reader_.fail(
          node.line,
          "kv_cache_scheme: only calibrated floats of 8 bits per tensor are known here; others are kv_cache: "
          "KV8 or KV4 in a recipe of our own");
    return numeric::find_kv_scheme("KVFP8");
  }

  // scheme or config_groups with targets and ignore.
  void quantization(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    const eval::YamlNode* groups = settings.find("config_groups");
    const eval::YamlNode* scheme = settings.find("scheme");
    if (const eval::YamlNode* cache = settings.find("kv_cache_scheme")) recipe_.kv = kv_cache(*cache);
    if (groups && scheme)
      reader_.fail(scheme->line, "both scheme and config_groups; one of them says the formats");
    if (!groups && !scheme) return;
    const eval::YamlNode* ignore = settings.find("ignore");
    const std::vector<std::string> ignored =
        ignore ? reader_.texts(*ignore, "ignore") : std::vector<std::string>{};
    const size_t first_rule = recipe_.layers.size();
    const bool had_default = recipe_.scheme != nullptr;
    if (groups)
      config_groups(*groups, settings.find("targets"));
    else
      preset(*scheme, settings.find("targets"));
    observers(modifier, settings);
    for (size_t i = first_rule; i < recipe_.layers.size(); ++i) recipe_.layers[i].except = ignored;
    if (!ignored.empty() && recipe_.scheme && !had_default) keep(ignored, ignore->line);
    if (quantizing_) note(modifier.line, "the methods of all modifiers are used on all layers");
    quantizing_ = true;
  }

  void keep(const std::vector<std::string>& ignored, int line) {
    for (size_t i = 0; i < ignored.size();
         ++i) {  // one rule each, so that each is told when it names nothing
      LayerRule rule;
      rule.match = {ignored[i]};
      rule.except.assign(ignored.begin(), ignored.begin() + static_cast<std::ptrdiff_t>(i));
      rule.keep = rule.optional = true;
      rule.line = line;
      recipe_.layers.push_back(std::move(rule));
    }
  }

  // `scheme: W4A16` for `targets`, or `scheme: {W4A16: [targets], …}`.
  void preset(const eval::YamlNode& scheme, const eval::YamlNode* targets) {
    if (scheme.kind != Kind::map) {
      const auto names = targets ? reader_.texts(*targets, "targets") : std::vector<std::string>{"Linear"};
      return apply({llm_compressor_preset(scheme.text, scheme.line, reader_), 0, {}, {}}, names, scheme.line);
    }
    if (targets) note(targets->line, "targets has no effect beside the targets of each scheme");
    for (const eval::YamlNode::Entry& entry : scheme.entries)
      apply({llm_compressor_preset(entry.key, entry.line, reader_), 0, {}, {}},
            reader_.texts(entry.value, "targets"), entry.line);
  }

  void config_groups(const eval::YamlNode& groups, const eval::YamlNode* targets_beside) {
    if (targets_beside && reader_.texts(*targets_beside, "targets") != std::vector<std::string>{"Linear"})
      note(targets_beside->line, "targets has no effect beside config_groups, which have their own");
    for (const eval::YamlNode::Entry& entry : reader_.map(groups, "config_groups").entries) {
      if (entry.value.kind == Kind::list) {  // a preset's name and its targets
        apply({llm_compressor_preset(entry.key, entry.line, reader_), 0, {}, {}},
              reader_.texts(entry.value, "targets"), entry.line);
        continue;
      }
      const eval::YamlNode& group = reader_.map(entry.value, entry.key);
      const eval::YamlNode* targets = group.find("targets");
      if (!targets) reader_.fail(group.line, fmt::format("{} names no targets", entry.key));
      const SchemeWords words = llm_compressor_group(group, reader_, recipe_.notes);
      if (words.order) order_ = words.order;
      apply(words, reader_.texts(*targets, "targets"), entry.line);
    }
  }

  // The class Linear stands for every layer; all else becomes a rule.
  void apply(const SchemeWords& words, std::vector<std::string> targets, int line) {
    const auto linear = std::find(targets.begin(), targets.end(), "Linear");
    if (linear != targets.end()) {
      if (recipe_.scheme) reader_.fail(line, "a second scheme for all Linear layers");
      recipe_.scheme = words.scheme;
      recipe_.group = words.group;
      recipe_.clip = words.clip;
      return;
    }
    if (targets.empty()) reader_.fail(line, "targets names no layer");
    LayerRule rule;
    rule.match = std::move(targets);
    rule.scheme = words.scheme;
    rule.group = words.group;
    rule.clip = words.clip;
    rule.line = line;
    recipe_.layers.push_back(std::move(rule));
  }

  void observers(const eval::YamlNode::Entry& modifier, const eval::YamlNode& settings) {
    if (const eval::YamlNode* observer = settings.find("weight_observer"))
      recipe_.clip = llm_compressor_clip(reader_.text(*observer, "weight_observer"), observer->line, reader_);
    for (const std::string_view key : {"input_observer", "output_observer"})
      if (const eval::YamlNode* observer = settings.find(key))
        note(observer->line,
             fmt::format("{}.{} has no effect on inputs rounded at run time", modifier.key, key));
  }

  const eval::YamlReader& reader_;
  Recipe recipe_;
  std::vector<MethodStep> steps_;
  std::optional<ActOrder> order_;
  bool quantizing_ = false;
};

}  // namespace

bool is_llm_compressor(const eval::YamlNode& root) {
  return root.kind == Kind::list ||
         std::any_of(root.entries.begin(), root.entries.end(), [](const auto& entry) {
           return ends_with_any(entry.key, {"_stage", "_modifiers", "Modifier"});
         });
}

Recipe read_llm_compressor(const eval::YamlNode& root, const eval::YamlReader& reader) {
  return LlmCompressor(reader).read(root);
}

}  // namespace aquatint::quant

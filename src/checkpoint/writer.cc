#include "checkpoint/writer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/kv_cache.h"
#include "checkpoint/layouts/layout.h"
#include "checkpoint/safetensors_writer.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadInput;
using base::BadUsage;
using base::Json;
using numeric::Format;
using tensor::QuantizedMatrix;
namespace {

constexpr int64_t kChunk = 1 << 20;  // values rounded at a time
constexpr std::string_view kHead = "lm_head";

const Layout& known_layout(std::string_view name) {
  if (const Layout* layout = find_layout(name)) return *layout;
  std::vector<std::string_view> names;
  for (const Layout* known : layouts()) names.push_back(known->name);
  throw BadUsage(fmt::format("layout \"{}\" is not known, expected one of {}", name, fmt::join(names, ", ")));
}

bool says(const Layout& layout, const numeric::Scheme& scheme) {
  return layout.can_say(scheme) && (layout.says_low_rank || scheme.weights.low_rank.rank == 0);
}

// The first scheme that the layout cannot say, by itself or beside those before it; null when it says all.
const numeric::Scheme* first_unsaid(const Layout& layout, std::span<const numeric::Scheme> schemes) {
  for (const numeric::Scheme& scheme : schemes)
    if (!says(layout, scheme) || (!layout.mixes_schemes && !same_form(scheme, schemes.front())))
      return &scheme;
  return nullptr;
}

[[noreturn]] void refuse(const Layout& layout, const numeric::Scheme& unsaid) {
  if (!says(layout, unsaid))
    throw BadUsage(fmt::format("layout {} cannot say {}{} exactly; leave --layout out for one that can",
                               layout.name, unsaid.name,
                               unsaid.weights.low_rank.rank > 0 ? " with a low-rank part" : ""));
  throw BadUsage(
      fmt::format("layout {} holds one scheme a model, so not {} beside another", layout.name, unsaid.name));
}

const char* dtype_key(const Json& config) { return config.contains("dtype") ? "dtype" : "torch_dtype"; }

const Format& source_dtype(const Json& config) {
  const Json value = config.value(dtype_key(config), Json(nullptr));
  return value == "float16" ? numeric::fp16 : numeric::bf16;
}

const char* torch_name(const Format& dtype) {
  return &dtype == &numeric::fp32 ? "float32" : &dtype == &numeric::fp16 ? "float16" : "bfloat16";
}

std::string_view stored_name(const Format& dtype) {
  AQ_CHECK(&dtype == &numeric::fp32 || &dtype == &numeric::fp16 || &dtype == &numeric::bf16,
           "{} is no plain dtype", dtype.name);
  return &dtype == &numeric::fp32 ? "F32" : &dtype == &numeric::fp16 ? "F16" : "BF16";
}

// The size of what a layout makes of a matrix.
class ByteCounter final : public TensorSink {
 public:
  uint64_t bytes = 0;
  void add(const std::string&, std::string_view, const std::vector<int64_t>&, base::Bytes tensor) override {
    bytes += tensor.size();
  }
};

// A header's size: a line for each tensor that the layout makes of the source's.
uint64_t header_estimate(const Checkpoint& source, const Layout& layout) {
  constexpr uint64_t kLine = 150;    // dtype, shape, offsets, and what a layout adds to the name
  constexpr uint64_t kScales = 100;  // a layer's two scales of the cache, over its seven weights
  uint64_t bytes = 1024;
  for (const StoredTensor& tensor : source.tensors()) bytes += tensor.name.size() + kLine;
  for (const WeightInfo& weight : source.weights())
    bytes += static_cast<uint64_t>(layout.tensors_per_weight - 1) * (weight.module.size() + kLine) + kScales;
  return bytes;
}

}  // namespace

struct Writer::State {
  State(base::WorkFolder& in_folder, const Checkpoint& from, const Layout& in, const Format* wanted_dtype)
      : source(from),
        layout(in),
        dtype(wanted_dtype ? *wanted_dtype : source_dtype(from.config())),
        contents{{}, {}, dtype},
        folder(in_folder),
        out(folder.result(), header_estimate(from, in)) {}

  // Rounds and appends to the tensor begun.
  void append(std::span<const float> values, const Format& dtype, std::string_view name) {
    if (&dtype == &numeric::fp32) return out.append(std::as_bytes(values));
    rounded.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t code =
          &dtype == &numeric::bf16 ? numeric::float_to_bf16(values[i]) : numeric::float_to_fp16(values[i]);
      const uint16_t infinity = &dtype == &numeric::bf16 ? 0x7f80 : 0x7c00;
      if ((code & 0x7fff) == infinity && std::isfinite(values[i]))
        throw BadUsage(fmt::format("tensor '{}': {} does not fit {}; use --dtype bf16 or fp32", name,
                                   values[i], dtype.name));
      rounded[i] = code;
    }
    out.append(std::as_bytes(std::span<const uint16_t>(rounded)));
  }

  void begin(const std::string& name, const Format& dtype, const std::vector<int64_t>& shape) {
    AQ_CHECK(names.insert(name).second, "'{}' is written twice", name);
    out.begin(name, stored_name(dtype), shape);
  }

  void left_plain(std::string_view module) {
    unrecorded.push_back({module, false});
    if (!is_embedding(module) && module != kHead) contents.unquantized.emplace_back(module);
  }

  void left_quantized(std::string_view module, const numeric::Scheme& scheme) {
    unrecorded.push_back({module, true});
    head_quantized |= module == kHead;
    auto group = std::find_if(contents.groups.begin(), contents.groups.end(),
                              [&](const Contents::Group& g) { return same_form(g.scheme, scheme); });
    if (group == contents.groups.end()) group = contents.groups.insert(group, {scheme, {}});
    group->modules.emplace_back(module);
  }

  Json config() {
    Json config = source.config();
    config.update(changes);
    config.erase("quantization_config");
    config.erase(kProvenanceKey);
    if (!provenance.is_null()) config[kProvenanceKey] = provenance;
    if (contents.kv) config[kProvenanceKey].update(own_kv_cache(*contents.kv));
    config[dtype_key(config)] = torch_name(dtype);
    // A head that shares the embedding's weight is a linear without a tensor.
    if (!head_quantized) contents.unquantized.insert(contents.unquantized.begin(), std::string(kHead));
    if (!contents.groups.empty()) config["quantization_config"] = layout.quantization_config(contents);
    return config;
  }

  const Checkpoint& source;
  const Layout& layout;
  const Format& dtype;
  Contents contents;
  bool head_quantized = false;
  Json provenance, changes = Json::object();
  base::WorkFolder& folder;
  SafetensorsWriter out;
  std::set<std::string> names;
  std::vector<uint16_t> rounded;
  Json unrecorded = Json::array();  // modules, and whether they are quantized
};

Writer::Writer(const fs::path& to, const Checkpoint& source, std::string_view layout, const Format* dtype)
    : own_(std::make_unique<base::WorkFolder>(to)) {
  own_->clear();
  state_ = std::make_unique<State>(*own_, source, known_layout(layout), dtype);
}

Writer::Writer(base::WorkFolder& folder, const Checkpoint& source, std::string_view layout,
               const Format* dtype)
    : state_(std::make_unique<State>(folder, source, known_layout(layout), dtype)) {}

Writer::~Writer() = default;

void Writer::amend(Json changes) { state_->changes = std::move(changes); }
void Writer::kv_cache(const numeric::KvScheme& scheme) { state_->contents.kv = scheme; }

void Writer::record(Json provenance) { state_->provenance = std::move(provenance); }

void Writer::quantized(std::string_view module, const QuantizedMatrix& matrix,
                       const numeric::Scheme& scheme) {
  State& s = *state_;
  const numeric::Scheme both[] = {s.contents.groups.empty() ? scheme : s.contents.groups.front().scheme,
                                  scheme};
  if (const numeric::Scheme* unsaid = first_unsaid(s.layout, both)) refuse(s.layout, *unsaid);
  AQ_CHECK(s.names.insert(std::string(module) + ".weight").second, "'{}' is written twice", module);
  s.layout.write({scheme, s.dtype}, std::string(module), matrix, s.out);
  s.left_quantized(module, scheme);
}

void Writer::plain(std::string_view name, std::span<const int64_t> shape, std::span<const float> values,
                   const Format& dtype) {
  state_->begin(std::string(name), dtype, {shape.begin(), shape.end()});
  state_->append(values, dtype, name);
  state_->out.end();
  if (shape.size() == 2 && name.ends_with(".weight")) state_->left_plain(name.substr(0, name.rfind('.')));
}

void Writer::plain(std::string_view module, const QuantizedMatrix& matrix, const Format& dtype) {
  plain(
      module, matrix.rows, matrix.cols,
      [&](int64_t begin, int64_t end, float* out) { tensor::dequantize(matrix, begin, end, out); }, dtype);
}

void Writer::plain(std::string_view module, int64_t rows, int64_t cols, const RowSource& source,
                   const Format& dtype) {
  const std::string name = std::string(module) + ".weight";
  state_->begin(name, dtype, {rows, cols});
  const int64_t step = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, cols));
  std::vector<float> values(static_cast<size_t>(std::min(step, rows) * cols));
  for (int64_t row = 0; row < rows; row += step) {
    const int64_t end = std::min(rows, row + step);
    source(row, end, values.data());
    state_->append(std::span(values).first(static_cast<size_t>((end - row) * cols)), dtype, name);
  }
  state_->out.end();
  state_->left_plain(module);
}

Json Writer::written() {
  return {{"tensors", state_->out.written()}, {"modules", std::exchange(state_->unrecorded, Json::array())}};
}

void Writer::restore(std::span<const Json> written,
                     const std::function<const numeric::Scheme*(const std::string& module)>& scheme_of) {
  State& s = *state_;
  const std::string where = s.folder.path().string() + ": journal";
  for (const Json& record : written) {
    if (!record.is_object() || !record.contains("tensors") || !record.contains("modules"))
      throw BadInput(where + " lacks tensors; remove the folder and start again");
    s.out.restore(record["tensors"]);
    for (const Json& module : record["modules"]) {
      if (!module.is_array() || module.size() != 2 || !module[0].is_string() || !module[1].is_boolean())
        throw BadInput(where + " names no module; remove the folder and start again");
      const std::string name = module[0].get<std::string>();
      if (!s.names.insert(name + ".weight").second)
        throw BadInput(fmt::format("{} names '{}' twice; remove the folder and start again", where, name));
      if (!module[1].get<bool>())
        s.left_plain(name);
      else if (const numeric::Scheme* scheme = scheme_of(name))
        s.left_quantized(name, *scheme);
      else
        throw BadInput(
            fmt::format("{}: '{}' is not quantized; remove the folder and start again", where, name));
    }
  }
  s.out.cut();
  s.unrecorded.clear();
}

void Writer::finish() {
  state_->out.finish();
  const fs::path& folder = state_->folder.result();
  for (const SideFile& file : state_->source.side_files()) base::write_text(folder / file.name, file.bytes);
  base::write_text(folder / "config.json", state_->config().dump(2) + "\n");
  state_->folder.commit();
}

std::string_view default_layout(std::span<const numeric::Scheme> schemes) {
  for (const Layout* layout : layouts())
    if (!first_unsaid(*layout, schemes)) return layout->name;
  std::vector<std::string_view> names;
  for (const numeric::Scheme& scheme : schemes) names.push_back(scheme.name);
  throw BadUsage(fmt::format("no layout says {} exactly in one model", fmt::join(names, " and ")));
}

void check_layout(std::string_view name, std::span<const numeric::Scheme> schemes) {
  const Layout& layout = known_layout(name);
  if (const numeric::Scheme* unsaid = first_unsaid(layout, schemes)) refuse(layout, *unsaid);
}

uint64_t written_bytes(std::string_view layout, const QuantizedMatrix& matrix, const numeric::Scheme& scheme,
                       const Format& dtype) {
  ByteCounter counter;
  QuantizedMatrix sized = matrix;
  sized.input = scheme.input;
  if (sized.input.needs_calibration()) sized.input.static_scale = 1;
  known_layout(layout).write({scheme, dtype}, "module", sized, counter);
  return counter.bytes;
}

}  // namespace aquatint::checkpoint

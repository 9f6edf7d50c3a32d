#include "checkpoint/writer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/layouts/layout.h"
#include "checkpoint/safetensors_writer.h"

namespace aquatint::checkpoint {
namespace fs = std::filesystem;
using base::BadUsage;
using base::Json;
using numeric::Format;
using tensor::QuantizedMatrix;
namespace {

constexpr int64_t kChunk = 1 << 20;  // values rounded at a time

const Layout& writing_layout(std::string_view name, const numeric::Scheme* scheme) {
  const Layout* layout = find_layout(name);
  if (!layout) {
    std::vector<std::string_view> names;
    for (const Layout* known : layouts()) names.push_back(known->name);
    throw BadUsage(
        fmt::format("layout \"{}\" is not known, expected one of {}", name, fmt::join(names, ", ")));
  }
  if (!scheme && layout != &plain_layout)
    throw BadUsage(fmt::format("layout {} holds quantized weights; name a scheme, or use safetensors", name));
  if (scheme && !layout->can_say(*scheme))
    throw BadUsage(fmt::format("layout {} cannot say {} exactly; leave --layout out for one that can", name,
                               scheme->name));
  return *layout;
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

// A header's size: a line for each tensor that the layout makes of the source's.
uint64_t header_estimate(const Checkpoint& source, const Layout& layout) {
  constexpr uint64_t kLine = 150;  // dtype, shape, offsets, and what a layout adds to the name
  uint64_t bytes = 1024;
  for (const StoredTensor& tensor : source.tensors()) bytes += tensor.name.size() + kLine;
  for (const WeightInfo& weight : source.weights())
    bytes += static_cast<uint64_t>(layout.tensors_per_weight - 1) * (weight.module.size() + kLine);
  return bytes;
}

}  // namespace

struct Writer::State {
  State(const fs::path& to, const Checkpoint& from, const Layout& in, const numeric::Scheme* s, int group,
        const Format* dtype)
      : source(from),
        layout(in),
        scheme(s ? std::optional(*s) : std::nullopt),
        context{scheme ? &*scheme : nullptr, group, dtype ? dtype : &source_dtype(from.config())},
        folder(to),
        out(folder.working(), header_estimate(from, in)) {}

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
    if (!is_embedding(module) && module != "lm_head") unquantized.emplace_back(module);
  }

  Json config() const {
    Json config = source.config();
    config.erase("quantization_config");
    config[dtype_key(config)] = torch_name(*context.dtype);
    if (scheme) config["quantization_config"] = layout.quantization_config(context, unquantized);
    return config;
  }

  const Checkpoint& source;
  const Layout& layout;
  std::optional<numeric::Scheme> scheme;
  WriteContext context;
  base::AtomicFolder folder;
  SafetensorsWriter out;
  std::set<std::string> names;
  std::vector<std::string> unquantized = {"lm_head"};
  std::vector<uint16_t> rounded;
};

Writer::Writer(const fs::path& to, const Checkpoint& source, std::string_view layout,
               const numeric::Scheme* scheme, int group, const Format* dtype)
    : state_(std::make_unique<State>(to, source, writing_layout(layout, scheme), scheme, group, dtype)) {}

Writer::~Writer() = default;

void Writer::quantized(std::string_view module, const QuantizedMatrix& matrix) {
  AQ_CHECK(state_->scheme, "a plain layout takes no quantized weight");
  AQ_CHECK(state_->names.insert(std::string(module) + ".weight").second, "'{}' is written twice", module);
  state_->layout.write(state_->context, std::string(module), matrix, state_->out);
}

void Writer::plain(std::string_view name, std::span<const int64_t> shape, std::span<const float> values,
                   const Format& dtype) {
  state_->begin(std::string(name), dtype, {shape.begin(), shape.end()});
  state_->append(values, dtype, name);
  state_->out.end();
  if (shape.size() == 2 && name.ends_with(".weight")) state_->left_plain(name.substr(0, name.rfind('.')));
}

void Writer::plain(std::string_view module, const QuantizedMatrix& matrix, const Format& dtype) {
  const std::string name = std::string(module) + ".weight";
  state_->begin(name, dtype, {matrix.rows, matrix.cols});
  const int64_t step = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, matrix.cols));
  std::vector<float> values(static_cast<size_t>(std::min(step, matrix.rows) * matrix.cols));
  for (int64_t row = 0; row < matrix.rows; row += step) {
    const int64_t end = std::min(matrix.rows, row + step);
    tensor::dequantize(matrix, row, end, values.data());
    state_->append(std::span(values).first(static_cast<size_t>((end - row) * matrix.cols)), dtype, name);
  }
  state_->out.end();
  state_->left_plain(module);
}

void Writer::finish() {
  state_->out.finish();
  const fs::path& folder = state_->folder.working();
  for (const SideFile& file : state_->source.side_files()) base::write_text(folder / file.name, file.bytes);
  base::write_text(folder / "config.json", state_->config().dump(2) + "\n");
  state_->folder.commit();
}

std::string_view default_layout(const numeric::Scheme& scheme) {
  for (const Layout* layout : layouts())
    if (layout->can_say(scheme)) return layout->name;
  throw BadUsage(fmt::format("no layout says {} exactly", scheme.name));
}

}  // namespace aquatint::checkpoint

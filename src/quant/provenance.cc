#include "quant/provenance.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/machine.h"
#include "checkpoint/writer.h"
#include "quant/model_tensors.h"

namespace aquatint::quant {
namespace {

using base::Json;

std::string tokenizer_sha256(const checkpoint::Checkpoint& model) {
  const checkpoint::SideFile* file = model.side_file("tokenizer.json");
  return file ? base::sha256_hex(std::as_bytes(std::span(file->bytes))) : "";
}

void update(base::Sha256& hash, std::string_view name, const std::vector<float>& values) {
  hash.update(std::as_bytes(std::span(name)));
  hash.update(std::as_bytes(std::span(values)));
}

std::vector<float> some_rows(const checkpoint::Checkpoint& model, const ModelMatrix& matrix) {
  const std::string name = fmt::format("{}: tensor \"{}.weight\"", model.path().string(), matrix.module);
  if (!model.has_weight(matrix.module)) throw base::BadInput(name + " is missing");
  const tensor::QuantizedMatrix found = model.deferred_weight(matrix.module);
  if (found.rows != matrix.rows || found.cols != matrix.cols)
    throw base::BadInput(name + " has another shape than config.json says");
  std::vector<float> values(static_cast<size_t>(3 * found.cols));
  float* out = values.data();
  for (const int64_t row : {int64_t{0}, found.rows / 2, found.rows - 1}) {
    tensor::dequantize(found, row, row + 1, out);
    out += found.cols;
  }
  return values;
}

// The text at `keys` inside an object from outside; empty when there is none.
std::string text_at(const Json& object, std::initializer_list<const char*> keys) {
  const Json* at = &object;
  for (const char* key : keys) {
    if (!at->is_object() || !at->contains(key)) return {};
    at = &(*at)[key];
  }
  return at->is_string() ? at->get<std::string>() : "";
}

// Empty when there is no such model any more.
std::string fingerprint_at(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored) && !std::filesystem::is_regular_file(path, ignored))
    return {};
  try {
    return model_fingerprint(*checkpoint::open_checkpoint(path));
  } catch (const base::Error&) {
    return {};
  }
}

}  // namespace

std::string model_fingerprint(const checkpoint::Checkpoint& model) {
  const ModelTensors tensors = list_tensors(model);
  base::Sha256 hash;
  for (const ModelMatrix& matrix : tensors.matrices) {
    update(hash, fmt::format("{} {} {}", matrix.module, matrix.rows, matrix.cols), some_rows(model, matrix));
    model.advise(matrix.module, base::Access::done);
  }
  for (const ModelVector& vector : tensors.vectors) update(hash, vector.name, read_vector(model, vector));
  return hash.hex();
}

Json provenance(const Recipe& recipe, const CalibrationSet* calibration,
                const checkpoint::Checkpoint& source) {
  Json record = {
      {"version", base::version()},
      {"recipe", to_json(recipe)},
      {"base",
       {{"path", std::filesystem::absolute(source.path()).lexically_normal().string()},
        {"fingerprint", model_fingerprint(source)}}},
  };
  if (calibration)
    record["calibration"] = {{"description", calibration->description},
                             {"tokens", calibration->tokens()},
                             {"fingerprint", calibration->fingerprint},
                             {"tokenizer_sha256", tokenizer_sha256(source)}};
  return record;
}

std::vector<std::string> stale(const checkpoint::Checkpoint& model) {
  std::vector<std::string> reasons;
  const Json& config = model.config();
  const auto record = config.find(checkpoint::kProvenanceKey);
  if (record == config.end() || !record->is_object()) return reasons;
  const std::string tokenizer = text_at(*record, {"calibration", "tokenizer_sha256"});
  if (!tokenizer.empty() && tokenizer != tokenizer_sha256(model))
    reasons.push_back(
        "the calibration is stale: tokenizer.json is not the one it was made with; quantize the base model "
        "again");
  const std::string path = text_at(*record, {"base", "path"});
  const std::string then = text_at(*record, {"base", "fingerprint"});
  if (path.empty() || then.empty()) return reasons;
  const std::string now = fingerprint_at(path);
  if (!now.empty() && now != then)
    reasons.push_back(fmt::format(
        "this model is stale: its base {} has changed since it was quantized; quantize that again", path));
  return reasons;
}

}  // namespace aquatint::quant

#include "quant/plain_tensors.h"

namespace aquatint::quant {

const numeric::Format& source_dtype(const checkpoint::Checkpoint& source) {
  if (source.layout() == "gguf") return numeric::bf16;
  int64_t halves = 0, others = 0;
  for (const checkpoint::StoredTensor& tensor : source.tensors()) {
    if (tensor.dtype == "F16") halves += tensor.parameters;
    if (tensor.dtype == "BF16" || tensor.dtype == "F32") others += tensor.parameters;
  }
  return halves > others ? numeric::fp16 : numeric::bf16;
}

void write_vectors(std::span<const ModelVector> vectors, const checkpoint::Checkpoint& source,
                   const VectorValues& changed, const numeric::Format& dtype, checkpoint::Writer& writer) {
  for (const ModelVector& vector : vectors) {
    const int64_t shape[1] = {vector.size};
    const auto found = changed.find(vector.name);
    writer.plain(vector.name, shape, found == changed.end() ? read_vector(source, vector) : found->second,
                 dtype);
  }
}

tensor::QuantizedMatrix rounded_matrix(std::vector<float> values, int64_t rows, int64_t cols,
                                       const numeric::Format& dtype) {
  for (float& value : values) value = dtype.decode(dtype.encode(value));
  return tensor::plain_matrix(values, rows, cols);
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = double{a[i]} - double{b[i]};
    difference += d * d;
    size += double{a[i]} * double{a[i]};
  }
  return size > 0 ? difference / size : 0;
}

void read_sizes(const std::filesystem::path& folder, Report& report) {
  const checkpoint::Inventory found = checkpoint::inventory(*checkpoint::open_checkpoint(folder.string()));
  report.bytes = found.bytes;
  report.parameters = found.parameters;
  report.bits_per_weight = found.bits_per_weight;
  report.bits_per_parameter = found.bits_per_parameter;
}

}  // namespace aquatint::quant

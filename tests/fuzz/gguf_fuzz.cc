// The container, config.json and the tokenizer made of its metadata, and the values of every matrix.
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_tokenizer.h"
#include "fuzz.h"

namespace {

using namespace aquatint;

void read_all(base::Bytes bytes) {
  const auto file = checkpoint::GgufFile::parse(bytes, "fuzz");
  const base::Json config = checkpoint::gguf_config(file);
  checkpoint::gguf_side_files(file, config);
  for (const checkpoint::GgufTensor& tensor : file.tensors()) {
    const std::string name = checkpoint::hugging_face_name(tensor.name).value_or("");
    if (!tensor.type->supported || tensor.shape.size() != 2) continue;
    auto m = checkpoint::decode_ggml(*tensor.type, tensor.bytes, tensor.shape[0], tensor.shape[1]);
    if (const auto order = checkpoint::row_order(config, "llama", name, m.rows); !order.empty())
      m = checkpoint::permute_rows(m, order);
    std::vector<float> row(static_cast<size_t>(m.cols));
    for (int64_t r = 0; r < m.rows; ++r) tensor::dequantize(m, r, r + 1, row.data());
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::refuse_or_parse([&] { read_all(std::as_bytes(std::span(data, size))); });
}

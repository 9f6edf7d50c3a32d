// The tokenizer in a GGUF file's metadata as the files that Hugging Face's libraries read.
#pragma once
#include <vector>

#include "base/json.h"
#include "checkpoint/gguf.h"

namespace aquatint::checkpoint {

// tokenizer.json, tokenizer_config.json, special_tokens_map.json, generation_config.json, and
// chat_template.jinja where the file has one. Byte-level BPE ("gpt2") with the split rules listed in the
// source, and SentencePiece BPE ("llama"). Empty when the file has no vocabulary; BadInput for other kinds
// and for lists that contradict each other. `config` is gguf_config()'s.
std::vector<SideFile> gguf_side_files(const GgufFile& file, const base::Json& config);

}  // namespace aquatint::checkpoint

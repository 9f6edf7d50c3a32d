// Windows of a JSONL file: one document a line, packed in seeded order.
#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "quant/calibration_source.h"

namespace aquatint::quant {
namespace {

using base::BadInput;

struct Line {
  std::string_view text;
  size_t number;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t begin = 0, number = 1; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row = text.substr(begin, end - begin);
    if (row.find_first_not_of(" \t\r") != row.npos) lines.push_back({row, number});
    begin = end + 1;
  }
  return lines;
}

std::vector<int32_t> encode_messages(std::string_view row, const CalibrationTarget& target,
                                     const std::string& where) {
  if (!target.chat)
    throw BadInput(
        fmt::format("{}: \"messages\" need a chat template and the model has none; write the "
                    "documents as {{\"text\": …}}",
                    where));
  // Templates see keys in the order of the file, which base::Json does not keep.
  const auto messages = nlohmann::ordered_json::parse(row).at("messages");
  if (!messages.is_array() || messages.empty())
    throw BadInput(fmt::format("{}: \"messages\" must be a list of {{\"role\": …, \"content\": …}}", where));
  try {
    return target.tokenizer->encode(target.chat->render(messages, false), false);
  } catch (const BadInput& e) {
    throw BadInput(fmt::format("{}: the chat template refuses it: {}", where, e.what()));
  }
}

std::vector<int32_t> encode_document(const Line& line, const CalibrationTarget& target,
                                     const std::filesystem::path& file) {
  const std::string where = fmt::format("{}, line {}", file.string(), line.number);
  const base::Json document = base::parse_json(line.text, where);
  if (!document.is_object()) throw BadInput(fmt::format("{}: expected one JSON object", where));
  if (document.contains("messages")) return encode_messages(line.text, target, where);
  for (const char* key : {"text", "prompt"})
    if (document.contains(key))
      return target.tokenizer->encode(base::require_string(document, key, where), false);
  throw BadInput(fmt::format("{}: none of \"messages\", \"text\", \"prompt\" found", where));
}

// Collects tokens and cuts windows off their front.
class Packer {
 public:
  Packer(const WindowRequest& request, const CalibrationTarget& target)
      : request_(request), target_(target) {}

  bool full() const { return static_cast<int64_t>(windows_.size()) == request_.count; }
  int64_t tokens() const { return tokens_; }

  void add(const std::vector<int32_t>& document) {
    if (document.empty()) return;
    if (!stream_.empty() && !ended_) stream_.push_back(target_.end);
    ended_ = ends(document);
    stream_.insert(stream_.end(), document.begin(), document.end());
    tokens_ += static_cast<int64_t>(document.size());
    while (!full() && cut(request_.length)) {
    }
    if (target_.end < 0) {
      while (!full() && cut(1)) {
      }
      stream_.clear();
    }
  }

  Sequences take() { return std::move(windows_); }

 private:
  // Chat templates end a turn with the end token, often with a line break behind it.
  bool ends(const std::vector<int32_t>& document) const {
    const auto tail = document.end() - static_cast<std::ptrdiff_t>(std::min<size_t>(2, document.size()));
    return std::find(tail, document.end(), target_.end) != document.end();
  }

  // One window of at least `fewest` tokens; false when the stream has none.
  bool cut(int64_t fewest) {
    if (stream_.empty()) return false;
    const auto bos = target_.tokenizer->bos_id();
    const int64_t added = bos && stream_.front() != *bos ? 1 : 0;  // a chat template may have put it already
    const int64_t taken = std::min(request_.length - added, static_cast<int64_t>(stream_.size()));
    if (taken + added < fewest) return false;
    std::vector<int32_t>& window = windows_.emplace_back();
    if (added) window.push_back(*bos);
    window.insert(window.end(), stream_.begin(), stream_.begin() + taken);
    stream_.erase(stream_.begin(), stream_.begin() + taken);
    return true;
  }

  const WindowRequest& request_;
  const CalibrationTarget& target_;
  std::vector<int32_t> stream_;
  bool ended_ = false;  // the last document in the stream, by an end token of its own
  Sequences windows_;
  int64_t tokens_ = 0;
};

}  // namespace

Sequences jsonl_windows(WindowRequest request, const CalibrationTarget& target,
                        std::vector<std::string>& notes) {
  const base::MappedFile file(request.file);
  const std::vector<Line> lines = lines_of(utf8_text(file.bytes(), request.file));
  Packer packer(request, target);
  for (const size_t i : draw(lines.size(), lines.size(), request.rng)) {
    if (packer.full()) break;
    packer.add(encode_document(lines[i], target, request.file));
  }
  const bool full = packer.full();
  const int64_t tokens = packer.tokens();
  Sequences windows = packer.take();
  if (!full) accept_fewer(request, static_cast<int64_t>(windows.size()), tokens, notes);
  return windows;
}

}  // namespace aquatint::quant

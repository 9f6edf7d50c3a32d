#include "base/journal.h"

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace aquatint::base {
namespace {

constexpr size_t kDigits = 16;  // of SHA-256: against torn writes, not against forgers

std::string checksum(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text))).substr(0, kDigits);
}

std::vector<Json> read(const std::filesystem::path& path, uint64_t& bytes) {
  bytes = 0;
  if (!std::filesystem::exists(path)) return {};
  const MappedFile file(path);
  return parse_journal({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, bytes);
}

}  // namespace

std::vector<Json> parse_journal(std::string_view text, uint64_t& bytes) {
  std::vector<Json> records;
  bytes = 0;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    if (line.size() < kDigits + 1 || line[kDigits] != ' ' ||
        line.substr(0, kDigits) != checksum(line.substr(kDigits + 1)))
      break;
    try {
      records.push_back(parse_json(line.substr(kDigits + 1), "journal"));
    } catch (const BadInput&) {
      break;
    }
    bytes += end + 1;
  }
  return records;
}

Journal::Journal(const std::filesystem::path& path) : file_(path, GrowingFile::Start::as_it_is) {
  uint64_t bytes = 0;
  found_ = read(path, bytes);
  file_.pass_over(bytes);
  file_.cut();
}

void Journal::append(const Json& record) {
  const std::string text = record.dump();
  const std::string line = fmt::format("{} {}\n", checksum(text), text);
  file_.write(std::as_bytes(std::span(line)));
  file_.sync();
}

}  // namespace aquatint::base

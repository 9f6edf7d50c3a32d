#include "quant/run_journal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/growing_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "quant/provenance.h"

namespace aquatint::quant {
namespace fs = std::filesystem;
using base::BadInput;
using base::BadUsage;
using base::Json;
namespace {

constexpr size_t kPiece = size_t{1} << 22;  // floats read or written at a time

std::string sha256_of(const std::string& text) { return base::sha256_hex(std::as_bytes(std::span(text))); }

// Name, size and time of each file that weights come from: a changed value need not change anything else.
Json file_stamps(const fs::path& model) {
  Json stamps = Json::object();
  const auto stamp = [&](const fs::path& file) {
    stamps[file.filename().string()] = {fs::file_size(file),
                                        fs::last_write_time(file).time_since_epoch().count()};
  };
  std::error_code ignored;
  if (fs::is_regular_file(model, ignored)) stamp(model);
  if (fs::is_directory(model, ignored))
    for (const auto& entry : fs::directory_iterator(model))
      if (entry.is_regular_file() && entry.path().extension() == ".safetensors") stamp(entry.path());
  return stamps;
}

std::string short_text(const Json& value) {
  const std::string text = value.is_null() ? "nothing" : value.dump();
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

// body(first, count) for all of an array, a piece in memory at a time.
template <class Body>
void each_piece(const model::StateArray& array, Body body) {
  for (size_t first = 0; first < array.size(); first += kPiece) {
    const size_t count = std::min(kPiece, array.size() - first);
    body(first, count);
    if (array.on_host()) array.host().release(first, count);
  }
}

[[noreturn]] void damaged(const base::WorkFolder& folder, std::string_view what) {
  throw BadInput(fmt::format("{}: {}; remove the folder and start again", folder.path().string(), what));
}

}  // namespace

Json run_identity(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                  const model::Backend& backend) {
  Json recipe = to_json(job.recipe);
  recipe.erase("calibration");  // its tokens say it all
  std::string side_files;
  for (const checkpoint::SideFile& file : source.side_files())
    side_files += file.name + sha256_of(file.bytes);
  return {{"version", base::version()},
          {"recipe", recipe},
          {"layout", plan.layout},
          {"dtype", plan.dtype->name},
          {"kernels", backend.kernels->name},
          {"calibration", job.calibration ? Json(fingerprint_of(job.calibration->sequences)) : Json(nullptr)},
          {"model",
           {{"weights", model_fingerprint(source)},
            {"config.json", sha256_of(source.config().dump())},
            {"other files", sha256_of(side_files)},
            {"files", file_stamps(source.path())}}}};
}

std::string what_changed(const Json& before, const Json& now) {
  std::vector<std::string> changes;
  const Json flat_before = before.flatten(), flat_now = now.flatten();
  Json keys = flat_before;
  keys.update(flat_now);
  for (const auto& [key, ignored] : keys.items()) {
    const Json was = flat_before.value(key, Json(nullptr)), is = flat_now.value(key, Json(nullptr));
    if (was != is)
      changes.push_back(fmt::format("{} was {}, is {}", key.substr(1), short_text(was), short_text(is)));
  }
  return fmt::format("{}", fmt::join(changes, "; "));
}

RunJournal::RunJournal(base::WorkFolder& folder, const Json& identity, bool resume, double time_share)
    : folder_(folder), time_share_(time_share) {
  const fs::path file = folder.path() / "journal";
  journal_.emplace(file);
  const std::vector<Json>& found = journal_->found();
  if (found.size() < 2) {
    folder.clear();
    journal_.emplace(file);
    journal_->append({{"identity", identity}});
    return;
  }
  folder.keep(true);
  const std::string where = folder.path().string();
  if (!resume)
    throw BadUsage(
        fmt::format("{} holds an unfinished run; add --resume to go on with it, or remove it", where));
  if (!found.front().is_object() || !found.front().contains("identity") ||
      !found.front()["identity"].is_object())
    damaged(folder, "its journal does not begin with an identity");
  if (const std::string changes = what_changed(found.front()["identity"], identity); !changes.empty())
    throw BadUsage(fmt::format(
        "{} was begun with something else: {}; take what it was begun with, or remove the folder to start "
        "again",
        where, changes));
  for (size_t i = 1; i < found.size(); ++i) {
    const int64_t blocks = base::require_int(found[i], "blocks", where + ": journal");
    if (blocks <= blocks_ && i > 1) damaged(folder, "blocks of its journal do not follow each other");
    blocks_ = blocks;
  }
}

void RunJournal::restore(checkpoint::Writer& writer, const Plan& plan, Report& report) {
  const std::vector<Json>& found = journal_->found();
  if (blocks_ > plan.tensors.config.layers) damaged(folder_, "its journal has more blocks than the model");
  std::vector<Json> written;
  for (size_t i = 1; i < found.size(); ++i) {
    written.push_back(found[i].value("written", Json()));
    const Json layers = found[i].value("layers", Json());
    if (!layers.is_array()) damaged(folder_, "its journal lacks layers");
    for (const Json& layer : layers) report.layers.push_back(layer_from_json(layer, folder_.path().string()));
  }
  layers_ = report.layers.size();
  writer.restore(written, [&](const std::string& module) -> const numeric::Scheme* {
    const auto assigned = plan.assignments.find(module);
    return assigned != plan.assignments.end() && assigned->second.scheme ? &*assigned->second.scheme
                                                                         : nullptr;
  });
}

fs::path RunJournal::states_file(int64_t blocks) const {
  return folder_.path() / fmt::format("states-{}", blocks);
}

void RunJournal::read_states(std::span<model::HiddenStates* const> states) const {
  if (states.empty()) return;
  const base::MappedFile file(states_file(blocks_));
  base::Bytes rest = file.bytes();
  for (model::HiddenStates* one : states)
    each_piece(one->x, [&](size_t first, size_t count) {
      const size_t bytes = count * sizeof(float);
      if (rest.size() < bytes) damaged(folder_, "states of another number of tokens");
      one->x.write(first, {reinterpret_cast<const float*>(rest.data()), count});
      base::advise(rest.first(bytes), base::Access::done);
      rest = rest.subspan(bytes);
    });
  if (!rest.empty()) damaged(folder_, "states of another number of tokens");
}

void RunJournal::write_states(int64_t blocks, std::span<model::HiddenStates* const> states) const {
  if (states.empty()) return;
  base::GrowingFile file(states_file(blocks), base::GrowingFile::Start::empty);
  for (model::HiddenStates* one : states)
    each_piece(one->x, [&](size_t first, size_t count) {
      if (one->x.on_host()) return file.write(std::as_bytes(one->x.host().values().subspan(first, count)));
      std::vector<float> piece(count);
      one->x.read(first, piece);
      file.write(std::as_bytes(std::span(piece)));
    });
  file.sync();
}

bool RunJournal::due() const { return cost_ <= time_share_ * base::seconds_since(last_); }

void RunJournal::record(int64_t blocks, checkpoint::Writer& writer, const Report& report,
                        std::span<model::HiddenStates* const> states) {
  const auto start = base::Clock::now();
  const int64_t before = std::exchange(blocks_, blocks);
  write_states(blocks, states);
  Json layers = Json::array();
  for (; layers_ < report.layers.size(); ++layers_) layers.push_back(to_json(report.layers[layers_]));
  journal_->append({{"blocks", blocks}, {"written", writer.written()}, {"layers", layers}});
  folder_.keep(true);
  std::error_code ignored;
  if (before != blocks) fs::remove(states_file(before), ignored);
  last_ = base::Clock::now();
  cost_ = base::seconds_since(start);
}

}  // namespace aquatint::quant

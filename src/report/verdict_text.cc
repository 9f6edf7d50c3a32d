#include "report/verdict_text.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

constexpr double kSigmas = 2;
constexpr double kSame = 0.02;  // ratios this close to 1 are called equal in words

std::string name(const Case& c, int row) { return row_name(c.row(row)); }

std::string percent(double fraction, int digits = 2) {
  return format_significant(fraction * 100, digits) + " %";
}

std::string signed_percent(double fraction) {
  return (fraction < 0 ? "−" : "+") + percent(std::abs(fraction));
}

std::string limit(const Case& c) { return fmt::format("{:g} %", c.tolerance * 100); }

std::string times(double ratio) { return format_significant(ratio, 2) + "×"; }

std::string rate(double tokens_per_second) {
  return tokens_per_second < 999.5 ? format_significant(tokens_per_second, 3)
                                   : fmt::format("{:.0f}", tokens_per_second);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i)
    out += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  return out;
}

// "+0.42 % ± 0.05 % perplexity", or the KLD where perplexity was not measured.
std::string loss_words(const Case& c, int row) {
  const Measured& increase = c.losses[row].perplexity_increase;
  if (!increase.known())
    return fmt::format("mean KLD {} nats", format_significant(c.row(row).mean_kld.value, 2));
  const std::string error = std::isfinite(increase.error) ? " ± " + percent(increase.error, 1) : "";
  return fmt::format("{}{} perplexity", signed_percent(increase.value), error);
}

std::string limit_words(const Case& c) {
  return fmt::format("+{} perplexity over {}", limit(c), name(c, c.reference));
}

std::string speed_change(const char* what, double gain, double now, double before) {
  if (std::abs(gain - 1) < kSame) return fmt::format("{} is as fast ({} tokens/s)", what, rate(now));
  const char* verb = gain > 1 ? "becomes" : "drops to";
  return fmt::format("{} {} {} as fast ({} instead of {} tokens/s)", what, verb, times(gain), rate(now),
                     rate(before));
}

// What row `i` brings over the baseline, in full.
std::vector<std::string> gain_words(const Case& c, int i) {
  const Gains& g = c.gains[i];
  const StudyRow &row = c.row(i), &base = c.row(c.baseline);
  std::vector<std::string> parts;
  if (std::isfinite(g.size)) {
    const bool same = std::abs(g.size - 1) < kSame;
    parts.push_back(same ? fmt::format("the weights stay at {}", format_bytes(size_bytes(row)))
                         : fmt::format("the weights {} from {} to {}", g.size > 1 ? "shrink" : "grow",
                                       format_bytes(size_bytes(base)), format_bytes(size_bytes(row))));
  }
  if (std::isfinite(g.decode))
    parts.push_back(
        speed_change("generation", g.decode, decode_axis(row, 0).value, decode_axis(base, 0).value));
  if (std::isfinite(g.prefill))
    parts.push_back(
        speed_change("prompt reading", g.prefill, prefill_axis(row).value, prefill_axis(base).value));
  return parts;
}

std::string why(const Case& c) {
  std::string out = fmt::format("Against {}, {}", name(c, c.baseline), joined(gain_words(c, c.chosen)));
  const StudyRow& row = c.row(c.chosen);
  const bool loss_shows = c.loss_value(c.chosen) > 0;
  out += fmt::format(". {} {}", loss_shows ? "The price is" : "No loss shows:", loss_words(c, c.chosen));
  if (std::isfinite(row.same_top1))
    out += fmt::format("; its most likely next token is {}'s at {:.1f} % of the positions",
                       name(c, c.reference), row.same_top1 * 100);
  return out + ".";
}

std::string quality_confidence(const Case& c) {
  const Loss& loss = c.losses[c.chosen];
  const Measured& increase = loss.perplexity_increase;
  if (!increase.known()) return "Perplexity was not measured: quality rests on the divergence alone.";
  if (!std::isfinite(increase.error))
    return fmt::format("That is inside the limit of {}, by a point estimate whose error was not measured.",
                       limit(c));
  const double reach = increase.value + kSigmas * increase.error;
  const std::string windows =
      fmt::format("{} windows{}", increase.n, loss.paired ? ", paired" : ", not paired");
  if (reach <= c.tolerance)
    return fmt::format("Two standard errors ({}) reach {}, inside the limit of {}.", windows,
                       signed_percent(reach), limit(c));
  return fmt::format(
      "It is inside the limit of {}, but two standard errors ({}) reach {}: score more text before relying "
      "on it.",
      limit(c), windows, signed_percent(reach));
}

std::string task_confidence(const Case& c) {
  const Loss& loss = c.losses[c.chosen];
  if (!loss.accuracy_change.known()) return "";
  const double points = loss.accuracy_change.value * 100;
  const std::string error = std::isfinite(loss.accuracy_change.error)
                                ? fmt::format(" ± {:.1f}", loss.accuracy_change.error * 100)
                                : std::string();
  return fmt::format(" Mean task accuracy moves by {}{:.1f}{} points over {} items{}.",
                     points < 0 ? "−" : "+", std::abs(points), error, loss.accuracy_change.n,
                     loss.accuracy_significant ? "" : ", which is no difference these items can show");
}

std::string rival_confidence(const Case& c) {
  if (c.rival < 0) return c.kept.size() == 1 ? " No other scheme keeps the quality." : "";
  const Gains &mine = c.gains[c.chosen], &other = c.gains[c.rival];
  if (!level(mine, other))
    return fmt::format(
        " {} comes next: its gains in size and speed multiply to {} on geometric average, against {}.",
        name(c, c.rival), times(other.combined), times(mine.combined));
  return fmt::format(" {} is level with it in size and speed within the noise; {} stays closer to {}.",
                     name(c, c.rival), name(c, c.chosen), name(c, c.reference));
}

// The best of `among` on one axis where it beats the chosen row beyond noise; -1: none does.
template <class AxisOf>
int better_on(const Case& c, const std::vector<int>& among, AxisOf axis_of) {
  int best = c.chosen;
  for (const int row : among) {
    const Axis candidate = axis_of(c.row(row)), held = axis_of(c.row(best));
    if (candidate.known() && held.known() && compare(candidate, held) > 0) best = row;
  }
  return best == c.chosen ? -1 : best;
}

std::string wishes(const Case& c) {
  std::vector<int> among = c.kept;
  among.push_back(c.baseline);
  std::vector<std::string> parts;
  const int smallest = better_on(c, among, size_axis);
  if (smallest >= 0)
    parts.push_back(fmt::format("{} if size matters most ({})", name(c, smallest),
                                format_bytes(size_bytes(c.row(smallest)))));
  const int decode = better_on(c, among, [](const StudyRow& r) { return decode_axis(r, 0); });
  if (decode >= 0)
    parts.push_back(fmt::format("{} if one stream must run fast ({} tokens/s)", name(c, decode),
                                rate(decode_axis(c.row(decode), 0).value)));
  const int prefill = better_on(c, among, prefill_axis);
  if (prefill >= 0)
    parts.push_back(fmt::format("{} for long prompts ({} tokens/s)", name(c, prefill),
                                rate(prefill_axis(c.row(prefill)).value)));
  const int batch = largest_batch(c.row(c.chosen));
  const int crowd =
      batch > 1 ? better_on(c, among, [&](const StudyRow& r) { return decode_axis(r, batch); }) : -1;
  if (crowd >= 0)
    parts.push_back(fmt::format("{} for {} streams at once ({} tokens/s)", name(c, crowd), batch,
                                rate(decode_axis(c.row(crowd), batch).value)));
  if (!parts.empty()) return "Take " + joined(parts) + ".";
  return c.kept.size() > 1 ? "Nothing else inside the limit is smaller or faster in anything measured." : "";
}

// "a 97 MB model at 250 tokens/s"
std::string in_short(const Case& c, int row) {
  const double size = size_bytes(c.row(row)), decode = decode_axis(c.row(row), 0).value;
  std::string out = std::isfinite(size) ? format_bytes(size) : "its size";
  if (std::isfinite(decode)) out += fmt::format(" and {} tokens/s", rate(decode));
  return out;
}

// The scheme outside the limit that would gain most, if it gains more than `than` (a combined gain).
int best_lost(const Case& c, double than) {
  int best = -1;
  for (const int row : c.lost) {
    const double combined = c.gains[row].combined;
    if (combined > than * (1 + kSpeedFloor) && (best < 0 || combined > c.gains[best].combined)) best = row;
  }
  return best;
}

std::string limit_moves(const Case& c) {
  std::string out;
  const int looser = best_lost(c, c.gains[c.chosen].combined);
  if (looser >= 0)
    out += fmt::format(" If {} is acceptable, {} gives {}.", loss_words(c, looser), name(c, looser),
                       in_short(c, looser));
  if (c.tighter >= 0)
    out += fmt::format(" Under a stricter limit {} ({}) takes over.", name(c, c.tighter),
                       loss_words(c, c.tighter));
  return out;
}

std::string scope(const Case& c) {
  const StudyFacts& f = c.study->facts;
  std::string where = f.cpu.empty() ? "one machine" : "this machine";
  if (f.text_tokens > 0 && !f.text.empty())
    where += fmt::format(" and {} tokens of {}", f.text_tokens, f.text);
  return fmt::format(
      " All of it holds for {}; other hardware, other loads or your own text can change the order.", where);
}

std::string unmeasured(const Case& c) {
  const Gains& g = c.gains[c.chosen];
  if (!std::isfinite(g.decode) && !std::isfinite(g.prefill))
    return " Speed was not measured: only size speaks here.";
  if (!std::isfinite(g.size)) return " Size was not measured: only speed speaks here.";
  return "";
}

std::string keep_baseline(const Case& c) {
  const std::string base = name(c, c.baseline);
  if (!c.kept.empty())
    return fmt::format(
               "{} keep{} the quality ({}), but none is smaller or faster than {} beyond noise on this "
               "machine.",
               joined([&] {
                 std::vector<std::string> names;
                 for (const int row : c.kept) names.push_back(name(c, row));
                 return names;
               }()),
               c.kept.size() == 1 ? "s" : "", limit_words(c), base) +
           scope(c);
  int closest = c.lost.front();
  for (const int row : c.lost)
    if (c.loss_value(row) < c.loss_value(closest)) closest = row;
  std::string out = fmt::format(
      "No scheme stays within the limit of {}. The closest, {}, costs {}; against {}, {}.", limit_words(c),
      name(c, closest), loss_words(c, closest), base, joined(gain_words(c, closest)));
  if (c.losses[closest].accuracy_significant && c.losses[closest].accuracy_change.value < 0)
    out += fmt::format(" Its mean task accuracy falls by {:.1f} points, more than chance explains.",
                       -c.losses[closest].accuracy_change.value * 100);
  const int most = best_lost(c, c.gains[closest].combined);
  if (most >= 0 && most != closest)
    out += fmt::format(" {} would give {} for {}.", name(c, most), in_short(c, most), loss_words(c, most));
  return out + " A method that repairs rounding errors, finer groups or a looser limit would change this." +
         scope(c);
}

std::string no_quality(const Case& c) {
  std::string out = "No scheme's quality was measured, so none can be recommended.";
  const auto extreme = [&](auto axis_of) {
    int best = -1;
    for (const int row : c.candidates) {
      const Axis candidate = axis_of(c.row(row));
      if (candidate.known() && (best < 0 || compare(candidate, axis_of(c.row(best))) > 0)) best = row;
    }
    return best;
  };
  const int smallest = extreme(size_axis);
  const int fastest = extreme([](const StudyRow& r) { return decode_axis(r, 0); });
  if (smallest >= 0)
    out += fmt::format(" The smallest is {} ({}).", name(c, smallest),
                       format_bytes(size_bytes(c.row(smallest))));
  if (fastest >= 0)
    out += fmt::format(" The fastest in generation is {} ({} tokens/s).", name(c, fastest),
                       rate(decode_axis(c.row(fastest), 0).value));
  return out + " Run the study with a text to score.";
}

std::string only_baselines(const Case& c) {
  std::string out = "No quantized scheme was measured.";
  if (c.baseline != c.reference && std::isfinite(c.loss_value(c.baseline)))
    out += fmt::format(" {} costs {} over {}; {}.", name(c, c.baseline), loss_words(c, c.baseline),
                       name(c, c.reference), joined([&] {
                         Case swapped = c;
                         swapped.baseline = c.reference;
                         swapped.gains[c.baseline] = gains_over(c.row(c.reference), c.row(c.baseline));
                         return gain_words(swapped, c.baseline);
                       }()));
  return out + " Name schemes to compare with --schemes.";
}

std::string headline(const Case& c) {
  if (c.study->rows.empty()) return "Nothing was measured yet.";
  if (c.reference < 0) return "No recommendation.";
  if (c.candidates.empty()) return "Nothing to choose between yet.";
  if (c.kept.empty() && c.lost.empty()) return "No recommendation: quality was not measured.";
  if (c.chosen < 0) return fmt::format("Keep {}.", name(c, c.baseline));
  return fmt::format("Use {}.", name(c, c.chosen));
}

// Where nothing is recommended, one text says it all.
std::string no_choice(const Case& c) {
  if (c.study->rows.empty()) return "The store holds no finished row. Run the study, or resume it.";
  if (c.reference < 0)
    return "There is no FP32 or BF16 row to compare with, so neither losses nor gains can be told. Run the "
           "study to its "
           "end.";
  if (c.candidates.empty()) return only_baselines(c);
  if (c.kept.empty() && c.lost.empty()) return no_quality(c);
  return keep_baseline(c);
}

// Each part brings the space before it.
std::string joined(std::string parts) { return parts.starts_with(' ') ? parts.substr(1) : parts; }

}  // namespace

std::string Verdict::paragraph() const {
  std::string out = why;
  if (!sure.empty()) out += " How sure: " + sure;
  if (!change.empty()) out += " What would change it: " + change;
  return out;
}

void put_into_words(const Case& c, Verdict& verdict) {
  verdict.headline = headline(c);
  if (c.chosen < 0) {
    verdict.why = no_choice(c);
    return;
  }
  verdict.why = why(c);
  verdict.sure = joined(quality_confidence(c) + task_confidence(c) + rival_confidence(c) + unmeasured(c));
  verdict.change = joined(wishes(c) + limit_moves(c) + scope(c));
}

}  // namespace aquatint::report

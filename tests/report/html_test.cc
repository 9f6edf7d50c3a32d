#include "report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>

#include "base/file.h"
#include "base/json.h"
#include "sample_study.h"

namespace aquatint::report {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// The page without what is inside <script> and <style>.
std::string markup_of(const std::string& html) {
  std::string out;
  size_t at = 0;
  for (;;) {
    const size_t script = html.find("<script", at), style = html.find("<style", at);
    const size_t open = std::min(script, style);
    if (open == std::string::npos) return out + html.substr(at);
    const std::string close = open == script ? "</script>" : "</style>";
    out += html.substr(at, open - at);
    at = html.find(close, open) + close.size();
  }
}

// Every element is closed in order; returns what went wrong, or "".
std::string structure_error(const std::string& html) {
  static const std::vector<std::string> kVoid = {"meta", "br",   "img",  "hr",      "input",
                                                 "link", "rect", "line", "polyline"};
  const std::string markup = markup_of(html);
  static const std::regex kTag("<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>");
  std::vector<std::string> open;
  for (std::sregex_iterator tag(markup.begin(), markup.end(), kTag), end; tag != end; ++tag) {
    const std::string name = (*tag)[2];
    if (std::find(kVoid.begin(), kVoid.end(), name) != kVoid.end()) continue;
    if ((*tag)[1].length() == 0) {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != name)
        return "</" + name + "> closes " + (open.empty() ? "nothing" : "<" + open.back() + ">");
      open.pop_back();
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> is never closed";
}

base::Json json_of(const std::string& html) {
  const std::string mark = "id=\"study\">";
  const size_t begin = html.find(mark) + mark.size();
  return base::parse_json(html.substr(begin, html.find("</script>", begin) - begin), "embedded");
}

// With AQUATINT_SAMPLE_REPORT=FILE the page is kept, to look at.
TEST(Html, IsOneWellFormedSmallFile) {
  const std::string html = render_html(sample_study());
  EXPECT_EQ(structure_error(html), "");
  EXPECT_LT(html.size(), 3u << 20);
  if (const char* keep = std::getenv("AQUATINT_SAMPLE_REPORT")) base::write_text(keep, html);
}

TEST(Html, LoadsNothing) {
  const std::string html = render_html(sample_study());
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  const std::string markup = markup_of(html);
  for (const char* loader :
       {" src=", " href=", "@import", "url(", "<link", "<iframe", "<img", "srcset", "http:", "https:"})
    EXPECT_THAT(markup, Not(HasSubstr(loader)));
  const size_t style = html.find("<style>");
  const std::string css = html.substr(style, html.find("</style>") - style);
  EXPECT_THAT(css, AllOf(Not(HasSubstr("url(")), Not(HasSubstr("@import"))));
}

TEST(Html, VerdictComesBeforeEverything) {
  const std::string html = render_html(sample_study());
  EXPECT_LT(html.find("class=\"verdict\""), html.find("<canvas"));
  EXPECT_LT(html.find("class=\"verdict\""), html.find("<table"));
  EXPECT_THAT(html, HasSubstr("<noscript>"));
}

TEST(Html, TablesHoldEveryRowWithoutScripts) {
  const Study study = sample_study();
  const std::string markup = markup_of(render_html(study));
  for (const StudyRow& row : study.rows) EXPECT_THAT(markup, HasSubstr("<b>" + row.scheme + "</b>"));
  EXPECT_THAT(markup, HasSubstr("scope=\"col\""));
  EXPECT_THAT(markup, HasSubstr("scope=\"row\""));
  EXPECT_THAT(markup, HasSubstr("<caption>"));
  EXPECT_THAT(markup, HasSubstr("self_attn.q_proj"));
}

TEST(Html, EscapesEveryString) {
  const std::string evil = "\"'><script>alert(1)</script><!--</style>&\x01\xff";
  Study study = sample_study();
  StudyFacts& f = study.facts;
  for (std::string* text :
       {&f.model, &f.model_sha256, &f.architecture, &f.source_layout, &f.text, &f.text_sha256, &f.tasks,
        &f.cpu, &f.device, &f.kernels, &f.os, &f.version, &f.date, &f.command})
    *text = evil;
  f.source_formats = {evil};
  f.notes = {evil};
  f.peak_flop_s = {{evil, 1e12}};
  for (StudyRow& row : study.rows) {
    row.scheme = row.method = row.layout = row.fingerprint = evil;
    row.notes = {evil};
    row.provenance = {evil, evil, evil, evil, evil, evil, evil, evil, 1};
    for (TaskResult& task : row.tasks) task.name = evil;
    for (LayerError& layer : row.layers) layer.name = layer.basis = evil;
    for (MemoryPart& part : row.memory) part.name = evil;
    for (FlipExample& flip : row.flips) flip.task = flip.question = flip.reference = flip.model = evil;
  }
  const std::string html = render_html(study);
  EXPECT_EQ(structure_error(html), "");
  EXPECT_THAT(html, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(markup_of(html), Not(HasSubstr("<script>alert")));
  EXPECT_THAT(markup_of(html), Not(HasSubstr("\x01")));
  const std::string name = json_of(html)["facts"]["model"];
  EXPECT_EQ(name.substr(0, 40), evil.substr(0, 40));
}

TEST(Html, ShowsWhatChangedOnTheTasks) {
  Study study = sample_study();
  study.rows.resize(3);
  for (size_t i = 0; i < 500; ++i) study.rows[2].tasks[0].correct[i] = study.rows[0].tasks[0].correct[i];
  study.rows[2].tasks[0].correct[0] ^= 1;
  study.rows[2].tasks[0].correct[1] = study.rows[0].tasks[0].correct[1] ^ 1;
  const bool lost = study.rows[0].tasks[0].correct[0], other = study.rows[0].tasks[0].correct[1];
  const std::string markup = markup_of(render_html(study));
  EXPECT_THAT(markup, HasSubstr(fmt::format("{} lost, {} gained", lost + other, 2 - lost - other)));
  EXPECT_THAT(markup, AllOf(HasSubstr("What changed on the tasks"), HasSubstr("Recovery"),
                            HasSubstr("class=\"bar\"")));
  EXPECT_THAT(markup, AllOf(HasSubstr("Divergence from the reference"), HasSubstr("<polyline")));
}

TEST(Html, ShowsAnswersThatChangedAndWhereMemoryGoes) {
  const std::string markup = markup_of(render_html(sample_study()));
  EXPECT_THAT(markup, HasSubstr("<b>arc_easy, line 7</b> Which of these is a mammal?"));
  EXPECT_THAT(markup,
              HasSubstr("<dd class=\"right\">a whale</dd><dt>Here</dt><dd class=\"wrong\">a shark</dd>"));
  EXPECT_THAT(markup, HasSubstr("<td class=\"num\">23.6 MB</td>"));
  EXPECT_THAT(markup, HasSubstr("class=\"p3\""));  // a part's colour
}

TEST(Html, EmbedsTheFigures) {
  const Study study = sample_study();
  const base::Json json = json_of(render_html(study));
  ASSERT_EQ(json["rows"].size(), study.rows.size());
  EXPECT_EQ(json["rows"][4]["perplexity"]["value"], study.rows[4].perplexity.value);
  EXPECT_EQ(json["rows"][4]["speed"][0]["decode_tokens_per_second"]["samples"].size(), 5u);
  EXPECT_EQ(json["facts"]["seed"], 42);
}

TEST(Html, EmptyAndPoorStudiesStillRender) {
  EXPECT_EQ(structure_error(render_html(Study())), "");
  Study study = sample_study();
  for (StudyRow& row : study.rows) {
    row.speed.clear();
    row.tasks.clear();
    row.layers.clear();
    row.window_nll.clear();
    row.perplexity = row.mean_kld = {};
    row.kld_by_position.clear();
    row.median_kld = row.p90_kld = row.p95_kld = row.p999_kld = row.max_kld = kNotMeasured;
    row.p99_kld = row.same_top1 = row.file_bytes = row.peak_ram_bytes = kNotMeasured;
  }
  const std::string html = render_html(study);
  EXPECT_EQ(structure_error(html), "");
  EXPECT_THAT(markup_of(html), Not(HasSubstr("nan")));
}

TEST(Html, ManyExpertsStaySmall) {
  Study study = sample_study();
  StudyRow& row = study.rows[3];
  row.layers.clear();
  for (int layer = 0; layer < 48; ++layer)
    for (int expert = 0; expert < 128; ++expert)
      row.layers.push_back({fmt::format("model.layers.{}.mlp.experts.{}.up_proj", layer, expert), 0.01});
  const std::string html = render_html(study);
  EXPECT_LT(html.size(), 3u << 20);
  EXPECT_THAT(html, HasSubstr("mlp.experts.*.up_proj"));
}

TEST(Notes, StateTheSourceGrid) {
  Study study = sample_study();
  EXPECT_THAT(honest_notes(study), Contains(AllOf(HasSubstr("Q4_1"), HasSubstr("lossless"))));
  EXPECT_THAT(honest_notes(study), Contains(HasSubstr("576, is not divisible by 128")));
  EXPECT_THAT(honest_notes(study), Contains(AllOf(HasSubstr("embedding"), HasSubstr("56.6 MB"))));
  study.facts.source_formats = {"BF16"};
  EXPECT_THAT(honest_notes(study), Not(Contains(HasSubstr("quantized already"))));
}

TEST(Notes, WarnOfMixedRows) {
  Study study = sample_study();
  EXPECT_THAT(honest_notes(study), Not(Contains(HasSubstr("do not compare"))));
  study.rows[2].provenance.cpu = "another";
  EXPECT_THAT(honest_notes(study), Contains(HasSubstr("different machines")));
}

}  // namespace
}  // namespace aquatint::report

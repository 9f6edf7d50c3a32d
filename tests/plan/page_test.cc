#include "plan/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "plan/planner.h"

namespace aquatint::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Question question(double rate, double token) {
  Question q;
  q.models = {find_shape("8B")};
  q.choices = {find_choice("BF16"), find_choice("W4A16"), find_choice("FP8_DYNAMIC+KVFP8")};
  q.devices = {find_device("H100"), find_device("L4")};
  q.counts = {1, 2};
  q.traffic.requests_per_second = rate;
  q.limits.token = token;
  q.prices = {{"H100-80G", 2.5}, {"L4", 0.7}};
  return q;
}

size_t times(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(Page, NeedsNoNetworkAndHoldsEveryCandidate) {
  const Answer a = answer(question(1, 0.05));
  const std::string page = as_page(a);
  for (const char* loading : {"src=", "href=", "@import", "fetch(", "XMLHttpRequest"}) {
    // Chart.js itself loads nothing; our own part must not either.
    const std::string ours = page.substr(0, page.find("<script>"));
    EXPECT_THAT(ours, Not(HasSubstr(loading)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_EQ(times(page, "<th scope=\"row\">"), a.candidates.size() + a.training.size());
  const std::string opening = "id=\"plan\">";
  const size_t begin = page.find(opening) + opening.size();
  const base::Json data = base::parse_json(page.substr(begin, page.find("</script>", begin) - begin), "page");
  EXPECT_EQ(data.at("candidates").size(), a.candidates.size());
  EXPECT_EQ(data.at("question").at("tpot"), 0.05);
}

TEST(Page, ANameCannotBecomeMarkup) {
  Question q = question(0, 0);
  q.models[0].name = "</script><img src=x onerror=alert(1)>";
  EXPECT_THAT(as_page(answer(q)), Not(HasSubstr("<img")));
}

TEST(Page, SaysSoWhenNothingMeetsTheTargets) {
  const std::string page = as_page(answer(question(1, 1e-4)));
  EXPECT_THAT(page, HasSubstr("Nothing meets every target"));
  EXPECT_THAT(page, Not(HasSubstr("id=\"next\"")));
}

}  // namespace
}  // namespace aquatint::plan

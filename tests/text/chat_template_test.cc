#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace aquatint::text {
namespace {

using OrderedJson = nlohmann::ordered_json;

const std::filesystem::path kTemplates = std::filesystem::path(AQUATINT_GOLDEN) / "text" / "templates";

OrderedJson read_json(const char* name) { return OrderedJson::parse(base::read_text(kTemplates / name)); }

// The rendered text, or "refused: " and the error.
std::string render(const std::string& source, const OrderedJson& variables = OrderedJson::object()) {
  try {
    return ChatTemplate(source, "t.jinja").render(variables);
  } catch (const base::BadInput& e) {
    return std::string("refused: ") + e.what();
  }
}

bool is_refusal(const std::string& text) { return text.rfind("refused: t.jinja:", 0) == 0; }

// A null in `want` stands for a refusal.
void expect_equal(const std::string& source, const std::string& got, const OrderedJson& want) {
  if (want.is_null())
    EXPECT_TRUE(is_refusal(got)) << source << "\nrenders: " << got;
  else
    EXPECT_EQ(got, want.get<std::string>()) << source;
}

TEST(ChatTemplate, SmallCasesEqualJinja2) {
  const OrderedJson golden = read_json("cases.json");
  ASSERT_GT(golden["cases"].size(), 100u);
  for (const OrderedJson& one : golden["cases"]) {
    const auto source = one[0].get<std::string>();
    expect_equal(source, render(source, golden["variables"]), one[1]);
  }
}

TEST(ChatTemplate, WholeTemplatesEqualJinja2) {
  const OrderedJson variables = read_json("variables.json");
  for (const std::string name : {"tagged_turns", "instructions"}) {
    const std::string source = base::read_text(kTemplates / (name + ".jinja"));
    const OrderedJson want = read_json((name + ".json").c_str());
    ASSERT_EQ(want.size(), variables.size());
    for (size_t i = 0; i < want.size(); ++i)
      expect_equal(fmt::format("{}, variables {}", name, i), render(source, variables[i]), want[i]);
  }
}

TEST(ChatTemplate, KeysKeepTheirOrder) {
  EXPECT_EQ(render("{{ d | tojson }}", {{"d", {{"z", 1}, {"a", 2}}}}), R"({"z": 1, "a": 2})");
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(render("a\n\n{{ raise_exception('no\nway') }}"),
            "refused: t.jinja:3: the template refuses: no way");
  EXPECT_EQ(render("a\n{{ x.y }}"), "refused: t.jinja:2: \"x\" is undefined");
  EXPECT_EQ(render("a\n{% if true %}\n{{ 1 "), "refused: t.jinja:3: a tag is not closed");
  EXPECT_EQ(render("{% include 'x' %}"), "refused: t.jinja:1: block \"include\" is not supported here");
}

TEST(ChatTemplate, IntegersHave64Bits) {
  EXPECT_EQ(render("{{ 9223372036854775807 - 1 }}"), "9223372036854775806");
  EXPECT_TRUE(is_refusal(render("{{ 9223372036854775807 + 1 }}")));
  EXPECT_TRUE(is_refusal(render("{{ 2 ** 63 }}")));
  EXPECT_TRUE(is_refusal(render("{{ -(-9223372036854775807 - 1) }}")));
  EXPECT_TRUE(is_refusal(render("{{ 99999999999999999999 }}")));
  EXPECT_TRUE(is_refusal(render("{{ n }}", {{"n", UINT64_MAX}})));
}

TEST(ChatTemplate, StopsWhatWouldNotEnd) {
  const std::string grow =
      "{% set ns = namespace(x='ab') %}{% for i in range(99999) %}{% set ns.x = ns.x + ns.x %}";
  EXPECT_TRUE(is_refusal(render(grow + "{% endfor %}")));
  const std::string nest = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}";
  EXPECT_TRUE(is_refusal(render(nest + "{% endfor %}")));
  // Sixty doublings of a shared list: small in memory, 2^60 elements when walked.
  const std::string dag =
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_TRUE(is_refusal(render(dag + "{{ ns.x }}")));
  EXPECT_TRUE(is_refusal(render(dag + "{{ ns.x | tojson }}")));
  EXPECT_TRUE(is_refusal(render(dag + "{% set a = ns.x %}{{ a == a }}")));
  EXPECT_TRUE(
      is_refusal(render("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")));
  EXPECT_TRUE(is_refusal(render("{{ 'x' * 999999999999 }}")));
  EXPECT_TRUE(is_refusal(render("{{ [1] * 999999999999 }}")));
  EXPECT_TRUE(is_refusal(render("{{ ('x' * 9999999) | replace('x', 'y' * 9999999) }}")));
  EXPECT_TRUE(is_refusal(render("{{ '%' | indent(99999999) }}")));
  EXPECT_TRUE(is_refusal(render("{{ strftime_now('%9999d') }}")));
  EXPECT_TRUE(is_refusal(render("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}")));
}

TEST(ChatTemplate, StopsWhatNestsTooDeeply) {
  const auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  EXPECT_TRUE(is_refusal(render("{{ " + repeat("(", 100'000) + "1" + repeat(")", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render("{{ " + repeat("[", 100'000) + repeat("]", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render("{{ " + repeat("not ", 100'000) + "1 }}")));
  EXPECT_TRUE(is_refusal(render("{{ " + repeat("-", 100'000) + "1 }}")));
  EXPECT_TRUE(is_refusal(render("{{ 1" + repeat("+1", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render("{{ a" + repeat(".a", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render("{{ a" + repeat("|trim", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render("{{ 1" + repeat(" if 1 else 1", 100'000) + " }}")));
  EXPECT_TRUE(is_refusal(render(repeat("{% if 1 %}", 100'000) + repeat("{% endif %}", 100'000))));
  OrderedJson deep = 1;
  for (int i = 0; i < 500; ++i) deep = OrderedJson::array({std::move(deep)});
  EXPECT_TRUE(is_refusal(render("{{ x }}", {{"x", deep}})));
}

// Under a sanitizer: nothing leaks, whatever refers to whatever.
TEST(ChatTemplate, ReferencesInACircleAreHarmless) {
  EXPECT_EQ(render("{% set a = namespace() %}{% set a.me = a %}{% set a.list = [a] %}ok"), "ok");
  EXPECT_EQ(
      render(
          "{% set a = namespace() %}{% for i in [1] %}{% set a.loop = loop %}{% endfor %}{{ a.loop.last }}"),
      "True");
  EXPECT_EQ(
      render("{% set ns = namespace(x=none) %}{% for i in range(20000) %}{% set ns.x = namespace(y=ns.x) %}"
             "{% endfor %}ok"),
      "ok");
  EXPECT_EQ(render("{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}g{% endmacro %}{{ f() }}"), "g");
}

TEST(ChatTemplate, StrftimeNowGivesTheDate) {
  const std::string year = render("{{ strftime_now('%Y') }}");
  EXPECT_EQ(year.size(), 4u);
  EXPECT_GE(year, "2024");
}

TEST(ChatTemplate, RendersManyTimes) {
  const ChatTemplate once("{% set ns = namespace(n=0) %}{% set ns.n = ns.n + x %}{{ ns.n }}", "t.jinja");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(once.render({{"x", i}}), std::to_string(i));
}

}  // namespace
}  // namespace aquatint::text

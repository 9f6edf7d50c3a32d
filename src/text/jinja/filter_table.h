// The two halves of the filters.
#pragma once
#include <string_view>
#include <unordered_map>

#include "text/jinja/value.h"

namespace aquatint::text::jinja {

using FilterTable =
    std::unordered_map<std::string_view, Value (*)(Interpreter&, const Value& input, const Arguments&)>;

const FilterTable& value_filters();
const FilterTable& list_filters();

}  // namespace aquatint::text::jinja

#include "report/study_data.h"

#include <algorithm>

namespace aquatint::report {

std::string row_name(const StudyRow& row) {
  return row.method.empty() || row.method == "rtn" ? row.scheme : row.scheme + " " + row.method;
}

const SpeedResult* single_speed(const StudyRow& row) {
  const auto smallest = std::min_element(row.speed.begin(), row.speed.end(),
                                         [](const auto& a, const auto& b) { return a.batch < b.batch; });
  return smallest == row.speed.end() ? nullptr : &*smallest;
}

}  // namespace aquatint::report

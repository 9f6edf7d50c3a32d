// Everything that is decided before the first weight is read: which linear gets which scheme, by which
// methods, in which layout, and how many bytes that makes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "quant/pipeline.h"
#include "quant/weight_rotation.h"

namespace aquatint::quant {

struct Plan {
  ModelTensors tensors;
  std::map<std::string, Assignment, std::less<>> assignments;  // of every linear, by module
  std::string rotation;                                        // the method that rotates the model, if any
  WeightRotations rotations;
  std::vector<MethodStep> transforms, corrections;
  MethodStep codes;  // the method that finds them
  std::vector<MethodStep> compensations;
  const numeric::KvScheme* kv = nullptr;  // of the cache; null: the model says nothing
  std::string layout;
  const numeric::Format* dtype = nullptr;  // of what stays unquantized

  const Assignment& of(const ModelMatrix& matrix) const { return assignments.find(matrix.module)->second; }
  const numeric::Scheme* scheme_of(const ModelMatrix& matrix) const {
    const Assignment& assignment = of(matrix);
    return assignment.scheme ? &*assignment.scheme : nullptr;
  }
  bool needs_gram() const;  // a method does
  // The states of the exact model go along, and are read on the host, as a whole.
  bool keeps_exact_states() const { return !corrections.empty() || codes.method->learn; }
};

// `report` gets what the plan says, and its notes. BadUsage when the source already is what is asked for, a
// method lacks its calibration, or no layout says the schemes.
Plan make_plan(const checkpoint::Checkpoint& source, const QuantizeJob& job, Report& report);

// The sizes that the plan's result will have, without reading a weight: a layout's bytes depend on shapes
// alone.
void predict_sizes(const Plan& plan, Report& report);

// What is known of a layer before it is quantized.
LayerReport layer_report(const Plan& plan, const ModelMatrix& matrix);

}  // namespace aquatint::quant

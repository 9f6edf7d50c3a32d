// What a model is to a planner: its matrices, how many of them a token passes, and what it keeps of each
// token. No weights are needed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace aquatint::plan {

enum class Part {
  attention,
  mlp,        // of a dense block, and experts that every token passes
  expert,     // of which a token passes some
  router,     // stays in 16 bits
  embedding,  // read a row at a time, stays in 16 bits
  head,       // stays in 16 bits
};

// Equal matrices of the whole model.
struct Matrices {
  Part part = Part::mlp;
  int64_t rows = 0, cols = 0;
  int64_t count = 0;   // in the model
  int64_t passed = 0;  // of them by one token
  bool quantized() const { return part == Part::attention || part == Part::mlp || part == Part::expert; }
  double weights() const { return static_cast<double>(rows) * static_cast<double>(cols * count); }
  double passed_weights() const { return static_cast<double>(rows) * static_cast<double>(cols * passed); }
};

// Layers that keep the same of a token.
struct CacheLayers {
  int64_t layers = 0;
  int64_t vectors = 0;  // that stand under a scale of their own: keys and values of each head; latent: 1
  int64_t width = 0;    // of one
  int64_t window = 0;   // tokens kept; 0: all
  // Multiply-adds of one token with one position it reads, of one layer: both products of attention.
  double macs = 0, prompt_macs = 0;
};

struct Shape {
  std::string name, model_type;
  int64_t hidden = 0, layers = 0, vocabulary = 0;
  int64_t heads = 0, head_dim = 0;  // of queries
  int64_t kv_heads = 0;             // among which the cache can be shared out; latent attention: 1
  int64_t experts = 0, experts_per_token = 0;
  int64_t max_context = 0;
  bool tied_embeddings = false;
  std::vector<Matrices> matrices;
  std::vector<CacheLayers> cache;
  double vectors = 0;  // weights of norms and biases

  double parameters() const;         // a tied head counts once
  double active_parameters() const;  // that one token passes, the embedding's row not counted
  double quantized_weights() const;
  bool latent_attention() const { return cache.size() == 1 && cache[0].vectors == 1; }
  // Numbers kept of a token, without windows.
  double cache_elements() const;
};

// From config.json. BadInput names the keys that lack; an unknown model_type asks for a shape.
Shape shape_from_config(const base::Json& config, const std::string& where);

// The shapes that are known by name, without a checkpoint: shapes.json, built in.
std::vector<std::string> shape_names();
// By name ("Llama-3-70B"), or by size ("70B", "70e9"): the known shape of that many parameters, a tenth more
// or less. BadUsage lists near names.
Shape find_shape(std::string_view name);

base::Json to_json(const Shape& shape);

}  // namespace aquatint::plan

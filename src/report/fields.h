// The one list of a study's scalar fields, shared by the store (save and load) and the report's embedded
// JSON.
#pragma once
#include "report/study_data.h"

namespace aquatint::report {

// visit(key, field) for text, integer and number fields and lists of text.
template <class Facts, class Visit>
void each_fact(Facts& f, Visit visit) {
  visit("model", f.model);
  visit("model_sha256", f.model_sha256);
  visit("architecture", f.architecture);
  visit("parameters", f.parameters);
  visit("hidden_size", f.hidden_size);
  visit("source_layout", f.source_layout);
  visit("source_formats", f.source_formats);
  visit("tied_embeddings", f.tied_embeddings);
  visit("embedding_bytes", f.embedding_bytes);
  visit("text", f.text);
  visit("text_sha256", f.text_sha256);
  visit("text_tokens", f.text_tokens);
  visit("context", f.context);
  visit("stride", f.stride);
  visit("score_from", f.score_from);
  visit("windows", f.windows);
  visit("tasks", f.tasks);
  visit("cpu", f.cpu);
  visit("device", f.device);
  visit("kernels", f.kernels);
  visit("os", f.os);
  visit("threads", f.threads);
  visit("ram_bytes", f.ram_bytes);
  visit("read_gb_s", f.read_gb_s);
  visit("bandwidth_buffer_bytes", f.bandwidth_buffer_bytes);
  visit("version", f.version);
  visit("date", f.date);
  visit("command", f.command);
  visit("seed", f.seed);
  visit("max_perplexity_increase", f.max_perplexity_increase);
  visit("notes", f.notes);
}

// visit(name, unit, number)
template <class Row, class Visit>
void each_number(Row& r, Visit visit) {
  visit("bits_per_weight", "bits", r.bits_per_weight);
  visit("bits_per_parameter", "bits", r.bits_per_parameter);
  visit("file_bytes", "bytes", r.file_bytes);
  visit("weight_bytes", "bytes", r.weight_bytes);
  visit("peak_ram_bytes", "bytes", r.peak_ram_bytes);
  visit("quantize_seconds", "s", r.quantize_seconds);
  visit("evaluate_seconds", "s", r.evaluate_seconds);
  visit("median_kld", "nats", r.median_kld);
  visit("p90_kld", "nats", r.p90_kld);
  visit("p95_kld", "nats", r.p95_kld);
  visit("p99_kld", "nats", r.p99_kld);
  visit("p99.9_kld", "nats", r.p999_kld);
  visit("max_kld", "nats", r.max_kld);
  visit("same_top1", "fraction", r.same_top1);
}

// visit(name, unit, Measured)
template <class Row, class Visit>
void each_estimate(Row& r, Visit visit) {
  visit("perplexity", "", r.perplexity);
  visit("mean_kld", "nats", r.mean_kld);
}

}  // namespace aquatint::report

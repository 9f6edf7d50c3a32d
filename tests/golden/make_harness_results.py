"""Writes eval/harness/: results and samples as lm-evaluation-harness 0.4.13 saves them, of four small tasks and a model that guesses
by a hash, so that no weights are needed, with the tasks and their documents. Each output type once; times and paths of the machine taken out."""
import hashlib
import json
import pathlib
import shutil
import tempfile

import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

WORDS = ["river", "stone", "na\u00efve", "seven", "under", "\u4f60\u597d", "glass", "north"]
METRICS = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
TASKS = {
    "choices": {"output_type": "multiple_choice", "doc_to_text": "Which word is {{name}}?", "doc_to_choice": "options", "doc_to_target": "gold",
                "metric_list": METRICS + [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}], "num_fewshot": 1},
    "last_word": {"output_type": "loglikelihood", "doc_to_text": "Say {{name}}:", "doc_to_target": " {{name}}",
                  "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}] + METRICS},
    "pages": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "page",
              "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}]},
    "sums": {"output_type": "generate_until", "doc_to_text": "{{number}} + 1 =", "doc_to_target": "{{number + 1}}",
             "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
             "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 8},
             "filter_list": [{"name": "strict", "filter": [{"function": "take_first"}]},
                             {"name": "digits", "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}, {"function": "take_first"}]}]},
}
DOCUMENTS = [{"name": word, "options": WORDS[i % 3:i % 3 + 3], "gold": i % 3, "page": f"{word} is the word, and {word} it was.\n" * (i + 1),
              "number": i} for i, word in enumerate(WORDS)]


def guess(*texts):
    """A number in [0, 1) that depends on the texts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(texts).encode()).digest()[:4], "big") / 2**32


class Guesser(LM):
    def loglikelihood(self, requests, disable_tqdm=False):
        return [(-4 * guess(*r.args), guess(*r.args) < 0.5) for r in requests]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        return [-2.5 * len(r.args[0].split()) * (1 + guess(r.args[0])) for r in requests]

    def generate_until(self, requests, disable_tqdm=False):
        return [[" {}", "{}", " it is {}."][int(3 * guess(r.args[0]))].format(int(r.args[0].split()[0]) + 1) for r in requests]


def run(folder):
    (folder / "documents.jsonl").write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS))
    for name, config in TASKS.items():
        data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "documents.jsonl")}}, "test_split": "test"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **data, **config}))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    results = simple_evaluate(model=Guesser(), tasks=list(TASKS), task_manager=manager, evaluation_tracker=tracker, bootstrap_iters=100)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in TASKS:
        tracker.save_results_samples(task_name=name, samples=samples[name])


def save(source, target):
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in source.rglob("*.json*"):
        text = path.read_text(encoding="utf-8")
        name = path.name.rsplit("_", 1)[0] + "_2026-01-01T00-00-00.000000" + path.suffix
        if path.suffix == ".json":
            results = json.loads(text)
            for key in ("pretty_env_info", "start_time", "end_time", "total_evaluation_time_seconds", "upper_git_hash"):
                results.pop(key, None)
            for config in results["configs"].values():
                config.pop("metadata", None)
                config.pop("dataset_kwargs", None)
            results.update(model_name="guesser", model_name_sanitized="guesser", git_hash="0000000", date=1767225600.5)
            text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (target / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run(pathlib.Path(folder))
        to = pathlib.Path(__file__).parent / "eval/harness"
        save(pathlib.Path(folder) / "out", to)
        for name in TASKS:
            text = (pathlib.Path(folder) / f"{name}.yaml").read_text().replace(folder, ".")
            (to / f"{name}.yaml").write_text(text)
        shutil.copy(pathlib.Path(folder) / "documents.jsonl", to)

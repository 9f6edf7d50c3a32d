"""Task scores equal those of lm-evaluation-harness over the same task files, with transformers in FP32 as its engine.

Each task is one YAML file that both programs read. AQUATINT_HARNESS_ITEMS: items of each task (24; 500 for the full proof).
"""
import json
import logging
import os

import pytest
import yaml

ITEMS = int(os.environ.get("AQUATINT_HARNESS_ITEMS", "24"))
GENERATED = max(3, ITEMS // 10)  # items of tasks that generate: a hundred times the work
CHATTED = 2  # items in a chat template: what it changes shows in each

ACC = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
ACC_NORM = ACC + [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}]
CHOICE = {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "gold", "metric_list": ACC_NORM}
EXACT = [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True, "ignore_punctuation": False,
          "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]}]
TASKS = {
    "arc_easy": ("world_knowledge/arc_easy", {**CHOICE, "doc_to_text": "{{query}}\nAnswer:", "num_fewshot": 3}),
    "piqa": ("commonsense_reasoning/piqa", {**CHOICE, "doc_to_text": "{{query}}\nAnswer:"}),
    "boolq": ("reading_comprehension/boolq", {**CHOICE, "doc_to_text": "{{query}}\nAnswer:", "metric_list": ACC}),
    "commonsense_qa": ("commonsense_reasoning/commonsense_qa", {
        **CHOICE, "doc_to_text": "{{query.strip()}}", "num_fewshot": 4, "fewshot_config": {"sampler": "first_n"},
        "description": "The following are multiple choice questions (with answers).\n\n"}),
    "openbook_qa": ("commonsense_reasoning/openbook_qa", {**CHOICE, "doc_to_text": "query", "num_fewshot": 10}),
    "winogrande": ("language_understanding/winogrande", {
        "output_type": "multiple_choice", "doc_to_text": "{{gold}}", "doc_to_choice": "context_options", "doc_to_target": "continuation",
        "metric_list": ACC, "num_fewshot": 5}),
    "lambada": ("language_understanding/lambada_openai", {
        "output_type": "loglikelihood", "doc_to_text": "{{context}}", "doc_to_target": "{{' '+continuation}}",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}] + ACC}),
    "operators": ("symbolic_problem_solving/bigbench_operators", {
        "output_type": "loglikelihood", "doc_to_text": "context", "doc_to_target": " {{continuation}}", "target_delimiter": "",
        "metric_list": ACC, "num_fewshot": 3}),
    "gsm8k": ("symbolic_problem_solving/gsm8k", {
        "output_type": "generate_until", "doc_to_text": "Question: {{context}}\nAnswer:", "doc_to_target": "{{chain_of_thought}}\n#### {{answer}}",
        "metric_list": EXACT, "num_fewshot": 2,
        "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 96},
        "filter_list": [
            {"name": "strict-match", "filter": [{"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}, {"function": "take_first"}]},
            {"name": "flexible-extract", "filter": [{"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                                                    {"function": "take_first"}]}]}),
    "wikitext": (None, {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "page",
                        "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")]}),
}


@pytest.fixture(scope="module")
def folder(aquatint, smollm2_gguf, tmp_path_factory):
    to = tmp_path_factory.mktemp("harness") / "bf16"
    aquatint("convert", smollm2_gguf, "--to", to, "--layout", "safetensors", "--dtype", "bf16")
    return to


@pytest.fixture(scope="module")
def harness(folder):
    """lm-evaluation-harness with the model in FP32."""
    logging.disable(logging.WARNING)
    from lm_eval.models.huggingface import HFLM
    return HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=8)


def pages(text):
    """Pieces of some two thousand characters, as documents."""
    paragraphs = [line for line in text.splitlines() if len(line) > 200]
    return [{"page": "\n".join(paragraphs[i:i + 3])} for i in range(0, len(paragraphs) - 3, 3)]


@pytest.fixture
def task_file(request, data, tmp_path):
    name = request.getfixturevalue("task")
    source, config = TASKS[name]
    if source:
        file = data / "gauntlet" / f"{source}.jsonl"
    else:
        file = tmp_path / "pages.jsonl"
        documents = pages((data / "wikitext-2/test.txt").read_text(encoding="utf-8"))
        file.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    path = tmp_path / f"peer_{name}.yaml"
    path.write_text(yaml.safe_dump({"task": f"peer_{name}", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}},
                                    "test_split": "test", **config}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def their_results(harness, path, limit, **chat):
    import lm_eval
    from lm_eval.tasks import TaskManager
    manager = TaskManager(include_path=str(path.parent), include_defaults=False)
    found = lm_eval.simple_evaluate(model=harness, tasks=[path.stem], limit=limit, task_manager=manager, bootstrap_iters=0,
                                    log_samples=True, verbosity="ERROR", **chat)
    return found["results"][path.stem], found["samples"][path.stem]


def our_results(aquatint, folder, path, limit, to, *chat):
    found = aquatint("eval", folder, "--precision", "fp32", "--tasks", path, "--limit", limit, "--output-path", to, *chat)
    samples = next((to / "model").glob("samples_*.jsonl")).read_text(encoding="utf-8")
    return found["tasks"][path.stem], [json.loads(line) for line in samples.splitlines()]


def check_items(ours, theirs):
    """The same prompts, and the same outcome of every item and filter but one in 500."""
    ours = {(item["doc_id"], item["filter"]): item for item in ours}
    assert len(ours) == len(theirs)
    different = 0
    for item in theirs:
        mine = ours[item["doc_id"], item["filter"]]
        if "word_perplexity" not in item:  # the harness has no prompt there
            assert mine["prompt_hash"] == item["prompt_hash"], (mine["arguments"], item["arguments"])
        right = [name for name in item["metrics"] if name.startswith(("acc", "exact_match"))]
        different += any(abs(mine[name] - item[name]) > 1e-9 for name in right)
    assert different <= len(theirs) / 500


@pytest.mark.parametrize("task", TASKS)
def test_scores_equal_the_harness(aquatint, folder, harness, task, task_file, tmp_path):
    limit = GENERATED if TASKS[task][1]["output_type"] == "generate_until" else ITEMS
    theirs, their_items = their_results(harness, task_file, limit)
    ours, our_items = our_results(aquatint, folder, task_file, limit, tmp_path / "out")
    keys = [key for key in theirs if "," in key and "_stderr" not in key]
    print(task, limit, {key: (float(theirs[key]), ours.get(key)) for key in keys})
    assert keys
    for key in keys:
        if "perplexity" in key or "bits" in key:
            assert abs(ours[key] / theirs[key] - 1) <= 1e-3, key
        else:
            assert abs(ours[key] - theirs[key]) <= 1 / 500, key
    check_items(our_items, their_items)


@pytest.mark.parametrize("turns", ["many", "one"])
@pytest.mark.parametrize("task", [name for name in TASKS if TASKS[name][1]["output_type"] != "loglikelihood_rolling"])
def test_chat_equals_the_harness(aquatint, folder, harness, task, turns, task_file, tmp_path):
    """The model's own template, examples as turns of their own or in one message: the same prompts, the same outcomes."""
    _, theirs = their_results(harness, task_file, CHATTED, apply_chat_template=True, fewshot_as_multiturn=turns == "many")
    _, ours = our_results(aquatint, folder, task_file, CHATTED, tmp_path / "out", "--chat", *(["--one-turn"] if turns == "one" else []))
    assert theirs[0]["arguments"][0][0].endswith("<|im_start|>assistant\n")
    check_items(ours, theirs)

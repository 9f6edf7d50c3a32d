# The commands of everyday work. Each is a thin line over CMake presets and the scripts in tools/.
.DEFAULT_GOAL := help
.PHONY: help demo test test-peers asan fuzz bench-llamacpp format clean install

FUZZ_SECONDS ?= 60
SMOLLM2_BF16 = build/peers/SmolLM2-135M-Instruct.BF16.gguf

help:  ## list the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install  ## build, fetch SmolLM2-135M, study it: a table here and study/report.html
	@tools/build.sh release aquatint
	@tools/demo.sh

test: install  ## build and run the C++ tests and goldens (no Python)
	@tools/build.sh release
	@tools/run_tests.sh build/release

test-peers: install  ## prove the results against other people's software (Python venv in .venv)
	@tools/build.sh release
	@tools/peers.sh $(PEERS)

asan: install  ## the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/build.sh asan
	@tools/run_tests.sh build/asan

fuzz: install  ## fuzz every parser for FUZZ_SECONDS (60) each
	@tools/install.sh tools/apt-packages-dev.txt
	@tools/build.sh fuzz fuzzers
	@tools/fuzz.sh $(FUZZ_SECONDS)

bench-llamacpp: install  ## prefill and decode against llama.cpp on this machine, in turns
	@tools/build.sh release aquatint
	@benchmarks/llamacpp/build.sh
	@tools/python.sh benchmarks/llamacpp/compare.py $(SMOLLM2_BF16) $(SMOLLM2_BF16)

format:  ## clang-format every C++ file
	@tools/install.sh tools/apt-packages-dev.txt
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:  ## remove the build folder (models, study and .venv stay)
	rm -rf build

install:
	@tools/install.sh

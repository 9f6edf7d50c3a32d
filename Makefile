# The commands of everyday work. Each is a thin line over CMake presets and the scripts in tools/.
.DEFAULT_GOAL := help
.PHONY: help demo test test-peers asan fuzz bench-peers cuda-check gpu-check format clean install

FUZZ_SECONDS ?= 60
PEER_MODELS ?= smollm2,1b

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

bench-peers: install  ## llama.cpp and torch against us, in turns, about an hour (QUICK=1: 10 minutes; PEER_MODELS=smollm2,1b,8b)
	@tools/build.sh release aquatint synthetic_model
	@benchmarks/peers/run.sh $(PEER_MODELS) $(if $(QUICK),--quick)

cuda-check: install  ## what nvcc made of the CUDA kernels; fails on spilled registers (needs nvcc, no GPU)
	@tools/cuda_check.sh

gpu-check:  ## tests and bench of the CUDA kernels on this machine's GPU
	@tools/gpu_check.sh

format:  ## clang-format every C++ file
	@tools/install.sh tools/apt-packages-dev.txt
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:  ## remove the build folder (models, study and .venv stay)
	rm -rf build

install:
	@tools/install.sh

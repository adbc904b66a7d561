# Everything runs from a virtual environment of the checkout; the first target that needs it sets it up.

MODEL ?= esvae
DATASET ?= $(if $(filter spiking-physformer,$(MODEL)),synthetic,digits)
VENV ?= .venv
BIN = $(VENV)/bin
BUILD = build/$(MODEL)-$(DATASET)

# Any installed Python 3.11 to 3.13 that really starts (a version manager's placeholder does not).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

OPTIONS = --model $(MODEL) --dataset $(DATASET) $(if $(BITS),--bits $(BITS)) $(if $(TUNE),--tune $(TUNE)) $(if $(STEPS),--steps $(STEPS)) \
	$(if $(SEED),--seed $(SEED)) $(if $(CHIP),--chip $(CHIP))
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off
# The CPU build of torch is a tenth of the default one. TORCH_INDEX= (empty) takes the default.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: help export-loihi train generate sweep threshold-sweep weight-bits zoo-bits compare-builds compare-models report verify doctor benchmark benchmark-quick benchmark-emulator rivals test test-slow test-reliability test-exhaustive lint format clean distclean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "Variables: MODEL=esvae|spiking-diffusion|sddpm|spiking-physformer DATASET=digits|mnist|fashion-mnist|kmnist|emnist-letters|cifar10|synthetic"
	@echo "           BITS=2..8 TUNE=<iterations> STEPS=<time steps> SEED=<n> CHIP=loihi1|loihi2"

export-loihi: $(VENV)/.runtime  ## The whole job: weights, NIR, int8, program, Lava check, energy report
	@$(BIN)/spikewright deploy $(OPTIONS)

train: $(VENV)/.runtime  ## Train a recipe's networks anew, into build/<model>-<dataset>/train
	@$(BIN)/spikewright train --model $(MODEL) --dataset $(DATASET) $(if $(STEPS),--steps $(STEPS))

verify: $(VENV)/.runtime  ## Repeat the checks of a build: norse, reference, Lava
	@$(BIN)/spikewright verify $(BUILD)

# ESVAE draws its images as it is deployed.
generate: $(VENV)/.runtime  ## 64 images of MODEL=spiking-diffusion or sddpm, with the spikes and energy of each
	@$(BIN)/spikewright generate --model $(MODEL:esvae=spiking-diffusion) --dataset $(DATASET) $(if $(SEED),--seed $(SEED))

# Goes on where it was killed. SWEEP="my.toml" or SWEEP="--model sddpm --bits 8,4" for another.
SWEEP ?= --model $(MODEL) --dataset $(DATASET) --bits 8,7,6,5,4,3,2 --chip loihi1,loihi2 --out build/sweep-$(MODEL)-$(DATASET)
sweep: $(VENV)/.runtime  ## MODEL with 8 to 2 weight bits on both chips: quality against energy and cores, all processors
	@$(BIN)/spikewright sweep $(SWEEP)

threshold-sweep: $(VENV)/.runtime  ## Threshold guidance of SDDPM on DATASET: quality against thresholds; writes docs/threshold_guidance.md
	@$(BIN)/spikewright generate --model sddpm --dataset $(DATASET) --count 1
	@$(BIN)/python -m spikewright.sddpm.threshold_sweep build/sddpm-$(DATASET)

weight-bits: $(VENV)/.runtime  ## Quality against weight bits of ESVAE on DATASET and SDDPM on digits; writes docs/weight_bits.md
	@$(BIN)/spikewright export --model esvae --dataset $(DATASET)
	@$(BIN)/spikewright export --model sddpm --dataset digits
	@$(BIN)/python -m spikewright.weight_bits build/esvae-$(DATASET) build/sddpm-digits $(if $(TUNE),--tune $(TUNE))

zoo-bits: $(VENV)/.runtime  ## Eight and four weight bits, every model of the zoo; hours, goes on where it was; writes docs/zoo_bits.md
	@$(BIN)/python -m spikewright.sweep.zoo_bits $(RECIPES)

# The builds other than the one that is deployed by default have recipes on digits.
compare-builds: $(VENV)/.runtime  ## The three builds of SDDPM's U-Net beside each other on digits; writes docs/unet_builds.md
	@for build in sddpm-digits-faithful sddpm-digits sddpm-digits-lean; do $(BIN)/spikewright deploy $$build || exit 1; done
	@$(BIN)/python -m spikewright.sddpm.comparing_builds build/sddpm-digits-faithful build/sddpm-digits build/sddpm-digits-lean

# Deploys both on the same data set and judges their images by the same features; minutes an image set on two cores.
compare-models: $(VENV)/.runtime  ## ESVAE and Spiking-Diffusion beside each other on MNIST; writes docs/generative.md
	@for model in esvae spiking-diffusion; do $(BIN)/spikewright deploy --model $$model --dataset mnist || exit 1; done
	@$(BIN)/python -m spikewright.comparing_models build/esvae-mnist build/spiking-diffusion-mnist --count 5000

report: $(VENV)/.runtime  ## Write the report of a build again
	@$(BIN)/spikewright report $(BUILD)

doctor: $(VENV)/.runtime  ## Say what is installed and what is missing
	@$(BIN)/spikewright doctor

benchmark: $(VENV)/.events  ## Every model of the zoo on one page, build/benchmark/index.html; goes on where it was killed
	@$(BIN)/spikewright benchmark

benchmark-quick: $(VENV)/.runtime  ## Speed of the emulator beside Lava, snnTorch and norse: two networks, a minute or two
	@$(BIN)/python -m spikewright.benchmarks.simulators --quick --simulators spikewright lava snntorch norse --out build/performance.md

benchmark-emulator: rivals  ## The emulator beside every simulator that can be installed; writes docs/performance.md
	@$(BIN)/python -m spikewright.benchmarks.simulators $(BENCHMARK)

# One that cannot be installed is named, and the benchmark runs without it. About 3 GB in build/rivals.
rivals: $(VENV)/.runtime  ## The other simulators, each in an environment of its own; RIVALS="sinabs spyx" for some
	@TORCH_INDEX="$(TORCH_INDEX)" $(BIN)/python -m spikewright.benchmarks.simulators.rivals $(RIVALS)

test: $(VENV)/.test  ## The test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/.test  ## The long tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-reliability: $(VENV)/.runtime  ## 2,000 random networks on the emulator and 200 on Lava; writes docs/reliability.md
	@$(BIN)/python -m spikewright.benchmarks.reliability --reference 2000 --lava 200 --out docs/reliability.md

test-exhaustive: $(VENV)/.runtime  ## 20,000 random networks on the emulator and 2,000 on Lava; writes docs/reliability.md
	@$(BIN)/python -m spikewright.benchmarks.reliability --reference 20000 --lava 2000 --out docs/reliability.md

# mypy sees the rooms where their import name says they are.
lint: $(VENV)/.lint  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/types && mkdir -p build/types/spikewright
	@for room in models export hardware benchmarks; do ln -s ../../../$$room build/types/spikewright/$$room; done
	@for part in spikewright/*; do ln -s ../../../$$part build/types/spikewright/$$(basename $$part); done
	MYPYPATH=build/types $(BIN)/mypy -p spikewright

format: $(VENV)/.lint  ## Format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:  ## Remove builds and caches
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## Remove the virtual environment as well
	rm -rf $(VENV)

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (once; a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# lava-nc 0.10.0 declares Python 3.10 only but runs on 3.11 to 3.13, so it goes in without its declared requirements;
# where that fails everything but the Lava check works, and says so.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/.python
	@test -z "$(TORCH_INDEX)" || $(PIP) --retries 0 --timeout 15 --index-url "$(TORCH_INDEX)" "$(TORCH)" >/dev/null 2>&1 || true
	@$(PIP) "$(TORCH)"
	@$(PIP) -c constraints.txt -e ".[norse,lava,onnxruntime,sweep]"
	@$(PIP) --no-deps --ignore-requires-python lava-nc==0.10.0 || echo "warning: lava-nc could not be installed; the Lava check will not run"
	@$(BIN)/python -m spikewright.hardware.emulation.warm
	@touch $@

# Two models of the zoo are trained on event data.
$(VENV)/.events: $(VENV)/.runtime
	@$(PIP) -c constraints.txt -e ".[events]"
	@touch $@

# lava-dl 0.6.0 declares Python 3.10 only as well, and asks for much that its netx does not use. Only tests want it.
# neurobench asks for the data sets of its own benchmarks, which its count of operations does not use.
$(VENV)/.test: $(VENV)/.events
	@$(PIP) -c constraints.txt -e ".[test,video]"
	@$(PIP) --no-deps --ignore-requires-python lava-dl==0.6.0 || echo "warning: lava-dl could not be installed; the tests against netx will not run"
	@$(PIP) --no-deps neurobench==2.3.0 || echo "warning: neurobench could not be installed; its count of operations will not be compared"
	@touch $@

$(VENV)/.lint: $(VENV)/.runtime
	@$(PIP) -c constraints.txt -e ".[test,lint]"
	@touch $@

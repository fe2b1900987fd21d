# `make run` and `make test` work from a fresh clone: each makes .venv and installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test check format bench models deidentifier quality clean

.venv/.run: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements.txt
	touch $@

.venv/.test: tests/requirements.txt .venv/.run
	$(BIN)/pip install -q -r tests/requirements.txt
	touch $@

run: .venv/.run  ## the app on 127.0.0.1:7860 (PORT overrides)
	$(BIN)/python app.py

test: export OMP_NUM_THREADS = 1
test: .venv/.test check  ## formatter, linter, types, then all tests, a file at a time on each core
	$(BIN)/python -m pytest -n auto --dist loadfile

check: .venv/.test  ## what CI checks before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy app.py medbertde train data

format: .venv/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

BENCHES := bench bench_start bench_runtime bench_fill_mask bench_annotate bench_store bench_exchange bench_explain \
	bench_finetune bench_time_to_f1 bench_pretrain

bench: .venv/.test  ## the figures of speed and memory in docs/ (bench_load, bench_corpus and drills run by themselves); over an hour
	for name in $(BENCHES); do $(BIN)/python -m tests.$$name || exit 1; done

REPORTS := data/reports
TEXTS := $(foreach name,chest_xray chest_ct clinical_text,$(REPORTS)/$(name).jsonl)
STATEMENTS := $(foreach name,chest_xray chest_ct,$(REPORTS)/statements_$(name).jsonl)
# Processes of the pretraining, and fine-tunings side by side; one core each.
PROCESSES ?= 2

# Every step leaves a file build/….done, so that what was interrupted goes on; an empty build/ begins anew.
models: export OMP_NUM_THREADS = 1
models: .venv/.run  ## rebuild the embedded models from the report sources
	$(BIN)/python -m data.build
	$(MAKE) build/medbertde-mini.done
	$(MAKE) --jobs $(PROCESSES) build/mini-chest-ct.done build/mini-chest-xray.done
	$(MAKE) deidentifier

build/tokenizer.done:
	$(BIN)/python -m train.tokenizer $(TEXTS) $(STATEMENTS) --out build/tokenizer --vocabulary 10500
	touch $@

build/medbertde-mini.done: build/tokenizer.done
	$(BIN)/torchrun --nproc-per-node $(PROCESSES) -m -- train.pretrain $(TEXTS) --preset mini --tokenizer build/tokenizer \
		--out build/medbertde-mini --half --resume
	rm -rf data/models/medbertde-mini && cp -r build/medbertde-mini data/models
	touch $@

# One fine-tuning: $(call fine_tune,schema with a hyphen,recipe,seed and number,number of the run it goes on from).
define fine_tune
	mkdir -p build/mini-$(1)-$(3)
	sed 's/"seed": [0-9]*/"seed": $(3)/; s#build/mini-$(1)-1/#build/mini-$(1)-$(4)/#' train/recipes/mini-$(2).json \
		> build/mini-$(1)-$(3)/config.json
	cp $(REPORTS)/$(subst -,_,$(1)).jsonl build/mini-$(1)-$(3)/labels.jsonl
	$(BIN)/python -m train.finetune build/mini-$(1)-$(3) --threads 1
endef

# The mean of runs: $(call mean,schema with a hyphen,folder,numbers of the runs).
define mean
	rm -rf $(2) && mkdir $(2)
	cp build/mini-$(1)-1/config.json build/mini-$(1)-1/labels.jsonl $(2)
	$(BIN)/python -m train.soup $(2) $(foreach run,$(3),build/mini-$(1)-$(run)/checkpoint) --threads 1
endef

# A first fine-tuning, two that go on from it, one that goes on from the mean of the three; the mean of the last three
# goes to the embedded models.
build/mini-%-1.done: build/medbertde-mini.done
	$(call fine_tune,$*,$*,1,1)
	touch $@

build/mini-%-2.done: build/mini-%-1.done
	$(call fine_tune,$*,$*-on,2,1)
	touch $@

build/mini-%-3.done: build/mini-%-1.done
	$(call fine_tune,$*,$*-on,3,1)
	touch $@

build/mini-%-4.done: build/mini-%-2.done build/mini-%-3.done
	$(call mean,$*,build/mini-$*-mean,1 2 3)
	$(call fine_tune,$*,$*-on,4,mean)
	touch $@

build/mini-%.done: build/mini-%-4.done
	$(call mean,$*,build/mini-$*,2 3 4)
	rm -rf data/models/mini-$* && cp -r build/mini-$*/checkpoint data/models/mini-$*
	touch $@

.SECONDARY:

DEIDENTIFIER := build/deidentifier

deidentifier: export OMP_NUM_THREADS = 1
deidentifier: .venv/.run  ## the small model beside the rules of the de-identification, from the letters data/letters/train_*
	rm -rf $(DEIDENTIFIER)
	$(BIN)/python -m train.deidentifier texts $(DEIDENTIFIER)
	$(BIN)/python -m train.pretrain $(DEIDENTIFIER)/texts.jsonl --tokenizer $(DEIDENTIFIER)/tokenizer --cpu --precision no \
		--layers 2 --hidden 128 --heads 4 --dropout 0.1 --cues 0 --epochs 1 --batch-tokens 2048 --out $(DEIDENTIFIER)/language-model
	cp train/recipes/deidentifier.json $(DEIDENTIFIER)/config.json
	$(BIN)/python -m train.finetune $(DEIDENTIFIER) --threads 1
	$(BIN)/python -m train.deidentifier model $(DEIDENTIFIER) --out data/models/deidentifier

quality: .venv/.run  ## measure the embedded models on the held-out reports and gaps; writes docs/quality-*.md and docs/cloze.md
	for schema in chest_xray chest_ct; do $(BIN)/python -m train.quality --schema $$schema \
		--test $(REPORTS)/test_$$schema.jsonl --train $(REPORTS)/$$schema.jsonl --out docs/quality-$$schema.md || exit 1; done
	$(BIN)/python -m train.cloze --model data/models/medbertde-mini --out docs/cloze.md

clean:
	rm -rf .venv build

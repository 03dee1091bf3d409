# Two commands on a fresh machine: `make search` and `make test`. Python 3.11 to 3.13 and make are all they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: search test slow install clean

search: $(INSTALLED) ## install if need be, then search the demo corpus for 4 minutes
	$(VENV)/bin/python -m search.run --space spaces/cnn.yaml --minutes 4

test: $(INSTALLED) ## install if need be, then run the tests, two files at a time: half of them wait; a crash ends the run
	$(VENV)/bin/python -m pytest -m "not slow" -n 2 --dist loadfile --max-worker-restart=0

slow: $(INSTALLED) ## the tests that take minutes; most of them wait for processes to end, so two run at a time
	$(VENV)/bin/python -m pytest -m slow -n 2 --dist loadfile --max-worker-restart=0 --durations=25

install: $(INSTALLED)

# Rebuilt only when what is to be installed changes.
$(INSTALLED): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "error: Python 3.11, 3.12 or 3.13 is needed, found: $$("$(PYTHON)" --version). Say which with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

clean: ## remove the virtual environment; studies stay
	rm -rf $(VENV)

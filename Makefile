# What an engineer types. Each works in the environment of `pip install -r requirements-dev.txt`.
.PHONY: help check test-fast test docs bundle demo

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

check:  ## linters, types and import rules: seconds
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test-fast:  ## everything without TensorFlow and without a browser
	pytest -q -n auto --dist loadfile -m "not training and not browser and not slow"

test:  ## everything
	pytest -n auto --dist loadfile

docs:  ## the reference of the library from its docstrings, under docs/api
	python -W "ignore:The module specification" -m pdoc --docformat numpy --no-show-source --output-directory docs/api $$(git ls-files 'cervix/*.py' \
	  | grep -v /migrations/ | sed 's/\.py$$//; s,/__init__$$,,; s,/,.,g') '!cervix.labels.store.migrations' '!cervix.__main__'

bundle:  ## the shipped bundle proves itself
	python -m cervix bundle verify

demo:  ## the app at http://localhost:8501
	streamlit run streamlit_app.py

# What a person types. Each target does its own set-up; the build itself is in CMakeLists.txt.
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600

.PHONY: build demo test bench install package format check fuzz clean help

build: ## build/heddle, build/libheddle.so (default)
	@tools/setup.sh build
	@[ -f build/build.ninja ] || cmake --preset release --log-level=WARNING
	@cmake --build --preset release --target product

demo: build ## embed real text with real MiniLM weights, index the documents of this folder, and search both
	@model=$$(tools/fetch_model.sh) && build/examples/nearest "$$model" examples/sentences.txt && rm -f build/demo.db && \
	    echo && build/heddle index --db build/demo.db -m "$$model" README.md CONTRIBUTING.md docs/*.md && \
	    build/heddle search --db build/demo.db -m "$$model" -n 3 "how is memory kept small when many models are loaded"

test: ## everything: all tests, sanitizers, 64-bit Arm kernels
	@tools/setup.sh build check test
	@tools/fetch_model.sh >/dev/null
	@tools/test_venv.sh >/dev/null
	@tools/test_node.sh
	@tools/run_tests.sh

check: build ## the quick part of the tests: lint and unit
	@tools/setup.sh check
	@tools/fetch_model.sh >/dev/null
	@cmake --build --preset release
	@ctest --test-dir build -L 'lint|unit' -j "$$(nproc)" --output-on-failure

bench: build ## against ONNX Runtime, OpenVINO, sentence-transformers, side by side
	@tools/setup.sh bench
	@bench/run.sh

fuzz: ## every parser, FUZZ_SECONDS each
	@tools/setup.sh build fuzz
	@tools/run_fuzzers.sh $(FUZZ_SECONDS)

install: build ## to PREFIX (/usr/local); DESTDIR is honoured
	@rm -f build/heddle.pc build/install_manifest.txt # root's, when the last install was root's
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

package: ## Debian packages, in build/package
	@tools/setup.sh build
	@cmake -G Ninja -B build/package -DCMAKE_BUILD_TYPE=Release -DHD_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr --log-level=WARNING
	@cmake --build build/package
	@cd build/package && cpack -G DEB

format: ## clang-format over our own C, generated tables aside
	@tools/setup.sh format
	@git ls-files -z '*.c' '*.h' '*.cu' ':!*_table.c' | xargs -0 clang-format -i

clean: ## remove build/
	@rm -rf build

help: ## this list
	@sed -n -E 's/^([a-z]+):[^#]*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done

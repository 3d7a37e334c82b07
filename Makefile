# libimgroup. `make` alone lists the targets.

CARGO ?= cargo
RELEASE := target/release
LIBRARY := $(RELEASE)/libimgroup.so
ARCHIVE := $(RELEASE)/libimgroup.a
COMMAND := $(RELEASE)/imgroup
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI := $(shell echo $(VERSION) | sed 's/^\(0\.[0-9]*\)\..*/\1/; t; s/\..*//')
SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -type f)
NEED := packaging/need.sh

.DEFAULT_GOAL := help
.PHONY: help demo test check lib command header clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | awk -F '\t' '{ printf "  %-16s %s\n", $$1, $$2 }'

demo: tools-build lib command ## friend lists created, read, deleted and read again, from C
	@mkdir -p target/demo
	@cc -std=c99 -Wall -Wextra -pedantic -Werror -Iinclude examples/c/demo.c -L$(RELEASE) -limgroup -Wl,-rpath,'$(CURDIR)/$(RELEASE)' -o target/demo/demo
	@examples/demo.sh target/demo/demo $(COMMAND)

lib: $(LIBRARY) $(ARCHIVE) ## what is shipped: libimgroup.so and libimgroup.a in target/release

# Link-time optimisation makes the shared library smaller and faster; in the
# archive it would keep two Rust archives from being linked into one program.
$(LIBRARY): $(SOURCES) | tools-build
	CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_STRIP=symbols $(CARGO) rustc --locked --release --lib --crate-type cdylib
	@ln -sf libimgroup.so $(RELEASE)/libimgroup.so.$(ABI)
	@touch $@

# Its own folder keeps cargo from putting another libimgroup.so in place of ours.
$(ARCHIVE): $(SOURCES) | tools-build
	$(CARGO) rustc --locked --release --lib --crate-type staticlib --target-dir target/plain
	@mkdir -p $(RELEASE) && cp target/plain/release/libimgroup.a $@

command: $(COMMAND) ## the imgroup command, with the emulator in it

$(COMMAND): $(SOURCES) | tools-build
	$(CARGO) build --locked --release --features cli --bin imgroup --target-dir target/plain
	@mkdir -p $(RELEASE) && cp target/plain/release/imgroup $@

header: ## write include/imgroup.h anew from src/ffi
	$(CARGO) build --features header

.PHONY: test-rust test-c
test: tools-test lib command test-rust ## all functional suites

test-rust:
	$(CARGO) test --locked --features cli

check: tools-check lib command ## linters, and what takes longer
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features cli -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --features cli
	IMGROUP_VALGRIND=1 $(CARGO) test --locked --features cli --test c_abi
	tests/foreign/run.sh $(COMMAND)

.PHONY: tools-build tools-test tools-check
tools-build:
	@$(NEED) cargo=cargo cc=gcc

tools-test: tools-build
	@$(NEED) g++=g++ clang=clang nm=binutils

tools-check: tools-test
	@$(NEED) valgrind=valgrind npm=npm python3=python3-venv

clean: ## remove everything that was built
	$(CARGO) clean
	rm -rf target dist

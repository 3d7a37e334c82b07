# libimgroup. `make` alone lists the targets.

CARGO ?= cargo
RELEASE := target/release
LIBRARY := $(RELEASE)/libimgroup.so
ARCHIVE := $(RELEASE)/libimgroup.a
COMMAND := $(RELEASE)/imgroup
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

# Relative relocations packed are 70 kB less; loaders know them from glibc 2.36 on.
PACKED := $(shell getconf GNU_LIBC_VERSION 2>/dev/null | awk '{ split($$2, v, "."); if (v[1] * 1000 + v[2] >= 2036) print "-C link-arg=-Wl,-z,pack-relative-relocs" }')
# Where the sources of others lie on this machine shall not stand in the library. With
# frame pointers it is 9 kB less, and a profiler sees through it from a host's threads.
SHIPPED_FLAGS = $(RUSTFLAGS) -C force-frame-pointers=yes --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=registry

# Link-time optimisation makes the shared library smaller and faster; in the
# archive it would keep two Rust archives from being linked into one program.
$(LIBRARY): $(SOURCES) | tools-build
	RUSTFLAGS='$(SHIPPED_FLAGS)' CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_STRIP=symbols $(CARGO) rustc --locked --release --lib --crate-type cdylib -- $(PACKED)
	@ln -sf libimgroup.so $(RELEASE)/libimgroup.so.$(IMGROUP_ABI)
	@touch $@

# Its own folder keeps cargo from putting another libimgroup.so in place of ours.
$(ARCHIVE): $(SOURCES) | tools-build
	RUSTFLAGS='$(SHIPPED_FLAGS)' $(CARGO) rustc --locked --release --lib --crate-type staticlib --target-dir target/plain
	@mkdir -p $(RELEASE) && install -m 644 target/plain/release/libimgroup.a $@

command: $(COMMAND) ## the imgroup command, with the emulator in it

$(COMMAND): $(SOURCES) | tools-build
	RUSTFLAGS='$(SHIPPED_FLAGS)' $(CARGO) build --locked --release --features cli --bin imgroup --target-dir target/plain
	@mkdir -p $(RELEASE) && install -m 755 target/plain/release/imgroup $@

header: ## write include/imgroup.h anew from src/ffi
	$(CARGO) build --features header

# ---- tests

# Everything that has a summary of its own; each can be run alone.
SUITES := test-rust test-installed test-python test-go
.PHONY: $(SUITES)

test: $(SUITES) ## all functional suites

test-rust: tools-test lib command ## core, emulator, command, C ABI
	$(CARGO) test --locked --features cli

test-installed: tools-test installed-tests ## C and C++ programs against an installed tree

test-python: tools-python lib command ## the Python package
	IMGROUP_BUILD_LIB='$(abspath $(LIBRARY))' IMGROUP_COMMAND='$(abspath $(COMMAND))' bindings/python/run-tests.sh

test-go: tools-go lib command ## the Go package
	IMGROUP_COMMAND='$(abspath $(COMMAND))' bindings/go/run-tests.sh

# What takes longer than a functional test, or looks at the code itself.
CHECKS := check-style check-valgrind check-asan check-torture check-foreign check-go check-counts check-deb check-dask
# Promises of the repository: threads, ABI, dependencies.
CHECKS += check-models abi check-deny check-msrv check-reproducible
# What cannot be listed: every input, and a long time.
CHECKS += check-fuzz check-soak
.PHONY: $(CHECKS)

check: $(CHECKS) ## linters, and what takes longer

check-style:
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/models/Cargo.toml
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --all-targets --features cli,fuzzing -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --features cli

abi: tools-check lib ## the C ABI against the promise of its SONAME; UPDATE=1 takes additions in
	tests/abi.py
	packaging/abi.py $(if $(UPDATE),update,compare) packaging/abi/libimgroup.so.$(IMGROUP_ABI).abi include/imgroup.h $(LIBRARY)

check-valgrind: tools-check lib
	IMGROUP_VALGRIND=1 $(CARGO) test --locked --features cli --test c_abi valgrind

# The same C programs, with the sanitizer in them and in the library. The stable
# compiler has it behind the switch for its own build.
ASAN_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
ASAN_LIBRARY = $(CURDIR)/target/asan/$(ASAN_TARGET)/release
check-asan: tools-check lib
	RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address -Cforce-frame-pointers=yes' $(CARGO) rustc --locked --release --lib --crate-type cdylib --target $(ASAN_TARGET) --target-dir target/asan
	@ln -sf libimgroup.so $(ASAN_LIBRARY)/libimgroup.so.$(IMGROUP_ABI)
	IMGROUP_ASAN='$(ASAN_LIBRARY)' $(CARGO) test --locked --features cli --test c_abi sanitizer

# Not among the checks: it downloads another compiler, 137 MB.
.PHONY: tsan
tsan: tools-tsan ## unit tests, suites and C programs of many threads under ThreadSanitizer
	IMGROUP_ABI=$(IMGROUP_ABI) packaging/tsan.sh

# Lock-free words and the queue in every order of threads; LOOM_MAX_PREEMPTIONS=5
# looks deeper than the default of two to four.
check-models: tools-check
	CARGO='$(CARGO)' tests/models/run.py

# Licences, bans, duplicates, sources, advisories of everything that is built.
check-deny: tools-check tools-python
	packaging/deny.sh

# The oldest compiler that Cargo.toml names.
check-msrv: tools-build
	packaging/msrv.sh

# Whoever builds this source gets these bytes.
check-reproducible: tools-build $(LIBRARY)
	packaging/reproducible.sh $(LIBRARY)

# The n-th system call of the network fails, for every n.
check-torture: tools-check
	$(CARGO) test --locked --features cli --test torture -- --ignored

check-foreign: tools-check command
	tests/foreign/run.sh $(COMMAND)

# The Dask example, with a worker killed on the way.
check-dask: tools-python lib command
	IMGROUP_BUILD_LIB='$(abspath $(LIBRARY))' IMGROUP_COMMAND='$(abspath $(COMMAND))' \
	IMGROUP_TEST_VENV='$(abspath target/dask-venv)' \
	IMGROUP_TEST_REQUIREMENTS='$(abspath bindings/python/tests/requirements-dask.txt)' \
	bindings/python/run-tests.sh tests/test_dask.py

check-go: tools-go lib
	bindings/go/run-checks.sh

# No count of a call may be worse than benches/figures.json, and the guard knows it.
check-counts: tools-check lib command
	cd benches && python3 -m unittest -q test_guard
	benches/counts.py $(RELEASE) $(COMMAND) --check

check-deb: tools-check
	$(MAKE) deb
	$(MAKE) installed-tests INSTALLED_TESTS=deb

# ---- fuzzing and soaking

# Every target over its corpus, then for a while on its own.
check-fuzz: tools-check
	CARGO='$(CARGO)' fuzz/run.py --seconds 10

.PHONY: fuzz
fuzz: tools-check ## every fuzz target for SECONDS=60, or one TARGET=name
	CARGO='$(CARGO)' fuzz/run.py --seconds $(or $(SECONDS),60) $(if $(TARGET),--target $(TARGET))

# As many calls as the service allows of one command in three minutes.
check-soak: tools-check lib command
	tests/soak/run.py $(RELEASE) $(COMMAND) 32400 500
	tests/soak/bulk.py $(COMMAND) 300000

# As many as in an hour.
.PHONY: soak
soak: tools-check lib command ## an hour of calls and faults in minutes, 10,000 clients, 10,000,000 rows: nothing may grow
	tests/soak/run.py $(RELEASE) $(COMMAND) 648000 10000
	tests/soak/bulk.py $(COMMAND) 10000000

# ---- benchmarks

.PHONY: bench bench-counts
# Only some of its sections: make bench SECTIONS='calls threads'
bench: tools-bench lib command ## the library against others in one run; writes benches/RESULTS.md
	benches/run.py $(RELEASE) $(COMMAND) $(SECTIONS)

# UPDATE=1 makes them the figures that check-counts compares with.
bench-counts: tools-check lib command ## instructions, system calls, allocations, size and memory of a call
	benches/counts.py $(RELEASE) $(COMMAND) $(if $(UPDATE),--update)

# ---- tools

.PHONY: tools-build tools-test tools-python tools-go tools-check tools-tsan tools-bench
tools-build:
	@$(NEED) cargo=cargo cc=gcc

tools-test: tools-build
	@$(NEED) g++=g++ clang=clang nm=binutils cmake=cmake pkg-config=pkg-config python3=python3 man=man-db strace=strace gcore=gdb faketime=faketime unshare=util-linux redis-server=redis-server

tools-python: tools-build
	@$(NEED) python3=python3 pip3=python3-pip

tools-go: tools-build
	@$(NEED) go=go pkg-config=pkg-config

tools-check: tools-test
	@$(NEED) valgrind=valgrind abidiff=abigail-tools npm=npm dpkg-buildpackage=dpkg-dev dh=debhelper lintian=lintian mandoc=mandoc

tools-tsan: tools-build
	@$(NEED) clang=clang apt-get=apt dpkg=dpkg

tools-bench: tools-python tools-go
	@$(NEED) npm=npm node=nodejs openssl=openssl curl-config=libcurl4-openssl-dev /usr/include/cjson/cJSON.h=libcjson-dev /usr/include/openssl/ssl.h=libssl-dev

clean: ## remove everything that was built
	rm -rf target dist

include packaging/install.mk

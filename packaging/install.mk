# Install, uninstall, manual pages and Debian packages.
#
# Included by the Makefile; alone: make -f packaging/install.mk install
#
#   make install PREFIX=/usr/local DESTDIR=/tmp/stage   make uninstall (same words)
#   make man              the manual pages, in target/man
#   make deb              the Debian packages, in target/deb
#   make installed-tests  all of it, tried from an installed tree

PACKAGING := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
ROOT := $(patsubst %/,%,$(dir $(abspath $(PACKAGING))))

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/imgroup
DESTDIR ?=

PYTHON ?= python3
INSTALL ?= install
TARGET_DIR ?= $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(ROOT)/target)

# What is installed. The library and the archive are what `make lib` makes.
LIBRARY ?= $(TARGET_DIR)/release/libimgroup.so
ARCHIVE ?= $(TARGET_DIR)/release/libimgroup.a
COMMAND ?= $(TARGET_DIR)/release/imgroup

IMGROUP_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(ROOT)/Cargo.toml | head -n 1)
version_words := $(subst ., ,$(IMGROUP_VERSION))
# cargo-c's rule, as in build.rs: 0.MINOR before 1.0, MAJOR after.
IMGROUP_ABI := $(if $(filter 0,$(word 1,$(version_words))),0.$(word 2,$(version_words)),$(word 1,$(version_words)))

# What the archive needs from the system. Not -lgcc_s: every compiler driver adds
# the unwinder by itself, also for a fully static program, where -lgcc_s is not to
# be had. The installed tests compare this with what rustc says.
STATIC_LIBRARIES := -lutil -lrt -lpthread -lm -ldl -lc

man_directory := $(TARGET_DIR)/man
man_sources := $(PACKAGING)/man.py $(ROOT)/include/imgroup.h $(wildcard $(ROOT)/examples/c/*.c)
man_pages = $(shell $(PYTHON) $(PACKAGING)/man.py --header $(ROOT)/include/imgroup.h --list)
cmake_prefix = $(shell realpath -m --relative-to='$(CMAKEDIR)' '$(1)')
# Byte 4 of an ELF file: 1 for 32 bits, 2 for 64.
pointer_size = $(if $(filter 1,$(shell od -An -tu1 -j4 -N1 $(LIBRARY))),4,8)
under_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
D = $(DESTDIR)

ifeq ($(words $(MAKEFILE_LIST)),1)
.DEFAULT_GOAL := man
endif
.PHONY: install uninstall man deb installed-tests installed-tools install-inputs

# Alone, this file takes what is there; the Makefile knows when to build anew.
ifeq ($(words $(MAKEFILE_LIST)),1)
$(LIBRARY) $(ARCHIVE) $(COMMAND):
	$(MAKE) -C $(ROOT) lib command
endif

install-inputs: $(LIBRARY) $(ARCHIVE) $(COMMAND)

man: $(man_directory)/.made ## the manual pages, in target/man

$(man_directory)/.made: $(man_sources) $(COMMAND)
	rm -rf $(man_directory)
	$(PYTHON) $(PACKAGING)/man.py --header $(ROOT)/include/imgroup.h --version $(IMGROUP_VERSION) \
	  --command $(COMMAND) --output $(man_directory)
	touch $@

install: install-inputs man ## PREFIX=/usr/local DESTDIR=: library, headers, manual, command
	$(INSTALL) -d "$(D)$(BINDIR)" "$(D)$(LIBDIR)" "$(D)$(INCLUDEDIR)" "$(D)$(PKGCONFIGDIR)" "$(D)$(CMAKEDIR)"
	$(INSTALL) -m 755 $(COMMAND) "$(D)$(BINDIR)/imgroup"
	$(INSTALL) -m 755 $(LIBRARY) "$(D)$(LIBDIR)/libimgroup.so.$(IMGROUP_VERSION)"
	ln -sf libimgroup.so.$(IMGROUP_VERSION) "$(D)$(LIBDIR)/libimgroup.so.$(IMGROUP_ABI)"
	ln -sf libimgroup.so.$(IMGROUP_ABI) "$(D)$(LIBDIR)/libimgroup.so"
	$(INSTALL) -m 644 $(ARCHIVE) "$(D)$(LIBDIR)/libimgroup.a"
	$(INSTALL) -m 644 $(ROOT)/include/imgroup.h $(ROOT)/include/imgroup.hpp "$(D)$(INCLUDEDIR)/"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(call under_prefix,$(LIBDIR))|' \
	  -e 's|@INCLUDEDIR@|$(call under_prefix,$(INCLUDEDIR))|' -e 's|@VERSION@|$(IMGROUP_VERSION)|' \
	  -e 's|@STATIC_LIBRARIES@|$(STATIC_LIBRARIES)|' \
	  $(PACKAGING)/imgroup.pc.in > "$(D)$(PKGCONFIGDIR)/imgroup.pc"
	sed -e 's|@TO_LIBDIR@|$(call cmake_prefix,$(LIBDIR))|' -e 's|@TO_INCLUDEDIR@|$(call cmake_prefix,$(INCLUDEDIR))|' \
	  -e 's|@VERSION@|$(IMGROUP_VERSION)|' -e 's|@ABI@|$(IMGROUP_ABI)|' -e 's|@STATIC_LIBRARIES@|$(STATIC_LIBRARIES)|' \
	  $(PACKAGING)/imgroupConfig.cmake.in > "$(D)$(CMAKEDIR)/imgroupConfig.cmake"
	sed -e 's|@VERSION@|$(IMGROUP_VERSION)|' -e 's|@POINTER_SIZE@|$(pointer_size)|' \
	  $(PACKAGING)/imgroupConfigVersion.cmake.in > "$(D)$(CMAKEDIR)/imgroupConfigVersion.cmake"
	chmod 644 "$(D)$(PKGCONFIGDIR)/imgroup.pc" "$(D)$(CMAKEDIR)"/imgroupConfig*.cmake
	for section in 1 3; do \
	  $(INSTALL) -d "$(D)$(MANDIR)/man$$section" && \
	  $(INSTALL) -m 644 $(man_directory)/man$$section/* "$(D)$(MANDIR)/man$$section/" || exit 1; \
	done
	@# A library in a directory of the loader's is found only once it is in its cache.
	@if [ -z "$(D)" ] && [ "$$(id -u)" = 0 ] && ldconfig -v 2>/dev/null | grep -q '^$(LIBDIR):'; then ldconfig; fi

# The same list as above. Directories that others use too stay.
uninstall: ## remove what install put there
	rm -f "$(D)$(BINDIR)/imgroup" \
	  "$(D)$(LIBDIR)/libimgroup.so" "$(D)$(LIBDIR)/libimgroup.so.$(IMGROUP_ABI)" \
	  "$(D)$(LIBDIR)/libimgroup.so.$(IMGROUP_VERSION)" "$(D)$(LIBDIR)/libimgroup.a" \
	  "$(D)$(INCLUDEDIR)/imgroup.h" "$(D)$(INCLUDEDIR)/imgroup.hpp" "$(D)$(PKGCONFIGDIR)/imgroup.pc" \
	  "$(D)$(CMAKEDIR)/imgroupConfig.cmake" "$(D)$(CMAKEDIR)/imgroupConfigVersion.cmake"
	rm -f $(foreach page,$(man_pages),"$(D)$(MANDIR)/$(page)")
	[ ! -d "$(D)$(CMAKEDIR)" ] || rmdir --ignore-fail-on-non-empty "$(D)$(CMAKEDIR)"
	@if [ -z "$(D)" ] && [ "$$(id -u)" = 0 ] && ldconfig -v 2>/dev/null | grep -q '^$(LIBDIR):'; then ldconfig; fi

# debhelper wants debian/ at the top of the tree; ours stays clean, so the build
# sees a directory of links.
deb_source := $(TARGET_DIR)/deb/libimgroup-$(IMGROUP_VERSION)

deb: install-inputs man ## the Debian packages, in target/deb
	@$(PACKAGING)/need.sh dpkg-buildpackage=dpkg-dev dh=debhelper lintian=lintian
	rm -rf $(TARGET_DIR)/deb
	mkdir -p $(deb_source)
	for entry in $(ROOT)/*; do \
	  case $$entry in $(ROOT)/target|$(ROOT)/debian) ;; *) ln -s "$$entry" $(deb_source)/ ;; esac; \
	done
	cp -r $(PACKAGING)/debian $(deb_source)/debian
	$(PYTHON) $(PACKAGING)/man.py --header $(ROOT)/include/imgroup.h --symbols $(IMGROUP_ABI) \
	  > $(deb_source)/debian/libimgroup$(IMGROUP_ABI).symbols
	cd $(deb_source) && TARGET_DIR=$(abspath $(TARGET_DIR)) LIBRARY=$(abspath $(LIBRARY)) \
	  ARCHIVE=$(abspath $(ARCHIVE)) COMMAND=$(abspath $(COMMAND)) dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
	@ls -l $(TARGET_DIR)/deb/*.deb

installed-tests: installed-tools install-inputs man ## C and C++ programs, built and run from an installed tree
	TARGET_DIR=$(abspath $(TARGET_DIR)) LIBRARY=$(abspath $(LIBRARY)) ARCHIVE=$(abspath $(ARCHIVE)) \
	  COMMAND=$(abspath $(COMMAND)) $(PYTHON) $(ROOT)/tests/installed/run.py $(INSTALLED_TESTS)

installed-tools:
	@$(PACKAGING)/need.sh cc=gcc g++=g++ clang++=clang cmake=cmake pkg-config=pkg-config nm=binutils man=man-db mandoc=mandoc

# Builds build/onnxtool, build/libonnxtool.a and build/libonnxtool.so. Sources are found, not listed:
# a new file under src/ or cmd/ is built without an edit here. Objects go to BUILD, so `make BUILD=dir` leaves
# this folder untouched.

VERSION   := 0.1.0
# Bumped when the public header breaks its users.
SOVERSION := 0

BUILD  ?= build
PREFIX ?= /usr/local
CC     ?= cc
AR     ?= ar
PKG_CONFIG ?= pkg-config
PROTOC_C   ?= protoc-c
CLANG  ?= clang
GCC    ?= gcc
CLANG_FORMAT ?= clang-format
INSTALL ?= install
# Empty it (make WERROR=) for a compiler newer than the ones that we try.
WERROR ?= -Werror
# For the user: added behind our own flags.
CFLAGS  ?=
LDFLAGS ?=

arch := $(shell $(CC) -dumpmachine | cut -d- -f1)

# --- sources

# Templates are included by other files, once a type.
lib_src := $(filter-out %_tmpl.c,$(sort $(shell find src -name '*.c')))
# Kernels with instructions of one architecture.
ifeq ($(filter x86_64 i%86,$(arch)),)
lib_src := $(filter-out src/kern/x86/%,$(lib_src))
endif
cmd_src   := $(sort $(wildcard cmd/*.c))
unit_src  := $(sort $(wildcard tests/unit/test_*.c))
kern_src  := $(sort $(wildcard tests/checkkern/*.c))
fuzz_src  := $(sort $(wildcard tests/fuzz/*.c))
# Everything that is formatted and linted, templates and headers too.
all_c     := $(sort $(shell find src cmd tests -name '*.[ch]' 2>/dev/null))

proto_c := $(if $(wildcard proto/onnx.proto),$(BUILD)/proto/onnx.pb-c.c)
proto_h := $(proto_c:.c=.h)

lib_obj  := $(lib_src:%.c=$(BUILD)/%.o) $(proto_c:.c=.o)
cmd_obj  := $(cmd_src:%.c=$(BUILD)/%.o)
kern_obj := $(kern_src:%.c=$(BUILD)/%.o)
fuzz_obj := $(fuzz_src:%.c=$(BUILD)/%.o)
fuzz_run := $(if $(fuzz_src),$(BUILD)/tests/fuzz/mutate $(BUILD)/tests/fuzz/pipeline)
unit_bin := $(unit_src:%.c=$(BUILD)/%)
kern_bin := $(if $(kern_src),$(BUILD)/tests/checkkern/checkkern)
tool     := $(if $(cmd_src),$(BUILD)/onnxtool)
lib_a    := $(BUILD)/libonnxtool.a
lib_so   := $(BUILD)/libonnxtool.so

# --- flags

packages := libprotobuf-c libcjson popt libzip
# Decoders of pictures: a build without them says so when a model asks.
found     = $(foreach p,$1,$(if $(shell $(PKG_CONFIG) --exists $p && echo yes),$p))
optional := $(call found,libpng libjpeg)
packages += $(optional)
# Opened at run time: only their headers are used.
opened     := $(call found,libtiff-4 libwebp libopenjp2)
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(packages) $(opened))
pkg_libs   := $(shell $(PKG_CONFIG) --libs $(packages))
libs       := $(pkg_libs) -ldl -lm -lpthread

warn := -Wall -Wextra -Wmissing-prototypes -Wshadow -Wvla $(WERROR)
# Contraction would make results depend on the compiler's mood: FMA stands only where a kernel asks for it.
# The library's objects are position independent and hide what onnxtool.h does not export; both libraries use them.
opt  := -O2
base_flags = -std=c11 -D_GNU_SOURCE -g -ffp-contract=off -fPIC -fvisibility=hidden $(warn) -Isrc $(pkg_cflags)

isa_avx2   := -mavx2 -mfma -mf16c
isa_avx512 := $(isa_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd
isa_vnni   := $(isa_avx512) -mavx512vnni

# Flags of one source, from its name: folder and suffix decide.
file_flags = $(if $(filter src/kern/%,$1),-O3,$(opt)) \
	$(if $(filter %_avx2.c,$1),$(isa_avx2)) $(if $(filter %_avx512.c,$1),$(isa_avx512)) \
	$(if $(filter %_vnni.c,$1),$(isa_vnni)) \
	$(if $(filter src/io/%,$1),-I$(BUILD)/proto) \
	$(if $(filter src/ops/image.c src/ops/image_libs.c,$1),$(addprefix -D,$(subst -,_,$(patsubst %,OT_HAVE_%,$(optional) $(opened))))) \
	$(if $(filter src/api.c,$1),-DOT_VERSION='"$(VERSION)"')
compile = $(CC) $(base_flags) $(call file_flags,$<) $(CPPFLAGS) $(CFLAGS) -MMD -MP

# `make V=1` shows the commands.
ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @$(if $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),:,printf '%-5s %s\n')
endif

.PHONY: all objs fuzz fuzz-programs tests check check-asan lint lint-cc format install clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(lib_a) $(lib_so) $(tool)

# --- library

$(BUILD)/%.o: %.c Makefile
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(compile) -c -o $@ $<

# Only src/io sees the generated header; it must exist before its first compilation.
$(filter $(BUILD)/src/io/%,$(lib_obj)): | $(proto_h)

$(BUILD)/proto/%.pb-c.c: proto/%.proto
	$(say) PROTO $<
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC_C) --c_out=$(@D) --proto_path=$(<D) $<
$(BUILD)/proto/%.pb-c.h: $(BUILD)/proto/%.pb-c.c ;

# Not our code: no warnings asked for.
$(BUILD)/proto/%.o: $(BUILD)/proto/%.c Makefile
	$(say) CC $<
	$(Q)$(CC) $(base_flags) $(opt) -w $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The tables about runtimes are built in.
$(BUILD)/src/target/facts_data.o: $(wildcard src/target/facts/*.tsv)

# Made afresh, or members of deleted sources would stay.
$(lib_a): $(lib_obj)
	$(say) AR $@
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(lib_so): $(lib_obj)
	$(say) LD $@
	$(Q)$(CC) -shared -Wl,-soname,libonnxtool.so.$(SOVERSION) -Wl,--as-needed \
		$(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)

# --- programs

$(BUILD)/onnxtool: $(cmd_obj) $(lib_a)
	$(say) LD $@
	$(Q)$(CC) -Wl,--as-needed $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)

$(unit_bin): $(BUILD)/%: $(BUILD)/%.o $(lib_a)
	$(say) LD $@
	$(Q)$(CC) -Wl,--as-needed $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(libs)

$(kern_bin): $(kern_obj) $(lib_a)
	$(say) LD $@
	$(Q)$(CC) -Wl,--as-needed $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)

$(BUILD)/tests/fuzz/mutate: $(BUILD)/tests/fuzz/targets.o
$(BUILD)/tests/fuzz/pipeline: $(BUILD)/tests/fuzz/proto_tree.o
$(fuzz_run): $(BUILD)/%: $(BUILD)/%.o $(lib_a)
	$(say) LD $@
	$(Q)$(CC) -Wl,--as-needed $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(lib_a) $(libs)

# One program a target, with libFuzzer: build-fuzz/tests/fuzz/fuzz_model CORPUS
fuzz_bin := $(patsubst %.c,$(BUILD)/%,$(filter tests/fuzz/fuzz_%,$(fuzz_src)))
$(fuzz_bin): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/fuzz/targets.o $(lib_a)
	$(say) LD $@
	$(Q)$(CC) -fsanitize=fuzzer $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs)
fuzz-programs: $(fuzz_bin)
fuzz:
	$(Q)$(MAKE) --no-print-directory fuzz-programs BUILD=$(BUILD)-fuzz CC=$(CLANG) \
		CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all $(CFLAGS)'

# --- tests

tests: all $(unit_bin) $(kern_bin) $(fuzz_run)

check: tests
	$(Q)BUILD='$(BUILD)' scripts/run_tests.sh $(unit_bin) $(kern_bin) $(fuzz_run) \
		$(wildcard tests/cli/*.sh tests/models/*.sh)

# gcc, not $(CC): its runtime is the one that comes with the packages that the tests install anyway.
asan := ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	$(MAKE) --no-print-directory BUILD=$(BUILD)-asan CC=$(GCC) \
	CFLAGS='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(CFLAGS)'
check-asan:
	$(Q)$(asan) check

# --- beside ONNX Runtime; `make bench BENCH="--only 'resnet*' --time 10"`

BENCH ?=
.PHONY: bench
bench: all
	$(Q)scripts/bench_peers.py --tool $(tool) --library $(lib_so) $(BENCH)

# The onnx package's backend tests, from whatever version of it ONNXTOOL_PYTHON has; CONFORMANCE is for more options, as
# in CONFORMANCE='--runtime ort' or CONFORMANCE='--only Conv -v'. Part of `make check` is only the harness's own test.
ONNXTOOL_PYTHON ?= python3
.PHONY: conformance conformance-asan
conformance: $(tool)
	$(Q)$(ONNXTOOL_PYTHON) scripts/check_backend.py --tool $(tool) $(CONFORMANCE)

# Under the sanitizers, rewritten and as the nodes stand in the file, on the fastest kernels and on the reference.
conformance-asan:
	$(Q)$(asan) conformance
	$(Q)$(asan) conformance CONFORMANCE='--optimize none --cpu-mask c'

# Seeded cases of every operator version and type beside ONNX Runtime and the onnx package (minutes on two cores);
# PROPERTIES='--only Conv --types float -v' for some. `make check` runs testdata/property.zip, a part of it.
.PHONY: properties properties-asan
properties: $(tool)
	$(Q)$(ONNXTOOL_PYTHON) scripts/check_properties.py --tool $(tool) $(PROPERTIES)
properties-asan:
	$(Q)$(asan) properties

# What shape inference finds out, beside ONNX Runtime's and onnx's; as in SHAPES='--zoo DIR -v'.
.PHONY: shapes
shapes: $(tool)
	$(Q)$(ONNXTOOL_PYTHON) scripts/check_shapes.py --tool $(tool) $(SHAPES)

# --- lint

# A file that passes leaves a stamp, so that the second lint is quick. The front end alone runs: what needs the
# optimizer (-Wmaybe-uninitialized) is seen by the build itself.
lint_stamps := $(patsubst %.c,$(BUILD)/%.lint,$(lib_src) $(cmd_src) $(unit_src) $(kern_src) $(fuzz_src))

$(BUILD)/%.lint: %.c Makefile
	$(say) LINT $<
	$(Q)mkdir -p $(@D)
	$(Q)$(compile) -MF $(@:.lint=.lint.d) -MT $@ -fsyntax-only $<
	$(Q)touch $@
$(filter $(BUILD)/src/io/%,$(lint_stamps)): | $(proto_h)

lint-cc: $(lint_stamps)

lint:
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(all_c)
	$(Q)$(MAKE) --no-print-directory lint-cc BUILD=$(BUILD)/lint-gcc CC=$(GCC) WERROR=-Werror
	$(Q)$(MAKE) --no-print-directory lint-cc BUILD=$(BUILD)/lint-clang CC=$(CLANG) WERROR=-Werror
	$(Q)scripts/check_layers.sh
	$(Q)scripts/check_tables.sh
	$(Q)if command -v shellcheck >/dev/null; then \
		shellcheck -x $(wildcard scripts/*.sh tests/*/*.sh .ci/run); \
	else echo "lint: shellcheck is not installed, scripts were not checked" >&2; fi

format:
	$(Q)$(CLANG_FORMAT) -i $(all_c)

# --- manual pages and completions, from the option tables

.PHONY: man
man: $(tool)
	$(Q)mkdir -p man
	$(Q)for what in man bash zsh fish; do $(tool) --generate $$what man || exit 1; done

# --- install

dest_lib := $(DESTDIR)$(PREFIX)/lib
dest_pc  := $(dest_lib)/pkgconfig
share    := $(DESTDIR)$(PREFIX)/share

install: all
	$(Q)$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(dest_pc)
	$(Q)$(if $(tool),$(INSTALL) -m755 $(tool) $(DESTDIR)$(PREFIX)/bin/)
	$(Q)$(INSTALL) -m644 $(lib_a) $(dest_lib)/
	$(Q)$(INSTALL) -m755 $(lib_so) $(dest_lib)/libonnxtool.so.$(VERSION)
	$(Q)ln -sf libonnxtool.so.$(VERSION) $(dest_lib)/libonnxtool.so.$(SOVERSION)
	$(Q)ln -sf libonnxtool.so.$(SOVERSION) $(dest_lib)/libonnxtool.so
	$(Q)$(INSTALL) -m644 src/onnxtool.h $(DESTDIR)$(PREFIX)/include/
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
		'Name: onnxtool' 'Description: Inspect, run and change ONNX models' 'Version: $(VERSION)' \
		'Requires.private: $(packages)' 'Libs: -L$${libdir} -lonnxtool' \
		'Libs.private: -ldl -lm -lpthread' 'Cflags: -I$${includedir}' > $(dest_pc)/onnxtool.pc
	$(Q)for f in $(wildcard man/*.1); do $(INSTALL) -D -m644 $$f $(share)/man/man1/$${f##*/} || exit 1; done
	$(Q)for f in $(wildcard man/*.7); do $(INSTALL) -D -m644 $$f $(share)/man/man7/$${f##*/} || exit 1; done
	$(Q)! test -f man/onnxtool.bash || \
		$(INSTALL) -D -m644 man/onnxtool.bash $(share)/bash-completion/completions/onnxtool
	$(Q)! test -f man/_onnxtool || $(INSTALL) -D -m644 man/_onnxtool $(share)/zsh/site-functions/_onnxtool
	$(Q)! test -f man/onnxtool.fish || \
		$(INSTALL) -D -m644 man/onnxtool.fish $(share)/fish/vendor_completions.d/onnxtool.fish

clean:
	$(Q)rm -rf $(BUILD) $(BUILD)-asan

-include $(lib_obj:.o=.d) $(cmd_obj:.o=.d) $(kern_obj:.o=.d) $(fuzz_obj:.o=.d) $(unit_bin:=.d) $(lint_stamps:=.d)

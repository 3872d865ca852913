# wen: the whole build.
#
#   make               build/release/wen
#   make run           install what is missing, build, start a chat
#   make check         install what the tests need, build, run all tests
#   make test          run the tests (T=pattern for some); make V=asan test under the sanitizers
#   make check-all     the slow suites as well
#   make check-arm     wen and its kernels' tests built for aarch64 and run under emulation
#   make V=debug|asan|tsan   other variants; CC=clang another compiler
#   make bench         the table of docs/speed.md for this machine (LLAMA_BENCH=PROGRAM beside ours)
#   make fuzz          build/fuzz/fuzz_*, for libFuzzer (clang); run one with its corpus folder
#   make library       libwen.a and libwen.so; make install, make uninstall: packaging/package.mk
#   make web           the chat page again, web/dist from web/src (needs npm)
#   make format        clang-format over the tree

V ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
B := build/$(V)$(if $(filter clang%,$(CC)),$(if $(filter fuzz,$(V)),,-clang))

# The machine that CC compiles for. Another than this one: its libraries are Debian's for that architecture.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
PKG_CONFIG := pkg-config
ifneq ($(MACHINE),$(firstword $(subst -, ,$(shell gcc -dumpmachine 2>/dev/null || $(CC) -dumpmachine))))
B := $(B)-$(MACHINE)
AR := $(MACHINE)-linux-gnu-ar
PKG_CONFIG := PKG_CONFIG_LIBDIR=/usr/lib/$(MACHINE)-linux-gnu/pkgconfig pkg-config
endif

PACKAGES := jansson yaml-0.1 libutf8proc libedit libpcre2-8 libmicrohttpd libcurl libcrypto
PC_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PC_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wundef -Wwrite-strings -Wdouble-promotion -Wformat=2
CFLAGS_release := -O3 -g -fno-math-errno
CFLAGS_debug := -O0 -g -DWEN_DEBUG
CFLAGS_asan := -O1 -g -DWEN_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread
CFLAGS_fuzz := -O1 -g -DWEN_DEBUG -DWEN_LIBFUZZER -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=all -fno-omit-frame-pointer
# -ffp-contract=off: a sum has one order and one rounding; fma is written where it is meant.
CFLAGS += -std=gnu11 -ffp-contract=off -fvisibility=hidden -pthread $(WARNINGS) $(CFLAGS_$(V)) \
          -D_GNU_SOURCE -Isrc -Iinclude -Itests $(PC_CFLAGS) -MMD -MP
LDLIBS := $(PC_LIBS) -lm -pthread
LDFLAGS += $(filter -fsanitize%,$(CFLAGS_$(V)))
ifdef WERROR
CFLAGS += -Werror
endif

# Instruction sets come from the file name: X.c is plain C, X_avx2.c beside it may use AVX2.
ISA_avx2 := -mavx2 -mfma -mf16c
ISA_avxvnni := $(ISA_avx2) -mavxvnni
# For tests, and for who asks for the level: compiled in a fraction of the time.
ISA_avxvnni_evex := $(ISA_avx2) -mavx512vl -mavx512vnni -O1
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_neon := -march=armv8-a
ISA_neondot := -march=armv8.2-a+dotprod
ISA_neoni8mm := -march=armv8.2-a+dotprod+i8mm
ISA_OF_x86_64 := avx2 avxvnni avxvnni_evex avx512 avx512bf16
ISA_OF_aarch64 := neon neondot neoni8mm
ISA_SUFFIXES := $(ISA_OF_x86_64) $(ISA_OF_aarch64)

SOURCES := $(filter-out $(foreach isa,$(filter-out $(ISA_OF_$(MACHINE)),$(ISA_SUFFIXES)),%_$(isa).c), \
             $(wildcard src/*/*.c))
OBJECTS := $(SOURCES:%.c=$(B)/%.o)
LIB_OBJECTS := $(filter-out $(B)/src/cli/main.o,$(OBJECTS))
# Unrolled kernels under UBSan take minutes to compile; their guard-page tests say more.
isa_of = $(foreach isa,$(ISA_SUFFIXES),$(if $(filter %_$(isa),$(1)),$(ISA_$(isa)) \
           $(if $(filter -fsanitize=%undefined%,$(CFLAGS_$(V))),-fno-sanitize=undefined)))

TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/*/test_*.c tests/fuzz/fuzz_*.c))
TOOLS := $(patsubst %.c,$(B)/%,$(wildcard tools/*.c tests/oracle/*.c tests/bench/*.c))

.PHONY: all run check check-all check-arm test test-emulated bench tools fuzz web format tidy deps clean
.DELETE_ON_ERROR:
.SECONDARY:
all: $(B)/wen

$(B)/wen: $(B)/src/cli/main.o $(B)/builtin.o $(B)/libwen-internal.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libwen-internal.a: $(LIB_OBJECTS)
	@rm -f $@
	@echo "  AR $@"
	@$(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(call isa_of,$*) -c -o $@ $<

# The built-in model: bytes of the program (wen_builtin_begin ..). make BUILTIN=FILE.gguf links another.
BUILTIN ?= models/wen.gguf
$(B)/builtin.o: src/api/builtin.S $(BUILTIN)
	@echo "  AS $<"
	@$(CC) -DBUILTIN_MODEL='"$(BUILTIN)"' -c -o $@ $<

# What the tests serve and ask where no answer may be right by luck or end early: random weights.
$(B)/random.gguf: $(B)/tools/make_model
	@echo "  MODEL $@"
	@$< tiny $@ --type Q8_0 --seed 1 >/dev/null

$(B)/tests/unit/test_api $(B)/tests/server/test_options $(B)/tests/fuzz/fuzz_request \
build/fuzz/fuzz_request: $(B)/builtin.o

# A test program a module (cmocka, TAP); a fuzz target replays its corpus when it is not libFuzzer's.
$(B)/tests/%: $(B)/tests/%.o $(B)/tests/support.o $(B)/libwen-internal.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/tests/support.o build/fuzz/libwen-internal.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS) -lcmocka

fuzz:
	$(MAKE) V=fuzz CC=clang $(FUZZERS)

# make_model has the rest of its files in random_model/.
$(B)/tools/%: $(B)/tools/%.o $(B)/libwen-internal.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

RANDOM_MODEL_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/random_model/*.c))
$(B)/tools/make_model: $(RANDOM_MODEL_OBJECTS)
$(RANDOM_MODEL_OBJECTS) $(B)/tools/make_model.o: CFLAGS += -Itools
$(B)/src/text/qwen_tokens.o: models/chat_template.jinja
$(B)/src/server/chat_page.o: web/dist/page.html web/dist/policy.txt
$(B)/src/eval/scope.o: configs/eval/out_of_scope.jsonl

tools: $(TOOLS)

test: $(B)/wen library $(B)/random.gguf $(TESTS) $(TOOLS)
	tests/run $(B) $(T)

run:
	@tools/deps build
	$(MAKE) all
	$(B)/wen run

check:
	@tools/deps test
	$(MAKE) WERROR=1 test

check-all: check
	tests/run-all $(B)

ARM := $(MAKE) WERROR=1 CC=aarch64-linux-gnu-gcc
check-arm:
	@tools/deps arm
	$(ARM) test-emulated

# cortex-a53 and cortex-a76 have the lower levels, max has all.
EMULATED := $(patsubst %.c,$(B)/%,$(wildcard tests/kernels/test_*.c) tests/model/test_fixtures.c tests/engine/test_invariance.c)
test-emulated: $(B)/wen $(EMULATED)
	WEN_EMULATOR="qemu-aarch64 -cpu max" tests/run $(B)
	WEN_EMULATOR="qemu-aarch64 -cpu cortex-a53" tests/run $(B) kernels/test_backend
	WEN_EMULATOR="qemu-aarch64 -cpu cortex-a76" tests/run $(B) kernels/test_backend

bench: $(B)/wen $(B)/tools/make_model
	tests/bench/bench_table $(B) $(LLAMA_BENCH)

# The page is built rarely and kept with the sources, so that compiling needs no npm.
web:
	cd web && npm install --no-package-lock --no-audit --no-fund --loglevel=error && npm run build

format:
	clang-format -i $(wildcard src/*/*.[ch] include/*.h tests/*.[ch] tests/*/*.[ch] tools/*.c)

clean:
	rm -rf build

include packaging/package.mk
-include $(OBJECTS:.o=.d) $(RANDOM_MODEL_OBJECTS:.o=.d) $(TESTS:=.d) $(TOOLS:=.d) $(B)/tests/support.d

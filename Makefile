# libgpt2.  Everything built lies under build/.  `make help` lists the targets.

VERSION := $(shell awk '/define GPT2_VERSION_(MAJOR|MINOR|PATCH)/ { printf "%s%s", dot, $$3; dot = "." }' include/gpt2.h)
SOVERSION := 1

# The user's own flags go last and win.
CFLAGS ?= -O2 -g
GPT2_CFLAGS := -std=c11 -pedantic -Wall -Wextra -Iinclude -fvisibility=hidden
ALL_CFLAGS = $(GPT2_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LIBS := -lm -pthread
BUILD ?= build
comma := ,
# (A recipe that names MAKE itself would run under `make -n`.)
MAKE_HERE := $(MAKE)
AR ?= ar
INSTALL ?= install

# In capitals or, as GNU has them, in small letters.
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
bindir ?= $(or $(BINDIR),$(prefix)/bin)
libdir ?= $(or $(LIBDIR),$(prefix)/lib)
includedir ?= $(or $(INCLUDEDIR),$(prefix)/include)
datadir ?= $(or $(DATADIR),$(prefix)/share)
mandir ?= $(or $(MANDIR),$(datadir)/man)
completionsdir := $(datadir)/bash-completion/completions
DEMO_FILES := $(addprefix examples/demo-model/,config.json model.safetensors vocab.json merges.txt)

LIB_SOURCES := $(sort $(wildcard lib/*/*.c))
PROGRAM_SOURCES := $(sort $(wildcard src/*.c src/*/*.c))
STATIC_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/static/%.o)
SHARED_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/shared/%.o)
PROGRAM_OBJECTS := $(PROGRAM_SOURCES:%.c=$(BUILD)/static/%.o)

# `make V=1` shows the commands.
ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),,@printf '  %-4s %s\n' $(1) $@)
endif

all: lib $(BUILD)/gpt2

lib: $(BUILD)/libgpt2.a $(BUILD)/libgpt2.so

# The same compile line for every file and every instruction set: functions name their own targets.
$(BUILD)/static/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/shared/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -MMD -MP -c -o $@ $<

# It has the demo model inside.
$(BUILD)/static/src/demo_model.o: $(DEMO_FILES)

$(BUILD)/libgpt2.a: $(STATIC_OBJECTS)
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/libgpt2.so.$(SOVERSION): $(SHARED_OBJECTS) lib/libgpt2.map
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libgpt2.so.$(SOVERSION) \
	  -Wl,--version-script=lib/libgpt2.map -Wl,-z,defs -o $@ $(SHARED_OBJECTS) $(LIBS)

$(BUILD)/libgpt2.so: $(BUILD)/libgpt2.so.$(SOVERSION)
	$(Q)ln -sf libgpt2.so.$(SOVERSION) $@

$(BUILD)/gpt2: $(PROGRAM_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The library as one file of C.
amalgamation: $(BUILD)/gpt2.c $(BUILD)/gpt2.h

$(BUILD)/gpt2.c: lib/amalgamate.sh include/gpt2.h LICENSE $(LIB_SOURCES) $(wildcard lib/*/*.h)
	$(call say,JOIN)
	@mkdir -p $(@D)
	$(Q)sh lib/amalgamate.sh $(VERSION) >$@

$(BUILD)/gpt2.h: include/gpt2.h
	@mkdir -p $(@D)
	$(Q)cp $< $@

-include $(STATIC_OBJECTS:.o=.d) $(SHARED_OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d)

# ------------------------------------------------------------------------------------- to look at

demo: $(BUILD)/gpt2 $(BUILD)/examples/minimal
	@printf '\n$$ $(BUILD)/gpt2 generate -p "It was a" -n 80 -s 1\n'
	@$(BUILD)/gpt2 generate -p "It was a" -n 80 -s 1
	@printf '\n$$ $(BUILD)/examples/minimal examples/demo-model "The old man"\n'
	@$(BUILD)/examples/minimal examples/demo-model "The old man"

bench: $(BUILD)/gpt2
	@$(BUILD)/gpt2 bench --shape gpt2

# What threads gain and cost.
bench-threads: $(BUILD)/tests/bench/threads
	@if [ ! -f "$(MODEL)/config.json" ]; then \
	  echo "bench-threads: MODEL='$(MODEL)' is no directory of a model: give MODEL=DIR" >&2; exit 1; fi
	@$(BUILD)/tests/bench/threads "$(MODEL)"

EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard examples/*.c)))

$(BUILD)/examples/%: examples/%.c examples/example.h $(BUILD)/libgpt2.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(BUILD)/libgpt2.a $(LIBS)

# One example has the demo model inside, as a native file.
$(BUILD)/examples/embed: private ALL_CFLAGS += -DMODEL='"$(BUILD)/demo.safetensors"'
$(BUILD)/examples/embed: $(BUILD)/demo.safetensors

$(BUILD)/demo.safetensors: $(BUILD)/gpt2 $(DEMO_FILES)
	$(Q)$(BUILD)/gpt2 convert -m examples/demo-model -o $@

# The HTTP worker, which needs libmicrohttpd and jansson.
WORKER := examples/http-worker
WORKER_OBJECTS := $(patsubst %.c,$(BUILD)/static/%.o,$(sort $(wildcard $(WORKER)/*.c)))

http-worker: $(BUILD)/http-worker

$(BUILD)/static/$(WORKER)/%.o: ALL_CFLAGS += -D_GNU_SOURCE -I$(BUILD)/$(WORKER)

# Its page as a list of bytes.
$(BUILD)/static/$(WORKER)/page.o: $(BUILD)/$(WORKER)/page.inc
$(BUILD)/$(WORKER)/page.inc: $(WORKER)/page.html
	@mkdir -p $(@D)
	$(Q)od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g' >$@

$(BUILD)/http-worker: $(WORKER_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lmicrohttpd -ljansson $(LIBS)

-include $(WORKER_OBJECTS:.o=.d)

# `make -j deps-worker demo-worker`: first the one, then the other.
ifneq ($(filter deps-worker,$(MAKECMDGOALS)),)
$(WORKER_OBJECTS): | deps-worker
endif

demo-worker: $(BUILD)/http-worker
	@$(BUILD)/http-worker examples/demo-model

# ------------------------------------------------------------------------------------------ tests

# Each tests/test_NAME.c is a program; what they share is in the other files, but core.c.
TEST_SUITES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))
TEST_SHARED := $(filter-out tests/test_% tests/core.c,$(sort $(wildcard tests/*.c)))
TEST_OBJECTS := $(TEST_SHARED:%.c=$(BUILD)/static/%.o)
# TESTS_TMP is where tests write files.
TEST_CFLAGS := -Ilib -D_GNU_SOURCE -DTESTS_TMP='"$(BUILD)/tests-tmp"'

$(BUILD)/static/tests/%.o: ALL_CFLAGS += $(TEST_CFLAGS)

$(BUILD)/tests/%: tests/%.c $(TEST_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(TEST_OBJECTS) \
	  $(BUILD)/libgpt2.a -lcmocka $(LIBS) $(TEST_LDFLAGS)

# A test may stand between the library and functions that its head names in lines "WRAP := ...".
wraps_of = $(addprefix -Wl$(comma)--wrap=,$(shell sed -n 's/^ \* WRAP := //p' $(1)))
$(BUILD)/tests/test_%: TEST_LDFLAGS = $(call wraps_of,$<) $(WATCHED_BLOCKS)

# For AddressSanitizer, which does not watch blocks that come from the system.
ifdef WATCH_BLOCKS
WATCHED_BLOCKS = $(BUILD)/static/tests/fuzz/blocks.o $(call wraps_of,tests/fuzz/blocks.c)
TEST_CFLAGS += -DWATCH_BLOCKS
$(TEST_SUITES): $(BUILD)/static/tests/fuzz/blocks.o
# their subject is what comes from the system
$(addprefix $(BUILD)/tests/test_,cost no_allocation sources torture): WATCHED_BLOCKS :=
endif

-include $(TEST_SUITES:=.d) $(TEST_OBJECTS:.o=.d)

# Each tests/fuzz/fuzz_NAME.c is a target of libFuzzer; replay.c is its main function without that.
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%)
FUZZ_SHARED := host.o blocks.o
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/static/%.o,$(sort $(wildcard tests/fuzz/*.c)))
FUZZ_LDFLAGS = $(call wraps_of,tests/fuzz/blocks.c)

$(FUZZ_REPLAYS): $(BUILD)/tests/fuzz/%: $(FUZZ_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ \
	  $(addprefix $(BUILD)/static/tests/fuzz/,$*.o replay.o $(FUZZ_SHARED)) \
	  $(BUILD)/libgpt2.a $(LIBS) $(FUZZ_LDFLAGS)

ifdef FUZZING
$(BUILD)/static/lib/%.o: ALL_CFLAGS += -fsanitize=fuzzer-no-link
$(BUILD)/fuzz_%: $(FUZZ_OBJECTS) $(BUILD)/libgpt2.a
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ \
	  $(addprefix $(BUILD)/static/tests/fuzz/,fuzz_$*.o $(FUZZ_SHARED)) \
	  $(BUILD)/libgpt2.a $(LIBS) $(FUZZ_LDFLAGS)
endif

-include $(FUZZ_OBJECTS:.o=.d)

# The API fuzzer: random calls of every public function.
API_FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/static/%.o,$(sort $(wildcard tests/api_fuzz/*.c)))

$(BUILD)/tests/api_fuzz: $(API_FUZZ_OBJECTS) $(TEST_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(API_FUZZ_OBJECTS) $(TEST_OBJECTS) \
	  $(BUILD)/libgpt2.a -lcmocka $(LIBS)

-include $(API_FUZZ_OBJECTS:.o=.d)

# Every kernel of every instruction set; --bench for their speed.
KERNEL_OBJECTS := $(patsubst %.c,$(BUILD)/static/%.o,$(sort $(wildcard tests/checkkernels/*.c)))

$(BUILD)/checkkernels: $(KERNEL_OBJECTS) $(BUILD)/libgpt2.a
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(KERNEL_OBJECTS:.o=.d)

# Suites that measure time or wait for threads to run, or that use every CPU themselves.  tests/run.sh
# runs them one by one after the others.
ALONE_SUITES := $(addprefix $(BUILD)/tests/,test_callbacks test_cost test_no_allocation test_session \
  test_threads) \
  "sh tests/check_bits.sh $(BUILD) --quick" \
  "sh tests/test_bench.sh $(BUILD)/gpt2 examples/demo-model"
# The slow ones begin first.
SUITES = "$(BUILD)/tests/api_fuzz 200000 1" $(BUILD)/checkkernels \
  "sh tests/check_amalgamation.sh $(BUILD)" \
  "sh tests/check_examples.sh $(BUILD)" \
  "sh tests/test_program.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_generate.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_next.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_score.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_score_modes.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_convert.sh $(BUILD)/gpt2 examples/demo-model" \
  "sh tests/test_http_worker.sh $(BUILD)" \
  "sh tests/test_check_real.sh $(BUILD)" \
  "sh tests/check_install.sh $(BUILD)" \
  "sh tests/check_house.sh $(BUILD)" \
  "sh tests/check_docs.sh" \
  "sh tests/fuzz/check_corpus.sh $(BUILD) $(FUZZ_TARGETS)" \
  $(filter-out $(ALONE_SUITES),$(TEST_SUITES)) \
  --alone $(ALONE_SUITES)

# `make -j deps check`: first the one, then the other.
ifneq ($(filter deps,$(MAKECMDGOALS)),)
$(TEST_SUITES) $(TEST_OBJECTS) $(API_FUZZ_OBJECTS): | deps
endif

check: all amalgamation $(EXAMPLES) $(TEST_SUITES) $(FUZZ_REPLAYS) $(BUILD)/tests/api_fuzz $(BUILD)/checkkernels
	@sh tests/run.sh $(BUILD)/logs $(SUITES)
	@if command -v python3 >/dev/null; then python3 tests/update_tables.py --check $(BUILD)/logs; \
	  else echo '  tables of docs/ not compared: python3 is missing'; fi

# The tables of docs/ that tests print.
tables: $(addprefix $(BUILD)/tests/test_,checkpoints misuse torture)
	@sh tests/run.sh $(BUILD)/logs $^ >/dev/null
	@python3 tests/update_tables.py $(BUILD)/logs

# Against Hugging Face transformers, tokenizers, tiktoken, tinygrad and others: live where tests/hf/pins.txt does
# not have our answers as they are now, or with LIVE=1.  PIN=1 runs all live and writes the pins.
check-hf: all
	@PIN='$(PIN)' bash tests/hf/run.sh $(BUILD)/gpt2 $(BUILD)/libgpt2.so $(BUILD) $(if $(LIVE),--live)

# The OpenAI client and lm-evaluation-harness against the HTTP worker.
check-clients: $(BUILD)/http-worker
	@bash tests/clients/run.sh $(BUILD)/http-worker $(BUILD)

# Against what other programs printed for the real GPT-2: GPT2_MODELS holds gpt2, gpt2-medium, ...
# BLIMP holds BLiMP's .jsonl files, SYNTAXGYM the .json files of SyntaxGym.  WIKITEXT is a text, such as
# WikiText-2's, for the table of `make quality`.
check-real: all
	@command -v python3 >/dev/null || { echo 'check-real: python3 is missing' >&2; exit 1; }
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/real/check_real.py --library $(BUILD)/libgpt2.so \
	  --program $(BUILD)/gpt2 --blimp "$(BLIMP)" --syntaxgym "$(SYNTAXGYM)" --wikitext "$(WIKITEXT)" \
	  "$(GPT2_MODELS)"

# What each type of weights changes in a model's answers about a text.
quality: lib
	@if [ ! -f "$(MODEL)/config.json" ] || [ ! -f "$(TEXT)" ]; then \
	  echo "quality: MODEL='$(MODEL)' TEXT='$(TEXT)': give MODEL=DIR, a model's, and TEXT=FILE" >&2; \
	  exit 1; fi
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/real/quality.py --library $(BUILD)/libgpt2.so \
	  $(if $(TOKENS),--tokens $(TOKENS)) "$(MODEL)" "$(TEXT)"

# Speed beside llama.cpp, ONNX Runtime and torch, into docs/performance.md.  Minutes, and the network.
# TYPES="f32 q8": only these types of weights; then the tables are only printed.
bench-peers: all
	@bash tests/peers/run.sh $(BUILD)/libgpt2.so $(BUILD) docs/performance.md "$(TYPES)"

# Whether transformers, llama.cpp and CTranslate2 do what peculiar configs say, into docs/verification.md.
# ROWS="gelu": only the rows whose names have these words; then they are only printed.
faithful: lib
	@bash tests/peers/faithful.sh $(BUILD)/libgpt2.so $(BUILD) docs/verification.md "$(ROWS)"

# GGUF files that llama.cpp's own converter and quantiser write, beside ggml and transformers.
check-gguf: lib
	@bash tests/peers/check_gguf.sh $(BUILD)/libgpt2.so $(BUILD)

# Load on the HTTP worker, beside `gpt2 bench` and llama.cpp's server.  ROUNDS=N for more than five.
bench-worker: all $(BUILD)/http-worker
	@bash tests/peers/bench_worker.sh $(BUILD) $(if $(ROUNDS),--rounds $(ROUNDS))

# libFuzzer on the parsers and the tokenizer: a fixed slice; FUZZ_CPU_SECONDS=1800 for more.
fuzz:
	@MAKE='$(MAKE_HERE)' sh tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_TARGETS)

# The suites under sanitizers and Valgrind.  Each takes some minutes.
check-sanitized check-tsan check-valgrind:
	@MAKE='$(MAKE_HERE)' CC='$(CC)' sh tests/check_sanitized.sh $(@:check-%=%) $(BUILD)

# The bit test on other systems and processors, compiled by ziglang, which it installs.
check-platforms: amalgamation
	@sh tests/check_platforms.sh $(BUILD) $(PLATFORMS)

# Every check at its full length, to its end whatever fails; hours.  The SOAK_ variables are for a short
# trial of it.
SOAK_CALLS := 10000000
SOAK_FUZZ_RUNS := 20000000
SOAK_FUZZ_SECONDS := 1800
SOAK_EVERY_FLOAT := 1
SOAK_STEPS := 85000
SOAK_BITS :=
SOAK_HF := --full

soak: all $(TEST_SUITES) $(BUILD)/tests/api_fuzz $(BUILD)/checkkernels
	@GPT2_TEST_EVERY_FLOAT=$(SOAK_EVERY_FLOAT) GPT2_TEST_STEPS=$(SOAK_STEPS) \
	  FUZZ_RUNS=$(SOAK_FUZZ_RUNS) \
	  FUZZ_CPU_SECONDS=$(SOAK_FUZZ_SECONDS) MAKE='$(MAKE_HERE)' \
	  sh tests/run.sh $(BUILD)/logs "$(BUILD)/tests/api_fuzz $(SOAK_CALLS) 1" $(BUILD)/checkkernels \
	  $(filter-out $(ALONE_SUITES),$(TEST_SUITES)) --alone $(filter $(TEST_SUITES),$(ALONE_SUITES)) \
	  "sh tests/check_bits.sh $(BUILD) $(SOAK_BITS)" \
	  "sh tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_TARGETS)" \
	  "bash tests/hf/run.sh $(BUILD)/gpt2 $(BUILD)/libgpt2.so $(BUILD) $(SOAK_HF)" \
	  "bash tests/peers/check_gguf.sh $(BUILD)/libgpt2.so $(BUILD)"

deps:
	@sh tests/deps.sh

deps-worker:
	@sh tests/deps.sh worker

# ---------------------------------------------------------------------------------------- install

# Paths in gpt2.pc: a space has a backslash, which sed wants twice.
empty :=
escaped = $(subst $(empty) $(empty),\\ ,$1)
in_pc = $(call escaped,$(subst $(prefix)/,$${prefix}/,$1))

install: all
	$(INSTALL) -d "$(DESTDIR)$(bindir)" "$(DESTDIR)$(libdir)/pkgconfig" \
	  "$(DESTDIR)$(libdir)/cmake/gpt2" "$(DESTDIR)$(includedir)" "$(DESTDIR)$(mandir)/man1" \
	  "$(DESTDIR)$(mandir)/man3" "$(DESTDIR)$(completionsdir)"
	$(INSTALL) -m 755 $(BUILD)/gpt2 "$(DESTDIR)$(bindir)/gpt2"
	$(INSTALL) -m 644 include/gpt2.h include/gpt2.hpp "$(DESTDIR)$(includedir)"
	$(INSTALL) -m 644 $(BUILD)/libgpt2.a "$(DESTDIR)$(libdir)/libgpt2.a"
	$(INSTALL) -m 755 $(BUILD)/libgpt2.so.$(SOVERSION) "$(DESTDIR)$(libdir)/libgpt2.so.$(SOVERSION)"
	ln -sf libgpt2.so.$(SOVERSION) "$(DESTDIR)$(libdir)/libgpt2.so"
	sed -e 's|@PREFIX@|$(call escaped,$(prefix))|' -e 's|@VERSION@|$(VERSION)|' \
	  -e 's|@LIBDIR@|$(call in_pc,$(libdir))|' -e 's|@INCLUDEDIR@|$(call in_pc,$(includedir))|' \
	  gpt2.pc.in > "$(DESTDIR)$(libdir)/pkgconfig/gpt2.pc"
	for name in gpt2-config.cmake gpt2-config-version.cmake; do \
	  sed -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBDIR@|$(libdir)|' -e 's|@INCLUDEDIR@|$(includedir)|' \
	    $$name.in > "$(DESTDIR)$(libdir)/cmake/gpt2/$$name" || exit 1; done
	$(INSTALL) -m 644 docs/man/gpt2.1 "$(DESTDIR)$(mandir)/man1/gpt2.1"
	$(INSTALL) -m 644 docs/man/libgpt2.3 "$(DESTDIR)$(mandir)/man3/libgpt2.3"
	$(INSTALL) -m 644 src/completion.bash "$(DESTDIR)$(completionsdir)/gpt2"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

# Folders that are empty then go, too, but none above PREFIX.
uninstall:
	rm -f "$(DESTDIR)$(bindir)/gpt2" "$(DESTDIR)$(includedir)/gpt2.h" \
	  "$(DESTDIR)$(includedir)/gpt2.hpp" "$(DESTDIR)$(libdir)/cmake/gpt2/gpt2-config.cmake" \
	  "$(DESTDIR)$(libdir)/cmake/gpt2/gpt2-config-version.cmake" \
	  "$(DESTDIR)$(libdir)/libgpt2.a" "$(DESTDIR)$(libdir)/libgpt2.so.$(SOVERSION)" \
	  "$(DESTDIR)$(libdir)/libgpt2.so" "$(DESTDIR)$(libdir)/pkgconfig/gpt2.pc" \
	  "$(DESTDIR)$(mandir)/man1/gpt2.1" "$(DESTDIR)$(mandir)/man3/libgpt2.3" \
	  "$(DESTDIR)$(completionsdir)/gpt2"
	@for folder in "$(mandir)/man1" "$(mandir)/man3" "$(mandir)" "$(completionsdir)" \
	  "$(datadir)/bash-completion" "$(datadir)" "$(libdir)/pkgconfig" \
	  "$(libdir)/cmake/gpt2" "$(libdir)/cmake" "$(libdir)" "$(includedir)" "$(bindir)" "$(prefix)"; do \
	  rmdir "$(DESTDIR)$$folder" 2>/dev/null; done; true

# The man page of the program is what its help says.
man: $(BUILD)/gpt2
	sh docs/man/make_man.sh $(BUILD)/gpt2 >$(BUILD)/gpt2.1
	mv $(BUILD)/gpt2.1 docs/man/gpt2.1

# The source as an archive: the same bytes from the same commit.
dist:
	@mkdir -p $(BUILD)
	git archive --format=tar --prefix=libgpt2-$(VERSION)/ -o $(BUILD)/libgpt2-$(VERSION).tar HEAD
	gzip -n -9 -f $(BUILD)/libgpt2-$(VERSION).tar

clean:
	rm -rf $(BUILD)

help:
	@echo 'all        the library and the program (default)'
	@echo 'amalgamation      the library as one file of C: $(BUILD)/gpt2.c and gpt2.h'
	@echo 'demo       builds, and generates some text'
	@echo 'bench      the speed of a GPT-2 with random weights; two minutes'
	@echo 'bench-threads MODEL=DIR      what threads gain and cost, with the model in DIR'
	@echo 'http-worker      the HTTP worker of examples/http-worker; demo-worker runs it with the demo model'
	@echo 'deps       installs what the tests need: cmocka'
	@echo 'deps-worker      installs what the HTTP worker needs, too: libmicrohttpd and jansson'
	@echo 'check      the tests; two to three minutes'
	@echo 'tables     writes the tables of docs/ that tests print'
	@echo 'check-hf   compares with transformers, tokenizers, tiktoken, tinygrad, minicons; two minutes, or 20'
	@echo '           and the network if the answers are not pinned.  LIVE=1 compares live, PIN=1 also pins'
	@echo 'check-gguf      GGUF files of llama.cpp, which it installs, beside ggml and transformers; five minutes'
	@echo 'check-clients      the OpenAI client and lm-evaluation-harness against the HTTP worker; two minutes'
	@echo '           and the network for the first time'
	@echo 'check-real GPT2_MODELS=DIR [BLIMP=DIR] [SYNTAXGYM=DIR] [WIKITEXT=FILE]      the real weights in'
	@echo '           DIR/gpt2, ...'
	@echo 'quality MODEL=DIR TEXT=FILE [TOKENS=N]      what each type of weights changes in a model'
	@echo 'check-sanitized      the tests under AddressSanitizer and UBSan; minutes'
	@echo 'check-tsan check-valgrind      some tests under ThreadSanitizer, Valgrind; minutes'
	@echo 'check-platforms [PLATFORMS="wasm32-wasi ..."]      the bit test on other systems and processors,'
	@echo '           compiled by ziglang (needs the network for the first time), under qemu, Wine and Node'
	@echo 'bench-peers      speed beside llama.cpp, ONNX Runtime and torch, which it installs (needs the'
	@echo '           network); writes tables into docs/performance.md; 15 minutes.'
	@echo '           TYPES="f32 q8": only these types of weights (f32 f16 bf16 q8 q4), only printed'
	@echo 'faithful      models with peculiar configs, in transformers, llama.cpp and CTranslate2, which it installs'
	@echo '           (needs the network); writes the table into docs/verification.md; ten minutes.'
	@echo '           ROWS="gelu": only the rows whose names have these words, only printed'
	@echo 'bench-worker      load on the HTTP worker, beside gpt2 bench and the server of llama.cpp, which it'
	@echo '           compiles (needs the network); ten minutes, and once 20 more'
	@echo 'fuzz       libFuzzer on the parsers and the tokenizer; two minutes'
	@echo 'soak       every check at its full length; hours'
	@echo 'install uninstall      PREFIX=$(PREFIX) BINDIR= LIBDIR= INCLUDEDIR= DATADIR= MANDIR= DESTDIR='
	@echo 'man        docs/man/gpt2.1, from the help of gpt2'
	@echo 'dist       the source as $(BUILD)/libgpt2-$(VERSION).tar.gz'
	@echo 'clean      removes $(BUILD)'
	@echo 'CC, CFLAGS, CPPFLAGS, LDFLAGS and BUILD are yours to set; V=1 shows the commands.'

.DELETE_ON_ERROR:
.SECONDARY: $(TEST_OBJECTS) $(FUZZ_OBJECTS) $(API_FUZZ_OBJECTS)
.PHONY: all lib amalgamation demo http-worker demo-worker deps-worker bench bench-threads bench-peers bench-worker faithful check tables \
  check-hf check-gguf check-real quality check-platforms check-clients check-sanitized check-tsan check-valgrind \
  fuzz soak deps install \
  uninstall man dist clean help

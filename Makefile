# libgpt2.  Everything built lies under build/.  `make help` lists the targets.

VERSION := $(shell awk '/define GPT2_VERSION_(MAJOR|MINOR|PATCH)/ { printf "%s%s", dot, $$3; dot = "." }' include/gpt2.h)
SOVERSION := 1

# The user's own flags go last and win.
CFLAGS ?= -O2 -g
GPT2_CFLAGS := -std=c11 -pedantic -Wall -Wextra -Iinclude -fvisibility=hidden
ALL_CFLAGS = $(GPT2_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LIBS := -lm -pthread
BUILD ?= build
AR ?= ar
INSTALL ?= install

PREFIX ?= /usr/local
prefix ?= $(PREFIX)
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share
demodir := $(datadir)/gpt2/demo-model

LIB_SOURCES := $(sort $(wildcard lib/*.c))
PROGRAM_SOURCES := $(sort $(wildcard src/*.c))
STATIC_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/static/%.o)
SHARED_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/shared/%.o)
PROGRAM_OBJECTS := $(PROGRAM_SOURCES:%.c=$(BUILD)/static/%.o)

# `make V=1` shows the commands.
ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-4s %s\n' $(1) $@
endif

all: lib $(BUILD)/gpt2

lib: $(BUILD)/libgpt2.a $(BUILD)/libgpt2.so

# The same compile line for every file and every instruction set: functions name their own targets.
$(BUILD)/static/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter src/%,$<),-DGPT2_DEMO_MODEL='"$(demodir)"') -MMD -MP -c -o $@ $<

$(BUILD)/shared/%.o: %.c
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -MMD -MP -c -o $@ $<

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

-include $(STATIC_OBJECTS:.o=.d) $(SHARED_OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d)

clean:
	rm -rf $(BUILD)

.PHONY: all lib clean

# rbhost's build. `make help` lists what can be asked for. Everything that is made lies below $(B).
#
#   make B=/tmp/x          build somewhere else
#   make CC=clang V=1      another compiler; show the commands
#
# A variant (fault, asan, …) is the same tree of objects below $(B)/<variant>, with other flags.

B       ?= build
VARIANT ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

CC         ?= cc
AR         ?= ar
PKG_CONFIG ?= pkg-config
# The dynamic linker looks for each symbol in them one after the other: first those with the most.
PACKAGES   := sqlite3 nettle libuv lua5.4 jansson
# Opened with dlopen at the first use, so only their headers are wanted.
LAZY       := libcurl libpq zlib

O := $(if $(filter release,$(VARIANT)),$(B),$(B)/$(VARIANT))

ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @echo
endif

all: $(O)/rbhost

# -- flags -------------------------------------------------------------------------------------------------------------

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -Wformat -Wformat-security
OPT    := $(HARDEN)

ifeq ($(VARIANT),dev)
WARN += -Werror
else ifeq ($(VARIANT),fault)
DEFINE := -DRB_FAULT
else ifeq ($(VARIANT),asan) # with fault points too, as the next three: the crash sweep runs them
DEFINE := -DRB_FAULT
OPT    := -O1 -fno-omit-frame-pointer
SAN    := -fsanitize=address
else ifeq ($(VARIANT),ubsan)
DEFINE := -DRB_FAULT
OPT    := -O1 -fno-omit-frame-pointer
SAN    := -fsanitize=undefined -fno-sanitize-recover=all
WARN   += -Wno-format-truncation # the checks hide from gcc what range a number has
else ifeq ($(VARIANT),tsan)
DEFINE := -DRB_FAULT
OPT    := -O1 -fno-omit-frame-pointer
SAN    := -fsanitize=thread
KEEP   := -Wl,-u,__longjmp_chk # of tests/tsan.c, out of the archive
else ifeq ($(VARIANT),gcstress)
DEFINE := -DRB_FAULT -DRB_GCSTRESS
else ifeq ($(VARIANT),oom)
DEFINE := -DRB_OOM
else ifneq ($(VARIANT),release)
$(error there is no variant "$(VARIANT)")
endif

ifneq ($(filter clean help lint format,$(MAKECMDGOALS)),$(or $(MAKECMDGOALS),all))
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(LAZY))
LIB_LIBS   := $(shell $(PKG_CONFIG) --exists $(LAZY) && $(PKG_CONFIG) --libs $(PACKAGES) || echo missing)
ifeq ($(LIB_LIBS),missing)
$(error libraries are missing; ./bootstrap installs them)
endif
endif

# Of the user's CFLAGS and LDFLAGS nothing is lost: they come last.
ALL_CFLAGS  := -std=c11 -D_GNU_SOURCE -DRB_VERSION='"$(VERSION)"' $(DEFINE) -g $(OPT) $(SAN) -fPIE -pthread $(WARN) \
               -Ihost -I$(O)/gen $(LIB_CFLAGS) $(CFLAGS)
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now $(SAN) $(KEEP) $(LDFLAGS)
ALL_LIBS    := $(LIB_LIBS) -ldl -lm

# -- the program -------------------------------------------------------------------------------------------------------

SHIM     := $(sort $(wildcard host/shim/*.c))
SRC      := $(filter-out $(SHIM) $(SKIP),$(sort $(wildcard host/*/*.c)))
MAIN_OBJ := $(O)/host/front/main.o
LIB_OBJ  := $(filter-out $(MAIN_OBJ),$(SRC:%.c=$(O)/%.o)) $(O)/gen/embed.o $(O)/gen/ssh_far_sh.o $(O)/gen/shim.o \
            $(if $(KEEP),$(O)/tests/tsan.o)

$(O)/rbhost: $(MAIN_OBJ) $(O)/librbhost.a
	$(say) "  link  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(MAIN_OBJ) $(O)/librbhost.a $(ALL_LIBS)

# Made anew each time, with q: two files of different folders may have one name.
$(O)/librbhost.a: $(LIB_OBJ) $(O)/objects
	$(say) "  ar    $@"
	$(Q)rm -f $@ && $(AR) qcs $@ $(LIB_OBJ)

$(O)/%.o: %.c $(O)/flags
	$(say) "  cc    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/gen/%.o: $(O)/gen/%.c $(O)/flags
	$(say) "  cc    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# These files change only when their text does, so other flags, or a source that has gone, rebuild what they should.
define stamp
	$(Q)mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
endef
$(O)/flags: FORCE
	$(call stamp,$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))
$(O)/shim.flags: FORCE
	$(call stamp,$(CC) $(SHIM_CFLAGS))
$(O)/objects: FORCE
	$(call stamp,$(LIB_OBJ))
$(O)/gen/stdlib.list: FORCE
	$(call stamp,$(STDLIB))

# -- the Lua side, embedded --------------------------------------------------------------------------------------------

STDLIB := $(filter-out stdlib/meta/%,$(sort $(wildcard stdlib/*.lua stdlib/*/*.lua)))

$(O)/tools/embed: tools/embed.c $(O)/flags
	$(say) "  cc    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(ALL_LIBS)

$(O)/gen/embed.c: $(O)/tools/embed $(STDLIB) $(O)/gen/stdlib.list
	$(say) "  embed $(words $(STDLIB)) files"
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(O)/tools/embed stdlib $(STDLIB) > $@.tmp && mv $@.tmp $@

# -- what is said to the shell on another machine, embedded ------------------------------------------------------------

FAULTS := $(if $(findstring RB_FAULT,$(DEFINE)),--fault)
FAR_SH := $(if $(FAULTS),host/io/ssh_far/fault.sh) $(filter-out %/fault.sh,$(sort $(wildcard host/io/ssh_far/*.sh)))

$(O)/tools/embed_sh: tools/embed_sh.c $(O)/flags
	$(say) "  cc    $<"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

$(O)/gen/ssh_far_sh.c: $(O)/tools/embed_sh $(FAR_SH)
	$(say) "  embed $(words $(FAR_SH)) texts for shells"
	$(Q)mkdir -p $(@D) && $(O)/tools/embed_sh $(FAULTS) $(FAR_SH) > $@.tmp && mv $@.tmp $@

# -- the shim: a program of its own inside the program -----------------------------------------------------------------

# Without a C library (host/shim/sys.h says why), so without what needs one: sanitizers, the stack protector, the user's
# flags.
SHIM_CFLAGS := -std=c11 -D_GNU_SOURCE $(DEFINE) -O2 $(WARN) -Ihost -ffreestanding -nostdlib -static -no-pie -fno-pie -s \
               -fno-stack-protector -fno-asynchronous-unwind-tables \
               -Wl,-z,noexecstack,-z,noseparate-code,--build-id=none

$(O)/shim: $(SHIM) $(wildcard host/shim/*.h) $(O)/shim.flags
	$(say) "  shim  $@"
	$(Q)$(CC) $(SHIM_CFLAGS) -o $@ $(SHIM)

$(O)/gen/shim.s: $(O)/shim
	$(Q)mkdir -p $(@D) && printf '%s\n' '.section .rodata' '.globl rb_shim_image, rb_shim_image_end' '.balign 16' \
	    'rb_shim_image: .incbin "$<"' 'rb_shim_image_end: .byte 0' '.section .note.GNU-stack,"",%progbits' > $@

$(O)/gen/shim.o: $(O)/gen/shim.s
	$(Q)$(CC) -c -o $@ $<

# -- variants ----------------------------------------------------------------------------------------------------------

variant = +$(Q)$(MAKE) --no-print-directory VARIANT=$(1)

fault:
	$(call variant,fault) $(B)/fault/rbhost $(B)/fault/tests/e2e/far_tool $(B)/fault/unit/test_receipt_faults

# The developer's build: warnings are errors, in the tests too.
dev:
	$(call variant,dev) $(B)/dev/rbhost unit-programs

# -- tests -------------------------------------------------------------------------------------------------------------

UNIT := $(patsubst tests/unit/%.c,$(O)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

# What the tests run: make T="unit e2e/010" test picks those whose name contains one of the words.
RUN := tests/run --build $(B)
T   :=

unit-programs: $(UNIT) $(O)/tests/lua/host $(O)/tests/e2e/far_tool
test-programs: all unit-programs fault bench-programs

$(O)/unit/%: $(O)/tests/unit/%.o $(O)/librbhost.a
	$(say) "  link  $@"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $< $(O)/librbhost.a $(ALL_LIBS) -lcmocka

$(O)/tests/lua/host: $(O)/tests/lua/host.o $(O)/librbhost.a
	$(say) "  link  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(O)/librbhost.a $(ALL_LIBS)

# What the tests say to shells, and what they understand of the answers.
$(O)/tests/e2e/far_tool: $(O)/tests/e2e/far_tool.o $(O)/librbhost.a
	$(say) "  link  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(O)/librbhost.a $(ALL_LIBS)

# The benchmarks: the program with a verb more, and what it is measured against (docs/performance.md).
BENCH := $(O)/bench/host $(O)/bench/nap $(patsubst tests/bench/%.c,$(O)/bench/%,$(wildcard tests/bench/limit_*.c))

bench-programs: all $(BENCH)
bench: bench-programs
	$(Q)tests/bench/run --build $(B) $(T)

$(O)/bench/host: $(O)/tests/bench/host.o $(O)/librbhost.a
	$(say) "  link  $@"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $< $(O)/librbhost.a $(ALL_LIBS)

$(O)/bench/nap: $(O)/tests/bench/nap.o
	$(say) "  link  $@"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $<

$(O)/bench/limit_%: $(O)/tests/bench/limit_%.o
	$(say) "  link  $@"
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $< $(ALL_LIBS) $(if $(filter http,$*),$(shell $(PKG_CONFIG) --libs libcurl))

test: test-programs
	$(Q)$(RUN) $(T)
# The long tier is for the program as it is shipped. A variant looks at how the same code behaves, and is shown all of
# that code by the short one.
test-all: test-programs
	$(Q)$(RUN) --long $(T)
	+$(Q)for v in $(VARIANTS); do $(MAKE) --no-print-directory $$v || exit 1; done
VARIANTS := asan ubsan tsan gcstress oom
unit: unit-programs
	$(Q)$(RUN) $(or $(T),unit/)
lint:
	$(Q)$(RUN) lint/

# The tests with another build: sanitizers, and a collector that never rests. With LONG=1 their long tier.
LONG  :=
tier  := $(if $(LONG),--long)
asan ubsan tsan gcstress:
	$(call variant,$@) $(B)/$@/rbhost unit-programs
	$(Q)$(RUN) --variant $@ $(tier) --slow 6 $(or $(T),$(TESTS_$@))
TESTS_asan     := unit/ lua/ e2e/ crash
TESTS_ubsan    := $(TESTS_asan)
TESTS_gcstress := $(TESTS_asan)
# Whatever has threads: the journal's writer, the pool (files, names, hosts, receipts), a database's, curl's.
TESTS_tsan     := unit/ e2e/01 e2e/03 e2e/04 e2e/06 e2e/1 crash

# Every allocation fails in turn.
oom:
	$(call variant,$@) $(B)/$@/rbhost
	$(Q)$(RUN) --variant $@ $(tier) $(or $(T),oom)

demo: all
	$(Q)RBHOST=$(abspath $(O)/rbhost) examples/demo/run

# -- housekeeping ------------------------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/rbhost $(DESTDIR)$(PREFIX)/share/rbhost/meta
	install -m 755 $(O)/rbhost $(DESTDIR)$(PREFIX)/bin/rbhost
	install -m 644 README.md CHANGELOG.md LICENSE $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/rbhost
	install -m 644 $(wildcard stdlib/meta/*.lua) $(DESTDIR)$(PREFIX)/share/rbhost/meta

format:
	$(Q)tools/format $(wildcard host/*/*.[ch] tools/*.c tests/*/*.[ch] stdlib/*.lua stdlib/*/*.lua examples/*.lua \
	    runbooks/*/*.lua runbooks/*/*/*.lua tests/lua/*.lua)

help:
	@printf '%s\n' 'make             build $(B)/rbhost' \
	    'make dev         the same with warnings as errors' \
	    'make test        unit, Lua, end-to-end and crash tests (T="words" picks some)' \
	    'make test-all    with every fault point of the crash sweep, then the five below (LONG=1: those in full)' \
	    'make asan ubsan tsan gcstress oom' \
	    '                 the tests under sanitizers, a collector that never rests, failing allocations' \
	    'make unit lint   parts of the tests' \
	    'make bench       speed, as ratios to programs that do nothing else (T="2 5" picks rows, QUICK=1 is small)' \
	    'make demo        the demonstration' \
	    'make install     to DESTDIR and PREFIX ($(PREFIX))' \
	    'make format clean'

clean:
	rm -rf $(B)

.PHONY: all fault dev unit-programs test-programs bench bench-programs test test-all unit lint asan ubsan tsan gcstress oom demo install \
	format help clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:
FORCE:

-include $(MAIN_OBJ:.o=.d) $(LIB_OBJ:.o=.d) $(UNIT:$(O)/unit/%=$(O)/tests/unit/%.d) $(O)/tests/lua/host.d $(O)/tests/e2e/far_tool.d $(wildcard $(O)/tests/bench/*.d)

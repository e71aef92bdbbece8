# PageLab's one Makefile: `make help` lists the targets; docs/design.md says what the parts are.
#
#   BUILD=dir        where everything goes (build)
#   COMPILER=clang   instead of gcc
#   SANITIZE=thread  what the host programs run under (address,undefined)
#   V=1              shows the commands
#   ARGS="..."       for `make run`: parameters and options of tools/pagelab run
BUILD    ?= build
COMPILER ?= gcc
SANITIZE ?= address,undefined
say       = $(if $(V),,@printf '%-5s %s\n' $(1) $@;)

# --- what to install (Debian's names) ---------------------------------------------------------------
DEPS := binutils clang clang-format clang-tidy cppcheck dosfstools gcc gdb gdisk git gnu-efi libc6-dev libclang-rt-dev \
        libcmocka-dev make mtools nasm ovmf python3 python3-pexpect python3-pytest python3-serial \
        qemu-system-x86 u-boot-qemu universal-ctags xfonts-terminus zlib1g-dev

# --- sources: a new file needs no line here ---------------------------------------------------------
sources = $(sort $(wildcard $(addsuffix /*.$(1),$(2))))

ROOMS     := core core/mm core/script core/report
CORE_C    := $(call sources,c,$(ROOMS) x86_64)
CORE_ASM  := $(call sources,asm,x86_64)
# The loader checks scenarios with the core's own code: all of core/script but what compiles and runs
# them, and the ground floor that it stands on.
SCRIPT_BACK := $(wildcard core/script/compile*.c core/script/run*.c)
SHARED_C  := $(filter-out $(SCRIPT_BACK),$(call sources,c,core/script)) \
             $(addprefix core/,arena.c crc32.c fmt.c record.c result.c text.c version.c)
EFI_C     := $(call sources,c,efi)
EFI_ASM   := $(call sources,asm,efi)
SCENARIOS := $(call sources,scn,scenarios)
# What of the loader needs no firmware is tested on the host.
EFI_PURE_C := $(addprefix efi/,core_image.c escape.c line_editor.c memory_map.c page_tables.c utf16.c)
# Some of the rest is tested there on a pretended firmware.
EFI_PRETENDED_C := $(addprefix efi/,firmware.c free_memory.c notes.c ramdisk.c volume.c)
# And what of the machine needs no PC.
MACHINE_PURE_C := x86_64/nvme.c
HOST_C    := $(filter-out core/main.c,$(call sources,c,$(ROOMS))) $(EFI_PURE_C) $(EFI_PRETENDED_C) $(MACHINE_PURE_C) \
             $(sort $(wildcard $(addprefix tests/host/,machine*.c nvme_sim.c space_model*.c)))
TESTS     := $(patsubst tests/host/%.c,%,$(sort $(wildcard tests/host/test_*.c)))
# Those in which several CPUs work at once run under the thread sanitizer, too.
TSAN_TESTS := test_lock test_machine_sim test_panic test_script_parallel test_shootdown test_space_threads \
             test_wait
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(call sources,c,tests/fuzz))

# The core's font: any of X11's with 8x16 dots.
FONT ?= /usr/share/fonts/X11/misc/ter-u16n_iso-8859-1.pcf.gz

# --- flags --------------------------------------------------------------------------------------------
CC       := $(COMPILER)
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wswitch-enum -Wvla -Werror
# Nothing of where and when a file was built may get into it.
COMMON   := -std=gnu2x -I. -I$(BUILD) -g -ffile-prefix-map=$(CURDIR)=. -MMD -MP $(WARN)
CORE_FLAGS := $(COMMON) -O2 -Wframe-larger-than=4096 -Ix86_64 -ffreestanding -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
              -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
              -fno-omit-frame-pointer
CORE_LINK  := -nostdlib -static -T x86_64/link.ld -z max-page-size=4096 -z noexecstack --build-id=none
EFI_HEADER := -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI
EFI_FLAGS  := $(COMMON) -O2 $(EFI_HEADER) -ffreestanding -fno-builtin-printf -mno-red-zone \
              -mgeneral-regs-only -fpie -fvisibility=hidden -fshort-wchar -fno-stack-protector \
              -fno-asynchronous-unwind-tables
EFI_LINK   := -nostdlib -pie --no-dynamic-linker -z text -z noexecstack -z max-page-size=4096 \
              --build-id=none -T efi/loader.ld
# gcc warns that TSan does not follow fences; here none orders anything but atomics.
TSAN_FLAGS := $(if $(filter gcc-thread,$(COMPILER)-$(SANITIZE)),-Wno-tsan)
HOST_FLAGS := $(COMMON) -O1 $(EFI_HEADER) -Itests/host -pthread -fno-omit-frame-pointer \
              -fsanitize=$(SANITIZE) -fno-sanitize-recover=all $(TSAN_FLAGS)
FUZZ_FLAGS := $(filter-out -fsanitize=%,$(HOST_FLAGS)) -fsanitize=fuzzer-no-link,address,undefined
export SOURCE_DATE_EPOCH := 1577836800

# --- files --------------------------------------------------------------------------------------------
CORE_O := $(patsubst %,$(BUILD)/core/%.o,$(CORE_C) $(CORE_ASM))
EFI_O  := $(patsubst %,$(BUILD)/efi/%.o,$(EFI_C) $(EFI_ASM) $(SHARED_C))
HOST_O := $(patsubst %,$(BUILD)/host/%.o,$(HOST_C))
FUZZ_O := $(patsubst %,$(BUILD)/fuzz/%.o,$(HOST_C))

HOST_PROGRAMS := $(if $(wildcard tests/host/host_main.c),$(BUILD)/pagelab-host) \
                 $(if $(wildcard tests/host/check_main.c),$(BUILD)/pagelab-check) \
                 $(TESTS:%=$(BUILD)/host/%)
FUZZ_PROGRAMS := $(FUZZERS:%=$(BUILD)/fuzz/%)

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all host tsan fuzz run test mutants bench image debug lint format clean deps help commands FORCE

all: $(BUILD)/BOOTX64.EFI ## builds build/BOOTX64.EFI, the whole of PageLab in one file

host: $(HOST_PROGRAMS) ## builds the host programs: unit tests, pagelab-host, pagelab-check

tsan: ## builds the tests of several CPUs at once for the thread sanitizer
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SANITIZE=thread $(TSAN_TESTS:%=$(BUILD)/tsan/host/%)

fuzz: $(FUZZ_PROGRAMS) ## builds the fuzzers (clang)

run: all ## boots it in QEMU, runs every scenario, writes results/<run>/ (ARGS="run=null --cpus 4")
	tools/pagelab run $(ARGS)

test: all host tsan fuzz ## unit tests, hosted scenarios, fuzzers, some mutants, boot tests
	tests/run --build $(BUILD) $(ARGS)

mutants: host ## puts old bugs back into a copy of the tree, one by one, and sees each caught
	tests/mutants/run --build $(BUILD) $(ARGS)

bench: all ## an exact run against results/reference: what is slower, what misses its budget
	tools/bench $(ARGS)

lint: ## format, both compilers, locks, clang-tidy, cppcheck, who may include whom, sizes
	tools/lint

format: ## formats the C sources in place
	clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')

debug: all ## QEMU with gdb attached, stopped where the core begins, symbols loaded
	tools/debug $(BUILD) $(ARGS)

image: all ## build/pagelab.img, a GPT disk image for a USB stick
	tools/make-image $(BUILD)/pagelab.img

clean: ## removes the build directory
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z_.]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

deps: ## installs what is needed (apt-get), or names it
	@tools/deps $(DEPS)

# --- the core: one ELF at the top of the address space --------------------------------------------
$(BUILD)/core.elf: $(CORE_O) x86_64/link.ld
	$(call say,LINK)ld $(CORE_LINK) -o $@ $(CORE_O)

$(BUILD)/core/%.c.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CORE_FLAGS) $(VERSION_$(basename $(notdir $<))) -c $< -o $@

$(BUILD)/core/%.asm.o: %.asm $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,NASM)nasm --reproducible -f elf64 -g -F dwarf -Ix86_64/ -Werror -MD $(@:.o=.d) -MP -o $@ $<

$(BUILD)/font.inc: $(FONT) tools/make-font
	@mkdir -p $(@D)
	$(call say,FONT)tools/make-font $(FONT) > $@
$(addsuffix /core/font.c.o,$(BUILD)/core $(BUILD)/host $(BUILD)/fuzz): $(BUILD)/font.inc

$(FONT):
	@echo "$(FONT) is missing: install the package 'xfonts-terminus' (make deps)" >&2; exit 1

# Symbols stay, for backtraces; debug information stays behind, for gdb.
$(BUILD)/core.embedded.elf: $(BUILD)/core.elf
	$(call say,COPY)objcopy --strip-debug $< $@

# --- the loader: an EFI application with the core and the scenarios inside ---------------------------
# The linker script writes the PE headers itself: no time stamps, no writable and executable section.
$(BUILD)/BOOTX64.EFI: $(BUILD)/loader.elf
	$(call say,COPY)objcopy -O binary $< $@

$(BUILD)/loader.elf: $(EFI_O) efi/loader.ld
	$(call say,LINK)ld $(EFI_LINK) -o $@ $(EFI_O)

$(BUILD)/efi/%.c.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(EFI_FLAGS) $(VERSION_$(basename $(notdir $<))) -c $< -o $@

$(BUILD)/efi/%.asm.o: %.asm $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,NASM)nasm --reproducible -f elf64 -I$(BUILD)/efi/ \
	    -DEMBEDDED_CORE='"$(BUILD)/core.embedded.elf"' -Werror -MD $(@:.o=.d) -MP -o $@ $<

$(BUILD)/efi/efi/embedded.asm.o: $(BUILD)/core.embedded.elf $(BUILD)/efi/scenarios.inc $(SCENARIOS)

# --- the host: the same core on a simulated machine ---------------------------------------------------
$(BUILD)/host/libcore.a: $(HOST_O)
	$(call say,AR)rm -f $@ && ar rcsD $@ $^

$(BUILD)/host/%.c.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(HOST_FLAGS) $(VERSION_$(basename $(notdir $<))) -c $< -o $@

$(BUILD)/host/test_%: $(BUILD)/host/tests/host/test_%.c.o $(BUILD)/host/libcore.a
	$(call say,LINK)$(CC) $(HOST_FLAGS) -o $@ $^ -lcmocka -lz -lm

$(BUILD)/pagelab-host: $(BUILD)/host/tests/host/host_main.c.o $(BUILD)/host/core/main.c.o $(BUILD)/host/libcore.a
	$(call say,LINK)$(CC) $(HOST_FLAGS) -o $@ $^

$(BUILD)/pagelab-check: $(BUILD)/host/tests/host/check_main.c.o $(BUILD)/host/libcore.a
	$(call say,LINK)$(CC) $(HOST_FLAGS) -o $@ $^

$(BUILD)/fuzz/%.c.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)clang $(FUZZ_FLAGS) $(VERSION_$(basename $(notdir $<))) -c $< -o $@

$(BUILD)/fuzz/libcore.a: $(FUZZ_O)
	$(call say,AR)rm -f $@ && ar rcsD $@ $^

$(FUZZ_PROGRAMS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.c.o $(BUILD)/fuzz/libcore.a
	$(call say,LINK)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^

# --- things that change without a file changing -------------------------------------------------------
# The version goes into core/version.c alone, so that a commit recompiles one file.
COMMIT   = $(shell git describe --always --dirty --abbrev=40 --match= 2>/dev/null || echo unknown)
VERSION_version = -DPAGELAB_COMMIT='"$(COMMIT)"' \
    -DPAGELAB_COMPILER='"$(shell $(CC) --version | head -n 1)"'

# Takes what a command prints, but leaves a file that already says so alone: what depends on it is
# then not made again.
,    := ,
keep = mkdir -p $(@D) && ($(1)) | cmp -s - $@ || ($(1)) > $@
$(BUILD)/flags: FORCE
	@$(call keep,echo '$(subst ','\'',$(CC) $(CORE_FLAGS) $(EFI_FLAGS) $(HOST_FLAGS))')
$(BUILD)/commit: FORCE
	@$(call keep,echo '$(COMMIT)')
$(BUILD)/efi/scenarios.inc: FORCE
	@$(call keep,for f in $(SCENARIOS); do echo "SCENARIO \"$${f##*/}\"$(,) \"$$f\""; done)
$(addsuffix /core/version.c.o,$(BUILD)/core $(BUILD)/efi $(BUILD)/host $(BUILD)/fuzz): $(BUILD)/commit

commands: ## compile_commands.json, for editors and clang's tools
	$(MAKE) -nB V=1 all host | tools/compile-commands > compile_commands.json

ifneq ($(filter deps,$(MAKECMDGOALS)),)
.NOTPARALLEL: # deps come before what needs them
endif

-include $(patsubst %.o,%.d,$(CORE_O) $(EFI_O) $(HOST_O) $(FUZZ_O) $(BUILD)/host/core/main.c.o $(wildcard $(BUILD)/*/tests/*/*.o))

# SPDX-License-Identifier: BSD-2-Clause
#
# Perch. `make` lists the targets. Everything is built below build/; scripts/setup installs what is
# missing, from Debian packages, and says so.

.DEFAULT_GOAL := help
BUILD ?= debug
BUILD_DIR ?= build
V ?= 0

CC := clang-19
LD := ld.lld-19
OBJCOPY := llvm-objcopy-19

ifeq ($(filter $(BUILD),debug release),)
$(error BUILD=$(BUILD): it is debug or release)
endif
ifeq ($(V),0)
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
else
Q :=
say =
endif

# ---- sources, shared by the kernel and the host builds --------------------------------------
LIBFDT := fdt.c fdt_ro.c fdt_rw.c fdt_addresses.c fdt_strerror.c fdt_wip.c
PCPU := pcpu/pcpu.c pcpu/pin.c pcpu/heap.c pcpu/memcharge.c pcpu/recorder.c \
	pcpu/slab.c
IPI := ipi/park.c ipi/inval.c
VM := vm/asid.c vm/frame.c vm/frame_cache.c vm/kmap.c vm/memory.c vm/memory_grow.c \
	vm/pmap_user.c \
	vm/pmap.c vm/pmap_entry.c vm/pmap_extract.c vm/pmap_range.c vm/pmap_size.c \
	vm/pmap_table.c
VM += vm/region.c vm/reserv.c vm/budget.c \
	vm/object.c vm/object_index.c vm/object_pages.c vm/object_pager.c vm/object_secret.c \
	vm/object_dma.c vm/space.c vm/space_change.c vm/space_advise.c vm/space_tables.c \
	vm/fault.c vm/fault_class.c
VM += vm/lifeboat.c
KERN := kern/bootargs.c kern/fatal.c kern/fdt.c kern/fdt_dev.c kern/fdt_mem.c kern/fdt_reg.c \
	kern/format.c kern/handle.c kern/avl.c \
	kern/el0.c kern/endpoint.c kern/event.c kern/event_queue.c kern/fpu.c \
	kern/ipc_message.c kern/ipc_wait.c \
	kern/quick.c \
	kern/quick_ipc.c \
	kern/quick_irq.c \
	kern/irq_object.c kern/runq.c kern/sched.c kern/sched_cpu.c kern/task.c kern/thread.c \
	kern/timer_object.c kern/timerq.c \
	kern/irq.c kern/kerr.c kern/lock.c kern/log.c kern/machine.c kern/main.c \
	kern/object.c kern/panic.c \
	kern/reclaim.c kern/report.c kern/report_chain.c kern/report_past.c kern/report_walk.c \
	kern/run.c kern/smp.c \
	kern/string.c kern/symbols.c kern/trap.c kern/usercopy.c kern/work.c
KERN += kern/init.c kern/call_mem.c kern/mem_object.c user/init_image.S
KERN += kern/physread.c kern/warden.c
KERN += kern/hold.c kern/kdb.c kern/kdb_cpu.c kern/kdb_flow.c kern/kdb_line.c kern/kdb_mem.c \
	kern/kdb_past.c kern/kdb_words.c
ARCH_DEBUG := arch/arm64/debug.c arch/arm64/recover.S
KERN += kern/call.c kern/call_arg.c kern/call_handle.c kern/call_ipc.c kern/call_machine.c \
	kern/call_thread.c kern/exception.c kern/grow.c
ARCH := arch/arm64/start.S arch/arm64/vectors.S arch/arm64/el3.S arch/arm64/probe.S \
	arch/arm64/el0.S arch/arm64/fpu.S arch/arm64/ipc_fast.S \
	arch/arm64/quick_fast.S arch/arm64/fault_fast.S arch/arm64/irq_fast.S \
	arch/arm64/lifeboat.S \
	arch/arm64/bcm_pm.c arch/arm64/boot_mmu.c arch/arm64/cpu.c \
	arch/arm64/gic.c arch/arm64/gicv2.c arch/arm64/gicv3.c \
	arch/arm64/page.c arch/arm64/psci.c arch/arm64/timer.c arch/arm64/uart.c \
	arch/arm64/user.c arch/arm64/usercopy.S
KTEST := test/kernel/stress.c test/kernel/stress_load.c test/kernel/stress_size.c \
	test/kernel/stress_safe.c test/kernel/stress_many.c test/kernel/stress_user.c \
	test/kernel/stress_stub.S \
	test/kernel/ktest.c test/kernel/ktest_access.c test/kernel/ktest_cpu.c \
	test/kernel/ktest_map.c test/kernel/ktest_memory.c test/kernel/ktest_pin.c \
	test/kernel/ktest_record.c test/kernel/ktest_registers.S \
	test/kernel/el0_stub.S test/kernel/ktest_budget.c test/kernel/ktest_churn.c \
	test/kernel/ktest_heap.c test/kernel/ktest_thread.c test/kernel/ktest_timerq.c \
	test/kernel/ktest_saved.c test/kernel/ktest_size.c \
	test/kernel/ktest_user.c test/kernel/ktest_user_cpus.c \
	test/kernel/bench.c \
	test/kernel/bench_cases.c test/kernel/bench_user.c test/kernel/provoke.c
KTEST += test/kernel/ktest_lifeboat.c test/kernel/provoke_map.c
KTEST += test/kernel/bench_growth.c
KTEST += test/kernel/bench_vm.c test/kernel/crew.c test/kernel/stress_hostile.c \
	test/kernel/stress_vm.c test/kernel/stress_el0.c \
	test/kernel/vm_user.c \
	test/kernel/ktest_vm.c test/kernel/ktest_vm_object.c \
	test/kernel/ktest_vm_model.c test/model/vm_model.c test/model/vm_model_calls.c \
	test/model/vm_model_contents.c
SOURCES := $(ARCH) $(ARCH_DEBUG) $(KERN) $(PCPU) $(IPI) $(VM) $(KTEST)

# ---- the kernel -----------------------------------------------------------------------------
OUT := $(BUILD_DIR)/$(BUILD)
OBJECTS := $(patsubst %,$(OUT)/%.o,$(SOURCES)) $(LIBFDT:%=$(OUT)/libfdt/%.o) \
	$(OUT)/gen/call_table.c.o

TARGET_FLAGS := --target=aarch64-none-elf -march=armv8-a -mgeneral-regs-only -mno-outline-atomics \
	-mstrict-align -ffixed-x18 -ffreestanding -fno-pic -fno-stack-protector -mcmodel=small \
	-fno-omit-frame-pointer -mfix-cortex-a53-835769
WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wthread-safety -Wvla -Wimplicit-fallthrough -Wframe-larger-than=2048
INCLUDES := -Iinclude -Iarch/arm64/include -I. -I$(OUT) -isystem .deps/libfdt
DEBUG_debug := 1
DEBUG_release := 0
CFLAGS := $(TARGET_FLAGS) -std=c23 -O2 -g -fstack-usage $(WARNINGS) $(INCLUDES) \
	-DPERCH_DEBUG=$(DEBUG_$(BUILD)) -DPERCH_BUILD=\"$(BUILD)\" $(EXTRA_CFLAGS)
ASFLAGS := --target=aarch64-none-elf -march=armv8-a -g -Iinclude -I.
LDFLAGS := -T arch/arm64/perch.ld -z max-page-size=4096 --fix-cortex-a53-843419 \
	--orphan-handling=error -z noexecstack --no-undefined --gc-sections

.PHONY: help all run fuzz soak test test-all bench lint fmt clean setup
help: ## list the targets
	@printf 'Perch: an arm64 microkernel whose live mappings change block size. Targets:\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@printf '\nVariables: BUILD=debug|release V=1; for run and bench see README.md.\n'

setup: ## install what is missing, from Debian packages
	$(Q)scripts/setup

all: $(BUILD_DIR)/perch.img ## build perch.elf and perch.img below build/

# The products carry the names of the build that was asked for last.
$(BUILD_DIR)/perch.elf: $(OUT)/perch.elf $(OUT)/.current
	$(Q)cp $< $@

$(BUILD_DIR)/perch.img: $(BUILD_DIR)/perch.elf
	$(call say,IMG,$@)
	$(Q)$(OBJCOPY) -O binary $< $@

.PHONY: FORCE
$(OUT)/.current: FORCE
	@mkdir -p $(@D)
	@if [ "$$(cat $(BUILD_DIR)/.build 2>/dev/null)" != "$(BUILD)" ]; then \
		echo $(BUILD) > $(BUILD_DIR)/.build; touch $@; \
	elif [ ! -e $@ ]; then touch $@; fi

# Two links: the first tells where the functions are, the second has the table of them.
$(OUT)/symtab0.S: scripts/symtab
	@mkdir -p $(@D)
	$(Q)scripts/symtab > $@.new && mv $@.new $@

$(OUT)/symtab.S: $(OUT)/pass1.elf scripts/symtab
	$(Q)scripts/symtab $< > $@.new && mv $@.new $@

$(OUT)/symtab%.o: $(OUT)/symtab%.S
	$(Q)$(CC) $(ASFLAGS) -c -o $@ $<

$(OUT)/symtab.o: $(OUT)/symtab.S
	$(Q)$(CC) $(ASFLAGS) -c -o $@ $<

$(OUT)/pass1.elf: $(OBJECTS) $(OUT)/symtab0.o arch/arm64/perch.ld
	$(Q)$(LD) $(LDFLAGS) -o $@ $(OBJECTS) $(OUT)/symtab0.o

$(OUT)/perch.elf: $(OBJECTS) $(OUT)/symtab.o arch/arm64/perch.ld
	$(call say,LD,$@)
	$(Q)$(LD) $(LDFLAGS) -o $@ $(OBJECTS) $(OUT)/symtab.o
	$(Q)scripts/symtab --check $@ $(OUT)/symtab.S || { rm -f $@; exit 1; }

# A change of flags rebuilds.
FLAGS_NOW := $(CC) $(CFLAGS) $(ASFLAGS)
$(OUT)/.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@

$(OUT)/%.c.o: %.c $(OUT)/.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/%.S.o: %.S $(OUT)/.flags
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ASFLAGS) -MMD -MP -c -o $@ $<

# libfdt comes from a Debian source package (scripts/setup); our flags, its own warnings. It reads
# numbers byte by byte unless it may load them unaligned: it may, the tree is read through the MMU
# as Normal memory, and SCTLR_EL1.A is 0. Most of the boot's instructions are these loads.
$(OUT)/libfdt/%.c.o: .deps/libfdt/%.c $(OUT)/.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_FLAGS) -mno-strict-align -std=gnu17 -O2 -g -fstack-usage -Iinclude \
		-isystem .deps/libfdt \
		-MMD -MP -w -c -o $@ $<

-include $(OBJECTS:.o=.d)

# ---- running --------------------------------------------------------------------------------
RUN_OPTIONS := BOARD SMP MEM CPU GIC EL NUMA ARGS TIMEOUT TCG ICOUNT INITRD IMAGE DTB GDB EXTRA
command_line = $(filter command line,$(origin $(1)))
$(foreach o,$(RUN_OPTIONS),$(if $(call command_line,$(o)),$(eval export $(o))))
export BUILD_DIR

run: ## set up, build, boot under QEMU, run the promotion stress (BOARD= SMP= CPU= ARGS=)
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/run

FUZZ_CALLS ?= 5000000
SOAK_SECONDS ?= 3600
fuzz: ## random calls from EL0 on 4 CPUs (FUZZ_CALLS=5000000 FUZZ_SEED=1)
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)ARGS="run=fuzz calls=$(FUZZ_CALLS) seed=$(or $(FUZZ_SEED),1)" TIMEOUT=0 scripts/run

soak: ## all programs at once, for an hour (SOAK_SECONDS=3600)
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)ARGS="run=soak seconds=$(SOAK_SECONDS)" TIMEOUT=0 scripts/run

bench: ## count instructions: make bench CPU=cortex-a72
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all BUILD=release
	$(Q)test/bench/run

# ---- checks ---------------------------------------------------------------------------------
include user/user.mk
include test/prove/prove.mk
include test/oracle/oracle.mk
include test/host/platform.mk
-include test/host/host.mk
include test/host/user.mk

.PHONY: test-host
test-host: test-host-platform ## host tests: pure pieces, the machine model

test: ## set up, build, and pass the tests (20 minutes at most on 2 cores)
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)test/suite short

test-all: ## the same over the whole boot matrix
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)test/suite all

lint: ## format, clang-tidy, include ranks, sizes, R2, stack depth
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/lint

fmt: ## format the C sources in place
	$(Q)git ls-files 'arch/*.[ch]' 'kern/*.[ch]' 'vm/*.[ch]' 'pcpu/*.[ch]' 'ipi/*.[ch]' \
		'include/*.[ch]' 'user/*.[ch]' 'test/*.[ch]' | xargs clang-format-19 -i

clean: ## remove build/
	$(Q)rm -rf $(BUILD_DIR)

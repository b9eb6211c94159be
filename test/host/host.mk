# SPDX-License-Identifier: BSD-2-Clause
#
# The host build: the kernel's own vm/, ipi/, pcpu/ and parts of kern/ on a simulated machine, and
# unit tests. Everything below build/host. Kernel sources get their variables in sections of their
# own (test/host/kernel_sections.h), and the seam's impure headers from test/host/include.

HOST := $(BUILD_DIR)/host
HOST_WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes \
	-Wstrict-prototypes \
	-Wthread-safety -Wvla -Wimplicit-fallthrough
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fsanitize-address-use-after-return=never
HOST_FLAGS := -std=c23 -O1 -g -fno-omit-frame-pointer $(HOST_WARNINGS) $(HOST_SANITIZE) \
	-D_GNU_SOURCE -DPERCH_DEBUG=1
# libc's string.h and stdlib.h come before ours.
HOST_INCLUDES := -Itest/host/include -Iarch/arm64/include -I. -idirafter include

SIM_KERNEL := pcpu/pcpu.c pcpu/pin.c pcpu/heap.c pcpu/memcharge.c \
	pcpu/recorder.c pcpu/slab.c ipi/park.c ipi/inval.c \
	vm/asid.c vm/frame.c vm/frame_cache.c vm/kmap.c vm/memory_grow.c kern/avl.c \
	vm/pmap_user.c vm/pmap.c vm/pmap_entry.c vm/pmap_extract.c vm/pmap_range.c \
	vm/pmap_size.c vm/pmap_table.c kern/lock.c \
	kern/panic.c kern/hold.c kern/format.c \
	kern/kerr.c
include test/host/vm.mk
SIM_MACHINE := test/host/cpu.c test/host/irq.c test/host/store.c test/host/tlb.c \
	test/host/tlbi.c \
	test/host/access.c test/host/trace.c test/host/boot.c test/host/this_cpu.c \
	test/host/page.c test/host/user.c
SIM_SCENES := test/host/scene.c test/host/region.c test/host/initiators.c \
	test/host/scenarios.c test/host/exhaust.c
SIM_OBJECTS := $(patsubst %.c,$(HOST)/kernel/%.o,$(SIM_KERNEL)) \
	$(patsubst %.c,$(HOST)/%.o,$(SIM_MACHINE) $(SIM_SCENES) test/host/sim_main.c)

$(HOST)/kernel/%.o: %.c test/host/host.mk
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) $(KERNEL_COUNTERS) -include test/host/kernel_sections.h \
		$(HOST_INCLUDES) \
		-MMD -MP -c -o $@ $<

$(HOST)/test/host/%.o: test/host/%.c test/host/host.mk
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(HOST)/test/model/%.o: test/model/%.c test/host/host.mk
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(HOST)/sim: $(SIM_OBJECTS)
	$(call say,HOSTLD,$@)
	$(Q)$(CC) $(HOST_SANITIZE) -o $@ $^

# ---- unit tests of the pure pieces and the allocators ----------------------------------------
HOST_UNITS := $(HOST)/test_pure $(HOST)/test_alloc $(HOST)/test_tables $(HOST)/test_slab \
	$(HOST)/test_handle \
	$(HOST)/test_ipc $(HOST)/test_waiting $(HOST)/test_vm_frame $(HOST)/test_asid $(VM_UNITS)
HOST_MODEL := $(patsubst %.c,$(HOST)/kernel/%.o,$(SIM_KERNEL)) $(patsubst \
	%.c,$(HOST)/%.o,$(SIM_MACHINE))

KERNEL_test_handle := kern/handle.c kern/object.c kern/reclaim.c
KERNEL_test_ipc := $(KERNEL_test_handle) kern/endpoint.c kern/event.c kern/event_queue.c \
	kern/ipc_message.c \
	kern/ipc_wait.c
OWN_test_ipc := $(HOST)/test/host/fake_sched.o
KERNEL_test_waiting := $(KERNEL_test_ipc)
OWN_test_waiting := $(OWN_test_ipc)
# The flat model of spaces, which the kernel's own tests play too.
OWN_test_vm_space := $(patsubst %,$(HOST)/test/model/%.o,vm_model vm_model_calls \
	vm_model_contents)
$(HOST)/test_handle: $(KERNEL_test_handle:%.c=$(HOST)/kernel/%.o)
$(HOST)/test_ipc $(HOST)/test_waiting: $(KERNEL_test_ipc:%.c=$(HOST)/kernel/%.o) $(OWN_test_ipc)

$(HOST_UNITS): $(HOST)/%: $(HOST)/test/host/%.o $(HOST_MODEL)
	$(call say,HOSTLD,$@)
	$(Q)$(CC) $(HOST_SANITIZE) -o $@ $^ -lcmocka

$(HOST)/test_vm_space: $(OWN_test_vm_space)
$(VM_FLAT_UNITS): $(HOST)/%: $(HOST)/test/host/%.o $(HOST)/test/host/fake_pmap.o \
		$(HOST)/test/host/vm_scene.o $(VM_FLAT) \
		$(patsubst %.c,$(HOST)/%.o,$(SIM_MACHINE))
	$(call say,HOSTLD,$@)
	$(Q)$(CC) $(HOST_SANITIZE) -o $@ $^ -lcmocka

-include $(shell find $(HOST) -name "*.d" 2>/dev/null)

.PHONY: sim sim-long host-test test-host host-units
host-units: $(HOST_UNITS) $(VM_FLAT_UNITS)
	$(Q)for t in $^; do ASAN_OPTIONS=detect_leaks=0 $$t || exit 1; done

# The top Makefile's test-host gains the model.
test-host: host-units sim fuzz-pmap-short
host-test: ## the unit tests, the model and its fuzzer
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory test-host

sim: ## explore 20,000 schedules of the machine model, all with two preemptions
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory $(HOST)/sim
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(HOST)/sim --exhaust 2
	$(Q)test/host/explore $(HOST)/sim 20000
	@echo '2 passed, 0 failed'

sim-long: ## explore 1,000,000 schedules, all with three preemptions
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory $(HOST)/sim
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(HOST)/sim --exhaust 3
	$(Q)test/host/explore $(HOST)/sim 1000000

# ---- the fuzzer: the same again, the kernel's sources with its counters --------------------------
FUZZ := $(BUILD_DIR)/host/fuzz
PMAP_RUNS := 3000
FUZZ_PMAP := -max_len=1024 -timeout=60 -artifact_prefix=$(FUZZ)/

.PHONY: fuzz-pmap fuzz-pmap-short fuzz-pmap-program
fuzz-pmap-program:
	$(Q)$(MAKE) --no-print-directory $(FUZZ)/fuzz_pmap HOST=$(FUZZ) \
		KERNEL_COUNTERS=-fsanitize=fuzzer-no-link

$(HOST)/fuzz_pmap: $(HOST_MODEL) $(patsubst %.c,$(HOST)/%.o,$(SIM_SCENES)) \
		$(HOST)/test/host/fuzz_pmap.o
	$(call say,HOSTLD,$@)
	$(Q)$(CC) $(HOST_SANITIZE) -fsanitize=fuzzer -o $@ $^

fuzz-pmap: fuzz-pmap-program ## fuzz operations on mappings and schedules (FUZZ_SECONDS=60)
	$(Q)mkdir -p $(FUZZ)/corpus
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(FUZZ)/fuzz_pmap $(FUZZ_PMAP) \
		-max_total_time=$(FUZZ_SECONDS) $(FUZZ)/corpus

# From nothing and the same each time.
fuzz-pmap-short: fuzz-pmap-program
	$(Q)rm -rf $(FUZZ)/smoke && mkdir $(FUZZ)/smoke
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(FUZZ)/fuzz_pmap $(FUZZ_PMAP) -seed=1 -runs=$(PMAP_RUNS) \
		-len_control=0 $(FUZZ)/smoke > $(FUZZ)/log 2>&1 || \
			{ tail -300 $(FUZZ)/log; exit 1; }
	@echo 'fuzz_pmap: $(PMAP_RUNS) runs, none fails'
	@echo '1 passed, 0 failed'

# ---- coverage: the same programs again, instrumented ------------------------------------------
COVERED := $(filter vm/pmap% ipi/% pcpu/%,$(SIM_KERNEL))
COVERAGE_RUNS ?= 12000
comma := ,
space := $(subst ,, )

.PHONY: coverage coverage-programs
coverage: ## branches of vm/pmap*, ipi/ and pcpu/ that the host tests take
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory coverage-programs HOST=$(HOST)/coverage \
		HOST_SANITIZE='$(HOST_SANITIZE) -fprofile-instr-generate -fcoverage-mapping \
			-Wno-unused -Wno-unused-parameter' \
		HOST_INCLUDES='-Itest/host/coverage_include $(HOST_INCLUDES)'
	$(Q)test/host/coverage $(HOST)/coverage $(COVERAGE_RUNS) \
		$(subst $(space),$(comma),$(notdir $(HOST_UNITS))) $(COVERED)

coverage-programs: $(HOST)/sim $(HOST_UNITS)

# ---- seeded defects: the kernel's objects with one patched -----------------------------------
SEEDED_BASE := $(patsubst %.c,$(HOST)/%.o,$(SIM_MACHINE) $(SIM_SCENES) test/host/sim_main.c)

.PHONY: seeded seeded-programs seeded-oracle host-variables
seeded-programs: all oracle-plugin fuzz-pmap-program $(HOST)/sim $(HOST_UNITS) $(VM_FLAT_UNITS) \
		$(PLATFORM_TREES)

seeded: ## put one defect at a time into the tree and see it caught
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory seeded-programs
	$(Q)test/seeded/run

seeded-oracle: ## the defects of tables and invalidations, judged by the oracle
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all oracle-plugin
	$(Q)test/seeded/run --oracle

host-variables:
	@echo 'CC=$(CC)'
	@echo 'FLAGS=$(HOST_FLAGS) -include test/host/kernel_sections.h $(HOST_INCLUDES)'
	@echo 'KERNEL=$(SIM_KERNEL)'
	@echo 'KERNEL_OBJECTS=$(HOST)/kernel'
	@echo 'OBJECTS=$(SEEDED_BASE)'
	@echo 'UNITS=$(notdir $(HOST_UNITS))'
	@echo 'FLAT_UNITS=$(notdir $(VM_FLAT_UNITS))'
	@echo 'FLAT_KERNEL=$(VM_FLAT:$(HOST)/kernel/%.o=%.c)'
	@echo 'FLAT_SCENES=fake_pmap vm_scene'
	@echo 'KERNEL_test_handle=$(KERNEL_test_handle)'
	@echo 'KERNEL_test_ipc=$(KERNEL_test_ipc)'
	@echo 'OWN_test_ipc=$(OWN_test_ipc)'
	@echo 'KERNEL_test_waiting=$(KERNEL_test_waiting)'
	@echo 'OWN_test_waiting=$(OWN_test_waiting)'
	@echo 'OWN_test_vm_space=$(OWN_test_vm_space)'
	@echo 'MACHINE=$(notdir $(SIM_MACHINE:.c=.o))'
	@echo 'FUZZ_OBJECTS=$(FUZZ)/kernel'
	@echo 'FUZZ_OWN=$(patsubst %.c,$(FUZZ)/%.o,$(SIM_MACHINE) $(SIM_SCENES) \
		test/host/fuzz_pmap.c)'
	@echo 'LINK=$(CC) $(HOST_SANITIZE)'

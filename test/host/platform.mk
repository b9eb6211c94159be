# SPDX-License-Identifier: BSD-2-Clause
#
# test/host/platform.mk - host tests of the device tree, boot arguments, formats and strings, and
# the fuzzer of the tree parser. Included by the top Makefile or test/host/host.mk.
#
# The first folder given to the fuzzer is the one it adds to; the trees come second.
# The kernel's own sources; the C library's headers come before ours of the same name.

PLATFORM_OUT := $(BUILD_DIR)/host/platform
PLATFORM_CC := clang-19 -std=gnu23 -g -O1 -Wall -Wextra -Werror -iquote . -idirafter include \
	-isystem .deps/libfdt -MMD -MP
PLATFORM_CHECK := -fsanitize=address,undefined -fno-sanitize-recover=all
PLATFORM_FDT := kern/fdt.c kern/fdt_dev.c kern/fdt_mem.c kern/fdt_reg.c kern/format.c
PLATFORM_LIBFDT := $(addprefix .deps/libfdt/,fdt.c fdt_ro.c fdt_rw.c fdt_addresses.c \
	fdt_strerror.c fdt_wip.c)
PLATFORM_TREES := $(patsubst %.dts,$(PLATFORM_OUT)/trees/%.dtb, \
	$(notdir $(wildcard dts/*.dts dts/test/*.dts)))
PLATFORM_TESTS := $(addprefix $(PLATFORM_OUT)/,test_bootargs test_fdt test_kdb_line \
	test_string)
FUZZ_SECONDS ?= 60
FUZZ_RUNS := 20000

.PHONY: test-host-platform fuzz-fdt
test-host-platform: $(PLATFORM_TESTS) $(PLATFORM_OUT)/fuzz_fdt $(PLATFORM_TREES)
	$(Q)$(PLATFORM_OUT)/test_bootargs
	$(Q)$(PLATFORM_OUT)/test_fdt $(PLATFORM_OUT)/trees
	$(Q)$(PLATFORM_OUT)/test_kdb_line
	$(Q)$(PLATFORM_OUT)/test_string
	$(Q)rm -rf $(PLATFORM_OUT)/smoke && mkdir $(PLATFORM_OUT)/smoke
	$(Q)$(PLATFORM_OUT)/fuzz_fdt -seed=1 -runs=$(FUZZ_RUNS) -max_len=8192 -timeout=10 \
		-artifact_prefix=$(PLATFORM_OUT)/ $(PLATFORM_OUT)/smoke $(PLATFORM_OUT)/trees \
		> $(PLATFORM_OUT)/fuzz.log 2>&1 || { cat $(PLATFORM_OUT)/fuzz.log; exit 1; }
	@echo 'fuzz_fdt: $(FUZZ_RUNS) blobs, none breaks the parser'

fuzz-fdt: $(PLATFORM_OUT)/fuzz_fdt $(PLATFORM_TREES) ## fuzz the tree parser (FUZZ_SECONDS=60)
	$(Q)mkdir -p $(PLATFORM_OUT)/corpus
	$(Q)$(PLATFORM_OUT)/fuzz_fdt -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 \
		-artifact_prefix=$(PLATFORM_OUT)/ $(PLATFORM_OUT)/corpus $(PLATFORM_OUT)/trees

# One step: the sources are few, and the dependency files name what they include.
define platform_link
	$(call say,HOST,$@)
	@mkdir -p $(@D)
	$(Q)$(PLATFORM_CC) $(PLATFORM_CHECK) $(1) -o $@ $(filter %.c,$^) $(2)
endef

$(PLATFORM_OUT)/test_bootargs: test/host/test_bootargs.c kern/bootargs.c kern/format.c
	$(call platform_link,,-lcmocka)

$(PLATFORM_OUT)/test_fdt: test/host/test_fdt.c $(PLATFORM_FDT) $(PLATFORM_LIBFDT)
	$(call platform_link,,-lcmocka)

$(PLATFORM_OUT)/test_kdb_line: test/host/test_kdb_line.c kern/kdb_line.c
	$(call platform_link,,-lcmocka)

# It includes kern/string.c itself, with other names.
$(PLATFORM_OUT)/test_string: test/host/test_string.c
	$(call platform_link,-fno-builtin,-lcmocka)

$(PLATFORM_OUT)/fuzz_fdt: test/host/fuzz_fdt.c $(PLATFORM_FDT) $(PLATFORM_LIBFDT)
	$(call platform_link,-fsanitize=fuzzer,)

# Trees that are wrong on purpose make dtc complain: -f goes on, -q says nothing.
define platform_tree
	$(call say,DTC,$@)
	@mkdir -p $(@D)
	$(Q)dtc -q -f -I dts -O dtb -o $@ $<
endef

$(PLATFORM_OUT)/trees/%.dtb: dts/%.dts
	$(platform_tree)

$(PLATFORM_OUT)/trees/%.dtb: dts/test/%.dts
	$(platform_tree)

-include $(wildcard $(PLATFORM_OUT)/*.d)

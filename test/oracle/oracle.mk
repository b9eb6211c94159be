# SPDX-License-Identifier: BSD-2-Clause
#
# test/oracle/oracle.mk - the oracle: a QEMU plugin, its own proof guest, and foreign kernels.
# Included by the top Makefile; also works alone: make -f test/oracle/oracle.mk oracle-guest
#
# Paths are relative to the top of the tree.

BUILD_DIR ?= build
HOST_CC ?= clang-19

ORACLE_DIR := test/oracle
ORACLE_OUT := $(BUILD_DIR)/oracle
ORACLE_SOURCES := plugin.c regs.c phys.c pte.c tables.c judge.c inval.c report.c symbols.c
ORACLE_OBJECTS := $(ORACLE_SOURCES:%.c=$(ORACLE_OUT)/%.o)
ORACLE_CFLAGS := -std=gnu23 -O2 -g -fPIC -fvisibility=hidden -pthread \
	-Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes

.PHONY: oracle-plugin
oracle-plugin: $(ORACLE_OUT)/oracle.so

$(ORACLE_OUT)/oracle.so: $(ORACLE_OBJECTS)
	$(HOST_CC) -shared -pthread -o $@ $^

$(ORACLE_OUT)/%.o: $(ORACLE_DIR)/%.c
	@mkdir -p $(@D)
	$(HOST_CC) $(ORACLE_CFLAGS) -MMD -MP -c -o $@ $<

-include $(ORACLE_OBJECTS:.o=.d)

# The proof guest, for two sizes of address space.
GUEST_CC ?= clang-19
GUEST_LD ?= ld.lld-19
GUEST_CFLAGS := --target=aarch64-none-elf -march=armv8-a -std=c23 -O2 -g -ffreestanding \
	-fno-stack-protector -fno-pic -mgeneral-regs-only -mno-outline-atomics -fno-builtin \
	-fno-vectorize -fno-slp-vectorize -Wall -Wextra -Werror -Wshadow
GUEST_SOURCES := boot.S main.c cases_leaf.c cases_table.c cases_cpu.c
GUEST_IMAGES := $(ORACLE_OUT)/guest39.elf $(ORACLE_OUT)/guest48.elf

define guest_rules
$(ORACLE_OUT)/guest$(1)/%.o: $(ORACLE_DIR)/guest/% $(ORACLE_DIR)/guest/guest.h
	@mkdir -p $$(@D)
	$(GUEST_CC) $(GUEST_CFLAGS) -DVA_BITS=$(1) -c -o $$@ $$<

$(ORACLE_OUT)/guest$(1).elf: $(GUEST_SOURCES:%=$(ORACLE_OUT)/guest$(1)/%.o) \
		$(ORACLE_DIR)/guest/guest.ld
	$(GUEST_LD) -T $(ORACLE_DIR)/guest/guest.ld -o $$@ $$(filter %.o,$$^)
endef
$(eval $(call guest_rules,39))
$(eval $(call guest_rules,48))

$(ORACLE_OUT)/plain.elf: $(ORACLE_OUT)/guest39/boot.S.o $(ORACLE_OUT)/guest39/plain.c.o \
		$(ORACLE_DIR)/guest/guest.ld
	$(GUEST_LD) -T $(ORACLE_DIR)/guest/guest.ld -o $@ $(filter %.o,$^)

oracle-plugin: $(GUEST_IMAGES) $(ORACLE_OUT)/plain.elf

# ---- runs ---------------------------------------------------------------------------------------
ORACLE_MAKE := $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST))
ORACLE_SETUP := scripts/setup && $(ORACLE_MAKE)
ORACLE_PYTEST := BUILD_DIR=$(BUILD_DIR) /usr/bin/python3 -m pytest -q -p no:cacheprovider

.PHONY: oracle-guest oracle-linux oracle-perch oracle
oracle-guest: ## prove the oracle: the verdict on each sequence of its own guest
	$(ORACLE_SETUP) oracle-plugin
	$(ORACLE_PYTEST) $(ORACLE_DIR)/test_oracle.py

oracle-linux: ## Debian's Linux kernel (downloaded) under the oracle
	$(ORACLE_SETUP) oracle-plugin
	$(ORACLE_PYTEST) $(ORACLE_DIR)/linux/check_linux.py

oracle-perch:
	$(ORACLE_SETUP) oracle-plugin $(BUILD_DIR)/perch.img
	ORACLE_ALL=1 $(ORACLE_PYTEST) $(ORACLE_DIR)/test_perch.py

oracle: ## all of Perch under the oracle, after proving the oracle; then the seeded defects
	$(ORACLE_MAKE) oracle-guest
	$(ORACLE_MAKE) oracle-perch
	test/seeded/run --oracle

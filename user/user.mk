# SPDX-License-Identifier: BSD-2-Clause
#
# user/user.mk - what is made of include/calls.toml, and the programs. Included by the Makefile.
#
# A program is a folder below user/ whose name is that of one of its C files: all C files of
# the folder are linked with the library. It is on the RAM disk by its name.

GEN := $(addprefix $(OUT)/gen/,call_nr.h call_args.h call_names.h call_table.c sys_calls.h)

# One run writes all of them, and only those that change; the stamp says that it ran.
$(GEN): $(OUT)/gen/.made ;
$(OUT)/gen/.made: include/calls.toml scripts/abi .clang-format
	$(call say,ABI,$(@D))
	$(Q)scripts/abi $(@D)
	@touch $@

$(OBJECTS): | $(OUT)/gen/.made
$(OUT)/gen/call_table.c.o: $(OUT)/gen/call_table.c $(OUT)/.flags
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- the library ----------------------------------------------------------------------------
USER_OUT := $(OUT)/user
USER_LIB := user/lib/crt0.S user/lib/atomics.c user/lib/cpio.c user/lib/elf.c user/lib/ramdisk.c \
	user/lib/spawn.c user/lib/start.c user/lib/stdio.c user/lib/sync.c user/lib/sys.c \
	user/lib/thread.c
USER_PROGRAMS := $(foreach d,$(patsubst user/%/,%,$(wildcard user/*/)), \
	$(if $(wildcard user/$(d)/$(d).c),$(d)))
USER_SOURCES := $(wildcard $(USER_PROGRAMS:%=user/%/*.c)) user/init/ramdisk.S

# picolibc's own headers come first; ours of the same name are the kernel's.
PICOLIBC := /usr/lib/picolibc/aarch64-linux-gnu
USER_CFLAGS := --target=aarch64-none-elf -march=armv8-a -mno-outline-atomics -ffixed-x18 \
	-ftls-model=local-exec -fno-pic -fno-stack-protector -fno-omit-frame-pointer -std=gnu23 \
	-O2 -g -ffunction-sections -fdata-sections \
	$(filter-out -Wframe-larger-than=%,$(WARNINGS)) \
	-isystem $(PICOLIBC)/include -I$(OUT) -Iuser/include -I. -idirafter include
USER_ASFLAGS := --target=aarch64-none-elf -march=armv8-a -g
USER_LDFLAGS := -T user/lib/user.ld --gc-sections --no-undefined \
	-z noexecstack -z max-page-size=4096 -L$(PICOLIBC)/lib/release

USER_LIB_OBJECTS := $(USER_LIB:%=$(USER_OUT)/%.o)
USER_ELFS := $(USER_PROGRAMS:%=$(USER_OUT)/%.elf)

.PHONY: user
user: $(USER_ELFS) $(USER_OUT)/init.flat ## build the programs, the RAM disk, and init with it

$(USER_OUT)/.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(USER_CFLAGS) $(USER_ASFLAGS)' | cmp -s - $@ || \
		echo '$(USER_CFLAGS) $(USER_ASFLAGS)' > $@

$(USER_OUT)/%.c.o: %.c $(USER_OUT)/.flags $(GEN)
	$(call say,UCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CFLAGS) -MMD -MP -c -o $@ $<

$(USER_OUT)/%.S.o: %.S $(USER_OUT)/.flags
	$(call say,UAS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_ASFLAGS) -MMD -MP -c -o $@ $<

define user_program
$(USER_OUT)/$(1).elf: $(patsubst %,$(USER_OUT)/%.o,$(filter user/$(1)/%,$(USER_SOURCES))) \
		$(USER_LIB_OBJECTS) user/lib/user.ld
	$$(call say,ULD,$$@)
	$$(Q)$$(LD) $$(USER_LDFLAGS) -o $$@ $$(filter %.o,$$^) --start-group -lc --end-group
endef
$(foreach p,$(USER_PROGRAMS),$(eval $(call user_program,$(p))))

# ---- the RAM disk, in init, in the kernel ---------------------------------------------------
# Names in the archive are those of the folders; times and owners are zero, so that equal programs
# make equal archives.
RAMDISK_FILES := $(patsubst %,$(USER_OUT)/ramdisk/%,$(filter-out init,$(USER_PROGRAMS)))

$(USER_OUT)/ramdisk/%: $(USER_OUT)/%.elf
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-all $< $@

$(USER_OUT)/ramdisk.cpio: $(RAMDISK_FILES)
	$(call say,CPIO,$@)
	$(Q)rm -rf $(USER_OUT)/stage && mkdir $(USER_OUT)/stage && cp $^ $(USER_OUT)/stage
	$(Q)cd $(USER_OUT)/stage && touch -d @0 $(notdir $^) && \
		printf '%s\n' $(sort $(notdir $^)) | \
		cpio -o -H newc --quiet --reproducible -R 0:0 > $(abspath $@)

$(USER_OUT)/user/init/ramdisk.S.o: $(USER_OUT)/ramdisk.cpio
$(USER_OUT)/user/init/ramdisk.S.o: USER_ASFLAGS += -I$(USER_OUT)

$(USER_OUT)/init.flat: $(USER_OUT)/init.elf scripts/flat
	$(call say,FLAT,$@)
	$(Q)scripts/flat $< $@

$(OUT)/user/init_image.S.o: $(USER_OUT)/init.flat
$(OUT)/user/init_image.S.o: ASFLAGS += -I$(USER_OUT)

-include $(USER_LIB_OBJECTS:.o=.d) $(USER_SOURCES:%=$(USER_OUT)/%.d)

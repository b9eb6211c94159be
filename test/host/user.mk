# SPDX-License-Identifier: BSD-2-Clause
#
# test/host/user.mk - host tests of the library of programs that is pure: cpio and ELF readers, with
# a short run of their fuzzer, which begins with real programs. Included by the top Makefile.

USER_HOST_OUT := $(BUILD_DIR)/host/user
USER_HOST_CC := $(PLATFORM_CC) -Iuser/include
USER_HOST_SOURCES := user/lib/cpio.c user/lib/elf.c
USER_FUZZ_RUNS := 50000

.PHONY: test-host-user
test-host: test-host-user
test-host-user: $(USER_HOST_OUT)/test_user $(USER_HOST_OUT)/fuzz_user $(USER_OUT)/ramdisk.cpio
	$(Q)$(USER_HOST_OUT)/test_user
	$(Q)rm -rf $(USER_HOST_OUT)/smoke $(USER_HOST_OUT)/seeds
	$(Q)mkdir $(USER_HOST_OUT)/smoke $(USER_HOST_OUT)/seeds
	$(Q)cp $(USER_OUT)/ramdisk/hello $(USER_OUT)/ramdisk.cpio $(USER_HOST_OUT)/seeds
	$(Q)$(USER_HOST_OUT)/fuzz_user -seed=1 -runs=$(USER_FUZZ_RUNS) -max_len=65536 -timeout=10 \
		-artifact_prefix=$(USER_HOST_OUT)/ $(USER_HOST_OUT)/smoke $(USER_HOST_OUT)/seeds \
		> $(USER_HOST_OUT)/fuzz.log 2>&1 || { cat $(USER_HOST_OUT)/fuzz.log; exit 1; }
	@echo 'fuzz_user: $(USER_FUZZ_RUNS) files, none breaks a reader'

define user_host_link
	$(call say,HOST,$@)
	@mkdir -p $(@D)
	$(Q)$(USER_HOST_CC) $(PLATFORM_CHECK) $(1) -o $@ $(filter %.c,$^) $(2)
endef

$(USER_HOST_OUT)/test_user: test/host/test_user.c $(USER_HOST_SOURCES)
	$(call user_host_link,,-lcmocka)

$(USER_HOST_OUT)/fuzz_user: test/host/fuzz_user.c $(USER_HOST_SOURCES)
	$(call user_host_link,-fsanitize=fuzzer,)

-include $(wildcard $(USER_HOST_OUT)/*.d)

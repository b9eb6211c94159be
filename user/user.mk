# SPDX-License-Identifier: BSD-2-Clause
#
# user/user.mk - what is made of include/calls.toml, and the programs. Included by the Makefile.

GEN := $(addprefix $(OUT)/gen/,call_nr.h call_args.h call_table.c sys_calls.h)

# One run writes all four, and only those that change; the stamp says that it ran.
$(GEN): $(OUT)/gen/.made ;
$(OUT)/gen/.made: include/calls.toml scripts/abi .clang-format
	$(call say,ABI,$(@D))
	$(Q)scripts/abi $(ABI_FLAGS) $(@D)
	@touch $@

# SPDX-License-Identifier: BSD-2-Clause
#
# The memory system above the pmap: its sources in the host build, and its unit tests. Those of
# objects and spaces run on flat tables (fake_pmap.c) in the pmap's place: a million random calls
# take seconds, and every step of the tables can be made to fail.

VM_UPPER := vm/region.c vm/reserv.c vm/budget.c \
	vm/object.c vm/object_index.c vm/object_pages.c vm/object_pager.c vm/object_secret.c \
	vm/object_dma.c vm/space.c vm/space_change.c vm/space_advise.c vm/space_tables.c \
	vm/fault.c vm/fault_class.c
VM_UNITS := $(HOST)/test_vm_region
VM_FLAT_UNITS := $(HOST)/test_vm_object $(HOST)/test_vm_kinds $(HOST)/test_vm_space \
	$(HOST)/test_vm_budget
VM_FLAT := $(patsubst %.c,$(HOST)/kernel/%.o,$(VM_UPPER) \
	$(filter-out vm/pmap% vm/region.c,$(SIM_KERNEL)))
SIM_KERNEL += vm/region.c

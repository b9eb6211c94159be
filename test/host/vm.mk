# SPDX-License-Identifier: BSD-2-Clause
#
# The memory system above the pmap: its sources in the host build, and its unit tests.

SIM_KERNEL += vm/region.c
VM_UNITS := $(HOST)/test_vm_region

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/ipi_direct.h> for the host: no mask is a target list, arch_ipi_send() sends all.
 */
#pragma once

#include <arch/ipi.h>

static inline bool arch_ipi_send_direct(enum sgi sgi, uint64_t cpus)
{
	(void)sgi;
	(void)cpus;
	return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_audit.h - is what the tables say what it must be? O(n), for tests and the end of boot.
 */
#pragma once

#include "vm/pmap.h"

struct pmap_audit {
	unsigned tables;
	unsigned wx;        /* leaves both writable and executable: 0 */
	unsigned bad_notes; /* tables whose counts are not what a scan finds: 0 (PM2) */
	unsigned open; /* leaves that are not of their half: EL0 could use the kernel's: 0 (UM3) */
	unsigned bad_runs; /* tables with half a contiguous run: 0 */
	va_t bad; /* where the last of these was found */
	uint64_t leaf_bytes[PT_LEVELS][2]; /* mapped bytes by level; [1]: in contiguous runs */
};

/* Walk everything. True: all is well. Takes the lock. */
bool pmap_audit(struct pmap *pmap, struct pmap_audit *audit);

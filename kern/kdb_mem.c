/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_mem.c - commands about addresses and what is behind them.
 *
 * THEORY   An address is translated by walking the live tables in physical memory, and what is
 *          behind it is read there too, on the lifeboat's root: a mapping that is broken, or that
 *          someone is changing, is seen and never used. Only `xv` asks the MMU, on purpose, and
 *          `w` stores through the live mapping after its walk was seen to be good: the other CPUs
 *          are held, so it stays so. A fault in either comes back to the prompt.
 */
#include <arch/pte.h>
#include <compiler.h>
#include <memmap.h>

#include "arch/arm64/sysreg.h"
#include "kern/kdb_impl.h"
#include "kern/log.h"
#include "kern/physread.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"

#define WORD 8
#define WORDS_MOST 256
#define MAP_LINES 32
#define MAP_STEPS (UINT32_C(1) << 16)

bool kdb_copy(uint64_t from, void *to, size_t bytes)
{
	uint64_t *word = to;

	for (size_t i = 0; i < bytes / sizeof(*word); i++) {
		if (!report_read(from + i * sizeof(*word), &word[i])) {
			return false;
		}
	}
	return true;
}

static bool is_canonical(uint64_t at)
{
	return at >> 48 == 0 || at >> 48 == 0xffff;
}

static bool address(const char *word, uint64_t *at)
{
	if (!kdb_address(word, at)) {
		return false;
	}
	if (!is_canonical(*at)) {
		kdb_error("%#llx is not canonical: bits 63:48 are neither all 0 nor all 1",
			  (unsigned long long)*at);
		return false;
	}
	return true;
}

static bool word_address(const char *word, uint64_t *at)
{
	if (!address(word, at)) {
		return false;
	}
	if (*at % WORD != 0) {
		kdb_error("%#llx is not aligned to %u", (unsigned long long)*at, WORD);
		return false;
	}
	return true;
}

static bool is_mapped(const struct report_walk *w)
{
	const pte_t e = w->entry[w->level];

	return !w->cut && w->level > 0 && pte_is_leaf(e, w->level) &&
	       (w->level < 3 || (e.v & PTE_TABLE) != 0);
}

/* Is there normal memory behind an address? If not, one line says why. */
static bool is_memory(uint64_t at, struct report_walk *w)
{
	report_walk(va(at), w);
	const pte_t e = w->entry[w->level];

	if (!is_mapped(w)) {
		kdb_error("%#llx is not mapped: L%u[%u] %s", (unsigned long long)at, w->level,
			  level_index(va(at), w->level),
			  w->cut ? "is in a table that is not in RAM" : "is invalid");
		return false;
	}
	if ((e.v & PTE_ATTR_MASK) >> PTE_ATTR_SHIFT != MAIR_NORMAL) {
		kdb_error("%#llx is device or uncached memory: not touched",
			  (unsigned long long)at);
		return false;
	}
	return true;
}

static pa_t frame_of(uint64_t at, const struct report_walk *w)
{
	const uint64_t bytes = level_bytes(w->level);

	return pa(align_down(pte_pa(w->entry[w->level]).v, bytes) + at % bytes);
}

/*
 * The word behind an address, by physical address; else one line says why not. No command shows or
 * changes what phys_read() refuses: a secret that is mapped somewhere stays one.
 */
static bool read_word(uint64_t at, struct report_walk *w, uint64_t *out)
{
	if (report_read(at, out)) { /* slices also when their mapping is what broke */
		report_walk(va(at), w);
		return true;
	}
	if (!is_memory(at, w)) {
		return false;
	}
	if (!phys_read_word(frame_of(at, w), out)) {
		kdb_error("%#llx: its frame may not be read: reserved, or secret",
			  (unsigned long long)at);
		return false;
	}
	return true;
}

static void cmd_walk(const struct kdb_words *w)
{
	struct report_walk walk;
	uint64_t at;

	if (!address(w->word[1], &at)) {
		return;
	}
	report_walk(va(at), &walk);
	report_print_walk(va(at), &walk);
	report_print_owner(va(at));
}

static void cmd_pte(const struct kdb_words *w)
{
	uint64_t entry;
	uint64_t level = 3;

	if (!kdb_address(w->word[1], &entry) || (w->count > 2 && !kdb_number(w->word[2], &level))) {
		return;
	}
	if (level >= PT_LEVELS) {
		kdb_error("%llu is no level: 0 to 3", (unsigned long long)level);
		return;
	}
	report_print_entry((pte_t){ entry }, (unsigned)level);
}

/* Neighbours that one line of `map` tells. */
struct run {
	uint64_t at;
	uint64_t bytes; /* 0: none yet */
	pte_t first;
	unsigned level;
};

static bool continues(const struct run *r, uint64_t at, pte_t e, unsigned level)
{
	return r->bytes != 0 && r->level == level && r->at + r->bytes == at &&
	       pte_attr(r->first) == pte_attr(e) && ((r->first.v ^ e.v) & PTE_CONT) == 0 &&
	       pte_pa(r->first).v + r->bytes == pte_pa(e).v;
}

static void print_run(const struct run *r)
{
	kprintf("  %016llx +%#llx ", (unsigned long long)r->at, (unsigned long long)r->bytes);
	report_print_entry(r->first, r->level);
}

static void cmd_map(const struct kdb_words *w)
{
	struct run run = { 0 };
	struct report_walk walk;
	uint64_t at = LINEAR_BASE;
	unsigned lines = 0;

	if (w->count > 1 && !address(w->word[1], &at)) {
		return;
	}
	for (unsigned step = 0; step < MAP_STEPS && lines < MAP_LINES; step++) {
		report_walk(va(at), &walk);
		const uint64_t bytes = level_bytes(walk.level);
		const pte_t e = walk.entry[walk.level];

		at = align_down(at, bytes);
		if (is_mapped(&walk) && continues(&run, at, e, walk.level)) {
			run.bytes += bytes;
		} else {
			if (run.bytes != 0) {
				print_run(&run);
				lines++;
			}
			run = is_mapped(&walk) ? (struct run){ at, bytes, e, walk.level }
					       : (struct run){ 0 };
		}
		at += bytes;
		if (at == 0) {
			break; /* the top */
		}
		at = is_canonical(at) ? at : LINEAR_BASE;
	}
	if (run.bytes != 0) {
		print_run(&run);
	}
	if (at != 0) {
		kprintf("  more: map %llx\n", (unsigned long long)at);
	}
}

static void cmd_pins(const struct kdb_words *w)
{
	(void)w;
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);

		kprintf("  %016llx +%#llx pa=%#llx %s\n", (unsigned long long)p->va.v,
			(unsigned long long)p->size, (unsigned long long)p->pa.v, p->what);
	}
}

static void cmd_x(const struct kdb_words *w)
{
	struct report_walk walk;
	uint64_t count = 1;
	uint64_t at;

	if (!word_address(w->word[1], &at) || (w->count > 2 && !kdb_number(w->word[2], &count))) {
		return;
	}
	if (count == 0 || count > WORDS_MOST) {
		kdb_error("%llu words: 1 to %u", (unsigned long long)count, WORDS_MOST);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t from = at + i * WORD;
		uint64_t value;

		if (!is_canonical(from)) {
			kdb_error("the end of the addresses");
			return;
		}
		if (!read_word(from, &walk, &value)) {
			return;
		}
		kprintf("  %016llx %016llx\n", (unsigned long long)from, (unsigned long long)value);
	}
}

/* On the live root if there is a way back to it; *root for lifeboat_enter()'s return. */
static bool leave_lifeboat(uint64_t *root)
{
	if (!kdb.live) {
		kdb_error("after a report there is no way back to the live tables");
		return false;
	}
	*root = read_sysreg(ttbr1_el1) & ~(uint64_t)LIFEBOAT_ROOT_BIT;
	lifeboat_leave(*root);
	return true;
}

static void cmd_xv(const struct kdb_words *w)
{
	struct report_walk walk;
	uint64_t value;
	uint64_t root;
	uint64_t at;

	if (!word_address(w->word[1], &at)) {
		return;
	}
	report_walk(va(at), &walk);
	/* What is not mapped faults; what is must be what x would show. */
	if ((is_mapped(&walk) && !read_word(at, &walk, &value)) || !leave_lifeboat(&root)) {
		return;
	}
	value = *(const volatile uint64_t *)(uintptr_t)at;

	lifeboat_enter();
	kprintf("  %016llx %016llx\n", (unsigned long long)at, (unsigned long long)value);
}

static void cmd_w(const struct kdb_words *w)
{
	struct report_walk walk;
	uint64_t value;
	uint64_t was;
	uint64_t root;
	uint64_t at;

	if (!word_address(w->word[1], &at) || !kdb_address(w->word[2], &value) ||
	    !is_memory(at, &walk) || !read_word(at, &walk, &was)) {
		return;
	}
	if ((walk.entry[walk.level].v & PTE_AP_RO) != 0) {
		kdb_error("%#llx is read-only", (unsigned long long)at);
		return;
	}
	const pa_t frame = frame_of(at, &walk);
	const struct pin *pin = pin_overlaps_pa(frame, WORD);

	if (pin != nullptr && heap_has_tag((const void *)(uintptr_t)align_down(
				      pin->va.v + (frame.v - pin->pa.v), PAGE_BYTES))) {
		kdb_error("%#llx is in the pinned heap: tables and slices are not written (R2)",
			  (unsigned long long)at);
		return;
	}
	if (!leave_lifeboat(&root)) {
		return;
	}
	*(volatile uint64_t *)(uintptr_t)at = value;
	lifeboat_enter();
}

static void cmd_sym(const struct kdb_words *w)
{
	uint64_t at;

	if (!kdb_address(w->word[1], &at)) {
		return;
	}
	kprintf("  %#llx", (unsigned long long)at);
	symbol_print(at);
	kprintf("\n");
}

const struct kdb_command kdb_memory_commands[] = {
	{ "walk", "ADDR", "the live tables' entries for an address, and who owns it", 1, 1,
	  cmd_walk },
	{ "pte", "ENTRY [LEVEL]", "an entry in words; level 3 unless said", 1, 2, cmd_pte },
	{ "map", "[ADDR]", "what is mapped, from an address on", 0, 1, cmd_map },
	{ "pins", "", "the register of pinned memory", 0, 0, cmd_pins },
	{ "x", "ADDR [COUNT]", "words of memory, read by physical address", 1, 2, cmd_x },
	{ "xv", "ADDR", "a word as the MMU finds it; a fault comes back here", 1, 1, cmd_xv },
	{ "w", "ADDR VALUE", "store a word; both hexadecimal", 2, 2, cmd_w },
	{ "sym", "ADDR", "the function at an address, or the address of one", 1, 1, cmd_sym },
	{ nullptr, nullptr, nullptr, 0, 0, nullptr },
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/tables.c - the oracle's copy of every table that the guest's CPUs can walk.
 *
 * THEORY   A page is a table because a TTBR or a valid table descriptor says so, at the level
 *          that follows from where it hangs, and stays one for as long as a CPU may walk it:
 *          while it hangs somewhere, is a root, or a stale cached entry still leads to it.
 *          Nobody announces that a page is freed; it is simply no longer any of these.
 *          A root that was loaded stays one while no CPU has it (a *cold* space), since the next
 *          load may come at any time. It ends when it is empty, as kernels leave it that free a
 *          space, or when one of its tables is written as no table is.
 *
 * INVARIANTS
 *   T1  table->value is what memory held after the last store that was seen.
 *   T2  A link exists for each valid table descriptor of each known table, and only for those.
 *   T3  A table with no link, root, ghost or debt is forgotten, and its page is plain memory.
 *   T4  watch[] has the page's bit set exactly while some table has that address.
 *   T5  table->used is the number of entries that are not invalid.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "oracle.h"

#define PA_BITS 44 /* of guest memory that can hold tables: 16 TiB */
#define BUCKETS 16384u

static struct table *bucket[BUCKETS];
static uint8_t *watch; /* one bit a page; read without the lock */

bool tables_init(void)
{
	watch = mmap(NULL, 1ull << (PA_BITS - 15), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return watch != MAP_FAILED;
}

bool table_watched(uint64_t pa)
{
	uint64_t page = pa >> 12;

	return pa >> PA_BITS == 0 &&
	       (__atomic_load_n(&watch[page >> 3], __ATOMIC_ACQUIRE) >> (page & 7) & 1);
}

static struct table **bucket_of(uint64_t pa)
{
	return &bucket[(pa >> 12) % BUCKETS];
}

static void watch_update(uint64_t pa)
{
	uint8_t bit = (uint8_t)(1u << (pa >> 12 & 7));
	bool any = false;

	for (unsigned level = 0; level <= 3; level++) {
		any |= table_find(pa, level) != NULL;
	}
	if (any) {
		__atomic_fetch_or(&watch[pa >> 15], bit, __ATOMIC_ACQ_REL);
		atomic_fetch_add(&g.epoch, 1);
	} else {
		__atomic_fetch_and(&watch[pa >> 15], (uint8_t)~bit, __ATOMIC_ACQ_REL);
	}
}

struct table *table_find(uint64_t pa, unsigned level)
{
	struct table *table = *bucket_of(pa);

	while (table != NULL && (table->pa != (pa & ~0xfffull) || table->level != level)) {
		table = table->hash_next;
	}
	return table;
}

/*
 * Read a table in memory that we have no host address for. A kernel that reaches one table at a
 * constant offset reaches most at it; with the MMU off the offset is 0. Both are verified, the
 * first by a walk, since another page's contents would be worse than none.
 */
static bool table_read_through(struct table *table)
{
	uint64_t va = table->pa + g.access_delta, pa;

	if (!(regs_sys(REG_SCTLR) & 1)) {
		return phys_read_through(table->pa, table->value, sizeof(table->value));
	}
	return tables_walk(g.access_cpu, va, &pa) && pa == table->pa &&
	       phys_read_through(va, table->value, sizeof(table->value));
}

static void table_read(struct table *table)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < ENTRIES; i++) {
		ok = phys_read(table->pa + i * 8, &table->value[i]);
	}
	if (!ok && !table_read_through(table)) {
		table->blind = true; /* until a store shows a way to it */
		g.n.blind++;
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		table->used += pte_kind(table->value[i], table->level) != KIND_INVALID;
		table_link(table, i, table->value[i]);
	}
}

/* The table of `level` in page `pa`, read from memory if it was not known. NULL: out of range. */
static struct table *table_get(uint64_t pa, unsigned level)
{
	struct table *table = table_find(pa, level);

	if (table != NULL || pa >> PA_BITS != 0) {
		return table;
	}
	table = calloc(1, sizeof(*table));
	if (table == NULL) {
		abort();
	}
	table->pa = pa & ~0xfffull;
	table->level = level;
	table->hash_next = *bucket_of(pa);
	*bucket_of(pa) = table;
	g.n.tables++;
	watch_update(pa);
	table_read(table);
	return table;
}

/* Take over the contents of a blind table, now that a store showed a way to read it. */
void table_fill(struct table *table, const uint64_t *value, unsigned except)
{
	table->blind = false;
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (i != except) {
			table->value[i] = value[i];
			table->used += pte_kind(value[i], table->level) != KIND_INVALID;
			table_link(table, i, value[i]);
		}
	}
}

bool table_empty(const struct table *table)
{
	return table->used == 0 && table->debt_count == 0;
}

struct table *table_child(const struct table *table, uint64_t pte)
{
	return pte_kind(pte, table->level) == KIND_TABLE
		       ? table_find(pte & PTE_OA, table->level + 1)
		       : NULL;
}

/* Does the table lead to a global leaf that `other` does not hold alike? NULL: it holds nothing. */
bool table_global_apart(const struct table *table, const struct table *other)
{
	unsigned left = table != other ? table->used : 0;

	for (unsigned i = 0; left > 0 && i < ENTRIES; i++) {
		uint64_t value = table->value[i], there = other != NULL ? other->value[i] : 0;
		enum pte_kind kind = pte_kind(value, table->level);
		const struct table *below = other != NULL ? table_child(other, there) : NULL;

		left -= kind != KIND_INVALID;
		if ((kind == KIND_LEAF && !(value & PTE_NG) && value != there) ||
		    (kind == KIND_TABLE && table_child(table, value) != NULL &&
		     table_global_apart(table_child(table, value), below))) {
			return true;
		}
	}
	return false;
}

void table_link(struct table *parent, unsigned index, uint64_t pte)
{
	struct table *child;

	if (pte_kind(pte, parent->level) != KIND_TABLE) {
		return;
	}
	child = table_get(pte & PTE_OA, parent->level + 1);
	if (child == NULL) {
		return;
	}
	if (child->link_count == child->link_max) {
		child->link_max = child->link_max == 0 ? 2 : child->link_max * 2;
		child->link = realloc(child->link, child->link_max * sizeof(*child->link));
		if (child->link == NULL) {
			abort();
		}
	}
	child->link[child->link_count++] = (struct link){ .parent = parent, .index = index };
}

void table_unlink(struct table *parent, unsigned index, uint64_t pte)
{
	struct table *child = table_child(parent, pte);

	if (child == NULL) {
		return;
	}
	for (unsigned i = 0; i < child->link_count; i++) {
		if (child->link[i].parent == parent && child->link[i].index == index) {
			child->link[i] = child->link[--child->link_count];
			break;
		}
	}
	table_put(child);
}

/* Forget the table if nothing keeps it (T3), and what hangs below it. */
void table_put(struct table *table)
{
	struct table **at = bucket_of(table->pa);

	if (table->link_count + table->roots + table->ghosts + table->debt_count + table->busy >
	    0) {
		return;
	}
	while (*at != table) {
		at = &(*at)->hash_next;
	}
	*at = table->hash_next;
	for (unsigned i = 0; i < ENTRIES; i++) {
		table_unlink(table, i, table->value[i]);
	}
	watch_update(table->pa);
	g.n.tables--;
	free(table->link);
	free(table->debt);
	free(table);
}

static void climb(const struct table *table, unsigned index, uint64_t below, struct place *place,
		  unsigned *count)
{
	uint64_t offset = below + ((uint64_t)index << level_shift(table->level));

	for (const struct space *s = table->roots > 0 ? g.spaces : NULL; s != NULL; s = s->next) {
		if (s->table != table || s->may_cache == 0 || index - s->first >= s->count) {
			continue;
		}
		if (*count == PATHS_MAX) {
			g.n.paths_lost++;
			return;
		}
		place[(*count)++] = (struct place){
			.va = s->va_base + offset - ((uint64_t)s->first << level_shift(s->level)),
			.root = s->root,
			.cpus = s->may_cache,
			.asid = s->asid,
			.half = s->half,
		};
	}
	for (unsigned i = 0; i < table->link_count; i++) {
		climb(table->link[i].parent, table->link[i].index, offset, place, count);
	}
}

/* Where TLBs may hold entry `index` of the table: every way from it up to a root. */
unsigned table_places(const struct table *table, unsigned index, struct place *place)
{
	unsigned count = 0;

	climb(table, index, 0, place, &count);
	return count;
}

static struct space *space_get(const struct space *want)
{
	struct space *s = g.spaces;

	while (s != NULL &&
	       (s->root != want->root || s->half != want->half || s->asid != want->asid ||
		s->first != want->first || s->count != want->count || s->level != want->level)) {
		s = s->next;
	}
	if (s != NULL) {
		return s;
	}
	s = malloc(sizeof(*s));
	if (s == NULL) {
		abort();
	}
	*s = *want;
	s->table = table_get(want->root, want->level);
	if (s->table == NULL) {
		free(s);
		return NULL;
	}
	s->table->roots++;
	s->next = g.spaces;
	g.spaces = s;
	g.n.spaces++;
	return s;
}

/* What half `half` of this CPU's address space is now; false: no walks, or none that we judge. */
static bool space_wanted(const struct cpu *cpu, unsigned half, struct space *want)
{
	unsigned tsz = (unsigned)(cpu->tcr >> (half == 0 ? 0 : 16)) & 0x3f;
	unsigned granule = (unsigned)(cpu->tcr >> (half == 0 ? 14 : 30)) & 3;
	unsigned bits = 64 - tsz;
	uint64_t asid = cpu->ttbr[cpu->tcr >> 22 & 1] >> 48; /* TCR.A1 */
	uint64_t base = cpu->ttbr[half] & 0x0000fffffffffffeull;

	if (!(cpu->sctlr & 1) || (cpu->tcr >> (half == 0 ? 7 : 23) & 1)) { /* M, EPDn */
		return false;
	}
	if (granule != (half == 0 ? 0 : 2) || bits < 25 || bits > 48 || (cpu->tcr >> 59 & 1)) {
		if (g.n.unsupported++ == 0) {
			report_note("TTBR%u: %u-bit addresses, granule field %u: not judged (only "
				    "the 4 KiB granule with 25 to 48 bits is)",
				    half, bits, granule);
		}
		return false;
	}
	if (!(cpu->tcr >> 36 & 1)) { /* TCR.AS */
		asid &= 0xff;
	}
	want->half = (uint8_t)half;
	want->level = 4 - (bits - 12 + 8) / 9;
	want->count = 1u << (bits - level_shift(want->level));
	want->first = (unsigned)(base & 0xfff) / 8;
	want->root = base & ~0xfffull;
	want->asid = half == 0 ? (uint16_t)asid : 0;
	want->va_base = half == 0 ? 0 : ~0ull << bits;
	return true;
}

/* A CPU's translation registers may have changed: follow them. */
void tables_refresh(unsigned index, const struct site *site)
{
	struct cpu *cpu = &g.cpu[index];
	uint64_t bit = 1ull << index;

	cpu->filter_epoch = 0;
	for (unsigned half = 0; half <= 1; half++) {
		struct space want = { .root = 0 };
		struct space *old = cpu->space[half];
		struct space *new = NULL;

		if (space_wanted(cpu, half, &want)) {
			new = space_get(&want);
		}
		if (new == old) {
			continue;
		}
		if (old != NULL) {
			old->current &= ~bit;
			if (half == 0 && table_global_apart(old->table, NULL)) {
				old->global |= bit;
			}
			if (table_empty(old->table)) {
				old->may_cache &= ~bit; /* there is nothing to hold */
			}
		}
		cpu->space[half] = new;
		if (new != NULL) {
			new->current |= bit;
			judge_activate(index, new, site);
			new->may_cache |= bit;
		}
	}
	tables_collect();
}

static bool is_cold(const struct space *s)
{
	return s->may_cache == 0 && s->current == 0;
}

/* Of several cold spaces with one root, one stands for all. */
static bool is_over(const struct space *s, unsigned cold)
{
	return s->reused || s->table->roots > 1 || table_empty(s->table) || cold > COLD_MAX;
}

/* Forget the cold spaces that have come to their end, and the oldest when there are too many. */
void tables_collect(void)
{
	struct space **at = &g.spaces;
	unsigned cold = 0;

	while (*at != NULL) {
		struct space *s = *at;

		cold += is_cold(s);
		if (!is_cold(s) || !is_over(s, cold)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		cold--;
		g.n.spaces--;
		s->table->roots--;
		table_put(s->table);
		free(s);
	}
}

static bool mark_reused(const struct table *table)
{
	bool any = false;

	for (struct space *s = table->roots > 0 ? g.spaces : NULL; s != NULL; s = s->next) {
		if (s->table == table && is_cold(s)) {
			s->reused = any = true;
		}
	}
	for (unsigned i = 0; i < table->link_count; i++) {
		any |= mark_reused(table->link[i].parent);
	}
	return any;
}

/* This page was written as no table is: cold spaces that lead to it are no more. */
void tables_reused(uint64_t pa)
{
	bool any = false;

	for (unsigned level = 0; level <= 3; level++) {
		const struct table *table = table_find(pa, level);

		any |= table != NULL && mark_reused(table);
	}
	if (any) {
		tables_collect();
	}
}

static bool entry_read(uint64_t pa, unsigned level, uint64_t *pte)
{
	const struct table *table = table_find(pa, level);

	if (table != NULL && !table->blind) {
		*pte = table->value[(pa >> 3) % ENTRIES];
		return true;
	}
	return phys_read(pa, pte);
}

/* Where va is in physical memory for this CPU now, by a walk of its tables. */
bool tables_walk(unsigned index, uint64_t va, uint64_t *pa)
{
	const struct cpu *cpu = &g.cpu[index];
	const struct space *s = cpu->space[va >> 55 & 1];
	uint64_t at, pte;

	if (!(cpu->sctlr & 1)) {
		*pa = va;
		return true;
	}
	if (s == NULL) {
		return false;
	}
	at = s->root + s->first * 8ull;
	for (unsigned level = s->level; level <= 3; level++) {
		unsigned mask = level == s->level ? s->count - 1 : ENTRIES - 1;

		if (!entry_read(at + (va >> level_shift(level) & mask) * 8, level, &pte)) {
			return false;
		}
		if (pte_kind(pte, level) != KIND_TABLE) {
			*pa = pte_oa(pte, level) | (va & (level_size(level) - 1));
			return pte_kind(pte, level) == KIND_LEAF;
		}
		at = pte & PTE_OA;
	}
	return false;
}

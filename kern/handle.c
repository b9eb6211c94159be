/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/handle.c - see kern/handle.h.
 */
#include "kern/handle.h"

#include <arch/atomic.h>
#include <memmap.h>

#include "kern/assert.h"
#include "pcpu/heap.h"

static_assert(HANDLE_PAGE_SLOTS * sizeof(struct handle_slot) == PAGE_BYTES);
static_assert(HANDLE_MAX <= UINT16_MAX + 1, "an index has 16 bits");

#define GENERATION_MAX UINT16_MAX
#define RESTED_A_STEP 64 /* slots that are put in order while the lock is held */
#define TABLE_OF(node) \
	((struct handle_table *)(void *)((char *)(node) - offsetof(struct handle_table, reclaim)))

/* Where a table has no page yet, so that the fast paths need not ask (arch/arm64/ipc_fast.S). */
static struct handle_slot no_slots[HANDLE_PAGE_SLOTS];

static uint64_t word_make(uint32_t generation, enum kobj_type type, uint8_t rights)
{
	return (uint64_t)generation << 16 | (uint64_t)type << 8 | rights;
}

/* The slot of an index, or nullptr beyond the table. */
static struct handle_slot *slot_of(const struct handle_table *table, uint32_t index)
{
	if (index >= HANDLE_MAX) {
		return nullptr;
	}
	const uint64_t page = load_acquire(
		(const uint64_t *)(const void *)&table->page[index / HANDLE_PAGE_SLOTS]);

	return page == 0 ? nullptr : (struct handle_slot *)page + index % HANDLE_PAGE_SLOTS;
}

void handle_table_init(struct handle_table *table, struct memcharge *charge)
{
	*table = (struct handle_table){
		.lock = SPINLOCK("handles", LOCK_TASK),
		.charge = charge,
		.page = { no_slots },
	};
}

static always_inline enum kerr look_up(const struct handle_table *table, handle_t h,
				       enum kobj_type type, uint8_t rights, bool dead_too,
				       struct handle_view *out)
{
	const struct handle_slot *slot = slot_of(table, h & UINT16_MAX);

	if (slot == nullptr) {
		return KERR_HANDLE;
	}
	/* LDAR: after the STLR of this CPU's last way out. Pairs with begin_grace(), reclaim.c. */
	const uint64_t word = load_acquire(&slot->word);

	if (word == 0 || word >> 16 != h >> 16 ||
	    (type != KOBJ_NONE && (word >> 8 & 0xff) != type)) {
		return KERR_HANDLE;
	}
	if ((word & rights) != rights) {
		return KERR_DENIED;
	}
	if (!dead_too && kobj_is_dead(slot->obj)) {
		return KERR_DEAD;
	}
	*out = (struct handle_view){ .obj = slot->obj,
				     .badge = slot->badge,
				     .rights = (uint8_t)word };
	return KERR_OK;
}

enum kerr handle_get(const struct handle_table *table, handle_t h, enum kobj_type type,
		     uint8_t rights, struct handle_view *out)
{
	return look_up(table, h, type, rights, false, out);
}

enum kerr handle_get_dead(const struct handle_table *table, handle_t h, uint8_t rights,
			  struct handle_view *out)
{
	return look_up(table, h, KOBJ_NONE, rights, true, out);
}

/* One more page of empty slots. */
static enum kerr grow(struct handle_table *table)
{
	if (table->pages == HANDLE_PAGES || !memcharge_take(table->charge, PAGE_BYTES)) {
		return KERR_NO_MEMORY;
	}
	struct handle_slot *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	if (page == nullptr) {
		memcharge_give(table->charge, PAGE_BYTES);
		return KERR_NO_MEMORY;
	}
	store_release((uint64_t *)(void *)&table->page[table->pages], (uint64_t)(uintptr_t)page);
	table->pages++;
	return KERR_OK;
}

/* Fill an empty slot, one that was used before if there is one. The word last, for who looks. */
static handle_t fill(struct handle_table *table, const struct handle_view *what)
{
	const uint32_t index = table->free != 0 ? table->free - 1 : table->fresh++;
	struct handle_slot *slot = slot_of(table, index);

	KASSERT(slot->word == 0);
	if (table->free != 0) {
		table->free = slot->next;
	}
	table->count++;
	slot->generation = slot->generation % GENERATION_MAX + 1; /* never 0 */
	slot->obj = what->obj;
	slot->badge = what->badge;
	store_release(&slot->word, word_make(slot->generation, what->obj->ops->type, what->rights));
	return index | slot->generation << 16;
}

enum kerr handle_new(struct handle_table *table, struct kobj *obj, uint8_t rights, uint64_t badge,
		     handle_t *out)
{
	enum kerr e = KERR_OK;

	if (!kobj_get(obj)) {
		return KERR_DEAD;
	}
	spin_lock(&table->lock);
	if (table->free == 0 && table->fresh == table->pages * HANDLE_PAGE_SLOTS) {
		e = grow(table);
	}
	if (e == KERR_OK) {
		*out = fill(table, &(struct handle_view){ obj, badge, rights });
	}
	spin_unlock(&table->lock);
	if (e != KERR_OK) {
		kobj_put(obj);
	}
	return e;
}

/* Nobody looks at the resting slots any more: they may be used. One step. */
static bool rested(struct reclaim_node *node)
{
	struct handle_table *table = TABLE_OF(node);
	bool again;

	spin_lock(&table->lock);
	for (unsigned n = 0; n < RESTED_A_STEP && table->resting != 0; n++) {
		struct handle_slot *slot = slot_of(table, table->resting - 1);
		const uint32_t index = table->resting;

		table->resting = slot->next;
		slot->next = table->free;
		table->free = index;
	}
	if (table->resting != 0) {
		spin_unlock(&table->lock);
		return false;
	}
	again = table->closed != 0;
	table->resting = table->closed;
	table->closed = 0;
	table->grace = again;
	spin_unlock(&table->lock);
	if (again) {
		reclaim_defer(node, rested);
	}
	return true;
}

/* Empty a slot. True: a grace period must be begun for it. */
static bool empty(struct handle_table *table, uint32_t index, struct handle_slot *slot)
{
	const bool begin = !table->grace;

	store_release(&slot->word, 0);
	table->count--;
	if (begin) {
		slot->next = table->resting;
		table->resting = index + 1;
		table->grace = true;
	} else {
		slot->next = table->closed;
		table->closed = index + 1;
	}
	return begin;
}

enum kerr handle_close(struct handle_table *table, handle_t h)
{
	struct handle_slot *slot = slot_of(table, h & UINT16_MAX);
	struct kobj *obj = nullptr;
	bool begin = false;

	if (slot == nullptr || h == HANDLE_NONE) {
		return KERR_HANDLE;
	}
	spin_lock(&table->lock);
	if (slot->word != 0 && slot->word >> 16 == h >> 16) {
		obj = slot->obj;
		begin = empty(table, h & UINT16_MAX, slot);
	}
	spin_unlock(&table->lock);
	if (obj == nullptr) {
		return KERR_HANDLE;
	}
	if (begin) {
		reclaim_defer(&table->reclaim, rested);
	}
	kobj_put(obj);
	return KERR_OK;
}

/* Close up to `steps` handles of one page. */
static unsigned close_page(struct handle_slot *page, unsigned steps)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < HANDLE_PAGE_SLOTS && closed < steps; i++) {
		if (page[i].word != 0) {
			page[i].word = 0;
			kobj_put(page[i].obj);
			closed++;
		}
	}
	return closed;
}

bool handle_table_end(struct handle_table *table, unsigned steps)
{
	if (table->grace) {
		return false; /* its reclaim node is on its way */
	}
	while (table->pages != 0) {
		struct handle_slot *page = table->page[table->pages - 1];
		const unsigned closed = close_page(page, steps);

		steps -= closed;
		table->count -= closed;
		if (steps == 0) {
			return false;
		}
		table->pages--;
		heap_free(page, 1);
		memcharge_give(table->charge, PAGE_BYTES);
	}
	KASSERT(table->count == 0);
	return true;
}

uint32_t handle_count(const struct handle_table *table)
{
	return table->count;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/model/vm_model_contents.c - the calls that change what memory holds: advice, and what is
 * done to objects themselves.
 */
#include "test/model/vm_model_impl.h"
#include "vm/frame.h"
#include "vm/space_impl.h"

/* ---- advise ---- */

static void choose_advise(struct vm_model *m)
{
	model_choose_range(m, "space_advise");
	m->call.prot = model_once_in(m, 16) ? (unsigned)model_any(m, 8)
					    : VM_COLLAPSE + (unsigned)model_any(m, 4);
	/* It does one piece after another: what a failed call did is known of one page only. */
	if (m->disturbed || (m->spent && m->call.prot == VM_DONTNEED)) {
		m->call.bytes = PAGE_BYTES;
	}
}

/* A touch brings contents where a program's access would. */
static void touched(struct vm_model *m, const struct vm_model_page *p)
{
	if (model_verdict(m, p, VM_READ) == FAULT_RESOLVED) {
		m->object[p->object].has[p->page] = true;
	}
}

/* Collapsing touches the first page, if there is a whole superpage that has anything. */
static void collapsed(struct vm_model *m, const struct vm_model_page *p)
{
	const struct vm_model_object *o = &m->object[p->object];
	const uint32_t block = p->page - p->page % RESERV_PAGES;
	bool any = false;

	for (uint32_t i = block; i < block + RESERV_PAGES && block + RESERV_PAGES <= o->pages;
	     i++) {
		any = any || o->has[i];
	}
	if (any) {
		touched(m, p);
	}
}

/* [at, end) is a piece: of one region, and of one 2 MiB of its object. */
static enum kerr want_piece(struct vm_model *m, uint64_t at, uint64_t end)
{
	const struct vm_model_call *c = &m->call;
	const struct vm_model_page *p = model_at(m, c->space, at);

	switch ((enum memory_advice)c->prot) {
	case VM_COLLAPSE:
	case VM_SPLIT:
		return m->spent ? KERR_BUSY : KERR_OK;
	case VM_DONTNEED:
		if ((p->max & VM_WRITE) == 0) {
			return KERR_DENIED;
		}
		return model_cannot_cut(m, c->space, at) || model_cannot_cut(m, c->space, end)
			       ? KERR_BUSY
			       : KERR_OK;
	default:
		return KERR_OK;
	}
}

static void do_piece(struct vm_model *m, uint64_t at, uint64_t end)
{
	const struct vm_model_call *c = &m->call;

	if (c->prot == VM_COLLAPSE) {
		collapsed(m, model_at(m, c->space, at));
	}
	for (; at < end; at += PAGE_BYTES) {
		const struct vm_model_page *p = model_at(m, c->space, at);

		if (c->prot == VM_WILLNEED) {
			touched(m, p);
		} else if (c->prot == VM_DONTNEED) {
			m->object[p->object].has[p->page] = false;
			m->object[p->object].word[p->page] = 0;
		}
	}
}

/* Where the piece at `at` ends. */
static uint64_t piece_end(struct vm_model *m, uint64_t at, uint64_t end)
{
	const unsigned s = m->call.space;
	const uint64_t in_block = RESERV_PAGES - model_at(m, s, at)->page % RESERV_PAGES;
	uint64_t to = model_region_end(m, s, at);

	to = to - at < in_block * PAGE_BYTES ? to : at + in_block * PAGE_BYTES;
	return to < end ? to : end;
}

/* *done: how far it should come. */
static enum kerr want_advise(struct vm_model *m, uint64_t *done)
{
	const struct vm_model_call *c = &m->call;
	const uint64_t end = c->at + c->bytes;
	enum kerr want = model_want_range(c->at, c->bytes);

	*done = c->at;
	if (c->prot < VM_COLLAPSE || c->prot > VM_DONTNEED) {
		return KERR_INVALID;
	}
	while (want == KERR_OK && *done < end) {
		if (!model_shows(model_at(m, c->space, *done))) {
			return KERR_ABSENT;
		}
		const uint64_t to = piece_end(m, *done, end);

		want = want_piece(m, *done, to);
		*done = want == KERR_OK ? to : *done;
	}
	return want;
}

/* Collapsing needs 2 MiB in one piece: are there none? */
static bool is_scattered(void)
{
	pa_t block;

	if (frame_alloc(RESERV_ORDER, 0, &block) != KERR_OK) {
		return true;
	}
	frame_free(block, RESERV_ORDER);
	return false;
}

static void make_advise(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	const int object = model_at(m, c.space, c.at)->object;
	uint64_t done;
	const enum kerr want = want_advise(m, &done);
	const enum kerr is =
		space_advise(m->space[c.space], va(c.at), c.bytes, (enum memory_advice)c.prot);

	if (c.prot == VM_COLLAPSE && is == KERR_NO_MEMORY && done != c.at && is_scattered()) {
		m->refused++;
		model_learn_all(m);
		return;
	}
	if (!model_judge(m, is, want) && is != want) {
		model_learn(m, object);
		return;
	}
	for (uint64_t at = c.at, to; at < done && m->wrong == nullptr; at = to) {
		to = piece_end(m, at, done);
		do_piece(m, at, to);
	}
}

/* ---- objects ---- */

static void choose_object(struct vm_model *m, const char *name)
{
	model_choose_range(m, name);
	m->call.object = (int)model_any(m, MODEL_OBJECTS);
	m->call.offset = model_once_in(m, 6)
				 ? model_any_word(m)
				 : model_any(m, m->object[m->call.object].pages) * PAGE_BYTES;
}

static void choose_create(struct vm_model *m)
{
	choose_object(m, "object_create");
	m->call.prot = (unsigned)model_any(m, MEM_KIND_COUNT + 2); /* the kind */
	m->call.bytes = model_any_word(m);
}

/* Of anonymous memory, which costs nothing before it is touched; other kinds: malformed only. */
static void make_create(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	const bool kind_ok = c.prot == MEM_ANON || c.prot == MEM_SECRET || c.prot == MEM_DMA;
	struct memory_object *object = nullptr;
	enum kerr want = KERR_OK;

	if (!kind_ok) {
		want = KERR_INVALID;
	} else if (c.bytes == 0 || c.bytes > OBJECT_BYTES_MAX) {
		want = KERR_RANGE;
	} else if (c.bytes % PAGE_BYTES != 0) {
		want = KERR_INVALID;
	} else if (c.prot != MEM_ANON) {
		return;
	}
	if (model_judge(
		    m,
		    object_create((enum memory_kind)c.prot, c.bytes, &m->charge, nullptr, &object),
		    want)) {
		model_expect(m, "its length", object_bytes(object), c.bytes);
		object_unref(object);
	} else {
		model_expect(m, "what a failed call wrote", object != nullptr, false);
	}
}

static void choose_discard(struct vm_model *m)
{
	choose_object(m, "object_discard");
	m->call.bytes = m->disturbed ? PAGE_BYTES : m->call.bytes;
}

static void make_discard(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	struct vm_model_object *o = &m->object[c.object];
	const uint64_t limit = o->pages * PAGE_BYTES;
	enum kerr want = KERR_OK;

	if ((c.offset | c.bytes) % PAGE_BYTES != 0) {
		want = KERR_INVALID;
	} else if (c.offset > limit || c.bytes > limit - c.offset) {
		want = KERR_RANGE;
	}
	if (model_judge(m, object_discard(o->object, c.offset, c.bytes), want)) {
		for (uint64_t page = c.offset / PAGE_BYTES;
		     page < (c.offset + c.bytes) / PAGE_BYTES; page++) {
			o->has[page] = false;
			o->word[page] = 0;
		}
	}
}

static void choose_revoke(struct vm_model *m)
{
	choose_object(m, "object_unmap_all");
}

/* The leaves of an object that any space has; what it shows is unmapped too, if `away`. */
static void look_for_leaves(struct vm_model *m, int object, bool away)
{
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		for (uint64_t i = 0; i < MODEL_PAGES; i++) {
			const va_t at = va(i * PAGE_BYTES);
			uint64_t span;
			pte_t leaf;

			if (m->page[s][i].object != object) {
				continue;
			}
			model_expect(m, "a leaf of a revoked object",
				     pmap_user_query(&m->space[s]->pmap, at, &leaf, &span), false);
			if (away) {
				model_expect(m, "unmapping it",
					     space_unmap(m->space[s], at, PAGE_BYTES), KERR_OK);
				m->page[s][i].object = MODEL_NOTHING;
			}
		}
	}
}

/* Revoked first, and at another time replaced. */
static void make_revoke(struct vm_model *m)
{
	const int object = m->call.object;
	struct vm_model_object *o = &m->object[object];

	if (!o->revoked) {
		if (!model_judge(m, object_unmap_all(o->object), KERR_OK)) {
			model_calm_down(m); /* revoked it is; some of it may still be mapped */
			(void)model_judge(m, object_unmap_all(o->object), KERR_OK);
		}
		o->revoked = true;
		look_for_leaves(m, object, false);
		return;
	}
	model_calm_down(m);
	look_for_leaves(m, object, true);
	object_unref(o->object);
	model_make_object(m, (unsigned)object);
}

const struct model_call_kind model_advise = { choose_advise, make_advise };
const struct model_call_kind model_create = { choose_create, make_create };
const struct model_call_kind model_discard = { choose_discard, make_discard };
const struct model_call_kind model_revoke = { choose_revoke, make_revoke };

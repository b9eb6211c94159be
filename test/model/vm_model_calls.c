/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/model/vm_model_calls.c - what each call should say, and what it changes.
 *
 * THEORY   A kind of call chooses its arguments, sensible ones and any others, says what its result
 *          has to be, is made, and changes the model if it did what it was asked to. The order of
 *          the errors is a part of what is promised: what is malformed (INVALID) before what lies
 *          outside (RANGE), before what is not allowed (DENIED), before what is there (EXISTS,
 *          ABSENT, DEAD), before what there is not enough of (BUSY, NO_MEMORY).
 */
#include <compiler.h>

#include "test/model/vm_model_impl.h"
#include "vm/space_impl.h"

#define LONG_PAGES 1400u
#define SHORT_PAGES 40u

enum kerr model_want_range(uint64_t at, uint64_t bytes)
{
	if (at % PAGE_BYTES != 0 || bytes % PAGE_BYTES != 0) {
		return KERR_INVALID;
	}
	return bytes == 0 || at < USER_BASE || at >= USER_END || bytes > USER_END - at ? KERR_RANGE
										       : KERR_OK;
}

static bool is_writable_code(unsigned prot)
{
	return (prot & VM_WRITE) != 0 && (prot & VM_EXEC) != 0;
}

bool model_judge(struct vm_model *m, enum kerr is, enum kerr want)
{
	const bool late = want != KERR_INVALID && want != KERR_RANGE && want != KERR_DENIED &&
			  want != KERR_ABSENT;

	if (m->disturbed && is != want && late && (is == KERR_NO_MEMORY || is == KERR_BUSY)) {
		m->refused++;
		return false;
	}
	m->refused += is == KERR_BUSY ? 1 : 0;
	m->bad += is != KERR_OK && is != KERR_BUSY ? 1 : 0;
	return model_expect(m, "the result", is, want) && is == KERR_OK;
}

bool model_cannot_cut(const struct vm_model *m, unsigned s, uint64_t at)
{
	uint64_t span;
	pte_t leaf;

	return m->spent && pmap_user_query(&m->space[s]->pmap, va(at), &leaf, &span) &&
	       at % span != 0;
}

static void paint(struct vm_model *m, unsigned s, uint64_t at, uint64_t bytes,
		  struct vm_model_page with)
{
	for (uint64_t i = at / PAGE_BYTES; bytes > 0 && i < MODEL_PAGES; i++, bytes -= PAGE_BYTES) {
		m->page[s][i] = with;
		with.page++;
	}
}

uint64_t model_region_end(struct vm_model *m, unsigned s, uint64_t at)
{
	const struct vm_model_page *first = model_at(m, s, at);
	struct space_info info = { .base = at, .bytes = PAGE_BYTES };

	model_expect(m, "space_query()", space_query(m->space[s], va(at), &info), KERR_OK);
	model_expect(m, "the region around", at - info.base < info.bytes, true);
	for (uint64_t off = 0; off < info.base + info.bytes - at; off += PAGE_BYTES) {
		const struct vm_model_page *p = model_at(m, s, at + off);

		if (!model_expect(m, "the region's object", (uint64_t)p->object,
				  (uint64_t)first->object) ||
		    !model_expect(m, "the region's rights", p->prot, first->prot)) {
			return at + PAGE_BYTES;
		}
	}
	return info.base + info.bytes;
}

/* ---- arguments ---- */

uint64_t model_any_word(struct vm_model *m)
{
	static const uint64_t edges[] = {
		0,
		1,
		PAGE_BYTES - 1,
		USER_BASE,
		USER_END,
		USER_END - PAGE_BYTES,
		LINEAR_BASE,
		UINT64_MAX,
		IMAGE_BASE,
		UINT64_C(1) << 63,
		UINT64_MAX - PAGE_BYTES + 1,
		BLOCK_BYTES,
		GIB,
		USER_END - USER_BASE,
	};
	const uint64_t edge = edges[model_any(m, array_len(edges))];

	switch (model_any(m, 4)) {
	case 0:
		return model_any(m, UINT64_MAX);
	case 1:
		return edge + model_any(m, 3) * PAGE_BYTES - PAGE_BYTES;
	case 2:
		return model_any(m, MODEL_PAGES) * PAGE_BYTES + model_any(m, 2) * 8;
	default:
		return edge;
	}
}

void model_choose_range(struct vm_model *m, const char *name)
{
	const uint64_t page = model_any(m, MODEL_PAGES);
	const uint64_t pages = 1 + model_any(m, model_once_in(m, 8) ? LONG_PAGES : SHORT_PAGES);

	m->call = (struct vm_model_call){
		.name = name,
		.space = (unsigned)model_any(m, MODEL_SPACES),
		.object = MODEL_NOTHING,
		.at = page * PAGE_BYTES,
		.bytes = (pages < MODEL_PAGES - page ? pages : MODEL_PAGES - page) * PAGE_BYTES,
	};
	if (model_once_in(m, 16)) {
		m->call.at = model_any_word(m);
	}
	if (model_once_in(m, 16)) {
		m->call.bytes = model_any_word(m);
	}
}

static unsigned any_prot(struct vm_model *m)
{
	static const unsigned prots[] = { VM_READ, VM_READ | VM_WRITE, VM_READ | VM_WRITE,
					  VM_READ | VM_EXEC, 0 };
	const unsigned writable_code = VM_PROT_MASK;

	if (model_once_in(m, 16)) {
		return writable_code; /* SP2 */
	}
	return model_once_in(m, 16) ? (unsigned)model_any(m, 64)
				    : prots[model_any(m, array_len(prots))];
}

/* ---- map ---- */

static void choose_map(struct vm_model *m)
{
	model_choose_range(m, "space_map");
	struct vm_model_call *c = &m->call;
	const unsigned o = (unsigned)model_any(m, MODEL_OBJECTS);
	const uint64_t limit = m->object[o].pages * PAGE_BYTES;
	const uint64_t skew = c->at % BLOCK_BYTES;

	c->prot = any_prot(m) | (model_once_in(m, 3) ? 0 : VM_FIXED);
	c->prot_max = model_once_in(m, 3) ? c->prot : VM_PROT_MASK;
	if (model_once_in(m, 12)) {
		c->prot = VM_FIXED | VM_GUARD;
		return;
	}
	c->object = (int)o;
	if (model_once_in(m, 16)) {
		c->offset = model_any_word(m);
		return;
	}
	if (model_once_in(m, 3)) {
		c->at = align_down(c->at, BLOCK_BYTES) + (model_once_in(m, 3) ? PAGE_BYTES : 0);
		c->bytes = limit;
	} else if (model_once_in(m, 4)) {
		c->offset = model_any(m, m->object[o].pages) * PAGE_BYTES;
	} else {
		c->offset = skew < limit ? skew : 0; /* so that superpages fit */
	}
	if (c->bytes % PAGE_BYTES == 0 && c->bytes > limit - c->offset && !model_once_in(m, 16)) {
		c->bytes = limit - c->offset;
	}
	c->at = model_once_in(m, 8) ? 0 : c->at;
}

/* The first address of a range that is taken, or its end: beyond what is modelled nothing is. */
static uint64_t first_taken(const struct vm_model *m, unsigned s, uint64_t at, uint64_t bytes)
{
	const uint64_t end = at + bytes;

	for (; at < end && at < MODEL_PAGES * PAGE_BYTES; at += PAGE_BYTES) {
		if (model_at(m, s, at)->object != MODEL_NOTHING) {
			return at;
		}
	}
	return end;
}

/* In the lowest gap with room for it however it is aligned; beyond what is modelled is one. */
static uint64_t lowest_place(const struct vm_model *m, const struct vm_model_call *c)
{
	const uint64_t align = c->bytes >= BLOCK_BYTES               ? BLOCK_BYTES
			       : c->bytes >= RESERV_RUN * PAGE_BYTES ? RESERV_RUN * PAGE_BYTES
								     : PAGE_BYTES;
	const uint64_t room = c->bytes + align - PAGE_BYTES;
	uint64_t at = USER_BASE;
	uint64_t taken;

	while ((taken = first_taken(m, c->space, at, room)) < at + room) {
		at = taken + PAGE_BYTES;
	}
	return at + (c->offset - at) % align;
}

static enum kerr want_map(const struct vm_model *m, const struct vm_model_call *c, uint64_t *place)
{
	const bool guard = (c->prot & VM_GUARD) != 0;
	const bool fixed = (c->prot & VM_FIXED) != 0;

	if ((c->prot & ~VM_MAP_MASK) != 0 || guard != (c->object == MODEL_NOTHING) ||
	    is_writable_code(c->prot) || (c->offset | c->at | c->bytes) % PAGE_BYTES != 0) {
		return KERR_INVALID;
	}
	if (c->bytes == 0 || c->bytes > USER_END - USER_BASE) {
		return KERR_RANGE;
	}
	if (!guard) {
		const uint64_t limit = m->object[c->object].pages * PAGE_BYTES;

		if (c->offset >= limit || c->bytes > limit - c->offset) {
			return KERR_RANGE;
		}
	}
	if ((c->at != 0 || fixed) && model_want_range(c->at, c->bytes) != KERR_OK) {
		return model_want_range(c->at, c->bytes);
	}
	if ((c->prot & VM_PROT_MASK & ~c->prot_max) != 0) {
		return KERR_DENIED;
	}
	const bool there = c->at != 0 &&
			   first_taken(m, c->space, c->at, c->bytes) == c->at + c->bytes;

	if (fixed && !there) {
		return KERR_EXISTS;
	}
	*place = there ? c->at : lowest_place(m, c);
	return !guard && m->object[c->object].revoked ? KERR_DEAD : KERR_OK;
}

/* What lies where the model has no pages goes again. */
static void unmap_outside(struct vm_model *m, uint64_t at, uint64_t bytes)
{
	if (at + bytes > MODEL_PAGES * PAGE_BYTES) {
		model_calm_down(m);
		model_expect(m, "unmapping it again",
			     space_unmap(m->space[m->call.space], va(at), bytes), KERR_OK);
		paint(m, m->call.space, at, bytes,
		      (struct vm_model_page){ .object = MODEL_NOTHING });
	}
}

static void make_map(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	const bool guard = c.object == MODEL_NOTHING;
	const struct space_request q = { .object = guard ? nullptr : m->object[c.object].object,
					 .offset = c.offset,
					 .at = c.at,
					 .bytes = c.bytes,
					 .prot = c.prot,
					 .prot_max = c.prot_max };
	uint64_t place = 1;
	const enum kerr want = want_map(m, &c, &place);
	va_t out = va(1);

	if (!model_judge(m, space_map(m->space[c.space], &q, &out), want)) {
		model_expect(m, "what a failed call wrote", out.v, 1);
		return;
	}
	model_expect(m, "the place", out.v, place);
	paint(m, c.space, place, c.bytes,
	      (struct vm_model_page){ .page = (uint16_t)(c.offset / PAGE_BYTES),
				      .object = (int8_t)(guard ? MODEL_GUARD : c.object),
				      .prot = (uint8_t)(c.prot & VM_PROT_MASK),
				      .max = (uint8_t)(c.prot_max & VM_PROT_MASK) });
	unmap_outside(m, place, c.bytes);
}

/* ---- unmap ---- */

static void choose_unmap(struct vm_model *m)
{
	model_choose_range(m, "space_unmap");
	if (model_once_in(m, 4)) { /* so that superpages find room again */
		m->call.at = align_down(m->call.at, BLOCK_BYTES);
		m->call.bytes = 2 * BLOCK_BYTES;
	}
}

static void make_unmap(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	enum kerr want = model_want_range(c.at, c.bytes);

	if (want == KERR_OK &&
	    (model_cannot_cut(m, c.space, c.at) || model_cannot_cut(m, c.space, c.at + c.bytes))) {
		want = KERR_BUSY;
	}
	if (model_judge(m, space_unmap(m->space[c.space], va(c.at), c.bytes), want)) {
		paint(m, c.space, c.at, c.bytes, (struct vm_model_page){ .object = MODEL_NOTHING });
	}
}

/* ---- protect ---- */

static void choose_protect(struct vm_model *m)
{
	model_choose_range(m, "space_protect");
	m->call.prot = any_prot(m);
}

static enum kerr want_protect(struct vm_model *m, const struct vm_model_call *c)
{
	const uint64_t end = c->at + c->bytes;
	uint64_t at = c->at;
	bool same = true;

	if ((c->prot & ~VM_PROT_MASK) != 0 || is_writable_code(c->prot)) {
		return KERR_INVALID;
	}
	if (model_want_range(c->at, c->bytes) != KERR_OK) {
		return model_want_range(c->at, c->bytes);
	}
	for (unsigned regions = 1; at < end; regions++) {
		const struct vm_model_page *p = model_at(m, c->space, at);

		if (!model_shows(p)) {
			return KERR_ABSENT;
		}
		if ((c->prot & ~(unsigned)p->max) != 0) {
			return KERR_DENIED;
		}
		if (regions > SPACE_CALL_REGIONS) {
			return KERR_INVALID;
		}
		same = same && p->prot == c->prot;
		at = model_region_end(m, c->space, at);
	}
	return !same && (model_cannot_cut(m, c->space, c->at) || model_cannot_cut(m, c->space, end))
		       ? KERR_BUSY
		       : KERR_OK;
}

static void make_protect(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	const enum kerr want = want_protect(m, &c);

	if (model_judge(m, space_protect(m->space[c.space], va(c.at), c.bytes, c.prot), want)) {
		for (uint64_t at = c.at; at < c.at + c.bytes; at += PAGE_BYTES) {
			m->page[c.space][at / PAGE_BYTES].prot = (uint8_t)c.prot;
		}
	}
}

/* ---- query ---- */

static void choose_query(struct vm_model *m)
{
	model_choose_range(m, "space_query");
	m->call.at = model_once_in(m, 2) ? model_any_word(m) : m->call.at;
}

static void make_query(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	const struct vm_model_page *p = model_at(m, c.space, c.at);
	struct space_info info = { .base = 1 };
	const enum kerr outside = model_want_range(align_down(c.at, PAGE_BYTES), PAGE_BYTES);
	const enum kerr there = p->object == MODEL_NOTHING ? KERR_ABSENT : KERR_OK;

	if (!model_judge(m, space_query(m->space[c.space], va(c.at), &info),
			 outside != KERR_OK ? outside : there)) {
		model_expect(m, "what a failed call wrote", info.base, 1);
		return;
	}
	(void)model_region_end(m, c.space, c.at);
	if (model_shows(p)) {
		model_expect(m, "the offset", info.offset,
			     p->page * PAGE_BYTES + c.at % PAGE_BYTES);
	}
	model_expect(m, "a leaf without contents",
		     info.leaf_bytes != 0 && !(model_shows(p) && m->object[p->object].has[p->page]),
		     false);
}

/* ---- all of them ---- */

const struct model_call_kind *model_any_call(struct vm_model *m)
{
	static const struct model_call_kind map = { choose_map, make_map };
	static const struct model_call_kind unmap = { choose_unmap, make_unmap };
	static const struct model_call_kind protect = { choose_protect, make_protect };
	static const struct model_call_kind query = { choose_query, make_query };
	static const struct model_call_kind *const kinds[] = {
		&map,     &map,     &map,          &map,          &unmap, &unmap,
		&protect, &protect, &model_advise, &model_advise, &query,
	};
	static const struct model_call_kind *const rare[] = { &model_create, &model_discard,
							      &model_discard };

	if (model_once_in(m, 200)) {
		return &model_revoke;
	}
	return model_once_in(m, 12) ? rare[model_any(m, array_len(rare))]
				    : kinds[model_any(m, array_len(kinds))];
}

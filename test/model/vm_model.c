/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/model/vm_model.c - the model: its world, accesses, and the look at everything.
 */
#include "test/model/vm_model.h"

#include <compiler.h>
#include <string.h>

#include "kern/format.h"
#include "test/model/vm_model_impl.h"
#include "vm/space_impl.h"

#define LONG_STRETCH 700u /* pages: more than a superpage */
#define SHORT_STRETCH 40u
#define BLOCK_TRIES 16u
#define NEVER UINT64_MAX /* when a budget that is spent is full again */

uint64_t model_any(struct vm_model *m, uint64_t bound)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random * UINT64_C(0x2545f4914f6cdd1d) % bound;
}

bool model_once_in(struct vm_model *m, uint64_t n)
{
	return model_any(m, n) == 0;
}

bool model_expect(struct vm_model *m, const char *fact, uint64_t is, uint64_t wanted)
{
	if (is != wanted && m->wrong == nullptr) {
		m->wrong = fact;
		m->is = is;
		m->wanted = wanted;
	}
	return is == wanted;
}

void vm_model_tell(const struct vm_model *m, char *text, size_t bytes)
{
	const struct vm_model_call *c = &m->call;

	ksnprintf(text, bytes,
		  "step %llu: %s is %#llx, wanted %#llx; last call %s: space %u object %d "
		  "at %#llx bytes %#llx offset %#llx prot %#x max %#x%s%s",
		  (unsigned long long)m->steps, m->wrong, (unsigned long long)m->is,
		  (unsigned long long)m->wanted, c->name, c->space, c->object,
		  (unsigned long long)c->at, (unsigned long long)c->bytes,
		  (unsigned long long)c->offset, c->prot, c->prot_max,
		  m->disturbed ? " disturbed" : "", m->spent ? " spent" : "");
}

const struct vm_model_page *model_at(const struct vm_model *m, unsigned s, uint64_t at)
{
	static const struct vm_model_page nothing = { .object = MODEL_NOTHING };

	return at / PAGE_BYTES < MODEL_PAGES ? &m->page[s][at / PAGE_BYTES] : &nothing;
}

/* ---- weather ---- */

static void set_budget(struct vm_model *m, bool spent)
{
	m->spent = spent;
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		m->space[s]->budget = (struct window_budget){ .full_at = spent ? NEVER / 2 : 0 };
	}
}

void model_calm_down(struct vm_model *m)
{
	m->disturbed = m->machine->disturb(0);
	set_budget(m, false);
}

static void change_weather(struct vm_model *m)
{
	m->disturbed = m->machine->disturb(model_once_in(m, 2) ? 1 + model_any(m, NEVER - 1) : 0);
	set_budget(m, model_once_in(m, 5));
}

/* ---- accesses ---- */

enum fault_verdict model_verdict(const struct vm_model *m, const struct vm_model_page *p,
				 unsigned access)
{
	if (!model_shows(p)) {
		return FAULT_BAD_ADDRESS;
	}
	const bool allowed = access == VM_READ ? p->prot != 0 : (p->prot & access) != 0;

	return allowed && !m->object[p->object].revoked ? FAULT_RESOLVED : FAULT_BAD_ACCESS;
}

void model_learn(struct vm_model *m, int object)
{
	if (object < 0 || object >= MODEL_GUARD) {
		return;
	}
	struct vm_model_object *o = &m->object[object];

	spin_lock(&o->object->lock);
	for (uint32_t page = 0; page < o->pages; page++) {
		const struct reserv *rv = object_index_get(o->object, page / RESERV_PAGES);

		o->has[page] = rv != nullptr && reserv_has(rv, page % RESERV_PAGES);
	}
	spin_unlock(&o->object->lock);
}

void model_learn_all(struct vm_model *m)
{
	for (int o = 0; o < MODEL_GUARD; o++) {
		model_learn(m, o);
	}
}

static void access_page(struct vm_model *m, unsigned s, uint64_t at, unsigned kind)
{
	const struct vm_model_page *p = model_at(m, s, at);
	const uint64_t mark = model_any(m, NEVER);
	uint64_t word = mark;
	const enum fault_verdict v = m->machine->access(m->space[s], at, kind, &word);

	if (m->disturbed && v == FAULT_NO_MEMORY) {
		m->refused++;
		model_expect(m, "the access allowed", model_verdict(m, p, kind), FAULT_RESOLVED);
		model_learn(m, p->object);
		return;
	}
	if (!model_expect(m, "the verdict", v, model_verdict(m, p, kind)) || v != FAULT_RESOLVED) {
		return;
	}
	struct vm_model_object *o = &m->object[p->object];

	o->has[p->page] = true;
	if (kind == VM_WRITE) {
		o->word[p->page] = mark;
	} else {
		model_expect(m, "the word", word, o->word[p->page]);
	}
}

static unsigned any_access(struct vm_model *m)
{
	static const unsigned kinds[] = { VM_READ, VM_READ, VM_WRITE, VM_WRITE, VM_EXEC };

	return kinds[model_any(m, array_len(kinds))];
}

/* A superpage of a space that shows an object at both ends, if one is found soon. */
static uint64_t any_block(struct vm_model *m, unsigned s)
{
	uint64_t at = 0;

	for (unsigned tries = 0; tries < BLOCK_TRIES; tries++) {
		at = model_any(m, MODEL_PAGES / RESERV_PAGES) * BLOCK_BYTES;
		if (model_shows(model_at(m, s, at)) &&
		    model_shows(model_at(m, s, at + BLOCK_BYTES - PAGE_BYTES))) {
			break;
		}
	}
	return at;
}

/* Often a stretch, so that reservations fill and superpages come. */
static void choose_access(struct vm_model *m)
{
	struct vm_model_call *c = &m->call;

	*c = (struct vm_model_call){ .name = "access",
				     .space = (unsigned)model_any(m, MODEL_SPACES),
				     .object = MODEL_NOTHING,
				     .at = model_any(m, MODEL_PAGES) * PAGE_BYTES,
				     .bytes = PAGE_BYTES,
				     .prot = any_access(m) };
	if (model_once_in(m, 6)) {
		c->at = any_block(m, c->space);
		c->bytes = LONG_STRETCH * PAGE_BYTES;
	} else if (model_once_in(m, 5)) {
		c->at = align_down(c->at, RESERV_RUN * PAGE_BYTES);
		c->bytes = SHORT_STRETCH * PAGE_BYTES;
	}
}

static void access_range(struct vm_model *m)
{
	const struct vm_model_call c = m->call;
	uint64_t at = c.at;

	for (; at < c.at + c.bytes && at < MODEL_PAGES * PAGE_BYTES && m->wrong == nullptr;
	     at += PAGE_BYTES) {
		access_page(m, c.space, at, c.prot);
	}
}

/* Before and after a call, so that what this CPU's TLB may still hold is asked for. */
static void probe(struct vm_model *m)
{
	for (unsigned i = 0; i < MODEL_PROBES; i++) {
		access_page(m, m->call.space, m->call.probe[i], i % 2 == 0 ? VM_READ : VM_WRITE);
	}
}

/* ---- steps ---- */

static void choose_probes(struct vm_model *m)
{
	struct vm_model_call *c = &m->call;
	const uint64_t first = align_down(c->at, PAGE_BYTES);
	const uint64_t last = first + align_down(c->bytes - 1, PAGE_BYTES);

	c->probe[0] = first;
	c->probe[1] = last;
	c->probe[2] = last + PAGE_BYTES;
	c->probe[3] = first + model_any(m, MODEL_OBJECT_PAGES) * PAGE_BYTES;
}

static void step_call(struct vm_model *m)
{
	const struct model_call_kind *kind = model_any_call(m);
	const unsigned here = (unsigned)model_any(m, UINT32_MAX);
	const unsigned there = (unsigned)model_any(m, UINT32_MAX);

	kind->choose(m);
	choose_probes(m);
	m->machine->run(m, here, probe);
	if (m->wrong == nullptr) {
		m->machine->run(m, there, kind->make);
	}
	if (m->wrong == nullptr) {
		m->machine->run(m, here, probe);
	}
}

static void step_access(struct vm_model *m)
{
	choose_access(m);
	m->machine->run(m, (unsigned)model_any(m, UINT32_MAX), access_range);
}

bool vm_model_step(struct vm_model *m)
{
	m->steps++;
	if (model_once_in(m, 12)) {
		change_weather(m);
	}
	if (model_once_in(m, 30)) {
		(void)reserv_reclaim();
	}
	if (model_once_in(m, 3)) {
		step_access(m);
	} else {
		step_call(m);
	}
	return m->wrong == nullptr;
}

/* ---- the world ---- */

void model_make_object(struct vm_model *m, unsigned o)
{
	struct vm_model_object *object = &m->object[o];
	uint64_t pages = 1 + model_any(m, model_once_in(m, 2) ? SHORT_STRETCH : MODEL_OBJECT_PAGES);

	if (model_once_in(m, 2)) {
		pages = 2 * (uint64_t)RESERV_PAGES; /* superpages */
	}
	*object = (struct vm_model_object){ .pages = (uint32_t)pages };
	model_calm_down(m);
	model_expect(
		m, "making an object",
		object_create(MEM_ANON, pages * PAGE_BYTES, &m->charge, nullptr, &object->object),
		KERR_OK);
}

bool vm_model_open(struct vm_model *m, uint64_t seed)
{
	m->random = seed * 2 + 1; /* never 0 */
	m->charge.limit_bytes = NEVER / 2;
	m->call.name = "none";
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		model_expect(m, "making a space", space_create(&m->charge, &m->space[s]), KERR_OK);
		for (unsigned i = 0; i < MODEL_PAGES; i++) {
			m->page[s][i] = (struct vm_model_page){ .object = MODEL_NOTHING };
		}
	}
	for (unsigned o = 0; o < MODEL_OBJECTS && m->wrong == nullptr; o++) {
		model_make_object(m, o);
	}
	return m->wrong == nullptr;
}

bool vm_model_close(struct vm_model *m)
{
	model_calm_down(m);
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		space_destroy(m->space[s]);
	}
	for (unsigned o = 0; o < MODEL_OBJECTS; o++) {
		object_unref(m->object[o].object);
	}
	return model_expect(m, "the charge", memcharge_used(&m->charge), 0);
}

/* ---- the look at everything ---- */

/* MO2: what the tables allow, the model does; and there is what was written. */
static void audit_tables(struct vm_model *m, unsigned s, uint64_t at)
{
	static const unsigned kinds[] = { VM_READ, VM_WRITE, VM_EXEC };
	const struct vm_model_page *p = model_at(m, s, at);

	for (unsigned i = 0; i < array_len(kinds) && m->wrong == nullptr; i++) {
		uint64_t word;

		if (m->machine->look(m->space[s], at, kinds[i], &word) &&
		    model_expect(m, "what the tables allow", FAULT_RESOLVED,
				 model_verdict(m, p, kinds[i]))) {
			model_expect(m, "a mapped page's contents there",
				     m->object[p->object].has[p->page], true);
			model_expect(m, "the word in memory", word,
				     m->object[p->object].word[p->page]);
		}
	}
}

static void audit_region(struct vm_model *m, unsigned s, uint64_t at)
{
	const struct vm_model_page *p = model_at(m, s, at);
	struct space_info info;
	const enum kerr e = space_query(m->space[s], va(at), &info);

	model_expect(m, "space_query()", e,
		     at < USER_BASE               ? KERR_RANGE
		     : p->object == MODEL_NOTHING ? KERR_ABSENT
						  : KERR_OK);
	if (e == KERR_OK) {
		model_expect(m, "the rights", info.prot, model_shows(p) ? p->prot : VM_GUARD);
		model_expect(m, "the offset", model_shows(p) ? info.offset : 0,
			     model_shows(p) ? p->page * PAGE_BYTES : 0);
	}
}

/* MO3 */
static void audit_object(struct vm_model *m, struct vm_model_object *o)
{
	struct memory_object *object = o->object;
	uint64_t resident = 0;

	spin_lock(&object->lock);
	for (uint32_t page = 0; page < o->pages; page++) {
		const struct reserv *rv = object_index_get(object, page / RESERV_PAGES);

		if (rv != nullptr && page % RESERV_PAGES == 0) {
			model_expect(m, "reserv_audit()", reserv_audit(rv), true);
		}
		model_expect(m, "a page's contents there",
			     rv != nullptr && reserv_has(rv, page % RESERV_PAGES), o->has[page]);
		resident += o->has[page] ? 1 : 0;
	}
	model_expect(m, "the object's count", object->resident, resident);
	spin_unlock(&object->lock);
}

bool vm_model_audit(struct vm_model *m)
{
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		model_expect(m, "space_audit()", space_audit(m->space[s]), true);
		for (uint64_t page = 0; page < MODEL_PAGES && m->wrong == nullptr; page++) {
			audit_tables(m, s, page * PAGE_BYTES);
			audit_region(m, s, page * PAGE_BYTES);
		}
	}
	for (unsigned o = 0; o < MODEL_OBJECTS && m->wrong == nullptr; o++) {
		audit_object(m, &m->object[o]);
	}
	return m->wrong == nullptr;
}

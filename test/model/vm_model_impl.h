/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/model/vm_model_impl.h - what the files of the model share.
 */
#pragma once

#include <memmap.h>

#include "test/model/vm_model.h"

/* A number below `bound`; one in `n` times true. */
uint64_t model_any(struct vm_model *m, uint64_t bound);
bool model_once_in(struct vm_model *m, uint64_t n);

/* A fact: false, and kept, if it does not hold. */
bool model_expect(struct vm_model *m, const char *fact, uint64_t is, uint64_t wanted);

/* Does the page show a page of an object? */
static inline bool model_shows(const struct vm_model_page *p)
{
	return p->object >= 0 && p->object < MODEL_GUARD;
}

/* What an address shows; nothing beyond the pages that are modelled. */
const struct vm_model_page *model_at(const struct vm_model *m, unsigned s, uint64_t at);

/* What an access to a page deserves. */
enum fault_verdict model_verdict(const struct vm_model *m, const struct vm_model_page *p,
				 unsigned access);

/* A failed call may have populated pages: take over which. */
void model_learn(struct vm_model *m, int object);
void model_learn_all(struct vm_model *m);

/* Memory is as it should be from now on. */
void model_calm_down(struct vm_model *m);

/* A new object in place of one that nothing names any more. */
void model_make_object(struct vm_model *m, unsigned o);

/* A call of its own choosing: arguments into m->call; then made, and its result judged. */
struct model_call_kind {
	vm_model_fn *choose;
	vm_model_fn *make;
};
const struct model_call_kind *model_any_call(struct vm_model *m);
extern const struct model_call_kind model_advise; /* vm_model_contents.c */
extern const struct model_call_kind model_create;
extern const struct model_call_kind model_discard;
extern const struct model_call_kind model_revoke;

/* ---- for calls (vm_model_calls.c) ---- */

/* A word: sensible, at an edge, or anything; a call with a range, now and then of such words. */
uint64_t model_any_word(struct vm_model *m);
void model_choose_range(struct vm_model *m, const char *name);

/* What a range deserves whatever is there. */
enum kerr model_want_range(uint64_t at, uint64_t bytes);
/* Would a border here cut a leaf in two, which takes a token that there is none of? */
bool model_cannot_cut(const struct vm_model *m, unsigned s, uint64_t at);
/* Where the region at `at` ends, by the space itself; its pages must be what the model says. */
uint64_t model_region_end(struct vm_model *m, unsigned s, uint64_t at);
/* MO1. True: the call did what it was asked to. */
bool model_judge(struct vm_model *m, enum kerr is, enum kerr want);

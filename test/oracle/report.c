/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/report.c - what the oracle says, to people and to scripts.
 *
 * A violation is one line, then the events that led to it, indented. The summary comes when the
 * machine ends. The JSON file repeats all of it. Its verdict is "pass", "fail", "silent" when the
 * oracle has seen no entry of a live table broken or made, or "partial" when an address space was
 * of a kind that it does not judge. A script must treat the last two as failures.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

#define NAME_BYTES 160

struct finding {
	char where[NAME_BYTES];
	char symbol[NAME_BYTES];
	uint64_t pc, va, old, new;
	enum rule rule;
	unsigned cpu;
	char event[3][2 * NAME_BYTES];
};

static const char *const rule_name[RULE_COUNT] = {
	[RULE_NO_BREAK] = "no-break",
	[RULE_NO_TLBI] = "no-tlbi",
	[RULE_NO_DSB_BEFORE] = "no-dsb-before-tlbi",
	[RULE_NO_DSB_AFTER] = "no-dsb-after-tlbi",
	[RULE_WEAK_DSB] = "weak-dsb-after-tlbi",
	[RULE_WRONG_CPU_DSB] = "dsb-on-other-cpu",
	[RULE_LOCAL_TLBI] = "local-tlbi",
	[RULE_WRONG_VA] = "wrong-va",
	[RULE_WRONG_ASID] = "wrong-asid",
	[RULE_LAST_LEVEL] = "last-level-only",
	[RULE_WRONG_LEVEL] = "wrong-level-hint",
	[RULE_STALE_CHILD] = "stale-child",
	[RULE_FROZEN_CHILD] = "frozen-child",
	[RULE_CONTIGUOUS] = "contiguous",
	[RULE_ASID_REUSE] = "asid-reuse",
	[RULE_PROTECTED] = "protected",
	[RULE_USE_BEFORE_SYNC] = "use-before-sync",
};

static FILE *out;
static struct finding *finding; /* the first g.report_max */
static unsigned finding_count;

bool report_open(const char *path)
{
	out = path != NULL ? fopen(path, "w") : stderr;
	finding = calloc(g.report_max + 1, sizeof(*finding));
	return out != NULL && finding != NULL;
}

void report_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("oracle: note: ", out);
	vfprintf(out, format, args);
	fputc('\n', out);
	va_end(args);
}

static void where(char *buf, size_t size, const struct site *site)
{
	uint64_t offset = 0;
	const char *name = site != NULL ? symbols_find(site->pc, &offset) : NULL;

	if (site == NULL) {
		snprintf(buf, size, "(register write)");
	} else if (name == NULL) {
		snprintf(buf, size, "pc 0x%" PRIx64, site->pc);
	} else {
		snprintf(buf, size, "pc 0x%" PRIx64 " (%.100s+0x%" PRIx64 ")", site->pc, name,
			 offset);
	}
}

static void describe_tlbi(char *buf, size_t size, const struct tlbi *t)
{
	char at[NAME_BYTES];

	where(at, sizeof(at), t->site);
	if (t->kind == TLBI_VA) {
		snprintf(buf, size,
			 "tlbi  cpu%u va 0x%" PRIx64 "..0x%" PRIx64 " asid %s%u%s%s at %s", t->cpu,
			 t->start, t->end, t->any_asid ? "any/" : "", t->asid,
			 t->last_level ? " last-level" : "", t->broadcast ? "" : " local", at);
	} else {
		snprintf(buf, size, "tlbi  cpu%u %s %u%s at %s", t->cpu,
			 t->kind == TLBI_ALL ? "all" : "asid", t->asid,
			 t->broadcast ? "" : " local", at);
	}
}

static void describe(struct finding *f, const struct debt *debt, const struct tlbi *tlbi,
		     const struct dsb *dsb)
{
	const struct place *owed = debt != NULL ? debt->place : NULL;
	char at[NAME_BYTES];

	if (debt != NULL) {
		while (owed->cpus == 0 && owed + 1 < debt->place + debt->place_count) {
			owed++; /* the first place that nobody invalidated */
		}
		where(at, sizeof(at), debt->site);
		snprintf(f->event[0], sizeof(f->event[0]),
			 "break cpu%u entry 0x%" PRIx64 " for va 0x%" PRIx64
			 " asid %u root 0x%" PRIx64 ", may be cached by cpus 0x%" PRIx64 ", at %s",
			 debt->cpu, debt->old, owed->va, owed->asid, owed->root, owed->cpus, at);
	}
	if (tlbi != NULL) {
		describe_tlbi(f->event[1], sizeof(f->event[1]), tlbi);
	}
	if (dsb != NULL) {
		where(at, sizeof(at), dsb->site);
		snprintf(f->event[2], sizeof(f->event[2]), "dsb   cpu%u option 0x%x at %s",
			 dsb->cpu, dsb->crm, at);
	}
}

static void print(const struct finding *f)
{
	fprintf(out,
		"oracle: violation %s cpu%u %s va 0x%" PRIx64 " old 0x%016" PRIx64
		" new 0x%016" PRIx64 "\n",
		rule_name[f->rule], f->cpu, f->where, f->va, f->old, f->new);
	for (unsigned i = 0; i < 3; i++) {
		if (f->event[i][0] != '\0') {
			fprintf(out, "oracle:   %s\n", f->event[i]);
		}
	}
}

/* rule RULE_COUNT: find out from the debt. */
void report_violation(enum rule rule, unsigned cpu, const struct site *site, uint64_t va,
		      uint64_t old, uint64_t new, const struct table *table,
		      const struct debt *debt)
{
	const struct tlbi *tlbi = NULL;
	const struct dsb *dsb = NULL;
	struct finding *f;
	uint64_t offset = 0;
	const char *name = site != NULL ? symbols_find(site->pc, &offset) : NULL;

	if (debt != NULL && (rule == RULE_COUNT || rule == RULE_STALE_CHILD)) {
		enum rule found = inval_diagnose(table, debt, &tlbi, &dsb);

		rule = rule == RULE_COUNT ? found : rule;
	}
	g.n.violations++;
	g.n.by_rule[rule]++;
	if (finding_count >= g.report_max) {
		return;
	}
	f = &finding[finding_count++];
	*f = (struct finding){ .va = va, .old = old, .new = new, .rule = rule, .cpu = cpu };
	f->pc = site != NULL ? site->pc : 0;
	where(f->where, sizeof(f->where), site);
	snprintf(f->symbol, sizeof(f->symbol), "%.*s", NAME_BYTES - 1, name != NULL ? name : "");
	describe(f, debt, tlbi, dsb);
	print(f);
	fflush(out);
}

static const char *verdict(void)
{
	if (g.n.violations > 0) {
		return "fail";
	}
	if (g.n.unsupported > 0) {
		return "partial";
	}
	return g.n.breaks + g.n.makes == 0 ? "silent" : "pass";
}

static void json_string(FILE *json, const char *key, const char *text, const char *end)
{
	fprintf(json, "\"%s\": \"", key);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', json);
		}
		fputc(*text, json);
	}
	fprintf(json, "\"%s", end);
}

static void json_finding(FILE *json, const struct finding *f, bool last)
{
	fprintf(json, "    {\"rule\": \"%s\", \"cpu\": %u, ", rule_name[f->rule], f->cpu);
	json_string(json, "symbol", f->symbol, ", ");
	fprintf(json,
		"\"pc\": \"0x%" PRIx64 "\", \"va\": \"0x%" PRIx64 "\", \"old\": \"0x%" PRIx64
		"\", \"new\": \"0x%" PRIx64 "\", ",
		f->pc, f->va, f->old, f->new);
	json_string(json, "break", f->event[0], ", ");
	json_string(json, "tlbi", f->event[1], ", ");
	json_string(json, "dsb", f->event[2], last ? "}\n" : "},\n");
}

struct count {
	const char *name;
	uint64_t value;
};

#define COUNTS 18u

static void counts(struct count *c)
{
	const struct count all[COUNTS] = {
		{ "cpus", g.cpu_count },
		{ "entries", g.n.entries },
		{ "breaks", g.n.breaks },
		{ "makes", g.n.makes },
		{ "pairs", g.n.pairs },
		{ "changes", g.n.changes },
		{ "free_changes", g.n.free_changes },
		{ "tlbi", g.n.tlbi },
		{ "dsb", g.n.dsb },
		{ "isb", g.n.isb },
		{ "exceptions", g.n.exceptions },
		{ "nested_in_entry", g.n.nested },
		{ "exception_depth", g.n.depth_max },
		{ "tables", g.n.tables },
		{ "spaces", g.n.spaces },
		{ "blind_tables", g.n.blind },
		{ "unsupported", g.n.unsupported },
		{ "violations", g.n.violations },
	};

	memcpy(c, all, sizeof(all));
}

static void write_json(const struct count *c)
{
	FILE *json = fopen(g.json_path, "w");

	if (json == NULL) {
		report_note("cannot write %s", g.json_path);
		return;
	}
	fprintf(json, "{\n  \"verdict\": \"%s\",\n", verdict());
	for (unsigned i = 0; i < COUNTS; i++) {
		fprintf(json, "  \"%s\": %" PRIu64 ",\n", c[i].name, c[i].value);
	}
	fputs("  \"rules\": {", json);
	for (unsigned i = 0; i < RULE_COUNT; i++) {
		fprintf(json, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", rule_name[i],
			g.n.by_rule[i]);
	}
	fputs("},\n  \"findings\": [\n", json);
	for (unsigned i = 0; i < finding_count; i++) {
		json_finding(json, &finding[i], i + 1 == finding_count);
	}
	fputs("  ]\n}\n", json);
	fclose(json);
}

void report_end(void)
{
	struct count c[COUNTS];

	counts(c);
	fprintf(out, "oracle: verdict %s", verdict());
	for (unsigned i = 0; i < COUNTS; i++) {
		fprintf(out, " %s=%" PRIu64, c[i].name, c[i].value);
	}
	fputc('\n', out);
	for (unsigned i = 0; i < RULE_COUNT; i++) {
		if (g.n.by_rule[i] > 0) {
			fprintf(out, "oracle: rule %s: %" PRIu64 "\n", rule_name[i],
				g.n.by_rule[i]);
		}
	}
	fflush(out);
	if (g.json_path != NULL) {
		write_json(c);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/bench/count.c - a QEMU plugin that counts what a benchmark's samples execute.
 *
 * THEORY   run=bench puts a mark, a hint that no architecture defines, before and after what it
 *          measures. Between the marks every instruction of the CPU that set the first one is
 *          counted by class: barriers, TLB invalidations, system-register accesses. The counter
 *          of the guest counts what all CPUs execute; this tells the initiator's part.
 *          A CPU is known by x18, which holds its slice in all of Perch's kernel. QEMU's own
 *          CPU index is a constant in code translated under -icount, and wrong with several CPUs.
 *          EL0's x18 is its own, so samples of programs count every CPU (all): the others sleep.
 *          A window is counted apart: from the first store of zero in a function whose address
 *          range is given (window=LOW-HIGH, hexadecimal) to its last ISB.
 * OUTPUT   to the file out=: a line for each sample and each window, and at the end one for each
 *          instruction that a sample executed, for a profile:
 *              sample ID INSTRUCTIONS TLBI BARRIERS SYSREGS
 *              window ID BROKEN WHOLE_FUNCTION
 *              pc ID ADDRESS COUNT
 *          and, with boot=ADDRESS, what all CPUs together executed before they came there first:
 *              boot INSTRUCTIONS
 * LIMITS   Single-threaded emulation only (which -icount is): there is one `open` for the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/oracle/qemu_api.h"

/* GLib resolves against the running QEMU. */
unsigned char *g_byte_array_free(struct glib_bytes *array, int free_segment);

#define IDS 64        /* cases; the last is the empty sample's, */
#define BOOT_ID (IDS - 2)    /* and this one the boot's */

#define MARK_BEGIN 0xd5032fdfu /* HINT #126 */
#define MARK_END 0xd5032fffu   /* HINT #127 */

#define WINDOWS 32

enum insn_class { CLASS_OTHER, CLASS_TLBI, CLASS_BARRIER, CLASS_SYSREG, CLASS_COUNT };

/* What an instruction means to the window that it lies in. */
enum window_step { STEP_NONE, STEP_PLAIN, STEP_ZERO, STEP_ISB, STEP_RETURN };

/* A translated instruction. Translations of the same place are counted apart and added later. */
struct place {
	uint64_t pc;
	enum insn_class class;
	enum window_step step;
	uint32_t executed[IDS];
	struct place *next;
};

__attribute__((visibility("default"))) int qemu_plugin_version = QEMU_API_VERSION;

static FILE *out;
static struct place *places;
static struct qemu_plugin_register *reg_x0;
static struct qemu_plugin_register *reg_x18;

static bool all_cpus;    /* all: whoever executes it, it counts */
static uint64_t boot_pc; /* boot=, 0: it is counted, or was not asked for */
static uint64_t booting; /* executed before that */

static bool open_sample;
static bool is_initiator; /* does the block that runs now run on the CPU that set the mark? */
static uint64_t initiator;
static unsigned sample_id;
static uint64_t counted[CLASS_COUNT];

static struct {
	uint64_t low;
	uint64_t high;
} windows[WINDOWS];
static unsigned window_count;
static struct {
	uint64_t whole;
	uint64_t broken; /* 0: nothing is broken yet */
	uint64_t to_isb;
} window;

static enum insn_class classify(uint32_t insn)
{
	const uint32_t barrier = insn & 0xfffff0ffu;

	if (barrier == 0xd503309fu || barrier == 0xd50330bfu || barrier == 0xd50330dfu) {
		return CLASS_BARRIER; /* DSB, DMB, ISB */
	}
	if ((insn & 0xfff8e000u) == 0xd5088000u) {
		return CLASS_TLBI; /* SYS with CRn 8, or 9 (nXS) */
	}
	if ((insn & 0xffd00000u) == 0xd5100000u || (insn & 0xfff8f01fu) == 0xd500401fu) {
		return CLASS_SYSREG; /* MRS, MSR by register; MSR of a PSTATE field */
	}
	return CLASS_OTHER;
}

static bool stores_zero(uint32_t insn)
{
	return (insn & 0xffc0001fu) == 0xf900001fu ||  /* STR XZR */
	       (insn & 0xffc07c1fu) == 0xa9007c1fu ||  /* STP XZR, XZR */
	       (insn & 0xfffffc1fu) == 0xc89ffc1fu;    /* STLR XZR */
}

static enum window_step window_step(uint64_t pc, uint32_t insn)
{
	for (unsigned i = 0; i < window_count; i++) {
		if (pc >= windows[i].low && pc < windows[i].high) {
			if (stores_zero(insn)) {
				return STEP_ZERO;
			}
			if ((insn & 0xfffff0ffu) == 0xd50330dfu) {
				return STEP_ISB;
			}
			return insn == 0xd65f03c0u ? STEP_RETURN : STEP_PLAIN;
		}
	}
	return STEP_NONE;
}

static void follow_window(enum window_step step)
{
	window.whole++;
	if (window.broken != 0 || step == STEP_ZERO) {
		window.broken++;
	}
	if (step == STEP_ISB) {
		window.to_isb = window.broken;
	} else if (step == STEP_RETURN) {
		fprintf(out, "window %u %llu %llu\n", sample_id, (unsigned long long)window.to_isb,
			(unsigned long long)window.whole);
		memset(&window, 0, sizeof(window));
	}
}

static uint64_t read_register(struct qemu_plugin_register *reg)
{
	struct glib_bytes *bytes = g_byte_array_new();
	uint64_t value = 0;

	if (qemu_plugin_read_register(reg, bytes) >= (int)sizeof(value)) {
		memcpy(&value, bytes->data, sizeof(value));
	}
	g_byte_array_free(bytes, 1);
	return value;
}

static void on_begin(unsigned vcpu, void *udata)
{
	const uint64_t id = read_register(reg_x0);

	(void)vcpu;
	(void)udata;
	memset(counted, 0, sizeof(counted));
	sample_id = id < IDS - 1 ? (unsigned)id : IDS - 1;
	initiator = read_register(reg_x18);
	is_initiator = true;
	open_sample = true;
}

static void on_end(unsigned vcpu, void *udata)
{
	uint64_t all = 0;

	(void)vcpu;
	(void)udata;
	if (!open_sample || !is_initiator) {
		return;
	}
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		all += counted[i];
	}
	fprintf(out, "sample %u %llu %llu %llu %llu\n", sample_id, (unsigned long long)all,
		(unsigned long long)counted[CLASS_TLBI], (unsigned long long)counted[CLASS_BARRIER],
		(unsigned long long)counted[CLASS_SYSREG]);
	open_sample = false;
}

/* Before the first instruction of every block; a CPU runs a block to its end or to an exception. */
static void on_block(unsigned vcpu, void *udata)
{
	(void)vcpu;
	(void)udata;
	if (open_sample && !all_cpus) {
		is_initiator = read_register(reg_x18) == initiator;
	}
}

static void follow_boot(struct place *p)
{
	booting++;
	p->executed[BOOT_ID]++;
	if (p->pc == boot_pc) {
		fprintf(out, "boot %llu\n", (unsigned long long)booting);
		boot_pc = 0;
	}
}

static void on_insn(unsigned vcpu, void *udata)
{
	struct place *p = udata;

	(void)vcpu;
	if (boot_pc != 0) {
		follow_boot(p);
	}
	if (open_sample && is_initiator) {
		counted[p->class]++;
		p->executed[sample_id]++;
		if (p->step != STEP_NONE) {
			follow_window(p->step);
		}
	}
}

static void translate(qemu_plugin_id_t plugin, struct qemu_plugin_tb *tb)
{
	const size_t n = qemu_plugin_tb_n_insns(tb);

	(void)plugin;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint32_t word = 0;

		if (i == 0) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_block, QEMU_CB_R_REGS,
							       NULL);
		}
		qemu_plugin_insn_data(insn, &word, sizeof(word));
		if (word == MARK_BEGIN || word == MARK_END) {
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, word == MARK_BEGIN ? on_begin : on_end, QEMU_CB_R_REGS, NULL);
			continue;
		}
		struct place *p = calloc(1, sizeof(*p));

		if (p == NULL) {
			abort();
		}
		p->pc = qemu_plugin_insn_vaddr(insn);
		p->class = classify(word);
		p->step = window_step(p->pc, word);
		p->next = places;
		places = p;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_insn, QEMU_CB_NO_REGS, p);
	}
}

static void find_registers(qemu_plugin_id_t plugin, unsigned vcpu)
{
	struct glib_array *regs = qemu_plugin_get_registers();
	const struct qemu_reg *reg = (const struct qemu_reg *)regs->data;

	(void)plugin;
	(void)vcpu;
	for (unsigned i = 0; i < regs->len; i++) {
		if (strcmp(reg[i].name, "x0") == 0) {
			reg_x0 = reg[i].handle;
		} else if (strcmp(reg[i].name, "x18") == 0) {
			reg_x18 = reg[i].handle;
		}
	}
	g_array_free(regs, 1);
}

static void finish(qemu_plugin_id_t plugin, void *udata)
{
	(void)plugin;
	(void)udata;
	for (const struct place *p = places; p != NULL; p = p->next) {
		for (unsigned id = 0; id < IDS; id++) {
			if (p->executed[id] != 0) {
				fprintf(out, "pc %u %llx %u\n", id, (unsigned long long)p->pc,
					p->executed[id]);
			}
		}
	}
	fclose(out);
}

static bool read_argument(const char *text)
{
	if (strncmp(text, "out=", 4) == 0) {
		out = fopen(text + 4, "w");
		if (out == NULL) {
			perror(text + 4);
		}
		return out != NULL;
	}
	if (strcmp(text, "all=on") == 0) {
		all_cpus = true;
		return true;
	}
	if (strncmp(text, "boot=", 5) == 0) {
		char *end;

		boot_pc = strtoull(text + 5, &end, 16);
		return *end == '\0' && boot_pc != 0;
	}
	if (strncmp(text, "window=", 7) == 0 && window_count < WINDOWS) {
		char *end;

		windows[window_count].low = strtoull(text + 7, &end, 16);
		windows[window_count].high = *end == '-' ? strtoull(end + 1, &end, 16) : 0;
		return *end == '\0' && windows[window_count++].high != 0;
	}
	return false;
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
							       const struct qemu_info *info,
							       int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!read_argument(argv[i])) {
			fprintf(stderr, "count: cannot use %s\n", argv[i]);
			return -1;
		}
	}
	if (strcmp(info->target_name, "aarch64") != 0 || out == NULL) {
		fprintf(stderr, "count: aarch64 only, with out=FILE\n");
		return -1;
	}
	qemu_plugin_register_vcpu_init_cb(id, find_registers);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/plugin.c - the oracle's connection to QEMU.
 *
 * THEORY   While QEMU translates a block we look at each instruction once and ask to be called
 *          for the few that matter. Code of EL0 is left alone: it can neither change a table nor
 *          invalidate. A store costs a call, which looks its page up in a small per-CPU filter of
 *          pages that are no tables; the filter is valid for one epoch, and an epoch ends with a
 *          new table, with a TLBI, and with a write to the CPU's translation registers. Stores
 *          through SP are left out (`stack=on` brings them back): a stack is no table.
 *
 * ORDER    QEMU calls an instruction's hook before it executes and a memory hook after the
 *          access. A store's hook returns before its CPU executes another instruction, hence
 *          before anything that the guest orders after the store; so the order of events that we
 *          see between CPUs agrees with every order that the guest enforces.
 *          The value stored is read back from memory, which is right for atomics too.
 *
 * NOT HERE Device writes to tables (DMA), EL2 and EL3 regimes, AArch32.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "oracle.h"
#include "qemu_api.h"

#define EXPORT __attribute__((visibility("default")))
#define SITE_BUCKETS 65536u
#define MAX_VBARS 16u
#define VECTORS_BYTES 0x800u
#define VECTOR_BYTES 0x80u
#define ZVA_MAX_BYTES 2048u

struct oracle g = { .lock = PTHREAD_MUTEX_INITIALIZER, .epoch = 1, .report_max = 100 };
EXPORT int qemu_plugin_version = QEMU_API_VERSION;

struct site_node {
	struct site site;
	struct site_node *next;
};

static struct site_node *sites[SITE_BUCKETS]; /* [g.lock] */
static uint64_t vbars[MAX_VBARS];             /* [g.lock] every vector base seen */
static unsigned vbar_count;

/* The one object for this instruction, however often it is translated. */
static struct site *site_get(uint64_t pc, uint32_t insn)
{
	struct site_node **at = &sites[(pc >> 2 ^ insn) % SITE_BUCKETS];
	struct site_node *node = *at;

	while (node != NULL && (node->site.pc != pc || node->site.insn != insn)) {
		node = node->next;
	}
	if (node == NULL) {
		node = malloc(sizeof(*node));
		if (node == NULL) {
			abort();
		}
		*node = (struct site_node){ .site = { pc, insn }, .next = *at };
		*at = node;
	}
	return &node->site;
}

static void vbar_add(uint64_t base)
{
	for (unsigned i = 0; i < vbar_count; i++) {
		if (vbars[i] == base) {
			return;
		}
	}
	if (vbar_count < MAX_VBARS) {
		vbars[vbar_count++] = base;
	}
}

static bool is_vector(uint64_t pc)
{
	for (unsigned i = 0; i < vbar_count; i++) {
		if (pc - vbars[i] < VECTORS_BYTES && pc % VECTOR_BYTES == 0) {
			return true;
		}
	}
	return false;
}

/* Take over the value of one descriptor into every table that its page is. */
static void entry_store(unsigned cpu, uint64_t pa, uint64_t value, uint64_t va,
			const struct site *site)
{
	uint64_t page[ENTRIES];
	unsigned index = (unsigned)(pa >> 3) % ENTRIES;

	g.access_cpu = cpu;
	g.access_delta = (va & ~7ull) - pa;
	for (unsigned level = 0; level <= 3; level++) {
		struct table *table = table_find(pa, level);

		if (table == NULL) {
			continue;
		}
		if (table->blind && phys_read_through(va & ~0xfffull, page, sizeof(page))) {
			table_fill(table, page, index);
		}
		judge_store(cpu, table, index, value, site);
	}
}

/* What a plain store of eight bytes or more put at `at`, for memory that cannot be read. */
static bool stored_value(qemu_plugin_meminfo_t info, uint64_t at, uint64_t pa, uint64_t *value)
{
	struct qemu_mem_value v = qemu_plugin_mem_get_value(info);

	if (v.type < QEMU_VALUE_U64 || pa % 8 != 0) {
		return false;
	}
	*value = v.type == QEMU_VALUE_U64 ? v.data.u64
		 : at == pa               ? v.data.u128.low
					  : v.data.u128.high;
	return true;
}

static void memory_store(unsigned cpu, uint64_t pa, uint64_t va, qemu_plugin_meminfo_t info,
			 const struct site *site)
{
	uint64_t end = pa + (1ull << qemu_plugin_mem_size_shift(info));
	uint64_t now;

	if (end - pa < 8) {
		tables_reused(pa);
	}
	for (uint64_t at = pa & ~7ull; !g.off && at < end; at += 8) {
		uint64_t at_va = va + (at - pa);

		if (phys_read_either(at, at_va, &now) || stored_value(info, at, pa, &now)) {
			entry_store(cpu, at, now, at_va, site);
		}
	}
}

/* What was broken up to here is not about to be made again in the same operation. */
static void broken_forget(struct cpu *cpu)
{
	if (cpu->broken_next > 0) {
		memset(cpu->broken, 0, sizeof(cpu->broken));
		cpu->broken_next = 0;
	}
}

/* Is it known that this access can be nothing to us? The whole cost of most stores. */
static inline bool is_plain(unsigned index, uint64_t va)
{
	const struct cpu *cpu = &g.cpu[index];
	uint64_t page = va >> 12;

	return cpu->filter[page % FILTER_SLOTS] == page && cpu->fresh_count == 0 &&
	       cpu->filter_epoch == atomic_load_explicit(&g.epoch, memory_order_acquire);
}

/* Returns whether this was a store to a table. */
[[gnu::noinline]] static bool on_access(unsigned index, qemu_plugin_meminfo_t info, uint64_t va,
					void *udata)
{
	struct cpu *cpu = &g.cpu[index];
	uint64_t epoch = atomic_load(&g.epoch), page = va >> 12, pa;
	struct qemu_plugin_hwaddr *hwaddr;

	if (cpu->fresh_count > 0) {
		pthread_mutex_lock(&g.lock);
		judge_use(index, va, udata);
		pthread_mutex_unlock(&g.lock);
	}
	if (!qemu_plugin_mem_is_store(info)) {
		return false;
	}
	if (cpu->filter_epoch != epoch) {
		memset(cpu->filter, 0xff, sizeof(cpu->filter));
		cpu->filter_epoch = epoch;
	}
	hwaddr = qemu_plugin_get_hwaddr(info, va);
	if (hwaddr == NULL || qemu_plugin_hwaddr_is_io(hwaddr)) {
		return false;
	}
	pa = qemu_plugin_hwaddr_phys_addr(hwaddr);
	if (!table_watched(pa)) {
		cpu->filter[page % FILTER_SLOTS] = page;
		return false;
	}
	pthread_mutex_lock(&g.lock);
	memory_store(index, pa, va, info, udata);
	pthread_mutex_unlock(&g.lock);
	return true;
}

static void on_memory(unsigned index, qemu_plugin_meminfo_t info, uint64_t va, void *udata)
{
	if (!is_plain(index, va)) {
		(void)on_access(index, info, va, udata);
	}
}

/*
 * A store that can belong to a lock. A break and a make with one in between are an unmapping and
 * a mapping, two operations; without any they are one change of a live entry, and count as a pair.
 */
static void on_lock_memory(unsigned index, qemu_plugin_meminfo_t info, uint64_t va, void *udata)
{
	bool table = !is_plain(index, va) && on_access(index, info, va, udata);

	if (!table && qemu_plugin_mem_is_store(info)) {
		broken_forget(&g.cpu[index]);
	}
}

/* A block write may have changed entries: compare the block with our copy. */
static void bulk_check(unsigned index)
{
	struct cpu *cpu = &g.cpu[index];
	uint64_t pa = 0, now;

	for (uint64_t at = 0; !g.off && at < cpu->bulk_bytes; at += 8) {
		uint64_t va = cpu->bulk_va + at;

		if ((at == 0 || va % 4096 == 0) && !tables_walk(index, va, &pa)) {
			break;
		}
		if (!table_watched(pa)) {
			at += 4088 - va % 4096; /* to the last entry of this page */
		} else if (phys_read_either(pa & ~7ull, va, &now)) {
			tables_reused(pa);
			entry_store(index, pa & ~7ull, now, va, cpu->bulk_site);
		}
		pa += 8;
	}
	cpu->bulk_bytes = 0;
}

static void on_after_bulk(unsigned index, void *udata)
{
	(void)udata;
	pthread_mutex_lock(&g.lock);
	bulk_check(index);
	pthread_mutex_unlock(&g.lock);
}

static void on_bulk(unsigned index, void *udata)
{
	struct cpu *cpu = &g.cpu[index];
	const struct site *site = udata;
	enum watch what = decode(site->insn);

	pthread_mutex_lock(&g.lock);
	if (what == WATCH_ZVA) {
		cpu->bulk_va = regs_x(INSN_RT(site->insn)) & ~(ZVA_MAX_BYTES - 1ull);
		cpu->bulk_bytes = ZVA_MAX_BYTES;
	} else if (what == WATCH_BULK) {
		cpu->bulk_va = regs_x(INSN_RT(site->insn)) & ~7ull;
		cpu->bulk_bytes = (regs_x(INSN_RN(site->insn)) & (1ull << 55) - 1) + 8;
	}
	cpu->bulk_site = site;
	pthread_mutex_unlock(&g.lock);
}

static void on_msr(unsigned index, const struct site *site)
{
	struct cpu *cpu = &g.cpu[index];
	uint64_t value = regs_x(INSN_RT(site->insn));

	if (regs_el() == 2 && (regs_sys(REG_HCR) >> 34 & 1)) { /* E2H: this is EL2's own */
		report_note("the kernel runs at EL2 with HCR_EL2.E2H: not judged from here on");
		g.n.unsupported++;
		g.off = true; /* the EL1 regime that it came from is dead, its tables are reused */
		return;
	}
	cpu->ttbr[0] = regs_sys(REG_TTBR0);
	cpu->ttbr[1] = regs_sys(REG_TTBR1);
	cpu->tcr = regs_sys(REG_TCR);
	cpu->sctlr = regs_sys(REG_SCTLR);
	switch (INSN_SYSREG(site->insn)) {
	case SYS_TTBR0_EL1:
		cpu->ttbr[0] = value;
		break;
	case SYS_TTBR1_EL1:
		cpu->ttbr[1] = value;
		break;
	case SYS_TCR_EL1:
		cpu->tcr = value;
		break;
	case SYS_SCTLR_EL1:
		cpu->sctlr = value;
		break;
	case SYS_VBAR_EL1:
		cpu->vbar = value;
		vbar_add(value);
		return;
	}
	tables_refresh(index, site);
}

static void on_system(unsigned index, void *udata)
{
	const struct site *site = udata;
	enum watch what = decode(site->insn);
	struct cpu *cpu = &g.cpu[index];

	pthread_mutex_lock(&g.lock);
	if (g.off) {
		pthread_mutex_unlock(&g.lock);
		return;
	}
	bulk_check(index);
	switch (what) {
	case WATCH_TLBI:
		inval_tlbi(index, site->insn, regs_x(INSN_RT(site->insn)), site);
		break;
	case WATCH_DSB:
	case WATCH_DSB_NXS:
		inval_dsb(index, INSN_CRM(site->insn), what == WATCH_DSB_NXS, site);
		break;
	case WATCH_ERET:
		cpu->depth -= cpu->depth > 0;
		broken_forget(cpu);
		inval_isb(index);
		break;
	case WATCH_ISB:
		g.n.isb++;
		inval_isb(index);
		break;
	case WATCH_MSR:
		on_msr(index, site);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&g.lock);
}

/* The first instruction of a vector: an exception was taken. */
static void on_vector(unsigned index, void *udata)
{
	const struct site *site = udata;
	struct cpu *cpu = &g.cpu[index];
	uint64_t elr = regs_sys(REG_ELR);

	pthread_mutex_lock(&g.lock);
	if (!g.off && site->pc - cpu->vbar < VECTORS_BYTES) {
		bool lower = site->pc - cpu->vbar >= 0x400;

		g.n.exceptions++;
		cpu->depth = lower ? 1 : cpu->depth + 1;
		g.n.depth_max = cpu->depth > g.n.depth_max ? cpu->depth : g.n.depth_max;
		if (!lower && elr - cpu->vbar < VECTORS_BYTES) {
			if (g.n.nested++ < g.report_max) {
				report_note("cpu%u: exception inside exception entry, ELR 0x%lx",
					    index, elr);
			}
		}
		broken_forget(cpu);
		inval_isb(index);
	}
	pthread_mutex_unlock(&g.lock);
}

static void watch_insn(struct qemu_plugin_insn *insn, uint64_t pc, uint32_t word, enum watch what)
{
	struct site *site = site_get(pc, word);

	switch (what) {
	case WATCH_NOTHING:
		break;
	case WATCH_STORE:
		if (INSN_RN(word) != 31 || g.stack_stores || g.strict_use) {
			qemu_plugin_register_vcpu_mem_cb(
				insn, is_lock_store(word) ? on_lock_memory : on_memory,
				QEMU_CB_NO_REGS, g.strict_use ? QEMU_MEM_RW : QEMU_MEM_W, site);
		}
		break;
	case WATCH_ZVA:
	case WATCH_BULK:
	case WATCH_BULK_ON:
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_bulk, QEMU_CB_R_REGS, site);
		break;
	default:
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_system, QEMU_CB_R_REGS, site);
		break;
	}
}

static bool is_bulk(enum watch what)
{
	return what == WATCH_ZVA || what == WATCH_BULK || what == WATCH_BULK_ON;
}

/* Find the block of RAM that this code lies in, if it is new to us. */
static void learn_memory(unsigned cpu, struct qemu_plugin_insn *insn)
{
	void *host = qemu_plugin_insn_haddr(insn);
	uint64_t pa;

	(void)cpu;
	if (host == NULL || phys_known(host) || (regs_sys(REG_SCTLR) & 1)) {
		return; /* with the MMU off the virtual address is the physical one */
	}
	pa = qemu_plugin_insn_vaddr(insn);
	if (!g.vaddr_reads) {
		phys_learn(pa, host);
	}
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	unsigned el = regs_el();
	bool after_bulk = false;

	(void)id;
	if (el == 0 || count == 0) {
		return;
	}
	pthread_mutex_lock(&g.lock);
	if (el == 1) {
		learn_memory(0, qemu_plugin_tb_get_insn(tb, 0));
	}
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t pc = qemu_plugin_insn_vaddr(insn);
		uint32_t word = 0;
		enum watch what;

		if (qemu_plugin_insn_data(insn, &word, sizeof(word)) != sizeof(word)) {
			continue;
		}
		what = decode(word);
		if (after_bulk) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_after_bulk, QEMU_CB_R_REGS,
							       NULL);
		}
		after_bulk = is_bulk(what);
		if (is_vector(pc)) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vector, QEMU_CB_R_REGS,
							       site_get(pc, word));
		}
		watch_insn(insn, pc, word, what);
	}
	pthread_mutex_unlock(&g.lock);
}

/*
 * When one host thread runs all CPUs, QEMU compiles the number of the CPU that *translated* a
 * block into our calls, and every judgement would be about the wrong CPU. Refuse that.
 */
static void on_vcpu_init(qemu_plugin_id_t id, unsigned index)
{
	static _Thread_local bool has_cpu;

	(void)id;
	if (has_cpu) {
		fprintf(stderr, "oracle: several CPUs need multi-threaded TCG "
				"(-accel tcg,thread=multi, no -icount)\n");
		_exit(2);
	}
	if (index >= MAX_CPUS) {
		fprintf(stderr, "oracle: more than %u CPUs are not supported\n", MAX_CPUS);
		_exit(2);
	}
	has_cpu = true;
	pthread_mutex_lock(&g.lock);
	regs_init();
	g.cpu_count = index >= g.cpu_count ? index + 1 : g.cpu_count;
	pthread_mutex_unlock(&g.lock);
}

static void on_exit_machine(qemu_plugin_id_t id, void *udata)
{
	(void)id;
	(void)udata;
	pthread_mutex_lock(&g.lock);
	report_end();
	pthread_mutex_unlock(&g.lock);
}

static bool parse_protect(const char *text)
{
	char *end;
	struct range r = { .base = strtoull(text, &end, 0) };

	if (*end != ':' || g.protect_count == sizeof(g.protect) / sizeof(g.protect[0])) {
		return false;
	}
	r.size = strtoull(end + 1, &end, 0);
	g.protect[g.protect_count++] = r;
	return *end == '\0' && r.size > 0;
}

/* One key=value of the command line. */
static bool parse(char *arg, const char **log_path)
{
	char *value = strchr(arg, '=');

	if (value == NULL) {
		return false;
	}
	*value++ = '\0';
	if (strcmp(arg, "kernel") == 0) {
		g.kernel_path = value;
	} else if (strcmp(arg, "json") == 0) {
		g.json_path = value;
	} else if (strcmp(arg, "log") == 0) {
		*log_path = value;
	} else if (strcmp(arg, "max") == 0) {
		g.report_max = (unsigned)strtoul(value, NULL, 0);
	} else if (strcmp(arg, "bbm") == 0) {
		g.bbm = (unsigned)strtoul(value, NULL, 0);
		return g.bbm <= 2;
	} else if (strcmp(arg, "strict") == 0) {
		g.strict_use = strcmp(value, "use") == 0;
		return g.strict_use || strcmp(value, "off") == 0;
	} else if (strcmp(arg, "stack") == 0) {
		g.stack_stores = strcmp(value, "on") == 0;
	} else if (strcmp(arg, "reads") == 0) {
		g.vaddr_reads = strcmp(value, "va") == 0;
	} else if (strcmp(arg, "protect") == 0) {
		return parse_protect(value);
	} else {
		return false;
	}
	return true;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
			       char **argv)
{
	const char *log_path = NULL;

	if (!info->system_emulation || strcmp(info->target_name, "aarch64") != 0) {
		fprintf(stderr, "oracle: only qemu-system-aarch64 is judged\n");
		return 1;
	}
	for (int i = 0; i < argc; i++) {
		if (!parse(argv[i], &log_path)) {
			fprintf(stderr, "oracle: bad option '%s' (see README.md)\n", argv[i]);
			return 1;
		}
	}
	if (!report_open(log_path) || !tables_init()) {
		fprintf(stderr, "oracle: no memory, or cannot write %s\n", log_path);
		return 1;
	}
	if (g.kernel_path != NULL && !symbols_load(g.kernel_path)) {
		report_note("no symbols in %s", g.kernel_path);
	}
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_machine, NULL);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/main.c - from the first C on the boot CPU to what run= asks for.
 *
 * THEORY   In order: a heap in the image, so that there are tables; the device tree, through a
 *          window; a console; memory, with the per-CPU blocks; interrupts; the other CPUs, through
 *          the door; the seal on pinned memory; an audit of what the tables say. Each step stands
 *          on the ones before it, and says on the console what it found.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <bootinfo.h>
#include <string.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/cpu.h"
#include "kern/machine.h"
#include "kern/smp.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "arch/arm64/user.h"
#include "kern/trap.h"
#include "ipi/inval.h"
#include "kern/assert.h"
#include "kern/bootargs.h"
#include "kern/kdb.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/reclaim.h"
#include "kern/report.h"
#include "kern/run.h"
#include "kern/sched.h"
#include "kern/stop.h"
#include "kern/warden.h"
#include "test/kernel/programs.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "pcpu/recorder.h"
#include "vm/asid.h"
#include "vm/budget.h"
#include "vm/frame.h"
#include "vm/lifeboat.h"
#include "vm/memory.h"
#include "vm/object.h"
#include "vm/pmap.h"
#include "vm/pmap_audit.h"

#define BOOT_HEAP_PAGES 64
#define STOP_SECONDS 2 /* that a report waits for a CPU to stop */
#define DMA_ORDER 9 /* 2 MiB */
#define DMA_ORDER_LARGE 12
#define FDT_WINDOW (4 * MIB)
#define WINDOW_DELAY_DEFAULT 20
#define FDT_MAGIC_HERE 0xedfe0dd0u /* d00dfeed, big-endian in memory */

struct bootinfo bootinfo;
struct bootargs bootargs;

static page_aligned char boot_heap[BOOT_HEAP_PAGES * PAGE_BYTES];
static struct memory_summary memory;
static struct spinlock log_spinlock = SPINLOCK("log", LOCK_LOG);

static uint64_t log_lock_acquire(void) __attribute__((no_thread_safety_analysis))
{
	spin_lock(&log_spinlock);
	return 0;
}

static void log_lock_release(uint64_t state) __attribute__((no_thread_safety_analysis))
{
	(void)state;
	spin_unlock(&log_spinlock);
}

static const struct log_lock log_lock = { log_lock_acquire, log_lock_release };

static void first_tables(void)
{
	const uint64_t image_bytes = (uint64_t)(_image_end - _image_start);

	heap_set_image(_image_start, pa(boot_regs.image_pa), image_bytes);
	pin_add(va(IMAGE_BASE), pa(boot_regs.image_pa), image_bytes, "kernel image");
	heap_add_block(boot_heap, image_pa(boot_heap), BOOT_HEAP_PAGES, MAX_NODES);
	boot_regs.ttbr1 = pmap_init(boot_root[0]).v;
	write_sysreg(ttbr1_el1, boot_regs.ttbr1);
	arch_user_init_cpu();
	dsb_ishst();
	tlbi_vmalle1_local();
	if (!lifeboat_pin(va(IMAGE_BASE), image_bytes)) {
		panic("no memory for the lifeboat's image");
	}
}

/*
 * Map a window onto a tree that may be at `at`. Returns where it is, or nullptr with nothing
 * mapped.
 */
static const void *open_tree(uint64_t at)
{
	const uint64_t base = align_down(at, BLOCK_BYTES);
	const void *tree = (const void *)(BOOTWIN_BASE + at - base);

	if (at % 8 != 0 || at >> cpu_features.pa_bits != 0 ||
	    pmap_map(&kernel_pmap, va(BOOTWIN_BASE), pa(base), FDT_WINDOW, PMAP_NO_PROMOTE) !=
		    KERR_OK) {
		return nullptr;
	}
	if (*(const uint32_t *)tree == FDT_MAGIC_HERE) {
		return tree;
	}
	if (pmap_unmap(&kernel_pmap, va(BOOTWIN_BASE), FDT_WINDOW) != KERR_OK) {
		panic("device tree: its window does not close");
	}
	return nullptr;
}

/*
 * Read the tree through a window that is closed again: nothing of it is used afterwards. A loader
 * that knows no boot protocol (QEMU with an ELF file) leaves x0 = 0 and the tree at the start of
 * RAM.
 */
static void read_tree(void)
{
	static char error[160];
	uint64_t at = boot_regs.fdt_pa;
	const void *tree = at != 0 ? open_tree(at) : nullptr;

	if (at == 0) {
		at = align_down(boot_regs.image_pa, GIB);
		tree = open_tree(at);
	}
	if (tree == nullptr && boot_regs.fdt_pa == 0) {
		at = 0;
		tree = open_tree(at);
	}
	if (tree == nullptr) {
		machine_console(UART_NONE, 0, 0);
		boot_fail("no device tree at %#llx, where x0 points",
			  (unsigned long long)boot_regs.fdt_pa);
	}
	const bool ok =
		fdt_parse(tree, FDT_WINDOW - at % BLOCK_BYTES, at, &bootinfo, error, sizeof(error));

	if (pmap_unmap(&kernel_pmap, va(BOOTWIN_BASE), FDT_WINDOW) != KERR_OK) {
		panic("device tree: its window does not close");
	}
	machine_console(bootinfo.uart, bootinfo.uart_base, bootinfo.uart_size);
	if (!ok) {
		boot_fail("device tree: %s", error);
	}
}

static void report_bad_argument(const char *text)
{
	log_printf("boot", "%s", text);
}

static void say_hello(void)
{
	log_printf("boot", "Perch on %s",
		   bootinfo.model[0] != '\0' ? bootinfo.model : bootinfo.compatible);
	log_printf("boot",
		   "cpu=%s entry_el=%llu image=%#llx bbm_level=%u tlb_range=%s counter_hz=%llu",
		   cpu_features.model, (unsigned long long)boot_regs.entry_el,
		   (unsigned long long)boot_regs.image_pa, cpu_features.bbm,
		   cpu_features.tlb_range ? "yes" : "no", (unsigned long long)arch_counter_hz());
	for (uint32_t i = 0; i < bootinfo.warning_count && i < array_len(bootinfo.warning); i++) {
		log_printf("boot", "device tree: %s", bootinfo.warning[i]);
	}
	if (bootinfo.cpu_ignored != 0) {
		log_printf("boot",
			   "%u CPUs are beyond what Perch supports (%d) or malformed: not used",
			   bootinfo.cpu_ignored, MAX_CPUS);
	}
	bootargs_default(&bootargs);
	bootargs_parse(bootinfo.args, &bootargs, report_bad_argument);
	if (PERCH_DEBUG) {
		provoke_arguments(&bootargs);
	}
}

static void choose_mode(void)
{
	enum bbm_mode mode = (enum bbm_mode)bootargs.bbm;
	const bool unsafe = mode == BBM_NAIVE || bootargs.pcpu == PCPU_SCATTERED;

	if (unsafe && !PERCH_DEBUG) {
		log_printf(
			"boot",
			"bbm=naive and pcpu=scattered are for debug builds only: bbm=park pcpu=block");
		mode = BBM_PARK;
		bootargs.pcpu = PCPU_BLOCK;
	}
	const bool forced = bootargs.bbml2 == BBML2_FORCE && PERCH_DEBUG && cpu_features.bbm >= 2;

	if (mode == BBM_BBML2 && !cpu_features.bbml2_safe && !forced) {
		log_printf("boot",
			   "bbm=bbml2: %s is not known to change sizes without conflicts: bbm=park",
			   cpu_features.model);
		mode = BBM_PARK;
	}
	inval_set_mode(mode);
	/*
	 * Without a delay the others hardly ever look: under single-threaded TCG they do not even
	 * run.
	 */
	inval_set_window_delay(bootargs.window_delay != 0 ? bootargs.window_delay
							  : WINDOW_DELAY_DEFAULT);
	bootargs.bbm = mode;
}

static void lifeboats(void)
{
	for (unsigned cpu = 0; cpu < bootinfo.cpu_count; cpu++) {
		lifeboat_slice[cpu] = memory_lifeboat_slice(cpu);
		lifeboat_sp[cpu] = lifeboat_slice[cpu] + SLICE_LIFEBOAT_TOP;
	}
	report_note_slices();
}

static void start_cpus(void)
{
	unsigned up = 1;

	for (unsigned cpu = 1; cpu < bootinfo.cpu_count && cpu < bootargs.cpus; cpu++) {
		if (smp_start(&bootinfo, cpu) == KERR_OK) {
			up++;
		}
	}
	log_printf("boot", "cpus=%u of %u", up, bootinfo.cpu_count);
}

/* What user memory needs besides tables: the pool of devices, and limits on windows. */
static void vm_start(void)
{
	const unsigned order = memory.ram >= 2 * GIB ? DMA_ORDER_LARGE : DMA_ORDER;

	budget_init(arch_counter_hz());
	if (dma_pool_init(order) != KERR_OK) {
		log_printf("boot", "no DMA pool: not enough contiguous memory");
	}
}

/* What the live tables say, at the end of boot. */
static void audit(void)
{
	struct pmap_audit a;
	const struct heap_stats heap = heap_stats();
	const bool ok = pmap_audit(&kernel_pmap, &a);

	log_printf(
		"boot",
		"memory=%lluM linear=%lluM leaves: 1G %lluM, 32M %lluM, 2M %lluM, 64K %lluK, 4K %lluK",
		(unsigned long long)(memory.ram / MIB), (unsigned long long)(memory.linear / MIB),
		(unsigned long long)(a.leaf_bytes[1][0] / MIB),
		(unsigned long long)(a.leaf_bytes[2][1] / MIB),
		(unsigned long long)(a.leaf_bytes[2][0] / MIB),
		(unsigned long long)(a.leaf_bytes[3][1] / KIB),
		(unsigned long long)(a.leaf_bytes[3][0] / KIB));
	log_printf(
		"boot",
		"tables=%u pcpu_blocks=%llu frame_blocks=%llu slices=%lluK pinned_heap=%u of %u pages free, %llu%% of blocks used",
		a.tables, (unsigned long long)memory.pcpu_blocks,
		(unsigned long long)memory.frame_blocks,
		(unsigned long long)(memory.slice_bytes / KIB), heap.pages_free, heap.pages,
		(unsigned long long)((heap.pages - heap.pages_free) * 100ull / heap.pages));
	log_printf("boot", "lifeboat: tables=%lluK ram=%lluM",
		   (unsigned long long)(lifeboat_stats().table_bytes / KIB),
		   (unsigned long long)(lifeboat_stats().ram_bytes / MIB));
	log_printf(
		"boot",
		"audit: %s (writable and executable: %u, open to EL0: %u, wrong counts: %u, broken runs: %u)",
		ok ? "ok" : "FAILED", a.wx, a.open, a.bad_notes, a.bad_runs);
	if (!ok) {
		panic("the audit of the tables failed at %#llx", (unsigned long long)a.bad.v);
	}
}

/* On the boot CPU's own slice, SP0. */
static void boot_on_slice(void)
{
	stop_note_running(0);
	log_set_cpu_hook(cpu_number);
	log_set_lock(&log_lock);
	machine_init(&bootinfo, bootargs.park == PARK_NMI);
	kdb_init(bootinfo.uart_irq);
	log_printf("boot", "speculation: %s; asid_bits=%u pan=%s hafdbs=%s",
		   arch_speculation_init(), cpu_features.asid_bits, cpu_features.pan ? "yes" : "no",
		   cpu_features.hafdbs ? "yes" : "no");
	asid_set_bits(cpu_features.asid_bits);
	irq_mask();
	token_acquire();
	park_set_online(0, true);
	token_release();
	irq_unmask();
	reclaim_awake();
	door_enter();
	arch_irq_open();
	cpu_unmask_all();
	sched_init(arch_counter_hz());
	smp_set_main(run_secondary);
	start_cpus();
	pin_seal();
	vm_start();
	log_printf("boot", "mode=%s pcpu=%s park=%s", inval_mode_name(inval_mode()),
		   bootargs.pcpu == PCPU_SCATTERED ? "scattered" : "block",
		   arch_masks_by_priority() ? "nmi" : "irq");
	audit();
	warden_announce();
	arch_machine_end(run_main());
}

_Noreturn void kmain(void)
{
	pcpu_register(0, 0, 0, boot_slice);
	lifeboat_sp[0] = (uint64_t)(uintptr_t)boot_slice + SLICE_LIFEBOAT_TOP;
	lifeboat_slice[0] = (uint64_t)(uintptr_t)boot_slice;
	arch_features_init();
	park_init(arch_counter_hz());
	stop_set_patience(STOP_SECONDS * arch_counter_hz());
	first_tables();
	recorder_init(arch_counter_hz(), pa(boot_regs.ttbr1));
	read_tree();
	say_hello();
	choose_mode();
	smp_order(&bootinfo);
	if (bootinfo.cpu_count > bootargs.cpus) {
		bootinfo.cpu_count = (uint32_t)bootargs.cpus;
	}
	memory_init(&bootinfo, pa(boot_regs.image_pa), (uint64_t)(_image_end - _image_start),
		    bootargs.pcpu == PCPU_SCATTERED, &memory);
	lifeboats();
	cpu_move_to_slice((uint64_t)(uintptr_t)pcpu_of(0), boot_on_slice);
}

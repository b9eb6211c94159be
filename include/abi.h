/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/abi.h - what the kernel and its programs agree on, besides the calls themselves.
 *
 * THEORY   A program reaches the kernel by SVC #0 with the number of a call in x8. The calls, with
 *          arguments, rights and errors, are in include/calls.toml: from it come the decoders of
 *          the kernel, the stubs of user/ and docs/api.md. What no table can say is here: the words
 *          that both sides read.
 * REGISTERS Ordinary calls: arguments in x0-x5; back come the error in x8 (enum kerr) and, if it is
 *          KERR_OK, the results in x0-x3. x9-x17 are lost, though nothing of the kernel is
 *          ever in them; everything else is kept.
 *          IPC calls: x0-x7 words of the message, x9 the handle, x10 the info word (below), x11 a
 *          reply object or 0 for the thread's own, x12 the deadline; back come x0-x7 the words of
 *          the message that arrived, x8 the error, x9 its badge, x10 its info word; x11-x17 zero.
 * HANDLES  32 bits: an index into the task's table, a generation that is never 0; 0: no handle.
 */
#pragma once

#include <types.h>

typedef uint32_t handle_t;
#define HANDLE_NONE 0u

/* What a handle can name. */
enum kobj_type {
	KOBJ_NONE = 0, /* in calls.toml: any of the others */
	KOBJ_TASK = 1,
	KOBJ_THREAD = 2,
	KOBJ_ENDPOINT = 3,
	KOBJ_REPLY = 4,
	KOBJ_EVENT = 5,
	KOBJ_MEMORY = 6,
	KOBJ_IRQ = 7,
	KOBJ_TIMER = 8,
	KOBJ_MACHINE = 9,
	KOBJ_TYPES = 10,
};

/* What a handle lets its holder do. A duplicate never has more than its original. */
#define RIGHT_READ (1u << 0)      /* memory: map readable; thread: read registers; event: wait */
#define RIGHT_WRITE (1u << 1) /* memory: map writable; thread: write registers; event: signal */
#define RIGHT_EXEC (1u << 2) /* memory: map executable */
#define RIGHT_SEND (1u << 3) /* endpoint: call and send; reply: reply */
#define RIGHT_RECEIVE (1u << 4) /* endpoint: receive, make badged handles */
#define RIGHT_TRANSFER (1u << 5) /* go with a message, or into another task */
#define RIGHT_DUPLICATE (1u << 6) /* make another handle to the object */
#define RIGHT_MANAGE (1u << 7) /* change and destroy the object */
#define RIGHT_ALL 0xffu

/* ---- deadlines: nanoseconds since the machine started (the counter, scaled) ---- */
#define DEADLINE_NONE UINT64_C(0) /* wait for ever */
#define DEADLINE_POLL UINT64_C(1) /* do not wait: KERR_TIMEOUT at once */

/*
 * ---- IPC: the info word ----
 * Handles, if any, are the last of the message's words; they arrive as handles of the receiver.
 */
#define IPC_WORDS 8u
#define IPC_HANDLES_MAX 2u
#define IPC_INFO(words, handles) ((uint64_t)(words) | (uint64_t)(handles) << 8)
#define IPC_INFO_WORDS(info) ((unsigned)((info) & 0xf))
#define IPC_INFO_HANDLES(info) ((unsigned)((info) >> 8 & 0xf))
#define IPC_SEND_MASK UINT64_C(0x0f0f) /* what a sender may set; the flags are the kernel's */
#define IPC_FLAG_EVENT (UINT64_C(1) << 16) /* no message: the bound event's bits are in x0 */
#define IPC_FLAG_EXCEPTION (UINT64_C(1) << 17) /* from the kernel: words as enum exception_word */
#define IPC_FLAG_PAGER (UINT64_C(1) << 18) /* from the kernel: words as enum pager_word */
#define IPC_FLAG_CALL (UINT64_C(1) << 19) /* the sender waits for a reply */

/* ---- memory ---- */
enum memory_kind {
	MEM_ANON = 0, /* zeroed frames at first touch */
	MEM_PHYS = 1, /* given physical addresses: a device, or memory that boot set aside */
	MEM_DMA = 2, /* physically contiguous, from the fixed pool, not cached */
	MEM_PAGER = 3, /* contents come from a task behind an endpoint */
	MEM_SECRET = 4, /* absent from the kernel's linear map while it exists */
	MEM_KIND_COUNT = 5,
};

/* How a range is mapped. Writable and executable is refused. */
#define VM_READ (1u << 0)
#define VM_WRITE (1u << 1)
#define VM_EXEC (1u << 2)
#define VM_PROT_MASK 0x7u
#define VM_FIXED (1u << 3) /* at this address or not at all */
#define VM_GUARD (1u << 4) /* no memory: every access is a fault */
#define VM_MAP_MASK 0x1fu

enum memory_advice {
	VM_COLLAPSE = 1, /* copy into a superpage what was populated badly */
	VM_SPLIT = 2, /* into pages */
	VM_WILLNEED = 3, /* populate now */
	VM_DONTNEED = 4, /* contents may go: the next touch finds zeroes */
};

/* ---- threads ---- */
#define PRIORITY_COUNT 64u /* 0 the least urgent, 63 the most */
#define PRIORITY_DEFAULT 16u

enum thread_report { /* thread_info's state */
		     THREAD_IS_STOPPED = 0,
		     THREAD_IS_READY = 1,
		     THREAD_IS_RUNNING = 2,
		     THREAD_IS_SENDING = 3, /* waits for a receiver */
		     THREAD_IS_RECEIVING = 4, /* waits for a message */
		     THREAD_IS_CALLING = 5, /* waits for a reply */
		     THREAD_IS_WAITING = 6, /* waits for an event */
		     THREAD_IS_FAULTED = 7, /* waits for a pager or the exception endpoint */
		     THREAD_IS_DEAD = 8,
};

/* What thread_regs_read and thread_regs_write move. */
struct user_regs {
	uint64_t x[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate; /* NZCV and the single step bit can be written */
	uint64_t tls; /* TPIDR_EL0 */
};

/* ---- exceptions as messages: eight words; the reply has one, an enum exception_verdict ---- */
enum exception_word {
	EXC_WORD_KIND, /* enum exception_kind */
	EXC_WORD_THREAD, /* number of the thread, as thread_info tells it */
	EXC_WORD_PC,
	EXC_WORD_ADDRESS, /* FAR_EL1 of a fault, number of an unknown call */
	EXC_WORD_ESR,
	EXC_WORD_ACCESS, /* VM_READ, VM_WRITE or VM_EXEC of a page fault */
	EXC_WORD_SP,
	EXC_WORD_LR,
};

enum exception_kind {
	EXC_PAGE_FAULT = 1, /* no region, or not allowed there */
	EXC_UNDEFINED = 2, /* undefined instruction, or a system register that EL0 may not use */
	EXC_ALIGNMENT = 3, /* unaligned SP, PC or data */
	EXC_BREAKPOINT = 4, /* BRK */
	EXC_STEP = 5, /* single step done */
	EXC_UNKNOWN_CALL = 6, /* SVC with an unknown number, or not #0 (quick calls do not look) */
	EXC_HARDWARE = 7, /* external abort, or a page that its pager cannot bring */
	EXC_NO_MEMORY = 8, /* a page could not be had */
};

enum exception_verdict {
	EXC_RESUME = 1, /* at the thread's pc, again */
	EXC_SKIP = 2, /* at the next instruction */
	EXC_KILL = 3, /* the thread dies */
};

/* ---- a pager's request: three words; it answers by pager_supply, not by a reply ---- */
enum pager_word {
	PAGER_WORD_OFFSET, /* of the page in the object */
	PAGER_WORD_ACCESS, /* VM_READ, VM_WRITE or VM_EXEC */
	PAGER_WORD_OBJECT, /* the word given to mem_create */
};

#define CONSOLE_WRITE_MAX 256u /* bytes of one console_write */

/* ---- machine_info's topics, each with four words ---- */
enum machine_topic {
	MACHINE_CPUS, /* CPUs on line, counter Hz, exact model (MIDR_EL1), 0 */
	MACHINE_MEMORY, /* bytes of RAM, free, kernel objects' pages, tables' pages */
	MACHINE_UART, /* kind (0 none, 1 PL011, 2 BCM mini-UART), physical base, bytes, interrupt */
	MACHINE_INITRD, /* physical base, bytes (0: none), 0, 0 */
	MACHINE_PARKS, /* promotions, demotions, transient faults, parks */
	MACHINE_ARGS = 64, /* + i: bytes 32i to 32i + 31 of the boot arguments, i below 32 */
	MACHINE_TOPIC_END = 96,
};

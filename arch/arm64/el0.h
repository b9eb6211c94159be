/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el0.h - where el0.S, ipc_fast.S and the lower-EL vectors find things. C asserts each
 * (kern/el0.c): a field that moves stops the build.
 */
#pragma once

/* struct pcpu */
#define PCPU_CURRENT 256  /* the thread whose registers an exception from EL0 goes to */
#define PCPU_QUIET 264    /* grows at every return to EL0 */
#define PCPU_SP0_BASE 272 /* where SP0 begins in a call from EL0 */
#define PCPU_FAST_KEY 288 /* thread_key() of the thread that the scheduler chose */
#define PCPU_SPACE 296 /* where this CPU says which space it runs; the one loaded is next */
#define PCPU_ASID_ACTIVE 304 /* asid_active() of this CPU */
#define PCPU_RUNQ 312 /* its run queue */
#define PCPU_CPU 8    /* its number */
#define PCPU_FLAGS 336 /* steps_el0, idle_work, gicv2: a byte each; and PCPU_RESCHED */
#define FLAG_GICV2_BIT 16
#define PCPU_RESCHED 344
#define PCPU_SLICE_END 352
#define PCPU_TIMER 360 /* what the timer is set to */
#define PCPU_HOST_SP 280  /* SP0 of the kernel program that gave its CPU to threads */

/* struct thread: the registers of EL0 */
#define TH_REGS 64
#define TH_X(n) (TH_REGS + 8 * (n))
#define TH_SP TH_X(31)
#define TH_PC TH_X(32)
#define TH_PSTATE TH_X(33)
#define TH_TLS TH_X(34)

/* What ipc_fast.S knows of threads, tasks, handles, endpoints. */
#define TH_KEY 344
#define TH_FPU 640
#define TH_STATE 616
#define TH_TASK 352
#define TH_IPC_WAIT 392
#define TH_IPC_NEXT 400
#define TH_IPC_PREV 408
#define TH_IPC_OWN 416
#define TH_IPC_SLOT 424
#define TH_IPC_HELD 440
#define TH_IPC_BOUND 536
#define TH_IPC_EXCEPTED 544
#define TH_RUN_END 704
#define TASK_HANDLES 184
#define TH_SPACE 360 /* of its task's map: the window, then the ASID; and TH_ROOT behind it */
#define TH_ROOT 368
#define TH_ZEROS 376 /* two registers' worth of nothing */
#define EP_LOCK 56
#define EP_FIRST 128
#define EP_LAST 136
#define EP_RECEIVERS 144
#define KOBJ_DEAD 32
#define HANDLE_SLOT_SHIFT 5
#define TABLE_PAGES 64 /* of a task's handles */
#define TYPE_ENDPOINT 3
#define RIGHT_SEND_BIT 3
#define RIGHT_RECEIVE_BIT 4
#define STATE_RUNNING 2
#define STATE_RECEIVING 4
#define STATE_CALLING 5
#define KEY_FPU_BIT 17
#define INFO_CALL (1 << 19)

/* What quick_fast.S knows besides. */
#define TH_IPC_EVENT_BITS 520
#define TH_QUEUED 622
#define TH_NOT_PLAIN 624
#define TH_AFFINITY 632
#define TH_NEXT 648
#define TH_PREV 656
#define TH_SLICE_LEFT 664
#define EV_LOCK 56
#define EV_BITS 128
#define EV_FIRST 136
#define EV_BOUND 152
#define TYPE_EVENT 5
#define RIGHT_WRITE_BIT 1
#define RUNQ_READY 72
#define RUNQ_RUNNING 80
#define RUNQ_HEAD 88
#define RUNQ_TAIL 600
#define SCHED_IDLE 8
#define SCHED_SLICE_TICKS 16

/* What fault_fast.S knows besides. */
#define PCPU_FAULTS 688 /* counter[CTR_faults] */
#define TH_NUMBER 56
#define TASK_HANDLER 848
#define TASK_HANDLER_BADGE 856
#define TASK_HANDLER_CHANGES 872
#define TASK_SPACE 880
#define SPACE_LOCK 152
#define SPACE_ROOT 224
#define REGION_BASE 32 /* and its size; the links left and right come first */
#define REGION_OBJECT 72
#define REGION_PROT 108
#define REGION_DYING 112
#define ACCESS_READ 1
#define ACCESS_WRITE 2
#define ACCESS_EXEC 4
#define KIND_PAGE_FAULT 1
#define ANSWER_RESUME 1
#define ANSWER_SKIP 2
#define INFO_EXCEPTION (1 << 17)
#define KEY_FPU (1 << KEY_FPU_BIT)
#define KEY_EXCEPTED_BIT 61
#define KEY_EXCEPTED (1 << KEY_EXCEPTED_BIT)
#define KEY_SLOW_BIT 62
#define KEY_NUMBER_SHIFT 8
#define EC_IABT 0x20 /* of EL0, as the next */
#define EC_DABT 0x24
#define ISS_WNR (1 << 6)
#define ISS_CM (1 << 8)
#define CPACR_EL0_TRAPS (1 << 20)
#define CPACR_EL0_MAY (3 << 20)

/* What irq_fast.S knows besides. */
#define PCPU_IRQS 632 /* counter[CTR_irqs] */
#define TH_PRIORITY 620
#define TH_BASE_PRIORITY 621
#define IRQ_EVENT 56
#define IRQ_BITS 64
#define IRQ_LINE 72 /* struct gic_line */
#define IRQ_LINE_CTLR 88
#define IAR_INTID 0x3ff
#define GICC_IAR 0x0c
#define GICC_EOIR 0x10
#define GIC_POLL_LIMIT 1000000 /* reads until a handshake with the GIC counts as failed */

/* Calls that assembly knows (include/calls.toml). */
#define NR_NULL 0
#define NR_THREAD_YIELD 14
#define NR_IPC_CALL 22
#define NR_IPC_REPLY_RECV 23
#define NR_IPC_RECV 24
#define NR_EVENT_SIGNAL 29
#define NR_EVENT_WAIT 30
#define NR_IRQ_ACK 34

/* What entry_el0_signal() and the like answer: enum quick of kern/quick.h. */
#define QUICK_DONE 0
#define QUICK_LEAVE 1
#define QUICK_SLOW 2

#define ESR_EC_SHIFT 26
#define EC_SVC64 0x15 /* as ESR_EC_SVC64 of sysreg.h, which is for C */

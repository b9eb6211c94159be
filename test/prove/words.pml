/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/prove/words.pml - what park.pml is built on: the scenario, the words in memory, the store
 * buffers, and the weakenings of one step each. Theory: park.pml.
 */

/* ---- The scenario: -D overrides each. CPU sets are bit masks. ---- */
#ifndef N
#define N		2	/* CPUs */
#endif
#ifndef INITIATORS
#define INITIATORS	1	/* who opens windows ... */
#endif
#ifndef WINDOWS
#define WINDOWS		1	/* ... and how many each */
#endif
#ifndef ABANDON
#define ABANDON		0	/* parks given up though nothing is wrong: a slow target */
#endif
#ifndef DROPS
#define DROPS		0	/* SGIs lost on their way */
#endif
#ifndef WALKERS
#define WALKERS		ALL	/* who goes through the door; the others stay inside */
#endif
#ifndef IDLERS
#define IDLERS		0	/* who may idle; everybody may go to EL0 */
#endif
#ifndef PLUGGED
#define PLUGGED		0	/* who goes off line, and is brought back by a STARTER */
#endif
#ifndef STARTERS
#define STARTERS	0
#endif
#ifndef PANICKERS
#define PANICKERS	0	/* who may panic, and stop the others */
#endif

#define ALL		((1 << N) - 1)
#define IN(set, c)	(((set) >> (c)) & 1)
#define me		(_pid - 1)	/* init is process 0 */

/* ---- Words in memory. All start as 0: mapped, closed, free, EL0. ---- */
#define MAP		0	/* 0 valid, 1 broken */
#define WIN		1	/* generation of the open window, 0 when closed */
#define SERVING		2	/* the token: whose turn it is, */
#define NEXT		3	/* and the next ticket, modulo TICKETS */
#define STOP		4
#define OFFLINE		5	/* mask */
#define DOOR(c)		(6 + (c))
#define REQ(c)		(6 + N + (c))
#define ACK(c)		(6 + 2 * N + (c))
#define REL(c)		(6 + 3 * N + (c))
#define NWORD		(6 + 4 * N)

#define EL0		0
#define IDLE		1
#define OFF		2
#define KERNEL		3

/* ---- Names of the reasons; each is 0 for ever. ---- */
hidden byte broken_access, early_fault, two_windows, left_broken, request_skipped, ack_ahead;
hidden byte lost_release, unanswered, deaf_to_stop, door_stuck, token_lost, stuck, overflow;
hidden byte seen_retry, seen_late_ack, seen_stopped_park, seen_born, seen_all_kinds;

byte mem[NWORD];
chan sb[N] = [2 * N + 4] of { byte, byte, bit };	/* word, value, store-release */
byte releases[N];	/* store-releases in sb[] */
bit sgi[N];		/* SGI_PARK pending at the GIC */
bit sgi_stop[N];	/* SGI_STOP pending; never lost */
bit power[N];		/* PSCI CPU_ON issued */
bit off[N];		/* PSCI AFFINITY_INFO says OFF */

byte gen;		/* last generation taken; written by the token's owner */
byte abandons = ABANDON;
byte drops = DROPS;
bit evening;		/* CPUs begin nothing of their own will any more */
bit dropped;		/* an SGI of this generation was lost: time will run out */

/* Ghosts: no CPU reads these. */
bit open[N];		/* may touch unpinned memory at its next instruction */
bit early[N];		/* holds a fault walked while MAP was broken */
bit halted[N];
byte breaker;		/* who has broken MAP, + 1 */

/* The protocol never fills a buffer; a weakened one may, and the CPU stalls. */
#ifdef STALL
#define ROOM		true
#else
#define ROOM		nfull(sb[me])
#endif
#define PUT(w, v)	assert(ROOM || overflow); sb[me]!w, v, 0
#define PUT_REL(w, v)	assert(ROOM || overflow); sb[me]!w, v, 1; releases[me]++
#define ASKED		(mem[REL(me)] < mem[REQ(me)])
#define TICKETS		8	/* more than there are CPUs */
#define NEXT_TICKET(t)	(((t) + 1) % TICKETS)
#define TOKEN_PASS	PUT_REL(SERVING, NEXT_TICKET(ticket)); ticket = 0
#define DSB		(empty(sb[me]))
#define LDAR		(releases[me] == 0)
#define ISB		early[me] = mem[MAP]

/*
 * AS_C: the C has more order than the proof needs, DSBs so that a waiter's WFE ends in time and
 * store-release for the request. The model does without, except where states must be saved.
 */
#ifdef AS_C
#define DSB_LEAVE	DSB
#define DSB_ACK		DSB
#define PUT_REQUEST	PUT_REL
#else
#define DSB_LEAVE	true
#define DSB_ACK		true
#define PUT_REQUEST	PUT
#endif

/* ---- The weakenings. ---- */
#ifdef W_DOOR_TARGET
#define LDAR_TARGET	true	/* LDAPR */
#else
#define LDAR_TARGET	LDAR
#endif
#ifdef W_DOOR_INITIATOR
#define LDAR_INITIATOR	true	/* LDAPR */
#else
#define LDAR_INITIATOR	LDAR
#endif
#ifdef W_ACK_OLD
#define ACKED(c)	(mem[ACK(c)] + 1 >= g)
#else
#ifdef W_ACK_GE
#define ACKED(c)	(mem[ACK(c)] >= g)
#else
#define ACKED(c)	(mem[ACK(c)] == g)
#endif
#endif
#ifdef W_RELEASE_EQ
#define RELEASED	(mem[REL(me)] == r)
#else
#define RELEASED	(mem[REL(me)] >= r)
#endif
#ifdef W_NO_TOKEN
#define TOKEN_MINE	true
#else
#define TOKEN_MINE	(mem[SERVING] == ticket)
#endif
#ifdef W_STOP_DEAF
#define TOLD_TO_STOP	false
#else
#define TOLD_TO_STOP	(mem[STOP] != 0)
#endif
#ifdef W_DOOR_DEAF
#define DOOR_ANSWERS	false
#else
#define DOOR_ANSWERS	true
#endif
#ifdef W_NO_REQUEST_DSB
#define DSB_REQUEST	true
#else
#define DSB_REQUEST	DSB
#endif

#ifdef W_LEAVE_EARLY
#define OPEN_OUTSIDE	1	/* the last access comes after the door said EL0 */
#else
#define OPEN_OUTSIDE	0
#endif
#ifdef W_IAR_LATE
#define IAR		skip	/* the request is read before the interrupt is acknowledged */
#else
#define IAR		sgi[me] = 0
#endif
#ifdef W_TOKEN_DEAF
#define TOKEN_ANSWERS	false
#else
#define TOKEN_ANSWERS	true
#endif
#ifdef W_RELEASE_ACKED
#define MAY_RELEASE(c)	(mem[ACK(c)] == g)
#else
#define MAY_RELEASE(c)	true
#endif
#ifdef W_MAKE_PLAIN
#define PUT_RELEASE	PUT
#define DSB_MAKE	true
#else
#define PUT_RELEASE	PUT_REL
#define DSB_MAKE	DSB
#endif

/* Where the answer to a park returns to. */
#define TO_OUTSIDE	0
#define TO_INSIDE	1
#define TO_DOOR		2
#define TO_TOKEN	3

/*
 * NMI: masked means by priority (park=nmi), and SGI_PARK is above that: it arrives in a CPU that
 * waits with interrupts masked on SP0, in the midst of an answer too, once.
 */
#ifdef NMI
#define NEST(at)								\
	:: ret == TO_TOKEN && outer_at == 0 && sgi[me] ->			\
		sgi[me] = 0;							\
		ISB;								\
		outer_r = r;							\
		outer_parked = parked;						\
		parked = 0;							\
		outer_at = at;							\
		goto answer
#else
#define NEST(at)
#endif
#define IN_STORE	1
#define IN_WAIT		2

/* What the token is wanted for. */
#define TO_PARK		0
#define TO_GO_OFF	1
#define TO_START	2
#define TO_GIVE_UP	3	/* on a CPU that was started and did not come in time */

/* Is any CPU at the label? Process 0 is init. */
#define ANY_2(label)	(cpu[1]@label || cpu[2]@label)
#if N == 2
#define ANY(label)	ANY_2(label)
#endif
#if N == 3
#define ANY(label)	(ANY_2(label) || cpu[3]@label)
#endif
#if N == 4
#define ANY(label)	(ANY_2(label) || cpu[3]@label || cpu[4]@label)
#endif

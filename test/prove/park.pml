/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/prove/park.pml - the park protocol, for spin.
 *
 * THEORY   CPUs talk through words in memory, and each owns a store buffer between it and that
 *          memory. A plain store leaves the buffer whenever it likes, before older ones too; a
 *          store-release leaves it only when it is the oldest. A DSB waits for an empty buffer,
 *          an LDAR for the CPU's own store-releases to have left, an LDAPR for nothing: that is
 *          the whole difference between a door that closes and one that does not.
 *          The mapping under change is one word, `MAP`. The adversary walks tables as early as
 *          it can: when the break lands, every CPU is taken to have walked and kept the fault,
 *          until its next context synchronisation, which keeps it again while MAP is broken.
 * PROPERTY Each assertion names itself by a constant that is always 0 ("or broken_access"), so
 *          that a counterexample tells the reason, and prove.py compares it with the expected.
 * CONTROL  W_* weaken one step each and must fail. SEEN_* negate an interesting situation, and
 *          must fail too, or the model would hold by never getting there.
 * NOT HERE TLB contents, descriptors, ASIDs: the machine model of test/host has them. What else
 *          is left out, and the C function behind each label: docs/park-proof.md.
 */

#include "words.pml"

/* Let every CPU that was asked go: in the window's own order, all in the buffer. */
inline publish_release()
{
	j = 0;
	do
	:: j == N -> break
	:: j < N && IN(sent, j) && MAY_RELEASE(j) -> PUT_RELEASE(REL(j), g); j++
	:: j < N && !(IN(sent, j) && MAY_RELEASE(j)) -> j++
	od;
	j = 0
}

#define LEFT(c)									\
	IN(left, c) && (ACKED(c) || mem[DOOR(c)] != KERNEL) ->			\
		assert(mem[ACK(c)] <= g || ack_ahead);				\
		left = left & (ALL - (1 << (c)));				\
		goto a_wait

/*
 * A CPU. Control is a set of states joined by goto, since the answer to a park is one piece of
 * code with four callers, and the watchdog asks by label where everybody is.
 */
proctype cpu()
{
	byte r, seen, met;	/* target: request read, ghost, window met at the door */
	bit parked;
	byte g, j, sent, left, on, ticket;	/* initiator */
	byte todo = IN(INITIATORS, me) * WINDOWS;
	byte ret, job;
	bit idle;
#ifdef NMI
	byte outer_r, outer_at;	/* the answer that an urgent SGI interrupted, if any */
	bit outer_parked;
#endif

	if
	:: open[me] -> goto end_inside
	:: else
	fi;

/* Before the door: EL0, or idle. Interrupts arrive. */
end_outside:
	atomic {
		if
		:: DSB_LEAVE && sgi[me] ->
			IAR; open[me] = 0; ISB; ret = TO_OUTSIDE; goto answer
		:: DSB_LEAVE && sgi_stop[me] -> goto stopped
		:: DSB_LEAVE && !evening && IN(PANICKERS, me) && mem[STOP] == 0 -> goto panic
		:: DSB_LEAVE && !evening -> open[me] = 0
		fi;
/* door_enter() */
enter:
		if
		:: !idle -> ISB			/* exception entry */
		:: idle			/* WFI, masked: nothing synchronises */
		fi;
		PUT_REL(DOOR(me), KERNEL);
		met = 0;
#ifdef W_IDLE_NO_DOOR
		if
		:: idle -> idle = 0; ISB; goto arrive
		:: else
		fi;
#endif
		idle = 0
	}
	atomic {
		LDAR_TARGET;
		met = mem[WIN];
		if
		:: met == 0 -> goto through
		:: else
		fi
	}
d_wait:
	atomic {
		if
		:: mem[WIN] != met -> met = 0
		:: DOOR_ANSWERS && ASKED -> ret = TO_DOOR; goto answer
		:: mem[STOP] != 0 -> goto stopped
		fi;
through:
#ifndef W_DOOR_NO_ISB
		ISB;
#else
		skip;
#endif

/* Past the door. */
arrive:
		assert(mem[MAP] == 0 || broken_access);
		assert(early[me] == 0 || early_fault);
		open[me] = 1
	}
end_inside:
	atomic {
		if
		:: sgi[me] -> IAR; open[me] = 0; ISB; ret = TO_INSIDE; goto answer
		:: sgi_stop[me] -> open[me] = 0; goto stopped
		:: !evening && IN(WALKERS, me) ->
			open[me] = OPEN_OUTSIDE; PUT_REL(DOOR(me), EL0); goto end_outside
		:: !evening && IN(IDLERS, me) ->
			open[me] = 0; idle = 1; PUT_REL(DOOR(me), IDLE); goto end_outside
		:: !evening && todo > 0 -> todo--; open[me] = 0; job = TO_PARK; goto t_draw
		:: !evening && IN(PLUGGED, me) -> open[me] = 0; job = TO_GO_OFF; goto t_draw
#ifdef W_START_GIVEN_UP
		:: !evening && IN(STARTERS, me) && mem[OFFLINE] == 0 ->
			open[me] = 0; job = TO_GIVE_UP; goto t_draw
#endif
		:: !evening && IN(STARTERS, me) && mem[OFFLINE] != 0 ->
			open[me] = 0; job = TO_START;
#ifdef W_PLUG_NO_TOKEN
			goto start;
#else
			goto t_draw;
#endif
		:: !evening && IN(PANICKERS, me) && mem[STOP] == 0 -> open[me] = 0; goto panic
		fi
	}

/* park_answer(): from the SGI, or from a loop that waits with interrupts masked. */
answer:
	r = mem[REQ(me)];
	atomic {
#ifdef W_IAR_LATE
		if
		:: !parked && (ret == TO_INSIDE || ret == TO_OUTSIDE) -> sgi[me] = 0
		:: else
		fi;
#endif
		if
		:: mem[REL(me)] >= r -> goto answered
		:: else
		fi;
#ifdef NMI
	}
p_store:
	atomic {
		if
		NEST(IN_STORE)
		:: true
		fi;
#endif
		PUT_REL(ACK(me), r);
		parked = 1
	}
p_wait:
	atomic {
		if
		NEST(IN_WAIT)
		:: DSB_ACK && RELEASED ->
#ifdef SEEN_LATE_ACK
			assert(mem[ACK(me)] == r || seen_late_ack);
#endif
			seen = mem[REQ(me)]
		:: mem[STOP] != 0 ->
#ifdef SEEN_STOPPED_PARK
			assert(mem[ACK(me)] != r || seen_stopped_park);
#endif
			goto stopped
		fi
	}
#ifndef W_NO_REREAD
	goto answer;
#endif
answered:
	atomic {
		/* A request that was there when the release was seen is over, too. */
		assert(mem[REL(me)] >= seen || request_skipped);
		r = 0;
		seen = 0;
		if
#ifndef W_PARK_NO_ISB
		:: parked -> ISB
#endif
		:: else
		fi;
		parked = 0;
#ifdef NMI
		if
		:: outer_at != 0 ->
			r = outer_r;
			parked = outer_parked;
			outer_r = 0;
			outer_parked = 0;
			ISB;						/* ERET */
			if
			:: outer_at == IN_STORE -> outer_at = 0; goto p_store
			:: outer_at == IN_WAIT -> outer_at = 0; goto p_wait
			fi
		:: else
		fi;
#endif
		if
		:: ret == TO_OUTSIDE -> ISB; goto end_outside		/* ERET */
		:: ret == TO_INSIDE -> ret = 0; ISB; goto arrive	/* ERET */
		:: ret == TO_DOOR -> ret = 0; goto d_wait
		:: ret == TO_TOKEN -> ret = 0
		fi;
/* The caller of token_acquire() is past the door: once answered, it is as good as open. */
t_back:
		assert(mem[MAP] == 0 || broken_access);
		assert(early[me] == 0 || early_fault);
		goto t_wait
	}

/* token_acquire() */
t_draw:
	atomic { ticket = mem[NEXT]; mem[NEXT] = NEXT_TICKET(ticket) }	/* one fetch-and-add */
t_wait:
	atomic {
		if
		:: TOKEN_MINE ->
			if
			:: job == TO_PARK -> goto begin
			:: job == TO_GO_OFF -> goto go_off
			:: job == TO_START -> goto start
#ifdef W_START_GIVEN_UP
			:: job == TO_GIVE_UP -> goto give_up
#endif
			fi
#ifdef NMI
		:: sgi[me] -> sgi[me] = 0; ISB; ret = TO_TOKEN; goto answer
#endif
		:: TOKEN_ANSWERS && ASKED -> ret = TO_TOKEN; goto answer
		:: TOLD_TO_STOP -> goto stopped
		fi
	}

/* park_begin(): the set of CPUs is read first; the token keeps it as it is. */
begin:
	atomic {
		assert(mem[WIN] == 0 || two_windows);
		on = ALL - mem[OFFLINE];
		gen++;
		g = gen;
		dropped = 0;
		sent = 0;
		j = 0;
		PUT_REL(WIN, g)
	}
b_next:
	atomic {
		if
		:: j == N -> goto b_send
		:: j < N && (j == me || !IN(on, j)) -> j++; goto b_next
		:: j < N && j != me && IN(on, j) && LDAR_INITIATOR ->
			if
			:: mem[DOOR(j)] == KERNEL -> PUT_REQUEST(REQ(j), g); sent = sent | (1 << j)
			:: else
			fi;
			j++;
			goto b_next
		fi
	}
b_send:
	atomic {
		DSB_REQUEST;
		j = 0;
		do
		:: j == N -> break
		:: j < N -> sgi[j] = sgi[j] | IN(sent, j); j++
		od;
		j = 0;
		left = sent
	}

/* park_ask(), park_wait(): any order; `left` are those not yet seen parked or before the door. */
a_wait:
	atomic {
		if
		:: left == 0 -> goto brk
		:: LEFT(0)
		:: LEFT(1)
#if N > 2
		:: LEFT(2)
#endif
#if N > 3
		:: LEFT(3)
#endif
		:: left != 0 && TOLD_TO_STOP -> goto stopped
		:: left != 0 && dropped
		:: left != 0 && abandons > 0 -> abandons--
		fi
	}

/* park_abandon(): nothing is broken yet. A new generation asks everybody again, or give up. */
abandon:
	atomic {
		left = 0;
#ifndef W_ABANDON_SILENT
		publish_release();
#endif
		PUT_REL(WIN, 0)
	}
	atomic {
		DSB;
		if
		:: goto begin
		:: sent = 0; on = 0; g = 0; goto t_release
		fi
	}

/* The window. */
brk:
	atomic {
		assert(breaker == 0 || two_windows);
		breaker = me + 1;
#ifdef SEEN_RETRY
		assert(abandons == ABANDON || seen_retry);
#endif
		PUT(MAP, 1)
	}
	atomic {
		DSB;
		ISB;
#ifdef W_ABANDON_LATE
		if
		:: breaker = 0; goto abandon
		:: true
		fi;
#endif
#ifdef W_STOP_MID_BREAK
		if
		:: mem[STOP] != 0 -> goto stopped
		:: else
		fi;
#endif
#ifdef W_RELEASE_EARLY
		publish_release();
		PUT_REL(WIN, 0);
#endif
		PUT(MAP, 0)
	}

/* park_end(), token_release() */
	atomic {
		DSB_MAKE;
		ISB;
		breaker = 0;
#ifndef W_RELEASE_EARLY
		publish_release();
		PUT_REL(WIN, 0);
#endif
		sent = 0;
		on = 0;
		g = 0
	}
	atomic {
		DSB;
#ifdef W_MAKE_PLAIN
		ISB
#endif
	}
t_release:
	atomic { TOKEN_PASS; job = 0; goto arrive }

/*
 * Hotplug, all under the token: a CPU leaves the set before its door says OFF, and is in it again
 * before it starts, so that whoever is past the door is asked.
 */
go_off:
	atomic {
		PUT_REL(OFFLINE, mem[OFFLINE] | (1 << me));
		TOKEN_PASS;
		job = 0
	}
	atomic { assert(!ASKED || request_skipped); PUT_REL(DOOR(me), OFF) }
	atomic { DSB; off[me] = 1 }
end_off:
	atomic {
		power[me];
		power[me] = 0;
		ISB;				/* comes up through its reset vector */
#ifdef SEEN_BORN
		assert(gen == 0 || seen_born);
#endif
		goto enter
	}
start:
	atomic {
		j = 0;
		do
		:: j < N && off[j] ->
			PUT_REL(OFFLINE, mem[OFFLINE] & (ALL - (1 << j)));
			break
		:: j < N && !off[j] -> j++
		:: j == N -> break
		od;
#ifndef W_PLUG_NO_TOKEN
		TOKEN_PASS;
#endif
		job = 0;
		if
		:: j == N -> j = 0; goto arrive
		:: else
		fi
	}
	atomic { DSB; off[j] = 0; power[j] = 1; j = 0; goto arrive }
#ifdef W_START_GIVEN_UP
give_up:
	atomic {
		j = 0;
		do
		:: j < N && mem[DOOR(j)] == OFF && !off[j] ->
			PUT_REL(OFFLINE, mem[OFFLINE] | (1 << j));
			break
		:: j < N && !(mem[DOOR(j)] == OFF && !off[j]) -> j++
		:: j == N -> break
		od;
		j = 0;
		goto t_release
	}
#endif

/* Panic: stop the others, and wait for them. */
panic:
	atomic {
		if
		:: mem[STOP] == 0 -> mem[STOP] = 1	/* compare-and-swap */
		:: mem[STOP] != 0 -> goto stopped
		fi
	}
	atomic {
		j = 0;
		do
		:: j == N -> break
		:: j < N -> sgi_stop[j] = (j != me); j++
		od;
		j = 0
	}
s_wait:
	atomic {
		if
		:: j == N -> skip
		:: j < N && (j == me || halted[j]) -> j++; goto s_wait
		fi
	}
stopped:
	atomic { assert(breaker != me + 1 || left_broken); halted[me] = 1 }
end_stopped:
	false
}

/* A store reaches memory. */
inline land(c, w, v)
{
	mem[w] = v;
	if
	:: w == MAP && v == 1 ->
#ifdef SEEN_ALL_KINDS
		/* One parked, one held at the door, one before it: all while MAP is broken. */
		assert(!(ANY(p_wait) && ANY(d_wait) && ANY(end_outside)) || seen_all_kinds);
#endif
		k = 0;
		do
		:: k == N -> break
		:: k < N ->
			assert(!open[k] || k + 1 == breaker || broken_access);
			early[k] = 1;
			k++
		od;
		k = 0
	:: else
	fi
}

/* The oldest store of CPU c, or any plain one of its, leaves the buffer. */
#define DRAIN_PLAIN(c, word)							\
	:: atomic { len(sb[c]) > 1 && sb[c]??[eval(word), _, 0] ->			\
		sb[c]??eval(word), v, 0; land(c, word, v); v = 0 }

#define DRAIN(c)								\
	:: atomic { sb[c]?w, v, b -> releases[c] = releases[c] - b;		\
		land(c, w, v); w = 0; v = 0; b = 0 }				\
	DRAIN_PLAIN(c, MAP)							\
	DRAIN_PLAIN(c, REQ(0))							\
	DRAIN_PLAIN(c, REQ(1))							\
	DRAIN_RELEASE(c)							\
	DRAIN_2(c)								\
	DRAIN_3(c)

#ifdef W_MAKE_PLAIN
#define DRAIN_RELEASE(c) DRAIN_PLAIN(c, REL(0)) DRAIN_PLAIN(c, REL(1))
#else
#define DRAIN_RELEASE(c)
#endif
#if N > 2
#define DRAIN_2(c)	DRAIN_PLAIN(c, REQ(2))
#else
#define DRAIN_2(c)
#endif
#if N > 3
#define DRAIN_3(c)	DRAIN_PLAIN(c, REQ(3))
#else
#define DRAIN_3(c)
#endif

#define DROP(c)									\
	:: atomic { drops > 0 && sgi[c] -> sgi[c] = 0; drops--; dropped = 1 }

proctype bus()
{
	byte w, v, k;
	bit b;
end_bus:
	do
	:: !evening -> evening = 1
	DRAIN(0)
	DRAIN(1)
#if N > 2
	DRAIN(2)
#endif
#if N > 3
	DRAIN(3)
#endif
#if DROPS > 0
	DROP(0)
	DROP(1)
#if N > 2
	DROP(2)
#endif
#endif
	od
}

/*
 * Nothing moves any more. Lazy CPUs at rest, stopped and offline ones are well; anything else
 * waits for ever, and the first that matches, causes before victims, is the reason.
 */
#define UNHEARD(c)	(cpu[(c) + 1]@p_wait && mem[REL(c)] >= mem[ACK(c)])

proctype watchdog()
{
end_watchdog:
	timeout;
	assert(!UNHEARD(0) || lost_release);
	assert(!UNHEARD(1) || lost_release);
#if N > 2
	assert(!UNHEARD(2) || lost_release);
#endif
#if N > 3
	assert(!UNHEARD(3) || lost_release);
#endif
	assert(!(mem[STOP] && (ANY(s_wait) || ANY(a_wait) || ANY(t_wait))) || deaf_to_stop);
	assert(!ANY(d_wait) || door_stuck);
	assert(!ANY(a_wait) || unanswered);
	assert(!ANY(p_wait) || lost_release);
	assert(!ANY(t_wait) || token_lost);
	assert(mem[STOP] || (mem[NEXT] == mem[SERVING] && mem[WIN] == 0) || token_lost);
	assert(mem[MAP] == 0 || left_broken)
}

init
{
	byte c;
	atomic {
		do
		:: c == N -> break
		:: c < N ->
			if
			:: IN(WALKERS, c)
			:: !IN(WALKERS, c) -> mem[DOOR(c)] = KERNEL; open[c] = 1
			fi;
			run cpu();
			c++
		od;
		run bus();
		run watchdog()
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/linux/init.c - the only program of the Linux machine that the oracle judges.
 *
 * It makes the kernel change its tables in as many ways as a few system calls can: large pages
 * that appear, split and go, copy on write, remapping, protection changes, many short processes
 * (so that ASIDs come and go), and mappings shared by processes on several CPUs. Then it switches
 * the machine off. No C library: the build then needs no arm64 one.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	SYS_mknodat = 33,
	SYS_mkdirat = 34,
	SYS_openat = 56,
	SYS_write = 64,
	SYS_exit = 93,
	SYS_reboot = 142,
	SYS_munmap = 215,
	SYS_mremap = 216,
	SYS_clone = 220,
	SYS_execve = 221,
	SYS_mmap = 222,
	SYS_mprotect = 226,
	SYS_madvise = 233,
	SYS_wait4 = 260
};

#define AT_CWD (-100)
#define PAGE 4096ul
#define MIB (1ul << 20)
#define PROT_RW 3
#define MAP_PRIVATE_ANON 0x22
#define MAP_SHARED_ANON 0x21
#define MREMAP_MAYMOVE 1
#define MADV_DONTNEED 4
#define MADV_HUGEPAGE 14
#define SIGCHLD 17

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static void say(const char *text)
{
	size_t n = 0;

	while (text[n] != '\0') {
		n++;
	}
	call(SYS_write, 1, (long)text, (long)n, 0, 0, 0);
}

static char *map(size_t bytes, int flags)
{
	return (char *)call(SYS_mmap, 0, (long)bytes, PROT_RW, flags, -1, 0);
}

static void touch(volatile char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE) {
		at[i] = (char)(at[i] + 1);
	}
}

static long fork_child(void)
{
	return call(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
}

static void wait_all(void)
{
	while (call(SYS_wait4, -1, 0, 0, 0, 0, 0) > 0) {
	}
}

static void large_pages(void)
{
	char *at = map(16 * MIB, MAP_PRIVATE_ANON);
	long aligned = ((long)at + 2 * (long)MIB - 1) & ~(2 * (long)MIB - 1);

	call(SYS_madvise, aligned, 12 * MIB, MADV_HUGEPAGE, 0, 0, 0);
	touch((char *)aligned, 12 * MIB);
	call(SYS_mprotect, aligned + PAGE, PAGE, 1, 0, 0, 0);      /* splits the first */
	call(SYS_munmap, aligned + 2 * (long)MIB + 64 * PAGE, PAGE, 0, 0, 0, 0); /* the second */
	call(SYS_madvise, aligned + 4 * (long)MIB, MIB, MADV_DONTNEED, 0, 0, 0); /* the third */
	touch((char *)aligned + 4 * MIB, MIB);
	call(SYS_mremap, aligned + 6 * (long)MIB, 2 * MIB, 8 * MIB, MREMAP_MAYMOVE, 0, 0);
	call(SYS_munmap, (long)at, 16 * MIB, 0, 0, 0, 0);
}

static void copy_on_write(void)
{
	char *at = map(2 * MIB, MAP_PRIVATE_ANON);
	char *shared = map(MIB, MAP_SHARED_ANON);

	touch(at, 2 * MIB);
	for (unsigned i = 0; i < 6; i++) {
		if (fork_child() == 0) {
			touch(at, MIB);
			touch(shared, MIB);
			large_pages();
			call(SYS_exit, 0, 0, 0, 0, 0, 0);
		}
		touch(at, 2 * MIB);
	}
	wait_all();
	call(SYS_munmap, (long)at, 2 * MIB, 0, 0, 0, 0);
	call(SYS_munmap, (long)shared, MIB, 0, 0, 0, 0);
}

static void exec_children(void)
{
	static const char *const args[] = { "/init", "child", NULL };
	static const char *const none[] = { NULL };

	for (unsigned i = 0; i < 40; i++) {
		if (fork_child() == 0) {
			call(SYS_execve, (long)args[0], (long)args, (long)none, 0, 0, 0);
			call(SYS_exit, 1, 0, 0, 0, 0, 0);
		}
	}
	wait_all();
}

/* In: the stack as the kernel leaves it. Words that the kernel did not know come as arguments. */
[[gnu::used]] static void start(long argc, const char *const *argv)
{
	if (argc == 2 && argv[1][0] == 'c') { /* a child of exec_children() */
		touch(map(MIB, MAP_PRIVATE_ANON), MIB);
		call(SYS_exit, 0, 0, 0, 0, 0, 0);
	}
	call(SYS_mkdirat, AT_CWD, (long)"/dev", 0755, 0, 0, 0);
	call(SYS_mknodat, AT_CWD, (long)"/dev/tty", 0020600, 5 << 8 | 1, 0, 0);
	for (unsigned fd = 0; fd < 3; fd++) {
		call(SYS_openat, AT_CWD, (long)"/dev/tty", 2, 0, 0, 0);
	}
	say("init: start\n");
	for (unsigned round = 0; round < 3; round++) {
		large_pages();
		copy_on_write();
		exec_children();
	}
	say("init: end\n");
	call(SYS_reboot, (long)0xfee1dead, 672274793, 0x4321fedc, 0, 0, 0);
}

__asm__(".globl _start\n_start: ldr x0, [sp]\n\tadd x1, sp, #8\n\tb start");

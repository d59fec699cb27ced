/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lockstep.c - native code checked against the first tier as a guest runs (vm_jit.check): all the same in guests that do everything, and a
 * difference, if there is one, is told.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <stddef.h>

#include "harness.h"

static const struct vm_jit everything = { .how = VM_JIT_ON, .hot = 1, .check = 300 };

/* What all vCPUs counted. */
static uint64_t
counted(struct h_vm *h, enum vm_stat stat)
{
	uint64_t n = 0;
	int count;

	for (int i = 0; i < h->ncpu; i++)
		n += vm_get_stats(h->cpu[i].vcpu, &count)[stat];
	return (n);
}

static void
stress(const struct h_target *t, unsigned steps)
{
	struct h_opts o = { .clock = VM_CLOCK_ICOUNT, .jit = everything };
	struct h_vm *h;
	uint64_t n;

	o.jit.check = steps;
	h = h_open(t, "stress", &o);
	h_param(h, 0, TEST_SANITIZED ? 300U : (steps < 100 ? 700U : 7000U) * (unsigned)test_long(4));
	h_param(h, 1, 7);
	h_param(h, 2, 1);
	h_start(h);
	h_join(h);
	CHECK_EQ(h_read(h, h->a->results, 8), 0);
	n = counted(h, VM_STAT_JIT_CHECKED);
	printf("# %llu instructions compared, %u at a time\n", (unsigned long long)n, steps);
	CHECK(n > 100000);
	h_close(h);
}

/* Page tables, address spaces, code that changes, interrupts of the timer, every register; native code cut off at every place. */
H_TEST(stress, H_SOFT)
{
	/* With sanitizers, whose eyes are not for native code, the last one. */
	static const unsigned steps[] = { 17, 64, 5000, 300 };
	size_t n = sizeof(steps) / sizeof(steps[0]);

	h_need(t);
	for (size_t i = TEST_SANITIZED ? n - 1 : 0; i < n; i++)
		stress(t, steps[i]);
}

/* Somebody who writes to memory without a write section: what one tier reads is not what the other one does. */
static void *
toggle(void *arg)
{
	struct h_vm *h = arg;
	_Atomic uint32_t *word = vm_map_gpa(h->ctx, h->a->results, sizeof(*word));

	while (!atomic_load(&h->stop))
		atomic_fetch_xor(word, 0x40000000);
	return (NULL);
}

H_TEST(a_difference_is_told, H_SOFT)
{
	const struct h_opts o = { .clock = VM_CLOCK_ICOUNT, .jit = everything };
	struct h_vm *h;
	struct h_cpu *cpu;
	pthread_t thread;

	if (TEST_SANITIZED)
		SKIP("a race by intent");
	h_need(t);
	h = h_open(t, "smp", &o);
	cpu = &h->cpu[0];
	h_param(h, 0, UINT32_MAX);
	h_param(h, 1, 1);
	CHECK_EQ(pthread_create(&thread, NULL, toggle, h), 0);
	OK(vm_run(cpu->vcpu, &cpu->exit));
	CHECK_EQ(cpu->exit.code, VM_EXIT_ERROR);
	CHECKF(strstr(vm_errmsg(), "differ") != NULL && strstr(vm_errmsg(), "by native code and 0x") != NULL &&
	    strstr(vm_errmsg(), "executed, at the end: 0x") != NULL, "%s", vm_errmsg());
	printf("# %s\n", vm_errmsg());
	atomic_store(&h->stop, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	h_close(h);
}

/*
 * A filter of system calls kills whoever asks for executable memory once the VM is there: native code needs no more of it, on as many
 * vCPUs as translate.
 */
static void
no_more_code(void)
{
	static struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { .len = sizeof(insns) / sizeof(insns[0]), .filter = insns };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog), 0);
}

H_TEST(no_executable_memory_is_made_later, H_SOFT)
{
	const struct h_opts o = { .ncpu = 2, .jit = { .how = VM_JIT_ON, .hot = 1 } };
	struct h_vm *h;
	uint64_t before;

	h_need(t);
	h = h_open(t, "stress", &o);
	h_param(h, 0, 20000);
	h_param(h, 2, 2);
	h_start(h);
	no_more_code();
	before = counted(h, VM_STAT_JIT_BLOCKS);
	h_join(h);
	CHECK_EQ(h_read(h, h->a->results, 8), 0);
	printf("# %llu blocks before, %llu in the end\n", (unsigned long long)before, (unsigned long long)counted(h, VM_STAT_JIT_BLOCKS));
	CHECK(counted(h, VM_STAT_JIT_BLOCKS) > before + 50);
	h_close(h);
}

/* Is it in memory that has no file, as perf(1) wants it? */
static bool
nameless(unsigned long at)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];
	bool found = false;

	CHECK(f != NULL);
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%lx-%lx r-xs", &from, &to) == 2 && at >= from && at < to && strstr(line, "/dev/zero") != NULL;
	fclose(f);
	return (found);
}

/* perf(1) is told of native code by the guest's addresses: the payload's. */
H_TEST(native_code_is_listed_for_perf, H_SOFT)
{
	const struct h_opts o = { .jit = { .how = VM_JIT_ON, .hot = 1, .map = true } };
	char path[64], line[256];
	unsigned long at = 0, size;
	unsigned long long gva;
	unsigned found = 0;
	struct h_vm *h;
	FILE *f;

	h_need(t);
	h = h_open(t, "stress", &o);
	h_param(h, 0, 1000);
	h_param(h, 2, 1);
	h_start(h);
	h_join(h);
	snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
	f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		CHECKF(sscanf(line, "%lx %lx guest_0x%llx", &at, &size, &gva) == 3 && at != 0 && size != 0, "%s", line);
		found += gva >= h->a->load && gva < h->a->load + 0x8000;
	}
	fclose(f);
	CHECK(nameless(at));
	CHECK_EQ(unlink(path), 0);
	CHECK(found > 100);
	h_close(h);
}

/* With the host's time, or several vCPUs, no two runs are alike. */
H_TEST(needs_virtual_time_and_one_vcpu, H_SOFT)
{
	struct h_opts o = { .jit = everything };
	struct h_vm *h;

	h_need(t);
	h = h_open(t, "spin", &o);
	CHECK(vm_start(h->ctx) != 0);
	CHECK_EQ(errno, EINVAL);
	CHECK(strstr(vm_errmsg(), "clock=icount") != NULL);
	h_close(h);

	o.clock = VM_CLOCK_ICOUNT;
	o.ncpu = 2;
	h = h_open(t, "spin", &o);
	CHECK(vm_start(h->ctx) != 0);
	CHECK_EQ(errno, EINVAL);
	h_close(h);
}

TEST_MAIN()

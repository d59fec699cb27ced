/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time.c - the time-stamp counter (Intel SDM vol. 3 17.17), and the paravirtual clock of KVM guests
 * (the kernel's Documentation/virt/kvm/x86/msr.rst).
 *
 * The TSC is the VM's clock in ticks of its counter's frequency, plus an offset.  So the paravirtual
 * clock, which is the VM's clock too, never drifts from it: its page in guest memory is written when the
 * guest asks for it, and when the offset has changed.
 */
#include <time.h>

#include "sys.h"

#define	NSEC		1000000000ULL

static void	write_clock(struct x86 *x);

static uint64_t
ticks(const struct x86 *x, uint64_t now)
{
	uint64_t hz = x->vcpu->vm->counter_hz;

	return (hz == NSEC ? now : muldiv64(now, hz, NSEC));
}

/* The offset is such that the TSC is `tsc' at the clock's time now. */
static void
rebase(struct x86 *x, uint64_t tsc, uint64_t now)
{
	uint64_t offset = tsc - ticks(x, now);

	x->s->tsc = x->tsc_seen = tsc;
	if (offset != x->tsc_offset)
		x->clock_stale = true;
	x->tsc_offset = offset;
}

void
x86_tsc_adopt(struct x86 *x, uint64_t now)
{
	rebase(x, x->s->tsc, now);
	/* The page came from elsewhere, and what is in guest memory too. */
	x->clock_stale = true;
}

/* The vCPU does not run. */
void
x86_tsc_save(struct x86 *x)
{
	uint64_t now = vm_clock_now(x->vcpu->vm);

	if (x->s->tsc != x->tsc_seen)
		x86_tsc_adopt(x, now);
	else
		x->s->tsc = x->tsc_seen = x->tsc_offset + ticks(x, now);
}

/* The VM is paused, so that the base is the same for all of its processors. */
void
x86_tsc_loaded(struct x86 *x)
{
	uint64_t now = vm_clock_now(x->vcpu->vm);
	struct amd64_vm *av = amd64_vm_get(x->vcpu->vm);

	if (av != NULL)
		av->clock_base = now;
	x86_tsc_adopt(x, now);
}

/* The page is an earlier one of this run, which is not to set the TSC. */
void
x86_tsc_restarted(struct x86 *x)
{
	x->s->tsc = x->tsc_seen;
}

/* It is going to run. */
void
x86_tsc_check(struct x86 *x)
{
	if (x->s->tsc != x->tsc_seen)
		x86_tsc_adopt(x, soft_clock(x->cpu));
	if (x->clock_stale)
		write_clock(x);
}

uint64_t
x86_tsc(struct x86 *x)
{
	uint64_t now;

	x86_sync(x);
	now = soft_clock(x->cpu);
	x86_after_device(x);
	return (x->tsc_offset + ticks(x, now));
}

void
x86_tsc_refresh(struct x86 *x)
{
	x->s->tsc = x->tsc_seen = x86_tsc(x);
}

/* A deadline of the local APIC's is one of the TSC: it is to be looked at anew. */
static void
jumped(struct x86 *x, uint64_t tsc, uint64_t now)
{
	uint64_t deadline = 0;

	rebase(x, tsc, now);
	if (x86_controller(x, MSR_TSC_DEADLINE, false, &deadline) && deadline != 0)
		(void)x86_controller(x, MSR_TSC_DEADLINE, true, &deadline);
	write_clock(x);
}

/* What a write adds to the TSC it adds to IA32_TSC_ADJUST too (17.17.3). */
void
x86_tsc_set(struct x86 *x, uint64_t tsc)
{
	uint64_t now;

	x86_sync(x);
	now = soft_clock(x->cpu);
	x->s->tsc_adjust += tsc - (x->tsc_offset + ticks(x, now));
	jumped(x, tsc, now);
}

void
x86_tsc_adjust_set(struct x86 *x, uint64_t adjust)
{
	uint64_t now;

	x86_sync(x);
	now = soft_clock(x->cpu);
	jumped(x, x->tsc_offset + ticks(x, now) + (adjust - x->s->tsc_adjust), now);
	x->s->tsc_adjust = adjust;
}

/* The paravirtual clock */

/* struct pvclock_vcpu_time_info, in words of 32 bits */
enum {
	PV_VERSION, PV_PAD, PV_TSC, PV_TSC_HIGH, PV_TIME, PV_TIME_HIGH, PV_MUL, PV_SHIFT_FLAGS, PV_WORDS
};
#define	PV_STABLE	0x100U		/* flags: the same on every processor; above the shift */
#define	PV_ENABLE	1U		/* of the MSR */

/* struct pvclock_wall_clock */
enum { WALL_VERSION, WALL_SEC, WALL_NSEC, WALL_WORDS };

/* In virtual time nothing comes from the host: 1 January 2000. */
#define	ICOUNT_EPOCH	946684800ULL

void
x86_kvmclock_scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
	unsigned __int128 ratio = ((unsigned __int128)NSEC << 64) / hz;	/* nanoseconds in a tick, << 64 */
	int n = 0;

	/* mul = ratio / 2^shift, as a fraction of 2^32 with its highest bit set */
	while (ratio >> 64 != 0) {
		ratio >>= 1;
		n++;
	}
	while (ratio >> 63 == 0) {
		ratio <<= 1;
		n--;
	}
	*mul = (uint32_t)(ratio >> 32);
	*shift = (int8_t)n;
}

/* A word that the guest may be looking at; where there is no memory it is lost. */
static void
put(struct x86 *x, uint64_t gpa, unsigned word, uint32_t val)
{
	uint64_t at = (gpa + 4 * word) & x->phys_mask;
	void *p = soft_host(x->cpu, at, 4, VM_PROT_WRITE);

	if (p == NULL)
		return;
	host_store(p, 4, val);
	soft_wrote(x->cpu, at, 4);
}

/* An odd version says that the rest is being changed. */
static void
publish(struct x86 *x, uint64_t gpa, const uint32_t *words, unsigned n)
{
	const void *p = soft_host(x->cpu, gpa & x->phys_mask, 4, VM_PROT_READ);
	uint32_t version = p == NULL ? 0 : (uint32_t)host_load(p, 4);

	version |= 1;
	put(x, gpa, 0, version);
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 1; i < n; i++)
		put(x, gpa, i, words[i]);
	atomic_thread_fence(memory_order_seq_cst);
	put(x, gpa, 0, version + 1);
}

/*
 * The factor has 32 bits, so that what a guest computes is as far off as the base is far away.  Every
 * processor is given the same base, so that all of them compute the same.
 */
static void
write_clock(struct x86 *x)
{
	const struct amd64_vm *av = x->vcpu->vm->md_vm;
	uint64_t msr = x->s->kvm_system_time, base = av == NULL ? 0 : av->clock_base;
	uint64_t tsc = x->tsc_offset + ticks(x, base);
	uint32_t words[PV_WORDS] = { 0 };
	int8_t shift;

	x->clock_stale = false;
	if ((msr & PV_ENABLE) == 0)
		return;
	x86_kvmclock_scale(x->vcpu->vm->counter_hz, &words[PV_MUL], &shift);
	words[PV_TSC] = (uint32_t)tsc;
	words[PV_TSC_HIGH] = (uint32_t)(tsc >> 32);
	words[PV_TIME] = (uint32_t)base;
	words[PV_TIME_HIGH] = (uint32_t)(base >> 32);
	words[PV_SHIFT_FLAGS] = (uint8_t)shift | PV_STABLE;
	publish(x, msr & ~(uint64_t)PV_ENABLE, words, PV_WORDS);
}

void
x86_kvmclock_write(struct x86 *x)
{
	write_clock(x);
}

void
x86_wallclock_write(struct x86 *x, uint64_t gpa)
{
	uint32_t words[WALL_WORDS] = { 0 };
	uint64_t zero = ICOUNT_EPOCH * NSEC;
	struct timespec ts;

	if (!clock_is_icount(x->vcpu->vm)) {
		(void)clock_gettime(CLOCK_REALTIME, &ts);
		zero = (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec - vm_clock_now(x->vcpu->vm);
	}
	words[WALL_SEC] = (uint32_t)(zero / NSEC);
	words[WALL_NSEC] = (uint32_t)(zero % NSEC);
	publish(x, gpa, words, WALL_WORDS);
}
